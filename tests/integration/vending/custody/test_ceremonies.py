"""Key ceremonies: several custodians, an approval, a key in the store; and what is refused."""

import logging
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from traceback import TracebackException

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from tests.integration.vending.custody.conftest import Staff
from tests.support.key_store_place import KeyStorePlace
from tests.support.vending_keys import DKGA04_HEX, DUTK_2014, register_of
from vending.approvals.errors import ApprovalMismatchError, ApprovalOwnError, ApprovalUsedError
from vending.approvals.model import Approval
from vending.custody.errors import (
    CeremonyCompleteError,
    CeremonyEndedError,
    CeremonyExpiredError,
    CeremonyIncompleteError,
    CeremonyNotFoundError,
    CheckValueMissingError,
    ComponentNumberError,
    CustodianRepeatedError,
)
from vending.custody.model import CEREMONY_LIFETIME, Ceremony, CeremonyState
from vending.custody.service.ceremonies import (
    CeremonyDesk,
    CeremonyPlan,
    abort,
    begin,
    enter,
    finish,
    list_ceremonies,
    load_ceremony,
    propose_finish,
    wipe_overdue,
)
from vending.custody.tables import key_ceremonies, key_ceremony_components
from vending.errors import VendingError
from vending.keystore.components import KeyComponent, compute_check_value
from vending.keystore.errors import (
    CheckValueError,
    ComponentCountError,
    InvalidComponentError,
    KeyExistsError,
    SealBrokenError,
    WeakKeyError,
)
from vending.keystore.redaction import Secret
from vending.operators.errors import (
    PermissionDeniedError,
    SecondFactorStaleError,
    SignInRequiredError,
)
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.operators.service.sessions import sign_out
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.identifiers import CeremonyId

ATTRIBUTES = DUTK_2014.attributes
PARTS = [one.secret for one in DUTK_2014.components]
WHOLE = compute_check_value(Secret(bytes.fromhex(DKGA04_HEX)), ATTRIBUTES)


def component(number: int, *, check_value: str | None = "right") -> KeyComponent:
    secret = PARTS[number - 1]
    if check_value == "right":
        check_value = compute_check_value(secret, ATTRIBUTES)
    return KeyComponent(secret, check_value=check_value)


@dataclass
class Room:
    """Where ceremonies are held, and by whom."""

    place: KeyStorePlace
    staff: Staff
    desk: CeremonyDesk
    chen: SignedIn
    amina: SignedIn

    def begin(self, **changes: object) -> Ceremony:
        plan = CeremonyPlan(attributes=ATTRIBUTES, component_count=2, check_value=WHOLE)
        return begin(self.chen, replace(plan, **changes), self.desk)  # type: ignore[arg-type] # fields by name

    def complete(self) -> Ceremony:
        held = self.begin()
        enter(self.chen, held.id, 1, component(1), self.desk)
        return enter(self.amina, held.id, 2, component(2), self.desk)

    def approved(self, held: Ceremony) -> Approval:
        asked = propose_finish(self.chen, held.id, self.desk, reason="new supply group")
        self.staff.approve(asked, self.amina)
        return asked

    def keys(self) -> int:
        return len(self.place.open().list_keys())

    def held_parts(self) -> int:
        with self.place.database.read() as connection:
            query = select(key_ceremony_components.c.sealed)
            return sum(one is not None for one in connection.execute(query).scalars())


@pytest.fixture
def room(database: Database, fixed_clock: FixedClock, tmp_path: Path, staff: Staff) -> Room:
    place = KeyStorePlace(database, tmp_path, fixed_clock)
    desk = CeremonyDesk(database, place.create(), fixed_clock)
    return Room(place, staff, desk, staff.custodian("chen"), staff.custodian("amina"))


def test_two_custodians_and_an_approval_bring_in_a_key(room: Room) -> None:
    held = room.complete()
    assert room.held_parts() == 2
    asked = room.approved(held)
    assert room.keys() == 0
    _, shown = finish(room.chen, held.id, asked.id, room.desk)
    opened = room.place.open()
    assert opened.list_keys() == [shown]
    assert opened.vending_key(register_of(DUTK_2014)).check_value() == WHOLE
    assert (shown.check_value, shown.component_count) == (WHOLE, 2)
    ended = load_ceremony(room.place.database, held.id)
    assert (ended.state, ended.approval_id) == (CeremonyState.FINISHED, asked.id)
    assert room.held_parts() == 0
    assert list_ceremonies(room.place.database) == [ended]


