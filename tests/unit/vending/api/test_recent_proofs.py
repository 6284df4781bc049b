"""A proof holds for a second and for its own key."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from vending.api.recent_proofs import REMEMBERED_MAX, REMEMBERED_S, RecentProofs
from vending.partners.model import Partner
from vending.values.clock import FixedClock
from vending.values.identifiers import PartnerId
from vending.values.money import Currency

PARTNER = Partner(PartnerId(uuid.UUID(int=1)), "Shop", Currency("KES"))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 1, 1, tzinfo=UTC))


def test_proof_holds_until_a_second_after_the_database_was_asked(clock: FixedClock) -> None:
    proofs = RecentProofs(clock)
    asked_at_s = clock.monotonic_s()
    clock.advance(timedelta(milliseconds=600))
    proofs.remember("pk_1", PARTNER, asked_at_s)
    assert proofs.find("pk_1") is PARTNER
    clock.advance(timedelta(milliseconds=399))
    assert proofs.find("pk_1") is PARTNER
    clock.advance(timedelta(milliseconds=1))
    assert proofs.find("pk_1") is None


def test_another_key_is_not_proven(clock: FixedClock) -> None:
    proofs = RecentProofs(clock)
    proofs.remember("pk_1", PARTNER, clock.monotonic_s())
    assert proofs.find("pk_2") is None
    assert proofs.find("pk_\xe9\ud800") is None


def test_wall_clock_set_back_prolongs_nothing(clock: FixedClock) -> None:
    proofs = RecentProofs(clock)
    proofs.remember("pk_1", PARTNER, clock.monotonic_s())
    clock.advance(timedelta(seconds=REMEMBERED_S))
    clock.jump_to(datetime(2025, 1, 1, tzinfo=UTC))
    assert proofs.find("pk_1") is None


def test_no_more_keys_are_remembered_than_the_bound(clock: FixedClock) -> None:
    proofs = RecentProofs(clock)
    for number in range(REMEMBERED_MAX + 1):
        proofs.remember(f"pk_{number}", PARTNER, clock.monotonic_s())
    assert proofs.find(f"pk_{REMEMBERED_MAX}") is PARTNER
    assert proofs.find("pk_0") is None


def test_key_itself_is_not_kept(clock: FixedClock) -> None:
    proofs = RecentProofs(clock)
    proofs.remember("pk_1", PARTNER, clock.monotonic_s())
    assert "pk_1" not in repr(vars(proofs))
