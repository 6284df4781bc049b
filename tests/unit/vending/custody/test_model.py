"""What a switch stands for, and whom it stops."""

import uuid
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from vending.custody.errors import IssuingStoppedError, TargetInvalidError
from vending.custody.model import NO_CEILING, LimitPolicy, Stops, StopTarget, UseClass
from vending.keystore.model import KeyReference
from vending.sts import SGC, KeyType
from vending.values.clock import FixedClock
from vending.values.identifiers import PartnerId

REGISTER = KeyReference(SGC("201457"), 1, KeyType.DUTK)
OTHER = KeyReference(SGC("201457"), 2, KeyType.DUTK)
PARTNER = PartnerId(uuid.UUID(int=1))
TARGETS = [
    StopTarget.key(REGISTER),
    StopTarget.supply_group(REGISTER.sgc),
    StopTarget.partner(PARTNER),
    StopTarget.outlet(PARTNER, "till 7"),
]


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_each_switch_stops_what_it_stands_for(target: StopTarget) -> None:
    with pytest.raises(IssuingStoppedError) as refused:
        Stops(frozenset({target})).require_open(REGISTER, partner_id=PARTNER, outlet="till 7")
    assert refused.value.facts == {"scope": target.scope.value}


def test_switches_leave_others_alone() -> None:
    stops = Stops(frozenset({TARGETS[0], TARGETS[3]}))
    stops.require_open(OTHER, partner_id=PARTNER, outlet="till 8")
    stops.require_open(OTHER, partner_id=PartnerId(uuid.UUID(int=2)), outlet="till 7")
    stops.require_open(OTHER)


@pytest.mark.parametrize("outlet", ["", " ", " till", "till ", "till\n", "t" * 65, "k\u0430ssa"])
def test_outlet_that_no_partner_can_send_is_refused(outlet: str) -> None:
    with pytest.raises(TargetInvalidError):
        StopTarget.outlet(PARTNER, outlet)


def test_day_is_the_utilitys() -> None:
    clock = FixedClock(datetime(2026, 11, 25, 21, 30, tzinfo=UTC))
    policy = LimitPolicy(zone=ZoneInfo("Africa/Nairobi"))
    assert policy.day_of(clock.now()) == date(2026, 11, 26)
    assert policy.default_of(UseClass.FREE) is NO_CEILING