def test_everything_is_on_record_and_no_part_of_the_key(room: Room) -> None:
    held = room.complete()
    finish(room.chen, held.id, room.approved(held).id, room.desk)
    with room.place.database.read() as connection:
        rows = list(connection.execute(select(audit_events)))
    told = {row.action for row in rows}
    assert {"ceremony.begun", "ceremony.component_entered", "ceremony.finished"} <= told
    assert "key.imported" in told
    written = repr(rows).lower()
    for secret in [*(part.reveal() for part in PARTS), bytes.fromhex(DKGA04_HEX)]:
        assert secret.hex() not in written
        assert repr(secret).lower() not in written


# --- who -----------------------------------------------------------------------------------------
def test_component_takes_a_second_factor_given_just_now(room: Room) -> None:
    held = room.begin()
    stale = replace(room.chen, fresh_until=room.desk.clock.now())
    with pytest.raises(SecondFactorStaleError):
        enter(stale, held.id, 1, component(1), room.desk)
    assert room.held_parts() == 0


def test_custodian_who_signed_out_while_typing_enters_nothing(room: Room) -> None:
    held = room.begin()
    sign_out(room.desk.database, room.chen, clock=room.desk.clock)
    with pytest.raises(SignInRequiredError):
        enter(room.chen, held.id, 1, component(1), room.desk)
    assert room.held_parts() == 0


def test_custodian_enters_one_component(room: Room) -> None:
    held = room.begin()
    enter(room.chen, held.id, 1, component(1), room.desk)
    with pytest.raises(CustodianRepeatedError):
        enter(room.chen, held.id, 2, component(2), room.desk)
    assert room.held_parts() == 1


def test_second_account_of_one_person_enters_nothing(room: Room) -> None:
    held = room.begin()
    enter(room.chen, held.id, 1, component(1), room.desk)
    second_account = room.staff.custodian("chen2", person="CHEN")
    with pytest.raises(CustodianRepeatedError):
        enter(second_account, held.id, 2, component(2), room.desk)


@pytest.mark.parametrize("role", [one for one in Role if one is not Role.KEY_CUSTODIAN])
def test_only_custodians_take_part(room: Room, role: Role) -> None:
    held = room.begin()
    someone = room.staff.someone(role)
    with pytest.raises(PermissionDeniedError):
        begin(
            someone,
            CeremonyPlan(attributes=ATTRIBUTES, component_count=2, check_value=WHOLE),
            room.desk,
        )
    with pytest.raises(PermissionDeniedError):
        enter(someone, held.id, 1, component(1), room.desk)
    with pytest.raises(PermissionDeniedError):
        abort(someone, held.id, room.desk)


def test_one_person_approves_no_import_of_their_own(room: Room) -> None:
    held = room.complete()
    asked = propose_finish(room.chen, held.id, room.desk, reason="new supply group")
    for same in (room.chen, room.staff.custodian("chen2", person="chen")):
        with pytest.raises(ApprovalOwnError):
            room.staff.approve(asked, same)
    with pytest.raises(VendingError):
        finish(room.chen, held.id, asked.id, room.desk)
    assert room.keys() == 0
    assert room.held_parts() == 2


# --- approvals -----------------------------------------------------------------------------------
def test_approval_is_used_once(room: Room) -> None:
    held = room.complete()
    asked = room.approved(held)
    finish(room.chen, held.id, asked.id, room.desk)
    with pytest.raises(CeremonyEndedError):
        finish(room.chen, held.id, asked.id, room.desk)


def test_approval_of_one_ceremony_finishes_no_other(room: Room) -> None:
    first = room.complete()
    asked = room.approved(first)
    abort(room.chen, first.id, room.desk)
    second = room.complete()
    with pytest.raises(ApprovalMismatchError):
        finish(room.chen, second.id, asked.id, room.desk)
    finish(room.chen, second.id, room.approved(second).id, room.desk)
    with pytest.raises((CeremonyEndedError, ApprovalUsedError)):
        finish(room.chen, second.id, asked.id, room.desk)


def test_attributes_cannot_change_after_the_approval(room: Room) -> None:
    held = room.complete()
    asked = room.approved(held)
    for change in ({"ken": 254}, {"is_demo": True}, {"check_value": "000000"}):
        with (
            pytest.raises(IntegrityError),
            room.place.database.unit_of_work() as uow,
        ):
            uow.connection.execute(update(key_ceremonies).values(**change))
    finish(room.chen, held.id, asked.id, room.desk)


def test_attributes_changed_behind_our_back_are_not_what_was_approved(room: Room) -> None:
    held = room.complete()
    asked = room.approved(held)
    with room.place.database.unit_of_work() as uow:
        drop = "DROP TRIGGER key_ceremonies_refuse_update"
        suffix = "" if room.place.database.dialect.value == "sqlite" else " ON key_ceremonies"
        uow.connection.exec_driver_sql(drop + suffix)
        uow.connection.execute(update(key_ceremonies).values(ken=254))
        uow.commit()
    with pytest.raises(ApprovalMismatchError):
        finish(room.chen, held.id, asked.id, room.desk)
    assert room.keys() == 0


