import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.vending.backups.conftest import Utility
from tests.support.backups import HOST, back_up, restore, target_at
from tests.support.people import sign_in_as
from vending.approvals.errors import ApprovalStateError
from vending.backups import repository
from vending.backups.errors import (
    BackupFileError,
    CustodianCountError,
    CustodianExistsError,
    RestorationNotFoundError,
    StatementInvalidError,
)
from vending.backups.model import Custodian, StatedSale
from vending.backups.service.custodians import (
    add_custodian,
    list_custodians,
    propose_custodian,
    propose_removal,
)
from vending.backups.service.gap import describe_gap, read_statement, settle, take_statement
from vending.backups.service.making import create_backup_in, list_backups
from vending.backups.service.reading import verify_backup
from vending.operators.errors import PermissionDeniedError
from vending.operators.permissions import Role
from vending.persistence.engine import create_database
from vending.persistence.sqlite_library import JournalMode


def test_a_backup_made_amid_sales_is_of_one_moment(utility: Utility, tmp_path: Path) -> None:
    shop, stop, path = utility.shop, threading.Event(), tmp_path / "one.vbackup"

    def go_on_selling() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            shop.sell(shop.request(f"amid-{count}", meter=count % 2))
            shop.clock.advance(timedelta(minutes=1))

    selling = threading.Thread(target=go_on_selling)
    selling.start()
    report = back_up(shop.database, utility.store, path, shop.clock)
    stop.set()
    selling.join()
    tables = report.tables
    assert tables["sales"].rows == tables["issued_tokens"].rows == tables["journal_entries"].rows
    assert verify_backup(path, utility.custodians[:2]).tables == tables


def test_a_rollback_journal_keeps_no_sale_waiting(utility: Utility, tmp_path: Path) -> None:
    shop = utility.shop
    if shop.database.dialect != "sqlite":
        return
    url = shop.database.engine.url.render_as_string(hide_password=False)
    shop.database.close()
    old = create_database(url, journal_mode=JournalMode.DELETE)
    report = back_up(old, utility.store, tmp_path / "one.vbackup", shop.clock)
    old.close()
    assert report.tables["meters"].rows == 2
    assert [each.name for each in tmp_path.glob(".vending-copy-*")] == []


def test_the_oldest_files_of_its_own_go_when_there_are_enough(
    utility: Utility, tmp_path: Path
) -> None:
    shop, folder = utility.shop, tmp_path / "backups"
    folder.mkdir()
    (folder / "vending-mine.vbackup").write_bytes(b"not made here")
    made = []
    for _ in range(3):
        shop.clock.advance(timedelta(hours=6))
        path, _ = create_backup_in(
            shop.database, utility.store, folder, keep=2, by=HOST, clock=shop.clock
        )
        made.append(path)
    assert sorted(folder.iterdir()) == sorted([*made[1:], folder / "vending-mine.vbackup"])
    assert [row["is_there"] for row in list_backups(shop.database)] == [True, True, False]


def test_a_backup_overwrites_nothing(utility: Utility, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("precious", "utf-8")
    with pytest.raises(BackupFileError):
        back_up(utility.shop.database, utility.store, path, utility.shop.clock)
    with pytest.raises(BackupFileError):
        back_up(utility.shop.database, utility.store, tmp_path / "no" / "x", utility.shop.clock)
    assert path.read_text("utf-8") == "precious"


def test_without_two_custodians_there_is_no_backup(utility: Utility, tmp_path: Path) -> None:
    database, clock = utility.shop.database, utility.shop.clock
    with database.unit_of_work() as uow:
        for name in ("anna", "bela"):
            repository.remove_custodian(uow.connection, name, clock.now())
        uow.commit()
    with pytest.raises(CustodianCountError):
        back_up(database, utility.store, tmp_path / "one.vbackup", clock)


def test_a_custodian_is_named_by_two_people(utility: Utility) -> None:
    database, clock = utility.shop.database, utility.shop.clock
    asker = sign_in_as(database, clock, Role.KEY_CUSTODIAN, name="asker")
    cashier = sign_in_as(database, clock, Role.CASHIER, name="cashier")
    dora = Custodian("dora", bytes([9]) * 32)
    with pytest.raises(PermissionDeniedError):
        propose_custodian(database, cashier, dora, reason="holiday", clock=clock)
    with pytest.raises(CustodianExistsError):
        propose_custodian(
            database, asker, replace(dora, name="anna"), reason="holiday", clock=clock
        )
    asked = propose_custodian(database, asker, dora, reason="holiday", clock=clock)
    with pytest.raises(ApprovalStateError):
        add_custodian(database, asker, dora, approval_id=asked.id, clock=clock)
    propose_removal(database, asker, "anna", reason="left", clock=clock)
    assert [each.name for each in list_custodians(database)] == ["anna", "bela", "chen"]


def test_what_partners_state_and_nobody_knows_is_written_down_and_closed(
    utility: Utility, tmp_path: Path
) -> None:
    shop, path = utility.shop, tmp_path / "one.vbackup"
    kept = shop.issue("kept")
    back_up(shop.database, utility.store, path, shop.clock)
    target = target_at(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path / "new")
    with pytest.raises(RestorationNotFoundError):
        describe_gap(shop.database)
    database = restore(path, utility.custodians, target, shop.clock).database
    statement = tmp_path / "statement.csv"
    statement.write_text(
        "receipt_number,idempotency_key,meter,amount_minor\n"
        f"{kept['receipt_number']},kept,{shop.meters[0].pan.digits},5000\n"
        f"R-LOST,lost,{shop.meters[1].pan.digits},700\n",
        "utf-8",
    )
    lost = StatedSale(
        receipt_number="R-LOST",
        idempotency_key="lost",
        meter=shop.meters[1].pan.digits,
        amount_minor=700,
    )
    for _ in range(2):  # a repeat changes nothing
        unknown = take_statement(
            database, shop.partner.id, read_statement(statement), by=HOST, clock=shop.clock
        )
        assert unknown == [lost]
    gap = describe_gap(database)
    assert (gap.unknown, gap.marked_meters, gap.marked_partners) == ((lost,), 1, 1)
    assert (gap.audit_from, gap.audit_to) == (1, None)
    assert settle(database, "meter", shop.meters[1].pan.digits, by=HOST, clock=shop.clock)
    assert not settle(database, "meter", "no such", by=HOST, clock=shop.clock)
    assert describe_gap(database).marked_meters == 0
    database.close()


@pytest.mark.parametrize(
    "text",
    ["", "number\n1\n", 'receipt_number\n"', "receipt_number,amount_minor\nR1,-5\n",
     "receipt_number,amount_minor\n,5\n", "receipt_number,idempotency_key\nR1," + "k" * 256],
)  # fmt: skip
def test_a_malformed_statement_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "statement.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(StatementInvalidError):
        read_statement(path)
