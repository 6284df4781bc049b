"""Migrations up and down on both engines, and the schema they leave."""

import importlib
import shutil
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import CheckConstraint, inspect, text

from vending.persistence import migrate
from vending.persistence.base import metadata
from vending.persistence.engine import Database, create_database
from vending.persistence.errors import DatabaseBusyError, SchemaMismatchError

ROOT = Path(__file__).parents[4]


@pytest.fixture
def every_table() -> None:
    for path in (ROOT / "vending").glob("*/tables.py"):
        importlib.import_module(f"vending.{path.parent.name}.tables")
    for path in (ROOT / "vending" / "persistence").glob("*.py"):
        importlib.import_module(f"vending.persistence.{path.stem}")


def test_upgrade_reaches_the_head_and_downgrade_leaves_nothing(empty_database: Database) -> None:
    assert migrate.current_revision(empty_database) is None
    migrate.upgrade(empty_database)
    assert migrate.current_revision(empty_database) == migrate.head_revision()
    migrate.downgrade(empty_database, "base")
    assert migrate.current_revision(empty_database) is None
    assert inspect(empty_database.engine).get_table_names() == ["alembic_version"]


def test_each_migration_can_be_taken_back_and_repeated(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    for revision in ("0002", "0001", "base"):
        migrate.downgrade(empty_database, revision)
    for revision in ("0001", "0002", "head"):
        migrate.upgrade(empty_database, revision)
    migrate.require_head(empty_database)


def test_downgrade_leaves_no_function_on_postgresql(empty_postgres_url: str) -> None:
    database = create_database(empty_postgres_url)
    migrate.upgrade(database)
    migrate.downgrade(database, "base")
    with database.read() as connection:
        left = connection.execute(
            text("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
        ).all()
    database.close()
    assert left == []


@pytest.mark.usefixtures("every_table")
def test_migrated_schema_equals_the_declared_tables(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


@pytest.mark.usefixtures("every_table")
def test_migrated_checks_equal_the_declared_ones(database: Database) -> None:
    inspector = inspect(database.engine)
    for table in metadata.sorted_tables:
        declared = {
            str(constraint.name)
            for constraint in table.constraints
            if isinstance(constraint, CheckConstraint)
        }
        found = {check["name"] for check in inspector.get_check_constraints(table.name)}
        assert found == declared, table.name


def test_every_sqlite_table_is_strict(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection:
        loose = connection.exec_driver_sql(
            "SELECT name FROM pragma_table_list WHERE type = 'table' AND NOT strict"
            " AND schema = 'main' AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
        ).all()
    assert loose == []


def test_a_failing_migration_leaves_nothing_behind(empty_database: Database) -> None:
    with empty_database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("CREATE TABLE postings (id INTEGER)")
        uow.commit()
    with pytest.raises(Exception, match="postings"):
        migrate.upgrade(empty_database)
    assert inspect(empty_database.engine).get_table_names() == ["postings"]


def test_a_migration_gives_way_to_a_sale_that_holds_its_table(postgres_database: Database) -> None:
    with postgres_database.read() as sale:
        sale.exec_driver_sql("SELECT count(*) FROM postings")
        with pytest.raises(DatabaseBusyError):
            migrate.downgrade(postgres_database, "base", tries_max=2, pause_s=0)
    # The steps before the one that gave way are done, that one is not begun.
    assert migrate.current_revision(postgres_database) == "0001"
    migrate.upgrade(postgres_database)
    migrate.require_head(postgres_database)


def test_two_migrators_do_each_step_once(empty_database: Database) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            migrate.upgrade(empty_database)
        except BaseException as error:  # noqa: BLE001 # reported below
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    migrate.require_head(empty_database)


def test_steps_back_are_counted_from_where_one_is(database: Database) -> None:
    head = int(migrate.head_revision())
    migrate.downgrade(database, "-2")
    assert migrate.current_revision(database) == f"{head - 2:04}"
    with pytest.raises(CommandError):
        migrate.downgrade(database, "-99")


LATER = """
import sqlalchemy as sa
from alembic import op
revision = "{revision}"
down_revision = "{previous}"
{mark}
def upgrade():
    op.add_column("sales", sa.Column("note_{revision}", sa.Text))
def downgrade():
    op.drop_column("sales", "note_{revision}")
"""


@pytest.fixture
def later_release(tmp_path: Path) -> Path:
    """The migrations of a later release: two that only add, and one that asks for its code."""
    folder = tmp_path / "later"
    shutil.copytree(migrate.script_folder(), folder)
    previous = migrate.head_revision()
    for revision, mark in (("x1", "expands = True"), ("x2", "expands = True"), ("x3", "")):
        text_ = LATER.format(revision=revision, previous=previous, mark=mark)
        (folder / "versions" / f"20991231_0000_{revision}.py").write_text(text_, "utf-8")
        previous = revision
    return folder


def test_this_release_runs_on_the_tables_of_the_next_that_only_adds(
    database: Database, later_release: Path
) -> None:
    migrate.upgrade(database, "x1", folder=later_release)
    migrate.require_head(database)
    migrate.upgrade(database, "x2", folder=later_release)
    with pytest.raises(SchemaMismatchError):
        migrate.require_head(database)
    migrate.downgrade(database, "x1", folder=later_release)
    migrate.require_head(database)
    migrate.downgrade(database, migrate.head_revision(), folder=later_release)
    migrate.require_head(database)


def test_a_newer_revision_without_the_mark_is_refused(
    database: Database, later_release: Path
) -> None:
    migrate.upgrade(database, "x3", folder=later_release)
    with pytest.raises(SchemaMismatchError):
        migrate.require_head(database)


def test_an_older_schema_is_refused(empty_database: Database) -> None:
    with pytest.raises(SchemaMismatchError) as refused:
        migrate.require_head(empty_database)
    assert refused.value.facts == {"found": None, "wanted": migrate.head_revision()}


def test_file_names_carry_their_moment() -> None:
    names = sorted(path.name for path in (migrate.script_folder() / "versions").glob("*.py"))
    assert names
    for name in names:
        day, minute, slug = name.removesuffix(".py").split("_", 2)
        assert (len(day), len(minute)) == (8, 4)
        assert (day + minute).isdigit()
        assert slug