# --- what ----------------------------------------------------------------------------------------
def test_component_is_wanted_with_its_check_value(room: Room) -> None:
    held = room.begin()
    with pytest.raises(CheckValueMissingError):
        enter(room.chen, held.id, 1, component(1, check_value=None), room.desk)
    with pytest.raises(CheckValueError):
        enter(room.chen, held.id, 1, component(1, check_value="000000"), room.desk)
    assert room.held_parts() == 0


def test_whole_key_must_have_its_check_value(room: Room) -> None:
    held = room.begin(check_value="ABCDEF")
    enter(room.chen, held.id, 1, component(1), room.desk)
    with pytest.raises(CheckValueError):
        enter(room.amina, held.id, 2, component(2), room.desk)
    assert not load_ceremony(room.place.database, held.id).is_complete


def test_parts_that_cancel_out_are_refused(room: Room) -> None:
    held = room.begin()
    enter(room.chen, held.id, 1, component(1), room.desk)
    with pytest.raises(WeakKeyError):
        enter(room.amina, held.id, 2, component(1), room.desk)


def test_zero_and_short_components_are_refused(room: Room) -> None:
    held = room.begin()
    zeros = Secret(bytes(20))
    with pytest.raises(WeakKeyError):
        enter(
            room.chen,
            held.id,
            1,
            KeyComponent(zeros, check_value=compute_check_value(zeros, ATTRIBUTES)),
            room.desk,
        )
    with pytest.raises(InvalidComponentError):
        enter(
            room.chen,
            held.id,
            1,
            KeyComponent(Secret(b"12345678"), check_value="ABCDEF"),
            room.desk,
        )


@pytest.mark.parametrize("number", [0, 3, -1])
def test_component_that_is_not_wanted_is_refused(room: Room, number: int) -> None:
    held = room.begin()
    with pytest.raises(ComponentNumberError):
        enter(room.chen, held.id, number, component(1), room.desk)


def test_component_is_entered_once(room: Room) -> None:
    held = room.begin(component_count=3)
    enter(room.chen, held.id, 1, component(1), room.desk)
    with pytest.raises(ComponentNumberError):
        enter(room.amina, held.id, 1, component(1), room.desk)


@pytest.mark.parametrize("count", [0, 1, 10])
def test_key_is_divided_between_two_to_nine(room: Room, count: int) -> None:
    with pytest.raises(ComponentCountError):
        room.begin(component_count=count)


def test_ceremony_wants_the_keys_check_value(room: Room) -> None:
    with pytest.raises(CheckValueMissingError):
        room.begin(check_value=None)
    with pytest.raises(InvalidComponentError):
        room.begin(check_value="12345")


def test_key_in_the_store_needs_no_ceremony(room: Room) -> None:
    held = room.complete()
    store, _ = finish(room.chen, held.id, room.approved(held).id, room.desk)
    with pytest.raises(KeyExistsError):
        begin(
            room.chen,
            CeremonyPlan(attributes=ATTRIBUTES, component_count=2, check_value=WHOLE),
            replace(room.desk, store=store),
        )


def test_two_ceremonies_of_one_key_bring_it_in_once(room: Room) -> None:
    first, second = room.complete(), room.complete()
    finish(room.chen, first.id, room.approved(first).id, room.desk)
    asked = room.approved(second)
    with pytest.raises(KeyExistsError):
        finish(room.chen, second.id, asked.id, room.desk)
    assert load_ceremony(room.place.database, second.id).state is CeremonyState.OPEN


# --- when ----------------------------------------------------------------------------------------
def test_incomplete_ceremony_is_not_asked_for(room: Room) -> None:
    held = room.begin()
    enter(room.chen, held.id, 1, component(1), room.desk)
    with pytest.raises(CeremonyIncompleteError):
        propose_finish(room.chen, held.id, room.desk, reason="hurry")


def test_complete_ceremony_takes_no_more(room: Room) -> None:
    held = room.complete()
    with pytest.raises(CeremonyCompleteError):
        enter(room.staff.custodian("li"), held.id, 2, component(2), room.desk)


