"""Which older release still works on the present tables: written by the migrator, read at start.

A release knows its own migrations and none of the later ones. So the later one says it: a
migration that only adds what older code does not look at sets `expands = True`, and the migrator
notes in the database that the release before it may go on. Older code then runs beside the new
one during an upgrade, and comes back after a failed one, by one version.
"""

from typing import Final

from sqlalchemy import Column, Connection, Table, Text, delete, inspect, select

from vending.persistence.base import metadata
from vending.persistence.upsert import insert_or_ignore

EXPANDS: Final = "expands"
"""Name of a migration's mark; one without it needs its own release."""

schema_expansions: Final = Table(
    "schema_expansions",
    metadata,
    Column("revision", Text, primary_key=True),
    Column("previous", Text, nullable=False),
    sqlite_strict=True,
)
"""The migrator's own, like `alembic_version`; no backup holds it."""


def note_expansion(connection: Connection, revision: str, previous: str) -> None:
    """Note that the release at `previous` works on the tables of `revision` too."""
    if inspect(connection).has_table(schema_expansions.name):
        row = {"revision": revision, "previous": previous}
        connection.execute(insert_or_ignore(connection, schema_expansions), row)


def forget_expansion(connection: Connection, revision: str) -> None:
    """Forget what was noted of a revision that is taken back."""
    if inspect(connection).has_table(schema_expansions.name):
        chosen = schema_expansions.c.revision == revision
        connection.execute(delete(schema_expansions).where(chosen))


def serves_previous(connection: Connection, found: str, wanted: str) -> bool:
    """Return whether a release that wants one revision works on the tables of the next."""
    if not inspect(connection).has_table(schema_expansions.name):
        return False
    query = select(schema_expansions.c.previous).where(schema_expansions.c.revision == found)
    return connection.execute(query).scalar_one_or_none() == wanted
