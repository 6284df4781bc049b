"""Tables that a superuser made anew without their keys, checks and strict types."""

import uuid

import pytest
from sqlalchemy import Connection

from tests.support.audit_chain import Chain, disarm, rows_of
from vending.audit.model import AuditReport, FindingKind
from vending.audit.service import coding, walk
from vending.audit.service.gaps import declare_gap
from vending.audit.service.verify import verify
from vending.persistence.column_types import is_sqlite
from vending.values.actor import Actor, ActorKind

POSITION = 5


def relax(connection: Connection) -> None:
    """Make the tables anew, with nothing that holds a row to a rule."""
    disarm(connection)
    for table in ("audit_events", "audit_links", "audit_heads"):
        connection.exec_driver_sql(f"CREATE TABLE made_anew AS SELECT * FROM {table}")  # noqa: S608 # our own names
        connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql(f"ALTER TABLE made_anew RENAME TO {table}")


def literal(connection: Connection, event_id: uuid.UUID) -> str:
    return f"x'{event_id.hex}'" if is_sqlite(connection.dialect) else f"'{event_id}'"


def event_at(connection: Connection, position: int) -> uuid.UUID:
    query = f"SELECT event_id FROM audit_links WHERE position = {position}"  # noqa: S608 # a number
    ((event_id,),) = rows_of(connection, query)
    return event_id if isinstance(event_id, uuid.UUID) else uuid.UUID(bytes=bytes(event_id))


def tampered(chain: Chain, *statements: str, position: int = POSITION) -> AuditReport:
    """Run the statements in relaxed tables, and look; nothing is kept."""
    keys = chain.keys
    with chain.database.unit_of_work() as uow:
        connection = uow.connection
        relax(connection)
        where = f"id = {literal(connection, event_at(connection, position))}"
        for statement in statements:
            connection.exec_driver_sql(statement.format(event=where))
        return verify(connection, keys, now=chain.clock.now())


@pytest.fixture(params=[1, 3, 5, 20_000])
def chunk_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """So many rows are read at once: the tampered row lies at a border or not."""
    size: int = request.param
    monkeypatch.setattr(walk, "CHUNK_MAX", size)
    monkeypatch.setattr(coding, "CHUNK_MAX", size)
    return size


@pytest.mark.usefixtures("chunk_size")
@pytest.mark.parametrize(
    "statements",
    [
        ["INSERT INTO audit_events SELECT * FROM audit_events WHERE {event}"],
        [
            "CREATE TABLE kept AS SELECT * FROM audit_events WHERE {event}",
            "UPDATE audit_events SET actor_name = 'somebody else' WHERE {event}",
            "INSERT INTO audit_events SELECT * FROM kept",
        ],
        [
            "CREATE TABLE kept AS SELECT * FROM audit_events WHERE {event}",
            "UPDATE kept SET actor_name = 'somebody else'",
            "INSERT INTO audit_events SELECT * FROM kept",
        ],
    ],
    ids=["same", "forged before", "forged behind"],
)
def test_a_second_event_of_one_id_is_named(chain: Chain, statements: list[str]) -> None:
    report = tampered(chain, *statements)
    with chain.database.read() as connection:
        event_id = event_at(connection, POSITION)
    assert FindingKind.EVENT_INSERTED in {one.kind for one in report.findings}
    assert {one.event_id for one in report.findings} == {event_id}


@pytest.mark.usefixtures("chunk_size")
def test_a_second_link_of_one_position_is_named(chain: Chain) -> None:
    report = tampered(
        chain,
        "INSERT INTO audit_links SELECT position, kind, event_id, event_mac, event_mac"  # noqa: S608 # our own names
        f" FROM audit_links WHERE position = {POSITION}",
    )
    assert {one.position for one in report.findings} == {POSITION}


def test_a_second_head_of_one_position_is_named(chain: Chain) -> None:
    report = tampered(chain, "INSERT INTO audit_heads SELECT * FROM audit_heads WHERE position = 7")
    assert [(one.kind, one.position) for one in report.findings] == [(FindingKind.HEAD_CHANGED, 7)]


@pytest.mark.parametrize("column", ["at", "actor_kind", "details"])
def test_a_column_without_its_value_is_named(chain: Chain, column: str) -> None:
    report = tampered(chain, f"UPDATE audit_events SET {column} = NULL WHERE {{event}}")  # noqa: S608 # our own names
    assert [(one.kind, one.position) for one in report.findings] == [
        (FindingKind.EVENT_CHANGED, POSITION)
    ]


@pytest.mark.parametrize("columns", ["kind", "event_mac", "link", "event_mac = NULL, link"])
def test_a_link_without_its_value_is_named(chain: Chain, columns: str) -> None:
    report = tampered(chain, f"UPDATE audit_links SET {columns} = NULL WHERE position = {POSITION}")  # noqa: S608 # our own names
    assert [(one.kind, one.position) for one in report.findings] == [
        (FindingKind.LINK_CHANGED, POSITION)
    ]


@pytest.mark.parametrize("column", ["actor_name", "subject", "details"])
def test_text_that_became_bytes_is_named(chain: Chain, column: str) -> None:
    with chain.database.read() as connection:
        if not is_sqlite(connection.dialect):
            return  # its columns have one type
    report = tampered(
        chain,
        f"UPDATE audit_events SET {column} = CAST({column} AS BLOB) WHERE {{event}}",  # noqa: S608 # our own names
    )
    assert [(one.kind, one.position) for one in report.findings] == [
        (FindingKind.EVENT_CHANGED, POSITION)
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_events WHERE {event}",
        "INSERT INTO audit_events SELECT * FROM audit_events WHERE {event}",
        "UPDATE audit_events SET details = 'nothing' WHERE {event}",
    ],
)
def test_a_declaration_that_was_tampered_with_is_named(chain: Chain, statement: str) -> None:
    exported = chain.exported()[-1].head
    assert exported is not None
    with chain.superuser() as connection:
        chain.disarm(connection)
        chain.cut(connection, after=8)
    by = Actor(ActorKind.OPERATOR, "anna")
    with chain.database.unit_of_work() as uow:
        gap = declare_gap(
            uow.connection, chain.keys, exported, reason="lost", by=by, clock=chain.clock
        )
        uow.commit()
    report = tampered(chain, statement, position=gap.position)
    with chain.database.read() as connection:
        declaration = event_at(connection, gap.position)
    assert declaration in {one.event_id for one in report.findings}


def test_a_head_whose_position_is_no_number_is_named(chain: Chain) -> None:
    with chain.database.read() as connection:
        if not is_sqlite(connection.dialect):
            return  # its columns have one type
    report = tampered(chain, "UPDATE audit_heads SET position = 'x' WHERE position = 7")
    assert FindingKind.HEAD_CHANGED in {one.kind for one in report.findings}
