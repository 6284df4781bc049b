"""What operators sign in with, put together from the settings."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.people import CHEAP_PASSWORDS
from tests.support.shop import build_shop
from vending.bootstrap import build_sign_in_desk
from vending.operators.service.desk import SignInDesk
from vending.persistence.engine import Database
from vending.settings import Settings, SettingsError
from vending.values.clock import FixedClock

ORIGIN = "https://office.example.org"
OPENID = {
    "openid_issuer": "https://login.example.org",
    "openid_client_id": "vending",
    "openid_client_secret": "secret",
    "office_origin": ORIGIN,
}


def make(database: Database, clock: FixedClock, folder: Path, **told: Any) -> SignInDesk:  # noqa: ANN401 # settings
    container = build_shop(database, clock, folder).container()
    return build_sign_in_desk(
        Settings(**told),
        database,
        container.key_store,
        clock=clock,
        passwords=CHEAP_PASSWORDS,
    )


def test_desk_is_that_of_the_settings(
    sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path
) -> None:
    desk = make(
        sqlite_database,
        fixed_clock,
        tmp_path,
        utility_name="Lumen Utility",
    )
    assert (desk.issuer, desk.passkey_site, desk.openid) == ("Lumen Utility", None, None)
    place = b"somewhere"
    assert desk.sealer().open(desk.sealer().seal(b"x", associated=place), associated=place) == b"x"


@pytest.mark.parametrize(
    ("told", "rp_id"),
    [
        ({"office_origin": ORIGIN}, "office.example.org"),
        ({"office_origin": ORIGIN, "office_rp_id": "example.org"}, "example.org"),
        ({"office_origin": "http://localhost:8080"}, "localhost"),
    ],
)
def test_passkeys_hold_where_the_pages_are(
    sqlite_database: Database,
    fixed_clock: FixedClock,
    tmp_path: Path,
    told: dict[str, str],
    rp_id: str,
) -> None:
    desk = make(sqlite_database, fixed_clock, tmp_path, **told)
    assert desk.passkey_site is not None
    assert (desk.passkey_site.rp_id, desk.passkey_site.origin) == (rp_id, told["office_origin"])


@pytest.mark.parametrize(
    "told",
    [
        {"office_origin": "office.example.org"},
        {"office_origin": "http://office.example.org"},
        {"office_origin": f"{ORIGIN}/"},
        {"office_origin": f"{ORIGIN}/pages"},
        {"office_origin": "https://me@office.example.org"},
        {"office_origin": ORIGIN, "office_rp_id": "example.com"},
        {"office_origin": ORIGIN, "office_rp_id": "ffice.example.org"},
        {**OPENID, "openid_issuer": "http://login.example.org"},
        {**OPENID, "openid_client_id": None},
        {**OPENID, "openid_client_secret": None},
        {**OPENID, "office_origin": None},
        {**OPENID, "openid_amr": " , "},
    ],
)
def test_setting_that_does_not_fit_is_refused(
    sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path, told: dict[str, str | None]
) -> None:
    with pytest.raises(SettingsError):
        make(sqlite_database, fixed_clock, tmp_path, **told)


def test_provider_of_the_settings_is_asked(
    sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path
) -> None:
    desk = make(sqlite_database, fixed_clock, tmp_path, **OPENID)
    assert desk.openid is not None
    assert desk.openid.issuer == OPENID["openid_issuer"]
    desk.openid.close()
