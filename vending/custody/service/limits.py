"""What every way of issuing asks in its own transaction: is it stopped, and does it still fit.

    load_stops(connection).require_open(register, ...)     early: before anything is made
    charge(connection, uses, clock, now=...)               last: its row is the hottest of all

Both read what is committed, in the transaction that issues: a switch acts on whatever begins
after it, in every process, and a transaction that had begun ends within moments.

A charge counts what is issued, and nothing else: where the transaction rolls back, so does the
count. Around a module that takes its time, the charge comes with the request, and `give_back`
undoes it when the module says for certain that it made nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from vending.custody.errors import CeilingReachedError
from vending.custody.model import (
    Alarm,
    AlarmLevel,
    Ceiling,
    Count,
    LimitPolicy,
    Measure,
    Stops,
    Use,
    UseClass,
    UsedToday,
)
from vending.custody.repository import limits as repository
from vending.custody.repository.limits import UseKey
from vending.custody.rules import add_use, first_exceeded, near, subtract_use
from vending.keystore.model import KeyReference
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.policies.service import load_policies
from vending.values.actor import SYSTEM
from vending.values.clock import Clock
from vending.values.identifiers import PartnerId


def load_stops(connection: Connection) -> Stops:
    """Return what is stopped now; one small query for a batch of any size."""
    return Stops(repository.list_standing_targets(connection))


def require_open(
    connection: Connection,
    register: KeyReference,
    *,
    partner_id: PartnerId | None = None,
    outlet: str | None = None,
) -> None:
    """Go on only where issuing is not stopped; `load_stops` does it for many.

    Raises:
        IssuingStoppedError: A switch stands on stop.
    """
    load_stops(connection).require_open(register, partner_id=partner_id, outlet=outlet)


def load_limit_policy(connection: Connection) -> LimitPolicy:
    """Return what ceilings go by in this transaction."""
    policies = load_policies(connection)
    defaults = {
        UseClass.CREDIT: policies.ceiling_credit,
        UseClass.FREE: policies.ceiling_free,
        UseClass.MANAGEMENT: policies.ceiling_management,
    }
    return LimitPolicy(
        zone=ZoneInfo(policies.timezone),
        defaults={
            use_class: Ceiling(
                energy_wh=one.energy_wh, money_minor=one.money_minor, token_count=one.token_count
            )
            for use_class, one in defaults.items()
        },
    )


def charge(
    connection: Connection, uses: Sequence[Use], clock: Clock, *, now: datetime
) -> list[CeilingReachedError | None]:
    """Count the uses against the ceilings of today; return what became of each, in their order.

    None: it is counted. A use that does not fit is not counted, and leaves room for a smaller
    one after it. Three queries, whatever the number of uses; locks one row a key and class until
    the transaction ends, so call it as late as possible.
    """
    if not uses:
        return []
    policy = load_limit_policy(connection)
    day = policy.day_of(now)
    keys = [(str(use.register), use.use_class) for use in uses]
    held = _lock(connection, day, sorted(set(keys)))
    counts = {key: count for key, (count, _) in held.items()}
    ceilings = {key: own or policy.default_of(key[1]) for key, (_, own) in held.items()}
    outcomes: list[CeilingReachedError | None] = []
    for key, use in zip(keys, uses, strict=True):
        following = add_use(counts[key], use)
        exceeded = first_exceeded(following, ceilings[key])
        if exceeded is None:
            counts[key] = following
            outcomes.append(None)
        else:
            outcomes.append(CeilingReachedError(key[0], key[1].value, exceeded.value))
    changed = {key: count for key, count in counts.items() if count != held[key][0]}
    repository.store_counts(connection, day, changed)
    for key, count in changed.items():
        for measure in sorted(near(count, ceilings[key]) - near(held[key][0], ceilings[key])):
            alarm = Alarm(
                register=key[0],
                day=day,
                use_class=key[1],
                measure=measure,
                level=AlarmLevel.NEAR,
                raised_at=now,
            )
            facts = {"energy_wh": count.energy_wh, "tokens": count.token_count}
            _raise(connection, alarm, clock, facts=facts)
    return outcomes


def require_room(connection: Connection, use: Use, clock: Clock, *, now: datetime) -> None:
    """Count one use; `charge` does it for many.

    Raises:
        CeilingReachedError: It does not fit under the ceiling of today.
    """
    (refusal,) = charge(connection, [use], clock, now=now)
    if refusal is not None:
        raise refusal


def give_back(connection: Connection, use: Use, *, charged_at: datetime) -> None:
    """Undo a charge of which it is certain that nothing was issued."""
    day = load_limit_policy(connection).day_of(charged_at)
    key = (str(use.register), use.use_class)
    held = repository.lock_counts(connection, day, [key])
    if key in held:
        repository.store_counts(connection, day, {key: subtract_use(held[key][0], use)})


def note_reached(
    database: Database,
    refusals: Sequence[CeilingReachedError],
    clock: Clock,
    *,
    now: datetime,
) -> None:
    """Raise the alarm that a ceiling was reached, once a day, after the refused rolled back.

    Raises:
        DatabaseUnavailableError: The database cannot be reached.
    """
    with database.read() as connection:
        day = load_limit_policy(connection).day_of(now)
        raised = {
            (one.register, one.use_class.value, one.measure.value)
            for one in repository.list_alarms(connection, since=day, limit=1000)
            if one.level is AlarmLevel.REACHED
        }
    alarms = {
        (one.register, one.use_class, one.measure): Alarm(
            register=one.register,
            day=day,
            use_class=UseClass(one.use_class),
            measure=Measure(one.measure),
            level=AlarmLevel.REACHED,
            raised_at=now,
        )
        for one in refusals
    }
    fresh = [alarm for name, alarm in sorted(alarms.items()) if name not in raised]
    if not fresh:
        return
    with database.unit_of_work() as uow:
        for alarm in fresh:
            _raise(uow.connection, alarm, clock, facts={})
        uow.commit()


def list_used_today(connection: Connection, *, now: datetime) -> list[UsedToday]:
    """Return how far each key has come today, and the ceilings of keys that were not used."""
    policy = load_limit_policy(connection)
    counts = repository.list_counts(connection, policy.day_of(now))
    idle: Mapping[UseKey, tuple[Count, Ceiling | None]] = {
        key: (Count(), ceiling)
        for key, ceiling in repository.list_ceilings(connection).items()
        if key not in counts
    }
    return [
        UsedToday(
            register=register,
            use_class=use_class,
            count=count,
            ceiling=own or policy.default_of(use_class),
            is_own=own is not None,
        )
        for (register, use_class), (count, own) in sorted((counts | dict(idle)).items())
    ]


def _lock(
    connection: Connection, day: date, keys: Sequence[UseKey]
) -> dict[UseKey, tuple[Count, Ceiling | None]]:
    held = repository.lock_counts(connection, day, keys)
    missing = [key for key in keys if key not in held]
    if missing:  # the first use of the day
        repository.insert_counts(connection, day, missing)
        held = repository.lock_counts(connection, day, keys)
    return held


def _raise(connection: Connection, alarm: Alarm, clock: Clock, *, facts: Mapping[str, int]) -> None:
    if not repository.insert_alarm(connection, alarm):
        return
    event = AuditEvent(
        SYSTEM,
        f"ceiling.{alarm.level}",
        f"key:{alarm.register}",
        {
            "day": alarm.day.isoformat(),
            "class": alarm.use_class.value,
            "measure": alarm.measure.value,
            **facts,
        },
    )
    record(connection, [event], clock)
