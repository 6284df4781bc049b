"""The one `MetaData` that every feature's `tables.py` declares its tables in."""

from typing import Final

from sqlalchemy import MetaData

NAMING_CONVENTION: Final = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}
"""Every constraint has a name, so that a migration can name it on both engines."""

metadata: Final = MetaData(naming_convention=NAMING_CONVENTION)
"""Tables are Core tables; on SQLite each is declared with `sqlite_strict=True`."""
