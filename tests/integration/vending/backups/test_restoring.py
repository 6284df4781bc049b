from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.integration.vending.backups.conftest import Utility, opened_store
from tests.support.backups import HOST, back_up, make_custodians, restore, target_at
from tests.support.books import find_broken
from tests.support.people import approve, sign_in_as
from tests.support.shop import build_desk, document_of
from tests.support.vending_keys import DUTK_1993, DUTK_2014
from vending.approvals.errors import ApprovalStateError
from vending.approvals.model import Decision
from vending.approvals.service import decide, withdraw
from vending.backups import repository
from vending.backups.errors import (
    BackupDamagedError,
    BackupIncompleteError,
    BackupLockedError,
    RestoreClockError,
    RestoreTargetError,
)
from vending.backups.model import Custodian
from vending.backups.service.custodians import add_custodian, propose_custodian
from vending.keystore.service import import_components
from vending.operators.permissions import Role
from vending.persistence import migrate
from vending.persistence.base import metadata
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


def test_approvals_in_every_state_come_back_through_their_own_steps(
    utility: Utility, tmp_path: Path, empty_url: Callable[[str], str]
) -> None:
    database, clock = utility.shop.database, utility.shop.clock
    asker = sign_in_as(database, clock, Role.KEY_CUSTODIAN, name="asker")
    decider = sign_in_as(database, clock, Role.KEY_CUSTODIAN, name="decider")
    asked = []
    for number in range(6):
        who = Custodian(f"person-{number}", bytes([number + 9]) * 32)
        asked.append(propose_custodian(database, asker, who, reason="drill", clock=clock))
    with database.unit_of_work() as uow:
        for place, approved in ((1, True), (2, False), (3, True), (4, True)):
            decide(
                uow.connection, decider, asked[place].id, Decision(approve=approved),
                clock=clock,
            )  # fmt: skip
        withdraw(uow.connection, asker, asked[3].id, clock=clock)
        withdraw(uow.connection, asker, asked[5].id, clock=clock)
        uow.commit()
    added = Custodian("person-4", bytes([13]) * 32)
    add_custodian(database, asker, added, approval_id=asked[4].id, clock=clock)
    path = tmp_path / "one.vbackup"
    back_up(database, utility.store, path, clock)
    restored = restore(
        path, utility.custodians[:2], target_at(empty_url("postgresql"), tmp_path / "new"), clock
    )
    with database.read() as before, restored.database.read() as after:
        approvals = metadata.tables["approvals"]
        unused = approvals.c.id == asked[1].id
        query = select(approvals).where(~unused).order_by(approvals.c.id)
        assert after.execute(query).all() == before.execute(query).all()
        states = {row.state for row in after.execute(query)}
        assert before.scalar(select(approvals.c.state).where(unused)) == "approved"
        assert after.scalar(select(approvals.c.state).where(unused)) == "withdrawn"
    restored.database.close()
    assert states == {"requested", "refused", "withdrawn", "redeemed"}
    assert restored.done.sessions_revoked >= 2


def test_consent_used_after_the_backup_is_not_used_again(
    utility: Utility, tmp_path: Path, empty_url: Callable[[str], str]
) -> None:
    database, clock = utility.shop.database, utility.shop.clock
    asker = sign_in_as(database, clock, Role.KEY_CUSTODIAN, name="asker")
    decider = sign_in_as(database, clock, Role.KEY_CUSTODIAN, name="decider")
    who = Custodian("person", bytes([9]) * 32)
    asked = propose_custodian(database, asker, who, reason="drill", clock=clock)
    approve(database, clock, asked.id, decider)
    path = tmp_path / "one.vbackup"
    back_up(database, utility.store, path, clock)
    add_custodian(database, asker, who, approval_id=asked.id, clock=clock)
    target = target_at(empty_url("sqlite"), tmp_path / "new")
    restored = restore(path, utility.custodians[:2], target, clock)
    again = sign_in_as(restored.database, clock, name="asker")
    with pytest.raises(ApprovalStateError):
        add_custodian(restored.database, again, who, approval_id=asked.id, clock=clock)
    restored.database.close()


@pytest.mark.parametrize("holders", [[0], [0, 0], []])
def test_one_custodian_alone_restores_nothing(
    utility: Utility, tmp_path: Path, holders: list[int]
) -> None:
    clock, path = utility.shop.clock, tmp_path / "one.vbackup"
    back_up(utility.shop.database, utility.store, path, clock)
    target = target_at(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path / "new")
    with pytest.raises(BackupLockedError):
        restore(path, [utility.custodians[place] for place in holders], target, clock)
    with pytest.raises(BackupLockedError):
        restore(path, make_custodians(tmp_path / "others", "dora", "egon"), target, clock)
    assert migrate.current_revision(target.database) is None
    target.database.close()


