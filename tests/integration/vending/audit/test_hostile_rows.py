"""Rows that no service writes, and that must not keep `verify` from its answer."""

import uuid

import pytest
from sqlalchemy import insert

from tests.integration.vending.audit.test_relaxed_tables import relax
from tests.support.audit_chain import Chain
from vending.audit.model import FindingKind
from vending.audit.service.sealing import lag
from vending.audit.service.verify import verify
from vending.persistence.audit import audit_events, audit_queue
from vending.persistence.column_types import is_sqlite
from vending.persistence.engine import Database, EngineKind

NEVER = uuid.UUID(bytes=b"\xff" * 16)
"""Its first 48 bits, read as a moment, lie behind every calendar."""


def test_an_event_dated_behind_all_calendars_is_named(chain: Chain) -> None:
    with chain.superuser() as connection:
        row = dict(connection.execute(audit_events.select().limit(1)).one()._mapping)
        connection.execute(insert(audit_events).values(**(row | {"id": NEVER})))
        connection.execute(insert(audit_queue).values(event_id=NEVER))
        assert lag(connection, chain.clock.now()).total_seconds() < 0
    (finding,) = chain.verify().findings
    assert (finding.kind, finding.event_id) == (FindingKind.EVENT_OVERDUE, NEVER)


def test_a_place_in_the_queue_for_no_event_is_named(chain: Chain) -> None:
    lost = uuid.UUID(int=7)
    with chain.superuser() as connection:
        connection.execute(insert(audit_queue).values(event_id=lost))
    (finding,) = chain.verify().findings
    assert (finding.kind, finding.event_id) == (FindingKind.QUEUE_CHANGED, lost)


def test_a_sealed_event_that_was_queued_again_is_named(chain: Chain) -> None:
    with chain.superuser() as connection:
        event_id = connection.execute(audit_events.select().limit(1)).one().id
        connection.execute(insert(audit_queue).values(event_id=event_id))
    (finding,) = chain.verify().findings
    assert (finding.kind, finding.event_id) == (FindingKind.QUEUE_CHANGED, event_id)


def test_a_chain_that_was_removed_whole_is_named(chain: Chain) -> None:
    with chain.superuser() as connection:
        chain.disarm(connection)
        chain.cut(connection, after=0)
    (finding,) = chain.verify().findings
    assert (finding.kind, finding.position) == (FindingKind.CUT_OFF, 1)


@pytest.mark.parametrize(
    "statement",
    [
        # A kind of no size, in a link whose event bears another name now.
        "UPDATE audit_links SET kind = 9223372036854775807, event_id = link WHERE position = 5",
        "UPDATE audit_links SET kind = 9223372036854775807, event_id = x'00' WHERE position = 5",
        "UPDATE audit_heads SET position = x'', previous_position = NULL WHERE position = 7",
        "UPDATE audit_heads SET position = x'0000000000000001', link = 5 WHERE position = 7",
    ],
)
@pytest.mark.timeout(300)
def test_columns_of_another_type_are_named(
    chain: Chain, statement: str, database: Database
) -> None:
    if database.dialect is not EngineKind.SQLITE:
        return  # its columns have one type
    keys = chain.keys
    with database.unit_of_work() as uow:
        assert is_sqlite(uow.connection.dialect)
        uow.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        relax(uow.connection)
        uow.connection.exec_driver_sql(statement)
        assert verify(uow.connection, keys, now=chain.clock.now()).findings
