"""What the database itself refuses, whoever asks; and what `verify` finds if it did not."""

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import IntegrityError

from tests.postgres_server import PostgresServer
from vending.ledger import service
from vending.ledger.model import JournalEntry
from vending.persistence.engine import Database, EngineKind

if TYPE_CHECKING:
    from tests.integration.vending.ledger.conftest import Book, MakeEntry, Post

ADD_POSTING = (
    "INSERT INTO postings (entry_id, line_number, posting_count, account_code, currency, minor)"
    " VALUES (:id, :line, :count, :account, :currency, :minor)"
)
ADD_ENTRY = (
    "INSERT INTO journal_entries (id, at, kind, reference, currency, posting_count)"
    " SELECT :id, at, 'sale', 'forged', :currency, :count FROM journal_entries LIMIT 1"
)


class Forger:
    """Writes rows past the service."""

    def __init__(self, connection: Connection, entry_id: bytes) -> None:
        self.connection = connection
        is_sqlite = connection.dialect.name == "sqlite"
        self.id = entry_id if is_sqlite else entry_id.hex()

    def posting(
        self,
        line: int,
        minor: int,
        *,
        count: int = 2,
        account: str = "cash",
        currency: str = "KES",
    ) -> None:
        values = {"id": self.id, "line": line, "count": count, "minor": minor}
        self.connection.execute(
            text(ADD_POSTING), values | {"account": account, "currency": currency}
        )

    def entry(self, count: int = 2, currency: str = "KES") -> None:
        values = {"id": self.id, "count": count, "currency": currency}
        self.connection.execute(text(ADD_ENTRY), values)


@pytest.fixture
def posted(book: "Book", make_entry: "MakeEntry", post: "Post") -> JournalEntry:
    entry = make_entry((book.cash, 100), (book.prepaid, -100))
    post(entry)
    post(make_entry((book.cash_ugx, 5), (book.revenue_ugx, -5)))
    return entry


@pytest.mark.parametrize("table", ["postings", "journal_entries", "ledger_accounts"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET currency = currency"])
@pytest.mark.usefixtures("posted")
def test_rows_are_never_changed_or_deleted(database: Database, table: str, statement: str) -> None:
    with (
        pytest.raises(IntegrityError, match=f"append_only:{table}"),
        database.unit_of_work() as uow,
    ):
        uow.connection.execute(text(statement.format(table)))


@pytest.mark.parametrize(
    "table",
    ["postings", "journal_entries", "ledger_accounts", "ledger_balances", "outbox"],
)
def test_tables_are_never_truncated(postgres_database: Database, table: str) -> None:
    with (
        pytest.raises(IntegrityError, match="append_only"),
        postgres_database.unit_of_work() as uow,
    ):
        uow.connection.execute(text(f"TRUNCATE {table} CASCADE"))


@pytest.mark.parametrize("table", ["postings", "journal_entries", "ledger_accounts"])
def test_a_role_that_does_not_own_the_tables_cannot_lift_the_wall(
    postgres_server: PostgresServer, postgres_url: str, table: str
) -> None:
    name = make_url(postgres_url).database or ""
    role = sql.Identifier(f"service_{name}")
    postgres_server.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    postgres_server.execute(
        sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(role), name
    )
    with psycopg.connect(
        postgres_server.url(name, user=f"service_{name}"), autocommit=True
    ) as connection:
        for verb in ("DELETE FROM {}", "UPDATE {} SET currency = 'KES'", "TRUNCATE {} CASCADE"):
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
                connection.execute(sql.SQL(verb).format(sql.Identifier(table)))
        for verb in ("ALTER TABLE {} DISABLE TRIGGER ALL", "DROP TABLE {} CASCADE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL(verb).format(sql.Identifier(table)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SET session_replication_role = replica")
    postgres_server.execute(sql.SQL("DROP OWNED BY {}").format(role), name)
    postgres_server.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.usefixtures("posted")
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger_balances",
        "UPDATE ledger_balances SET account_code = 'cash'",
        "UPDATE ledger_balances SET balance_minor = -1",
        "UPDATE ledger_balances SET floor_minor = 101",
    ],
)
def test_a_balance_stays_with_its_account_and_above_its_floor(
    database: Database, statement: str
) -> None:
    with pytest.raises(IntegrityError), database.unit_of_work() as uow:
        uow.connection.execute(text(statement))


@pytest.mark.usefixtures("posted")
def test_a_balanced_entry_is_sealed(database: Database) -> None:
    with database.unit_of_work() as uow:
        forger = Forger(uow.connection, b"F" * 16)
        forger.posting(1, 5)
        forger.posting(2, -5, account="partner:1:float")
        forger.entry()
        uow.commit()