def test_a_cut_backup_leaves_the_empty_installation_as_it_was(
    utility: Utility, tmp_path: Path
) -> None:
    clock, path = utility.shop.clock, tmp_path / "one.vbackup"
    back_up(utility.shop.database, utility.store, path, clock)
    whole = path.read_bytes()
    target = target_at(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path / "new")
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:20], b"", whole + b"\0"):
        path.write_bytes(damaged)
        with pytest.raises(BackupDamagedError):
            restore(path, utility.custodians, target, clock)
    assert migrate.current_revision(target.database) is None
    path.write_bytes(whole)
    restore(path, utility.custodians, target, clock)
    target.database.close()


def test_a_restore_overwrites_nothing(utility: Utility, tmp_path: Path) -> None:
    clock, path = utility.shop.clock, tmp_path / "one.vbackup"
    back_up(utility.shop.database, utility.store, path, clock)
    url = utility.shop.database.engine.url.render_as_string(hide_password=False)
    target = target_at(url, tmp_path / "new")
    with pytest.raises(RestoreTargetError):
        restore(path, utility.custodians, target, clock)
    target.database.close()


def test_the_clock_must_fit_the_backup(utility: Utility, tmp_path: Path) -> None:
    clock, path = utility.shop.clock, tmp_path / "one.vbackup"
    utility.shop.issue("dates it")
    back_up(utility.shop.database, utility.store, path, clock)
    target = target_at(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path / "new")
    clock.advance(timedelta(days=-1))
    with pytest.raises(RestoreClockError):
        restore(path, utility.custodians, target, clock, clock_confirmed=True)
    clock.advance(timedelta(days=40))
    with pytest.raises(RestoreClockError):
        restore(path, utility.custodians, target, clock)
    restore(path, utility.custodians, target, clock, clock_confirmed=True)
    target.database.close()


def test_a_meter_that_comes_back_as_a_new_one_starts_above_the_floor(
    utility: Utility, tmp_path: Path
) -> None:
    shop, path = utility.shop, tmp_path / "one.vbackup"
    back_up(shop.database, utility.store, path, shop.clock)
    place = shop.add_meter(DUTK_2014)
    lost = {shop.issue(f"lost-{n}", meter=place)["tokens"][0]["digits"] for n in range(20)}
    target = target_at(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path / "new")
    restored = restore(path, utility.custodians, target, shop.clock)
    lost_tids = {shop.enter_token(digits, meter=place).tid for digits in lost}
    store = opened_store(restored.database, restored.folder)
    del shop.meters[place]
    shop.database, shop.store = restored.database, store
    shop.desk = build_desk(restored.database, shop.clock, store)
    assert shop.add_meter(DUTK_2014) == place
    assert shop.refuse(shop.request("at once", meter=place)) == "too_many_tokens"
    shop.clock.advance(timedelta(minutes=2))
    sold = shop.issue("later", meter=place)
    assert shop.enter_token(sold["tokens"][0]["digits"], meter=place).tid > max(lost_tids)
    restored.database.close()


def test_the_older_key_store_is_noticed_unless_a_restore_adopted_it(
    utility: Utility, tmp_path: Path
) -> None:
    shop, path = utility.shop, tmp_path / "one.vbackup"
    back_up(shop.database, utility.store, path, shop.clock)
    newer, _ = import_components(shop.database, utility.store, DUTK_1993, by=HOST, clock=shop.clock)
    target = target_at(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path / "new")
    newer.generation_file.path.rename(tmp_path / "new" / newer.generation_file.path.name)
    restored = restore(path, utility.custodians, target, shop.clock)
    assert opened_store(restored.database, restored.folder).generation.number == 3
    restored.database.close()


def test_a_table_that_nobody_declared_is_not_left_out_in_silence(
    utility: Utility, tmp_path: Path
) -> None:
    database, path = utility.shop.database, tmp_path / "one.vbackup"
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("CREATE TABLE forgotten (id INTEGER PRIMARY KEY)")
        uow.commit()
    with pytest.raises(BackupIncompleteError, match="table forgotten"):
        back_up(database, utility.store, path, utility.shop.clock)
    assert not path.exists()
    assert list(tmp_path.glob("*vbackup*")) == []