def test_after_a_day_the_components_are_gone(room: Room) -> None:
    held = room.complete()
    asked = room.approved(held)
    room.place.clock.advance(CEREMONY_LIFETIME - timedelta(microseconds=1))
    assert wipe_overdue(room.place.database, room.place.clock) == 0
    room.place.clock.advance(timedelta(microseconds=1))
    with pytest.raises(CeremonyExpiredError):
        finish(room.chen, held.id, asked.id, room.desk)
    assert room.held_parts() == 0
    assert load_ceremony(room.place.database, held.id).state is CeremonyState.EXPIRED
    for act in (
        lambda: enter(room.staff.custodian("li"), held.id, 1, component(1), room.desk),
        lambda: propose_finish(room.chen, held.id, room.desk, reason="late"),
        lambda: finish(room.chen, held.id, asked.id, room.desk),
        lambda: abort(room.chen, held.id, room.desk),
    ):
        with pytest.raises(CeremonyExpiredError):
            act()
    assert room.keys() == 0


@pytest.mark.parametrize("act", ["enter", "propose", "wipe", "abort"])
def test_whatever_sees_that_time_is_over_wipes(room: Room, act: str) -> None:
    held = room.begin()
    enter(room.chen, held.id, 1, component(1), room.desk)
    room.place.clock.advance(CEREMONY_LIFETIME)
    match act:
        case "enter":
            with pytest.raises(CeremonyExpiredError):
                enter(room.amina, held.id, 2, component(2), room.desk)
        case "propose":
            with pytest.raises(CeremonyExpiredError):
                propose_finish(room.chen, held.id, room.desk, reason="late")
        case "abort":
            assert abort(room.chen, held.id, room.desk).state is CeremonyState.EXPIRED
        case _:
            assert wipe_overdue(room.place.database, room.place.clock) == 1
    assert room.held_parts() == 0


def test_aborted_ceremony_is_over(room: Room) -> None:
    held = room.complete()
    asked = room.approved(held)
    ended = abort(room.amina, held.id, room.desk)
    assert (ended.state, ended.ended_by) == (CeremonyState.ABORTED, "amina")
    assert room.held_parts() == 0
    with pytest.raises(CeremonyEndedError):
        finish(room.chen, held.id, asked.id, room.desk)
    with pytest.raises(CeremonyEndedError):
        abort(room.chen, held.id, room.desk)


def test_ceremony_that_is_none_is_not_found(room: Room) -> None:
    room.begin()
    stranger = CeremonyId(uuid.UUID(int=7))
    with pytest.raises(CeremonyNotFoundError):
        load_ceremony(room.place.database, stranger)
    with pytest.raises(CeremonyNotFoundError):
        enter(room.chen, stranger, 1, component(1), room.desk)


# --- tampering -----------------------------------------------------------------------------------
def test_component_moved_to_another_ceremony_does_not_open(room: Room) -> None:
    held, other = room.complete(), room.complete()
    table = key_ceremony_components
    with room.place.database.unit_of_work() as uow:
        drop = "DROP TRIGGER key_ceremony_components_stay_wiped"
        suffix = "" if room.place.database.dialect.value == "sqlite" else f" ON {table.name}"
        uow.connection.exec_driver_sql(drop + suffix)
        sealed = uow.connection.execute(
            select(table.c.sealed).where(table.c.ceremony_id == other.id, table.c.number == 1)
        ).scalar_one()
        uow.connection.execute(
            update(table)
            .where(table.c.ceremony_id == held.id, table.c.number == 1)
            .values(sealed=sealed)
        )
        uow.commit()
    asked = room.approved(held)
    with pytest.raises(SealBrokenError):
        finish(room.chen, held.id, asked.id, room.desk)
    assert room.keys() == 0


def test_wiped_component_does_not_come_back(room: Room) -> None:
    held = room.complete()
    abort(room.chen, held.id, room.desk)
    with (
        pytest.raises(IntegrityError),
        room.place.database.unit_of_work() as uow,
    ):
        uow.connection.execute(update(key_ceremony_components).values(sealed=b"anything"))


# --- canaries ------------------------------------------------------------------------------------
def secrets() -> list[str]:
    whole = bytes.fromhex(DKGA04_HEX)
    materials = [whole, *(part.reveal() for part in PARTS)]
    return [text for one in materials for text in (one.hex(), repr(one).lower())]


def test_no_error_shows_a_component(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    held = room.begin(check_value="ABCDEF")
    enter(room.chen, held.id, 1, component(1), room.desk)
    for number, given in [
        (1, component(1)),
        (2, component(2)),
        (2, component(1)),
        (2, component(2, check_value="000000")),
        (3, component(2)),
    ]:
        with pytest.raises(VendingError) as refused:
            enter(room.amina, held.id, number, given, room.desk)
        shown = TracebackException.from_exception(refused.value, capture_locals=True)
        told += ["".join(shown.format()), str(refused.value.problem()), repr(given)]
    told += [repr(load_ceremony(room.place.database, held.id)), caplog.text]
    everything = "".join(told).lower()
    assert [secret for secret in secrets() if secret in everything] == []
