"""The audit chain after a real restore: cut, declared, and whole again."""

from datetime import timedelta
from pathlib import Path

from tests.integration.vending.backups.conftest import Utility, opened_store
from tests.support.backups import HOST, back_up, restore, target_at
from vending.audit.service.gaps import declare_gap
from vending.audit.service.heads import export_heads, last_exported, list_files, read_lines
from vending.audit.service.keys import load_keys
from vending.audit.service.sealing import seal_waiting
from vending.audit.service.verify import verify
from vending.backups.service.gap import describe_gap
from vending.keystore.sealing import Purpose


def test_the_chain_is_verified_with_the_gap_declared(utility: Utility, tmp_path: Path) -> None:
    shop, heads, path = utility.shop, tmp_path / "heads", tmp_path / "one.vbackup"
    clock, sealer = shop.clock, utility.store.sealer(Purpose.AUDIT_KEYS)
    shop.issue("kept")
    seal_waiting(shop.database, sealer, clock=clock)
    back_up(shop.database, utility.store, path, clock)
    clock.advance(timedelta(seconds=5))
    shop.issue("lost")
    seal_waiting(shop.database, sealer, clock=clock)
    with shop.database.read() as connection:
        public_key = load_keys(connection, sealer).public_key
    export_heads(shop.database, heads, public_key=public_key)
    newest = last_exported(heads, public_key=public_key)
    assert newest is not None

    target = target_at(f"sqlite:///{tmp_path / 'new.sqlite3'}", tmp_path / "new")
    database = restore(path, utility.custodians, target, clock).database
    sealer = opened_store(database, tmp_path / "new").sealer(Purpose.AUDIT_KEYS)
    gap = describe_gap(database, exported_position=newest.position)
    assert gap.audit_from <= newest.position == gap.audit_to
    with database.unit_of_work() as uow:
        keys = load_keys(uow.connection, sealer)
        declared = declare_gap(uow.connection, keys, newest, reason="drill", by=HOST, clock=clock)
        uow.commit()
    assert (declared.after, declared.through) == (gap.audit_from - 1, newest.position)
    seal_waiting(database, sealer, clock=clock, exported_position=newest.position)
    with database.read() as connection:
        report = verify(connection, keys, now=clock.now(), exported=read_lines(list_files(heads)))
    database.close()
    assert report.findings == ()
    assert report.gaps == (declared,)
