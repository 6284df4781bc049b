"""A rotation of the root key among real rows: sealed anew, named, carried over by a backup."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary

from tests.integration.vending.backups.conftest import Utility, opened_store
from tests.support.backups import HOST, back_up, restore, target_at
from tests.support.people import CHEAP_PASSWORDS
from tests.support.racing_clock import RacingClock
from tests.support.shop import build_desk
from tests.support.sign_in import ORIGIN, Person, activate
from vending.audit.service.keys import load_keys
from vending.audit.service.sealing import seal_waiting
from vending.audit.service.verify import verify
from vending.custody.service.resealing import (
    SEALED_COLUMNS,
    RootUse,
    list_root_uses,
    reseal_secrets,
)
from vending.keystore.sealing import Purpose
from vending.keystore.service import activate_root, prepare_root
from vending.keystore.store import OpenKeyStore
from vending.operators.passkeys import PasskeySite
from vending.operators.service.desk import SignInDesk
from vending.persistence.base import metadata
from vending.persistence.engine import Database, EngineKind
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock

SECRETS = {"secret of the audit log", "authenticator apps"}
LEFT_BEHIND = {"issued tokens", "stored answers", "steps of signing in"}
NOT_SEALED = {
    ("idempotency_keys", "fingerprint"),
    ("operator_authenticators", "credential_id"),
    ("operator_authenticators", "public_key"),
}


class PowerCutError(Exception):
    """The machine goes down."""


def cut() -> None:
    raise PowerCutError


def sign_in_desk(database: Database, store: OpenKeyStore, clock: FixedClock) -> SignInDesk:
    return SignInDesk(
        database=database,
        clock=clock,
        passwords=CHEAP_PASSWORDS,
        sealer=lambda: store.sealer(Purpose.OPERATOR_SECRETS),
        issuer="Lumen Utility",
        passkey_site=PasskeySite("office.example.org", ORIGIN, "Lumen Utility"),
    )


def seal(database: Database, store: OpenKeyStore, clock: FixedClock) -> None:
    seal_waiting(database, store.sealer(Purpose.AUDIT_KEYS), clock=clock)


def require_whole_audit(database: Database, store: OpenKeyStore, clock: FixedClock) -> None:
    seal(database, store, clock)
    with database.read() as connection:
        keys = load_keys(connection, store.sealer(Purpose.AUDIT_KEYS))
        report = verify(connection, keys, now=clock.now(), exported=iter(()))
    assert report.findings == ()
    assert report.links > 0


def rotate(utility: Utility) -> OpenKeyStore:
    shop = utility.shop
    prepared = prepare_root(shop.database, utility.store, by=SYSTEM, clock=shop.clock)
    rotated = activate_root(shop.database, prepared, by=SYSTEM, clock=shop.clock)
    shop.store, shop.desk = rotated, build_desk(shop.database, shop.clock, rotated)
    return rotated


def uses_of(utility: Utility, store: OpenKeyStore, root: int) -> set[str]:
    with utility.shop.database.read() as connection:
        return {use.what for use in list_root_uses(connection, store) if use.root == root}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def amina(utility: Utility) -> Person:
    """Somebody with an app, in an installation that has sold and sealed its audit log."""
    shop = utility.shop
    person = activate(sign_in_desk(shop.database, utility.store, shop.clock), "amina")
    shop.issue("before")
    seal(shop.database, utility.store, shop.clock)
    return person


def test_every_sealed_column_is_known() -> None:
    """A feature that seals something more says so in `SEALED_COLUMNS`, and is then looked at."""
    sealed_like = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.c
        if isinstance(column.type, LargeBinary)
        and (column.name.startswith("sealed") or table.name == "idempotency_keys")
    }
    assert sealed_like - NOT_SEALED == set(SEALED_COLUMNS)


def test_secrets_are_sealed_anew_and_what_stays_is_named(utility: Utility, amina: Person) -> None:
    shop, rotated = utility.shop, rotate(utility)
    assert uses_of(utility, rotated, 1) >= SECRETS
    assert reseal_secrets(shop.database, rotated, by=HOST, clock=shop.clock) == 2
    assert uses_of(utility, rotated, 1) == LEFT_BEHIND
    assert uses_of(utility, rotated, 2) == {*SECRETS, "vending keys"}
    with shop.database.read() as connection:
        assert RootUse(1, "issued tokens", 1) in list_root_uses(connection, rotated)
    assert reseal_secrets(shop.database, rotated, by=HOST, clock=shop.clock) == 0
    assert amina.sign_in().operator.name == "amina"
    require_whole_audit(shop.database, rotated, shop.clock)


def test_store_that_was_never_rotated_seals_nothing_anew(utility: Utility, amina: Person) -> None:
    assert amina.name == "amina"
    shop = utility.shop
    assert reseal_secrets(shop.database, utility.store, by=HOST, clock=shop.clock) == 0


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_what_a_kill_leaves_is_done_by_the_next_run(
    utility: Utility, amina: Person, step: int
) -> None:
    """Each commit takes readings of the clock; the machine goes down in each of them."""
    shop, rotated = utility.shop, rotate(utility)
    dying = RacingClock(shop.clock, at_call=step, rival=cut)
    try:
        done = reseal_secrets(shop.database, rotated, by=HOST, clock=dying)
    except PowerCutError:
        done = 0
    assert amina.sign_in().operator.name == "amina"
    require_whole_audit(shop.database, rotated, shop.clock)
    reseal_secrets(shop.database, rotated, by=HOST, clock=shop.clock)
    assert not uses_of(utility, rotated, 1) & SECRETS
    assert done in {0, 2}


def test_rotated_installation_is_backed_up_destroyed_and_restored(
    utility: Utility,
    amina: Person,
    tmp_path: Path,
    empty_url: Callable[[str], str],
    stack: ExitStack,
) -> None:
    shop, rotated = utility.shop, rotate(utility)
    reseal_secrets(shop.database, rotated, by=HOST, clock=shop.clock)
    shop.issue("after")
    path, clock = tmp_path / "one.vbackup", shop.clock
    seal(shop.database, rotated, clock)
    back_up(shop.database, rotated, path, clock)
    engine = "sqlite" if shop.database.dialect is EngineKind.SQLITE else "postgresql"
    shop.database.close()

    target = target_at(empty_url(engine), tmp_path / "new")
    database = restore(path, utility.custodians, target, clock).database
    stack.callback(database.close)
    clock.advance(timedelta(minutes=3))  # a restore raises identifiers past the clock
    store = opened_store(database, tmp_path / "new")
    assert (store.root_count, store.active_root) == (2, 2)
    shop.database, shop.store, shop.desk = database, store, build_desk(database, clock, store)
    amina.desk = sign_in_desk(database, store, clock)
    require_whole_audit(database, store, clock)
    assert amina.sign_in().operator.name == "amina"
    assert shop.issue("after")["receipt_number"]
    shop.issue("anew")
    require_whole_audit(database, store, clock)