@pytest.mark.usefixtures("posted")
@pytest.mark.parametrize("legs", [[], [5], [5, -4], [5, -5, 1], [5, -5, 5, -5]], ids=str)
def test_an_entry_is_not_sealed_unless_all_postings_are_there_and_balance(
    database: Database, legs: list[int]
) -> None:
    def forge(connection: Connection) -> None:
        forger = Forger(connection, b"F" * 16)
        for line, minor in enumerate(legs, 1):
            forger.posting(line, minor, count=max(len(legs), 2))
        forger.entry(count=2)

    with (
        pytest.raises(IntegrityError, match="ledger:unbalanced"),
        database.unit_of_work() as uow,
    ):
        forge(uow.connection)


@pytest.mark.usefixtures("posted")
def test_postings_without_an_entry_are_not_committed(database: Database) -> None:
    with database.unit_of_work() as uow:
        forger = Forger(uow.connection, b"F" * 16)
        forger.posting(1, 5)
        forger.posting(2, -5)
        with pytest.raises(IntegrityError):
            uow.commit()


@pytest.mark.parametrize(("line", "count"), [(1, 2), (3, 2), (3, 3)])
def test_a_posting_cannot_join_a_sealed_entry(
    database: Database, posted: JournalEntry, line: int, count: int
) -> None:
    def forge() -> None:
        with database.unit_of_work() as uow:
            Forger(uow.connection, posted.id.bytes).posting(line, 5, count=count)
            uow.commit()

    with pytest.raises(IntegrityError):
        forge()


@pytest.mark.usefixtures("posted")
@pytest.mark.parametrize(
    ("account", "currency"), [("cash", "UGX"), ("cash-ugx", "KES"), ("nobody", "KES")]
)
def test_a_posting_keeps_to_an_account_and_its_currency(
    database: Database, account: str, currency: str
) -> None:
    with pytest.raises(IntegrityError), database.unit_of_work() as uow:
        Forger(uow.connection, b"F" * 16).posting(1, 5, account=account, currency=currency)


@pytest.mark.usefixtures("posted")
def test_an_entry_keeps_to_one_currency(database: Database) -> None:
    with database.unit_of_work() as uow:
        forger = Forger(uow.connection, b"F" * 16)
        forger.posting(1, 5)
        forger.posting(2, -5, account="cash-ugx", currency="UGX")
        forger.entry()
        with pytest.raises(IntegrityError):
            uow.commit()


@pytest.mark.usefixtures("posted")
def test_a_posting_of_zero_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError), database.unit_of_work() as uow:
        Forger(uow.connection, b"F" * 16).posting(1, 0)


@pytest.fixture
def unguarded(database: Database, posted: JournalEntry) -> Database:
    """The database after somebody with all rights took its guards away."""
    del posted
    with database.unit_of_work() as uow:
        if database.dialect is EngineKind.SQLITE:
            triggers = uow.connection.exec_driver_sql(
                "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
            ).scalars()
            for name in triggers.all():
                uow.connection.exec_driver_sql(f"DROP TRIGGER {name}")
        else:
            for table in ("postings", "journal_entries", "ledger_accounts", "ledger_balances"):
                uow.connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            uow.connection.exec_driver_sql(
                "ALTER TABLE ledger_balances DROP CONSTRAINT ck_ledger_balances_floor"
            )
        uow.commit()
    return database


@pytest.mark.parametrize(
    ("statement", "codes"),
    [
        ("UPDATE postings SET minor = minor + 1 WHERE account_code = 'cash'",
         {"entry_unbalanced", "currency_unbalanced"}),
        ("UPDATE postings SET minor = minor * 2 WHERE currency = 'KES'", {"balance_differs"}),
        ("DELETE FROM postings WHERE currency = 'UGX'", {"entry_unbalanced"}),
        ("DELETE FROM journal_entries WHERE currency = 'UGX'", {"posting_unsealed"}),
        ("UPDATE ledger_balances SET balance_minor = 99", {"balance_differs"}),
        ("UPDATE ledger_balances SET balance_minor = -7",
         {"balance_differs", "balance_below_floor"}),
        ("DELETE FROM ledger_accounts WHERE code = 'cash-ugx'", {"posting_foreign"}),
    ],
)  # fmt: skip
def test_verify_names_what_was_done_behind_its_back(
    unguarded: Database, statement: str, codes: set[str]
) -> None:
    with unguarded.unit_of_work() as uow:
        if unguarded.dialect is EngineKind.SQLITE:
            uow.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
            uow.connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        uow.connection.exec_driver_sql(statement)
        findings = service.verify(uow.connection)
    assert {finding.code for finding in findings} == codes
    assert all(finding.subject for finding in findings)
    assert all(finding.message for finding in findings)


def test_verify_reports_its_progress_in_chunks(
    database: Database,
    book: "Book",
    make_entry: "MakeEntry",
    post: "Post",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "VERIFY_CHUNK", 2)
    post(*(make_entry((book.cash, 1), (book.vat, -1)) for _ in range(5)))
    seen: list[tuple[int, int]] = []
    with database.read() as connection:
        assert service.verify(connection, lambda done, total: seen.append((done, total))) == []
    assert seen == [(0, 5), (2, 5), (4, 5), (5, 5)]
