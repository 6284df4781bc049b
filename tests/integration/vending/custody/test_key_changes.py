"""Another passphrase or key file: what was approved is what is done."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.integration.vending.custody.conftest import Staff
from tests.support.key_store_place import CHEAP, KeyStorePlace
from vending.approvals.errors import ApprovalMismatchError
from vending.approvals.tables import approvals
from vending.custody.service.key_changes import (
    KeyDesk,
    change_unlock,
    prepare_rotation,
    propose_rotation,
    propose_unlock,
)
from vending.keystore import service
from vending.keystore.errors import WrongKeyFileError, WrongPassphraseError
from vending.keystore.unlocking import KeyFile, Passphrase, Unlock
from vending.operators.errors import PermissionDeniedError
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId

AGREED = "what both agreed on"


@pytest.fixture
def place(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> KeyStorePlace:
    place = KeyStorePlace(database, tmp_path, fixed_clock)
    place.create()
    return place


def desk_of(place: KeyStorePlace) -> KeyDesk:
    return KeyDesk(place.database, place.open(), place.clock, cost=CHEAP)


@pytest.fixture
def ask(place: KeyStorePlace, staff: Staff) -> Callable[[Unlock], ApprovalId]:
    """Ask for something to open the store, and have it approved."""

    def ask(unlock: Unlock) -> ApprovalId:
        asked = propose_unlock(staff.custodian(), unlock, desk_of(place), reason="she leaves")
        staff.approve(asked, staff.custodian("ben"))
        return asked.id

    return ask


Ask = Callable[[Unlock], ApprovalId]


def test_the_passphrase_that_was_approved_opens_the_store(
    place: KeyStorePlace, staff: Staff, ask: Ask
) -> None:
    approval = ask(Passphrase(AGREED))
    change_unlock(staff.custodian(), Passphrase(AGREED), approval, desk_of(place))
    with pytest.raises(WrongPassphraseError):
        place.open()
    place.passphrase = Passphrase(AGREED)
    assert place.open().list_keys() == []


def test_another_passphrase_than_was_approved_is_refused(
    place: KeyStorePlace, staff: Staff, ask: Ask
) -> None:
    approval = ask(Passphrase(AGREED))
    with pytest.raises(ApprovalMismatchError):
        change_unlock(staff.custodian(), Passphrase("one of her own"), approval, desk_of(place))
    assert place.open().list_keys() == []


def test_a_key_file_that_was_written_anew_is_refused(
    place: KeyStorePlace, staff: Staff, ask: Ask, tmp_path: Path
) -> None:
    path = tmp_path / "new.key"
    approval = ask(KeyFile.create(path))
    path.unlink()
    with pytest.raises(ApprovalMismatchError):
        change_unlock(staff.custodian(), KeyFile.create(path), approval, desk_of(place))
    assert place.open().list_keys() == []


def test_a_key_file_that_is_held_stays_as_it_was(
    place: KeyStorePlace, staff: Staff, ask: Ask, tmp_path: Path
) -> None:
    """What was held against the approval is what the store is sealed with."""
    agreed, other = KeyFile.create(tmp_path / "agreed.key"), KeyFile.create(tmp_path / "other.key")
    approval, agreed_bytes = ask(agreed), agreed.path.read_bytes()
    held = agreed.held()
    agreed.path.write_bytes(other.path.read_bytes())
    change_unlock(staff.custodian(), held, approval, desk_of(place))
    with pytest.raises(WrongKeyFileError):
        service.open_store(place.database, agreed, data_folder=place.data_folder)
    agreed.path.write_bytes(agreed_bytes)
    service.open_store(place.database, agreed, data_folder=place.data_folder)


def test_store_that_opens_with_something_else_meanwhile_is_refused(
    place: KeyStorePlace, staff: Staff, ask: Ask
) -> None:
    approval, stale = ask(Passphrase(AGREED)), desk_of(place)
    meanwhile = Passphrase("changed in between")
    service.change_unlock(
        place.database, place.open(), meanwhile, by=SYSTEM, clock=place.clock, cost=CHEAP
    )
    with pytest.raises(ApprovalMismatchError):
        change_unlock(staff.custodian(), Passphrase(AGREED), approval, stale)
    place.passphrase = meanwhile
    assert place.open().list_keys() == []


def test_store_whose_root_key_is_rotated_meanwhile_is_refused(
    place: KeyStorePlace, staff: Staff, ask: Ask
) -> None:
    approval = ask(Passphrase(AGREED))
    rotation = propose_rotation(staff.custodian(), desk_of(place), reason="yearly")
    staff.approve(rotation, staff.custodian("ben"))
    prepare_rotation(staff.custodian(), rotation.id, desk_of(place))
    with pytest.raises(ApprovalMismatchError):
        change_unlock(staff.custodian(), Passphrase(AGREED), approval, desk_of(place))


def test_what_is_approved_tells_the_kind_and_tests_no_guess(
    place: KeyStorePlace, ask: Ask, tmp_path: Path
) -> None:
    """One passphrase has another digest each time: it is made under what nobody is shown."""
    ask(Passphrase(AGREED))
    service.change_unlock(
        place.database, place.open(), place.passphrase, by=SYSTEM, clock=place.clock, cost=CHEAP
    )
    ask(Passphrase(AGREED))
    ask(KeyFile.create(tmp_path / "new.key"))
    with place.database.read() as connection:
        told = connection.scalars(select(approvals.c.payload).order_by(approvals.c.id)).all()
    assert [one["opens_with"] for one in told] == ["passphrase", "passphrase", "key file"]
    assert len({one["digest"] for one in told}) == len(told)
    assert {len(one["digest"]) for one in told} == {64}


def test_who_may_not_change_keys_learns_nothing_of_the_file(
    place: KeyStorePlace, staff: Staff, tmp_path: Path
) -> None:
    missing = KeyFile(tmp_path / "missing.key")
    with pytest.raises(PermissionDeniedError):
        propose_unlock(staff.someone(Role.FINANCE), missing, desk_of(place), reason="x")
