"""A fresh root key, cut off at each step, then a total loss: nothing that was sealed is lost.

Nothing is sealed anew here but what the rotation itself does, so that every root key is needed.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.vending.backups.conftest import Utility, opened_store
from tests.support.backups import back_up, restore, target_at
from tests.support.faulty_driver import Crash, FaultyDriver, When, at_commit, crash
from tests.support.people import CHEAP_PASSWORDS, approve, sign_in_as
from tests.support.shop import build_desk, document_of
from tests.support.sign_in import Person, activate
from vending.audit.service.keys import ensure_keys
from vending.audit.service.sealing import seal_waiting
from vending.audit.service.verify import verify
from vending.custody.service.key_changes import (
    KeyDesk,
    finish_rotation,
    prepare_rotation,
    propose_rotation,
)
from vending.keystore.sealing import Purpose
from vending.keystore.store import OpenKeyStore
from vending.operators.permissions import Role
from vending.operators.service.desk import SignInDesk
from vending.persistence.engine import Database
from vending.values.clock import FixedClock

Step = Callable[[], object]


def sign_in_desk(database: Database, store: OpenKeyStore, clock: FixedClock) -> SignInDesk:
    return SignInDesk(
        database=database,
        clock=clock,
        passwords=CHEAP_PASSWORDS,
        sealer=lambda: store.sealer(Purpose.OPERATOR_SECRETS),
        issuer="Lumen Utility",
    )


def require_audit_whole(database: Database, store: OpenKeyStore, clock: FixedClock) -> int:
    """The chain goes on, and verifies from its first link; how many events it has."""
    sealer = store.sealer(Purpose.AUDIT_KEYS)
    while seal_waiting(database, sealer, clock=clock):
        pass
    with database.read() as connection:
        keys = ensure_keys(connection, sealer, clock=clock)
        report = verify(connection, keys, now=clock.now(), exported=())
    assert (report.findings, report.gaps, report.waiting) == ((), (), 0)
    return report.events


def cut_off(database: Database, folder: Path, step: Step) -> None:
    """Die at each moment of a step: before its COMMIT, after it, and before the file follows."""
    for when in (When.BEFORE, When.AFTER):
        with (
            pytest.raises(Crash),
            FaultyDriver(database).fail(at=at_commit, when=when, how=crash),
        ):
            step()
    before = (folder / "keystore.generation").read_bytes()
    step()
    (folder / "keystore.generation").write_bytes(before)


def rotate(utility: Utility) -> None:
    """Rotate under one approval; each try finds what those that died have left."""
    shop, folder = utility.shop, utility.folder
    database, clock = shop.database, shop.clock
    anna = sign_in_as(database, clock, Role.KEY_CUSTODIAN, name="anna")
    bela = sign_in_as(database, clock, Role.KEY_CUSTODIAN, name="bela")

    def desk() -> KeyDesk:
        return KeyDesk(database, opened_store(database, folder), clock)

    asked = propose_rotation(anna, desk(), reason="yearly")
    approve(database, clock, asked.id, bela)
    cut_off(database, folder, lambda: prepare_rotation(anna, asked.id, desk()))
    cut_off(database, folder, lambda: finish_rotation(anna, desk()))


def test_nothing_sealed_is_lost_by_rotations_that_die_and_a_total_loss(
    utility: Utility, empty_url: Callable[[str], str], tmp_path: Path
) -> None:
    shop, folder = utility.shop, utility.folder
    database, clock = shop.database, shop.clock
    person = activate(sign_in_desk(database, utility.store, clock), "amina")
    first = shop.issue("before")
    events = require_audit_whole(database, utility.store, clock)
    for _ in range(2):
        rotate(utility)
    store = opened_store(database, folder)
    assert (store.root_count, store.active_root) == (3, 3)

    require_all_in_use(database, store, utility, person, first, "rotated")
    assert require_audit_whole(database, store, clock) > events
    path = tmp_path / "one.vbackup"
    back_up(database, store, path, clock)
    shutil.rmtree(folder)
    clock.advance(timedelta(minutes=5))

    target = target_at(empty_url(database.dialect.value), tmp_path / "new machine")
    restored = restore(path, utility.custodians, target, clock).database
    clock.advance(timedelta(minutes=90))
    store = opened_store(restored, tmp_path / "new machine")
    assert (store.root_count, store.active_root) == (3, 3)
    require_all_in_use(restored, store, utility, person, first, "restored")
    assert require_audit_whole(restored, store, clock) > events
    restored.close()


def require_all_in_use(
    database: Database,
    store: OpenKeyStore,
    utility: Utility,
    person: Person,
    first: dict[str, object],
    key: str,
) -> None:
    """The app still signs in, the old answer is given again, and a new sale has its token."""
    shop = utility.shop
    replace(person, desk=sign_in_desk(database, store, shop.clock)).sign_in()
    desk = build_desk(database, shop.clock, store)
    assert document_of(shop.sell(shop.request("before"), desk)) == first
    shop.store = store
    sold = document_of(shop.sell(shop.request(key), desk))
    assert shop.enter_token(sold["tokens"][0]["digits"]).units > 0
