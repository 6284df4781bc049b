"""The audit chain after a real restore: cut, named by the exported heads, declared, whole again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.vending.backups.conftest import Utility, opened_store
from tests.support.backups import HOST, back_up, restore, target_at
from vending.audit.errors import HeadsFileError
from vending.audit.model import Head
from vending.audit.rules import ChainKeys
from vending.audit.service.gaps import declare_gap
from vending.audit.service.heads import (
    export_heads,
    last_exported,
    list_files,
    read_lines,
    render_head,
)
from vending.audit.service.keys import load_keys
from vending.audit.service.sealing import seal_waiting
from vending.audit.service.verify import verify
from vending.backups.service.gap import ExportedHeads, describe_gap
from vending.keystore.sealing import Purpose, Sealer
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@dataclass(frozen=True)
class Loss:
    """An installation that was lost after a backup, and what came back of it."""

    database: Database
    heads: Path
    keys: ChainKeys
    restored: Head
    newest: Head
    sealer: Sealer
    clock: FixedClock

    @property
    def exported(self) -> ExportedHeads:
        return ExportedHeads(self.heads, self.keys.public_key)

    def append(self, line: str) -> None:
        with list_files(self.heads)[-1].open("a", encoding="utf-8") as file:
            file.write(line)


@pytest.fixture
def loss(utility: Utility, tmp_path: Path) -> Iterator[Loss]:
    shop, heads, path = utility.shop, tmp_path / "heads", tmp_path / "one.vbackup"
    clock, sealer = shop.clock, utility.store.sealer(Purpose.AUDIT_KEYS)
    shop.issue("kept")
    seal_waiting(shop.database, sealer, clock=clock)
    with shop.database.read() as connection:
        public_key = load_keys(connection, sealer).public_key
    export_heads(shop.database, heads, public_key=public_key)
    restored = last_exported(heads, public_key=public_key)
    back_up(shop.database, utility.store, path, clock)
    clock.advance(timedelta(seconds=5))
    shop.issue("lost")
    seal_waiting(shop.database, sealer, clock=clock)
    export_heads(shop.database, heads, public_key=public_key)
    newest = last_exported(heads, public_key=public_key)
    assert restored is not None
    assert newest is not None

    target = target_at(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path / "new")
    database = restore(path, utility.custodians, target, clock).database
    sealer = opened_store(database, tmp_path / "new").sealer(Purpose.AUDIT_KEYS)
    with database.read() as connection:
        keys = load_keys(connection, sealer)
    yield Loss(database, heads, keys, restored, newest, sealer, clock)
    database.close()


def test_heads_name_how_far_the_lost_installation_had_got(loss: Loss) -> None:
    gap = describe_gap(loss.database, exported=loss.exported)
    lost = gap.lost_audit
    assert lost is not None
    assert (gap.audit_from, gap.audit_to) == (loss.restored.position + 1, loss.newest.position)
    assert (lost.restored_head, lost.newest_head) == (loss.restored, loss.newest)
    assert loss.newest.sealed_at == loss.restored.sealed_at + timedelta(seconds=5)
    assert (lost.checked_count, lost.refused_count, lost.differing) == (2, 0, ())


def test_one_file_of_heads_does_as_well_as_the_folder(loss: Loss) -> None:
    (file,) = list_files(loss.heads)
    gap = describe_gap(loss.database, exported=ExportedHeads(file, loss.keys.public_key))
    assert gap.audit_to == loss.newest.position


def test_without_heads_only_the_beginning_of_the_loss_is_known(loss: Loss) -> None:
    gap = describe_gap(loss.database)
    assert (gap.audit_from, gap.audit_to) == (loss.restored.position + 1, None)


def test_head_without_our_signature_moves_nothing(loss: Loss) -> None:
    forged = replace(loss.newest, position=loss.newest.position + 1_000)
    loss.append(render_head(forged, loss.keys.public_key))
    loss.append("no head\n")
    gap = describe_gap(loss.database, exported=loss.exported)
    assert gap.audit_to == loss.newest.position
    assert gap.lost_audit is not None
    assert gap.lost_audit.refused_count == 2
    assert [where.rpartition(", ")[2] for where in gap.lost_audit.refused] == ["line 3", "line 4"]


def test_head_that_contradicts_what_was_restored_is_named(loss: Loss) -> None:
    """Signed by us, and not what the restored chain has: the backup is not of that history."""
    held = loss.restored
    link = bytes(len(held.link))
    other = loss.keys.sign(held.position, held.previous_position, link, held.sealed_at)
    loss.append(render_head(other, loss.keys.public_key))
    gap = describe_gap(loss.database, exported=loss.exported)
    assert gap.lost_audit is not None
    assert gap.lost_audit.differing == (loss.restored.position,)
    assert gap.audit_to == loss.newest.position


def test_heads_that_our_chain_has_are_no_loss(loss: Loss) -> None:
    (file,) = list_files(loss.heads)
    file.write_text(file.read_text("utf-8").splitlines()[0] + "\n", "utf-8")
    gap = describe_gap(loss.database, exported=loss.exported)
    assert gap.audit_to is None
    assert gap.lost_audit is not None
    assert gap.lost_audit.newest_head is None


def test_a_folder_without_heads_is_refused(loss: Loss, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(HeadsFileError):
            describe_gap(loss.database, exported=ExportedHeads(path, loss.keys.public_key))


def test_the_chain_is_verified_with_the_gap_declared(loss: Loss) -> None:
    database, keys, newest, clock = loss.database, loss.keys, loss.newest, loss.clock
    with database.unit_of_work() as uow:
        declared = declare_gap(uow.connection, keys, newest, reason="drill", by=HOST, clock=clock)
        uow.commit()
    gap = describe_gap(database, exported=loss.exported)
    assert (declared.after, declared.through) == (gap.audit_from - 1, gap.audit_to)
    seal_waiting(database, loss.sealer, clock=clock, exported_position=newest.position)
    with database.read() as connection:
        lines = read_lines(list_files(loss.heads))
        report = verify(connection, keys, now=clock.now(), exported=lines)
    assert report.findings == ()
    assert report.gaps == (declared,)
