"""Slows guessing down, by account and by address, without shutting an operator out.

Each attempt is counted as wrong before it is looked at, so that a thousand at once count as a
thousand; a right one is taken off again. After the fifth wrong attempt on an account the next has
to wait 1 s, 2 s, 4 s, ... up to 15 minutes; after the 20th of one address likewise. On a device on
which the operator has signed in before, neither count matters: it has one of its own, so that
whoever guesses from elsewhere does not keep the operator out (OWASP, device cookies).
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vending.operators import rules
from vending.operators.errors import TooManyAttemptsError
from vending.operators.model import Operator
from vending.operators.repository import sessions, sign_in
from vending.operators.repository.sign_in import Throttle
from vending.operators.service.desk import Caller

Tracks = Mapping[bytes, int]
"""What an attempt counts on, and how many wrong ones are free on each."""


@dataclass(frozen=True, slots=True)
class Counted:
    """An attempt that may go on, counted as wrong until it turns out right."""

    tracks: Tracks
    own: bytes
    """The track that a right attempt clears: of the account, or of its device."""


def find_device(connection: Connection, caller: Caller) -> uuid.UUID | None:
    """Return the device that asks; None: it has no text of ours, or a wrong one."""
    if caller.device_token is None:
        return None
    return sessions.find_device(connection, rules.compute_digest(caller.device_token))


def tracks_of(
    connection: Connection,
    name: str,
    operator: Operator | None,
    caller: Caller,
    device_id: uuid.UUID | None,
) -> Counted:
    """Return what an attempt on a name counts on."""
    if (
        operator is not None
        and device_id is not None
        and sessions.is_known_device(connection, operator.id, device_id)
    ):
        own = rules.track_of_device(operator.id, device_id)
        return Counted({own: rules.FREE_FAILURES}, own)
    own = rules.track_of_account(name)
    source = rules.track_of_source(caller.source)
    return Counted({own: rules.FREE_FAILURES, source: rules.FREE_FAILURES_OF_SOURCE}, own)


def count_attempt(connection: Connection, counted: Counted, *, now: datetime) -> None:
    """Count an attempt as wrong; the caller commits, whatever comes of it.

    Raises:
        TooManyAttemptsError: One of its tracks is closed; nothing was counted.
    """
    throttles = sign_in.lock_throttles(connection, list(counted.tracks), now=now)
    wait = max(_remaining(throttle, now) for throttle in throttles)
    if wait > timedelta(0):
        raise TooManyAttemptsError(-(-wait // timedelta(seconds=1)))
    for throttle in throttles:
        is_forgotten = now - throttle.failed_at >= rules.FORGOTTEN_AFTER
        failures = 1 if is_forgotten else throttle.failures + 1
        wait = rules.compute_wait(failures, counted.tracks[throttle.track])
        closed_until = now + wait if wait else None
        sign_in.update_throttle(connection, Throttle(throttle.track, failures, now, closed_until))


def take_off(connection: Connection, counted: Counted, *, now: datetime, is_whole: bool) -> None:
    """Take a right attempt off its tracks; once all factors were right, clear its own track."""
    for throttle in sign_in.lock_throttles(connection, list(counted.tracks), now=now):
        is_cleared = is_whole and throttle.track == counted.own
        failures = 0 if is_cleared else max(0, throttle.failures - 1)
        sign_in.update_throttle(connection, replace(throttle, failures=failures, closed_until=None))


def _remaining(throttle: Throttle, now: datetime) -> timedelta:
    return timedelta(0) if throttle.closed_until is None else throttle.closed_until - now
