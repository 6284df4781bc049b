"""Opens what a command works with, and closes it again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vending.bootstrap import Container, build_container, open_database
from vending.observability.logs import configure_logs
from vending.persistence import migrate
from vending.persistence.engine import Database
from vending.settings import Settings, load_settings

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder; default: VENDING_DATA_DIR, else ./vending-data."),
]


def read_settings(data_dir: Path | None = None, **overrides: object) -> Settings:
    """Return the settings, with what the command line says on top, and set up the logs.

    Raises:
        SettingsError: A setting is malformed.
    """
    settings = load_settings(data_dir=data_dir, **overrides)
    configure_logs(level=settings.log_level, log_format=settings.log_format)
    return settings


@contextmanager
def opened_container(data_dir: Path | None, **overrides: object) -> Iterator[Container]:
    """Yield everything a command works with; the key store is open.

    Raises:
        VendingError: Settings, database, schema or key store cannot be used.
    """
    container = build_container(read_settings(data_dir, **overrides))
    try:
        yield container
    finally:
        container.close()


@contextmanager
def opened_database(data_dir: Path | None) -> Iterator[tuple[Settings, Database]]:
    """Yield the database alone, at the schema of this release.

    Raises:
        VendingError: Settings, database or schema cannot be used.
    """
    settings = read_settings(data_dir)
    database = open_database(settings)
    try:
        migrate.require_head(database)
        yield settings, database
    finally:
        database.close()
