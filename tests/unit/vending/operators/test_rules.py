"""Pure decisions on sessions and on waiting."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vending.operators import rules
from vending.operators.errors import SignInRequiredError
from vending.operators.model import Session, SessionLimits, SignInMethod
from vending.values.identifiers import OperatorId

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
ID = uuid.UUID(int=1)


def session(*, revoked_at: datetime | None = None) -> Session:
    limits = SessionLimits()
    return Session(
        id=ID,
        operator_id=OperatorId(ID),
        device_id=None,
        source="192.0.2.1",
        method=SignInMethod.TOTP,
        opened_at=NOW,
        seen_at=NOW,
        idle_limit=limits.idle,
        fresh_until=NOW,
        ends_at=NOW + limits.lifetime,
        revoked_at=revoked_at,
    )


def test_token_has_256_bits_and_its_digest_is_what_is_stored() -> None:
    token = rules.make_session_token(bytes(range(32)))
    assert token == "os_" + bytes(range(32)).hex()
    assert rules.parse_session_token(token) == rules.compute_digest(token)


@given(st.text(max_size=80))
def test_other_text_is_no_token(text: str) -> None:
    with pytest.raises(SignInRequiredError):
        rules.parse_session_token(text)


def test_session_holds_until_it_is_revoked_or_over() -> None:
    assert rules.check_session(session(), NOW).id == ID
    for refused in (None, session(revoked_at=NOW)):
        with pytest.raises(SignInRequiredError):
            rules.check_session(refused, NOW)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (4, 0), (5, 1), (6, 2), (7, 4), (14, 512), (15, 900), (40, 900), (10**9, 900)],
)
def test_wait_doubles_up_to_its_bound(failures: int, seconds: int) -> None:
    assert rules.compute_wait(failures, 5) == timedelta(seconds=seconds)


@given(st.integers(0, 10**6), st.integers(0, 100))
def test_wait_never_shrinks_with_more_failures(failures: int, free: int) -> None:
    shorter, longer = (rules.compute_wait(count, free) for count in (failures, failures + 1))
    assert timedelta(0) <= shorter <= longer <= rules.WAIT_MAX


def test_tracks_are_apart() -> None:
    tracks = [
        rules.track_of_account("amina"),
        rules.track_of_source("amina"),
        rules.track_of_device(ID, ID),
        rules.track_of_session(ID),
    ]
    assert len({*tracks}) == 4
    assert all(len(track) == 32 for track in tracks)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:DB8:1:2::1", "2001:db8:1:2:0::9"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_addresses_that_one_caller_has_at_will_are_one_source(one: str, other: str) -> None:
    assert rules.track_of_source(one) == rules.track_of_source(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("192.0.2.7", "192.0.2.8"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8"),
        ("command line", "unknown"),
    ],
)
def test_addresses_of_two_callers_are_two_sources(one: str, other: str) -> None:
    assert rules.track_of_source(one) != rules.track_of_source(other)
