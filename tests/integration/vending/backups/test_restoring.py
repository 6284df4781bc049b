from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.vending.backups.conftest import Utility, opened_store
from tests.support.backups import back_up, restore, target_at
from tests.support.books import find_broken
from tests.support.shop import build_desk, document_of
from vending.backups import repository
from vending.persistence import migrate
from vending.persistence.engine import Database

ENGINES = ["sqlite", "postgresql"]


def rows_of(database: Database) -> dict[str, int]:
    with database.read() as connection:
        names = [shape.name for shape in repository.list_shapes(connection)]
        return repository.count_rows(connection, names)


@pytest.mark.parametrize("engine", ENGINES)
def test_backup_restores_into_either_engine(
    utility: Utility, tmp_path: Path, empty_url: Callable[[str], str], engine: str
) -> None:
    shop, clock = utility.shop, utility.shop.clock
    answers = {f"sale-{n}": shop.issue(f"sale-{n}", meter=n % 2) for n in range(5)}
    before = rows_of(shop.database)
    path = tmp_path / "one.vbackup"
    report = back_up(shop.database, utility.store, path, clock)
    assert {name: each.rows for name, each in report.tables.items()} == before
    clock.advance(timedelta(minutes=5))

    restored = restore(
        path, utility.custodians[1:], target_at(empty_url(engine), tmp_path / "new"), clock
    )
    try:
        migrate.require_head(restored.database)
        store = opened_store(restored.database, restored.folder)
        assert store.generation.number == utility.store.generation.number + 1
        again = replace(
            shop,
            database=restored.database,
            store=store,
            desk=build_desk(restored.database, clock, store),
        )
        for key, document in answers.items():
            repeated = document_of(again.sell(again.request(key, meter=int(key[-1]) % 2)))
            assert repeated == document
        assert find_broken(restored.database) != []  # the last TIDs are above the sales
        assert again.refuse(again.request("too early")) == "too_many_tokens"
        clock.advance(timedelta(minutes=2))
        sold = again.issue("after")
        assert sold["tokens"] not in [each["tokens"] for each in answers.values()]
    finally:
        restored.database.close()
