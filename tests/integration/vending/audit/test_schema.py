"""Tables of the audit log that are not as the migrations made them."""

import pytest
from sqlalchemy import insert

from tests.integration.vending.audit.test_relaxed_tables import relax
from tests.support.audit_chain import Chain
from vending.audit.errors import AuditKeyAlteredError
from vending.audit.service.schema import find_schema_changes
from vending.audit.tables import audit_keys
from vending.persistence.engine import Database, EngineKind

VIEW = ("ALTER TABLE audit_heads RENAME TO kept", "CREATE VIEW audit_heads AS SELECT * FROM kept")
COLUMN = ("ALTER TABLE audit_events ADD COLUMN more TEXT",)
ON_POSTGRESQL = [
    ("ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY",),
    ("CREATE SCHEMA shadow", "CREATE TABLE shadow.audit_events (id uuid)"),
    ("CREATE RULE hide AS ON INSERT TO audit_links DO INSTEAD NOTHING",),
    ("CREATE TABLE child () INHERITS (audit_events)",),
    ("ALTER TABLE audit_events ALTER COLUMN details TYPE varchar",),
    ("ALTER TABLE audit_links DISABLE TRIGGER audit_links_refuse_update",),
]


def changes(chain: Chain, statements: tuple[str, ...]) -> int:
    with chain.database.unit_of_work() as uow:
        for statement in statements:
            uow.connection.exec_driver_sql(statement)
        return len(find_schema_changes(uow.connection))


def test_the_tables_of_the_migrations_are_as_they_should_be(chain: Chain) -> None:
    assert changes(chain, ()) == 0


@pytest.mark.parametrize("statements", [VIEW, COLUMN])
def test_a_view_and_a_column_are_named(chain: Chain, statements: tuple[str, ...]) -> None:
    assert changes(chain, statements)


def test_triggers_that_were_dropped_are_named(chain: Chain) -> None:
    with chain.database.unit_of_work() as uow:
        chain.disarm(uow.connection)
        assert find_schema_changes(uow.connection)


@pytest.mark.parametrize("statements", ON_POSTGRESQL)
def test_what_postgresql_can_be_told_is_named(
    chain: Chain, database: Database, statements: tuple[str, ...]
) -> None:
    if database.dialect is EngineKind.POSTGRESQL:
        assert changes(chain, statements)


def test_tables_made_anew_are_named(chain: Chain) -> None:
    with chain.database.unit_of_work() as uow:
        relax(uow.connection)
        assert find_schema_changes(uow.connection)


def test_a_second_key_is_refused_by_name(chain: Chain) -> None:
    with chain.superuser() as connection:
        chain.disarm(connection)
        row = dict(connection.execute(audit_keys.select()).one()._mapping)
        connection.exec_driver_sql("CREATE TABLE anew AS SELECT * FROM audit_keys")
        connection.exec_driver_sql("DROP TABLE audit_keys")
        connection.exec_driver_sql("ALTER TABLE anew RENAME TO audit_keys")
        connection.execute(insert(audit_keys).values(**(row | {"id": 2})))
    with pytest.raises(AuditKeyAlteredError):
        chain.verify()
