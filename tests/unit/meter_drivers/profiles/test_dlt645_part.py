from importlib import resources

import pytest

from meter_drivers.errors import ProfileError
from meter_drivers.profiles.dlt645_part import Closing, ControlGuard, Counts, DLT645Part
from meter_drivers.profiles.loader import load_profile, parse_profile
from meter_drivers.profiles.model import narrow_profile

NAME = "generic_dlt645_prepaid"


@pytest.fixture
def text() -> str:
    return (resources.files("meter_drivers.profiles") / f"{NAME}.toml").read_text("utf-8")


def test_part_is_read_whole() -> None:
    part = narrow_profile(load_profile(NAME), DLT645Part).part
    assert part.data[0].identifier == 0
    assert part.wallet is not None
    assert part.wallet.counts is Counts.MONEY
    assert part.control is not None
    assert (part.control.closing, part.control.guard) == (Closing.DIRECT, ControlGuard.PASSWORD)
    assert not part.tells_model


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('identifier = "00010000"', 'identifier = "0x10000"', "no data identifier"),
        ('name = "energy.import.total"', 'name = "voltage"', "voltage stands 2 times"),
        ('"read_wallet", ', "", "read_wallet and wallet go together"),
        ('"read_registers", ', "", "read_registers and data go together"),
        (', "switch_relay"', "", "switch_relay and control go together"),
        ('"identify", ', '"identify", "accept_token", ', "accept_token is nothing"),
        ('counts = "money"', 'counts = "time"', "'time' is unknown"),
        ("level = 2", "level = 10", "10 is out of place"),
        ('[wallet]\ncounts = "money"\n', "", "read_wallet and wallet go together"),
        ('closing = "direct"', 'closing = "direct"\nhow = 1', "unknown key"),
    ],
)
def test_part_that_is_wrong_is_refused(text: str, old: str, new: str, problem: str) -> None:
    assert old in text
    with pytest.raises(ProfileError, match=problem):
        parse_profile(text.replace(old, new, 1), file="bad.toml")


def test_purchases_without_a_wallet_are_found(text: str) -> None:
    bare = text.replace('[wallet]\ncounts = "money"\n', "").replace('"read_wallet", ', "")
    with pytest.raises(ProfileError, match="accept_recharge needs it"):
        parse_profile(bare, file="bad.toml")
