"""Key ceremonies: a key comes in as components, each entered by another person.

    begin           what key it will be, in how many components, with which check value
    enter           a custodian's component, sealed until the ceremony ends, a day at most
    propose_finish  asks for the approval, once all are entered and the key's check value agrees
    finish          takes the key in under the approval, and wipes the components
    abort           wipes them

Nobody but this program ever sees the key, and none of the custodians knows anything of it alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.service import redeem, request_approval
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
from vending.custody.model import (
    CEREMONY_LIFETIME,
    Ceremony,
    CeremonyState,
    EnteredComponent,
)
from vending.custody.repository import ceremonies as repository
from vending.keystore.components import (
    COMPONENT_COUNT_MAX,
    COMPONENT_COUNT_MIN,
    KeyComponent,
    KeyImport,
    check_component,
    combine,
    parse_check_value,
)
from vending.keystore.errors import ComponentCountError, KeyExistsError
from vending.keystore.model import KeyDescription
from vending.keystore.redaction import Secret
from vending.keystore.sealing import Purpose, Sealer, associate
from vending.keystore.service import import_components
from vending.keystore.store import OpenKeyStore
from vending.keystore.translation import guarded
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.operators.service.sessions import reload_roles
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.sts import KeyAttributes
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, CeremonyId, new_uuid7

LIST_COUNT_MAX: Final = 200
_WIPER: Final = Actor.system("ceremonies")


@dataclass(frozen=True, slots=True, kw_only=True)
class CeremonyPlan:
    """What key a ceremony is to bring in."""

    attributes: KeyAttributes
    component_count: int
    check_value: str | None
    """Of the whole key, from the form that came with it."""
    is_demo: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CeremonyDesk:
    """What ceremonies are held with."""

    database: Database
    store: OpenKeyStore
    clock: Clock

    @property
    def sealer(self) -> Sealer:
        """Return what seals components until the ceremony ends."""
        return self.store.sealer(Purpose.CEREMONY_COMPONENTS)


def begin(by: SignedIn, plan: CeremonyPlan, desk: CeremonyDesk) -> Ceremony:
    """Begin a ceremony; whoever begins it may be one of its custodians.

    Raises:
        PermissionDeniedError: The operator takes no part in ceremonies.
        ComponentCountError: The key is not divided, or into too many components.
        CheckValueMissingError: The key's check value is not given.
        InvalidComponentError: The check value is not 6 hexadecimal digits.
        KeyExistsError: The store has a key of this supply group, revision and type.
    """
    by.require(Permission.KEYS_WRITE)
    if not COMPONENT_COUNT_MIN <= plan.component_count <= COMPONENT_COUNT_MAX:
        raise ComponentCountError(
            plan.component_count, count_min=COMPONENT_COUNT_MIN, count_max=COMPONENT_COUNT_MAX
        )
    check_value = _require_check_value(parse_check_value(plan.check_value))
    now = desk.clock.now()
    begun = Ceremony(
        id=CeremonyId(new_uuid7(desk.clock)),
        attributes=plan.attributes,
        component_count=plan.component_count,
        check_value=check_value,
        is_demo=plan.is_demo,
        state=CeremonyState.OPEN,
        begun_by=by.name,
        begun_by_id=by.operator_id,
        begun_at=now,
        expires_at=now + CEREMONY_LIFETIME,
        components=(),
    )
    if desk.store.find(begun.register) is not None:
        raise KeyExistsError(str(begun.register))
    with desk.database.unit_of_work() as uow:
        repository.insert_ceremony(uow.connection, begun)
        _record(uow.connection, by.actor, "ceremony.begun", begun, desk.clock)
        uow.commit()
    return begun


@guarded
def enter(
    by: SignedIn,
    ceremony_id: CeremonyId,
    number: int,
    component: KeyComponent,
    desk: CeremonyDesk,
) -> Ceremony:
    """Take a custodian's component; of the last one, the whole key's check value must agree.

    Raises:
        PermissionDeniedError: The operator takes no part in ceremonies.
        SignInRequiredError: The operator's session was ended, or the account locked, meanwhile.
        SecondFactorStaleError: The second factor was given too long ago.
        CheckValueMissingError: The component comes without its check value.
        CeremonyNotFoundError: There is none of this id.
        CeremonyEndedError: It was finished or aborted.
        CeremonyExpiredError: It took too long; its components are wiped.
        CeremonyCompleteError: Every component was entered.
        ComponentNumberError: The key has no such component, or it was entered.
        CustodianRepeatedError: This operator, or the same person, has entered one.
        InvalidComponentError: The component is not as long as the key derivation wants.
        CheckValueError: The component's check value does not agree, or the whole key's.
        WeakKeyError: The component is zero, or the key is one anybody would guess.
    """
    by.require(Permission.KEYS_WRITE)
    by.require_fresh(desk.clock.now())
    check_value = _require_check_value(component.check_value)
    with desk.database.unit_of_work() as uow:
        # Digits are typed for minutes: whoever was locked meanwhile enters none.
        reload_roles(uow.connection, by).require(Permission.KEYS_WRITE)
        ceremony = _lock_open(uow.connection, ceremony_id, desk.clock.now())
        if ceremony is not None:
            _require_place(ceremony, by, number)
            check_component(component, number, ceremony.attributes)
            entered = EnteredComponent(
                number=number,
                custodian_id=by.operator_id,
                custodian=by.name,
                person=by.person,
                check_value=check_value,
                entered_at=desk.clock.now(),
                is_held=True,
            )
            if len(ceremony.components) + 1 == ceremony.component_count:
                _require_whole_key(uow.connection, ceremony, entered, component, desk)
            sealed = desk.sealer.seal(
                component.secret.reveal(), associated=_belonging(ceremony_id, entered)
            )
            repository.insert_component(uow.connection, ceremony_id, entered, sealed)
            _record(
                uow.connection,
                by.actor,
                "ceremony.component_entered",
                ceremony,
                desk.clock,
                component=number,
            )
        changed = _load(uow.connection, ceremony_id)
        uow.commit()
    if ceremony is None:
        raise CeremonyExpiredError
    return changed


def propose_finish(
    by: SignedIn, ceremony_id: CeremonyId, desk: CeremonyDesk, *, reason: str
) -> Approval:
    """Ask for the key to be taken in.

    Raises:
        PermissionDeniedError: The operator may not ask for it.
        CeremonyNotFoundError: There is none of this id.
        CeremonyEndedError: It was finished or aborted.
        CeremonyExpiredError: It took too long; its components are wiped.
        CeremonyIncompleteError: A component is missing.
        ApprovalContentError: The reason cannot be shown.
    """
    with desk.database.unit_of_work() as uow:
        ceremony = _lock_open(uow.connection, ceremony_id, desk.clock.now())
        asked = None
        if ceremony is not None:
            asked = request_approval(
                uow.connection, by, _import_of(ceremony), reason=reason, clock=desk.clock
            )
        uow.commit()
    if asked is None:
        raise CeremonyExpiredError
    return asked


def finish(
    by: SignedIn, ceremony_id: CeremonyId, approval_id: ApprovalId, desk: CeremonyDesk
) -> tuple[OpenKeyStore, KeyDescription]:
    """Take the key into the store under an approval, and wipe its components.

    All in one transaction: the approval is used up if, and only if, the key is in the store.

    Raises:
        VendingError: The approval does not hold for this, see `vending.approvals`; or the key
            store cannot be changed, see `vending.keystore.service.import_components`.
        CeremonyNotFoundError: There is none of this id.
        CeremonyEndedError: It was finished or aborted.
        CeremonyExpiredError: It took too long; its components are wiped.
        CeremonyIncompleteError: A component is missing.
        SealBrokenError: A component was altered or moved.
    """

    def use_up(connection: Connection) -> None:
        ceremony = _lock_open(connection, ceremony_id, desk.clock.now())
        if ceremony is None:
            raise CeremonyExpiredError
        redeem(connection, by, approval_id, _import_of(ceremony), clock=desk.clock)
        repository.end_ceremony(
            connection,
            ceremony_id,
            CeremonyState.FINISHED,
            by=by.name,
            now=desk.clock.now(),
            approval_id=approval_id,
        )
        _record(connection, by.actor, "ceremony.finished", ceremony, desk.clock)

    with desk.database.read() as connection:
        ceremony = _load(connection, ceremony_id)
        _require_open_and_complete(ceremony)
        brought = _brought(connection, ceremony, desk)
    try:
        return import_components(
            desk.database, desk.store, brought, by=by.actor, clock=desk.clock, within=use_up
        )
    except CeremonyExpiredError:
        wipe_overdue(desk.database, desk.clock)
        raise


def abort(by: SignedIn, ceremony_id: CeremonyId, desk: CeremonyDesk) -> Ceremony:
    """End a ceremony without its key, and wipe its components.

    Raises:
        PermissionDeniedError: The operator takes no part in ceremonies.
        CeremonyNotFoundError: There is none of this id.
        CeremonyEndedError: It was finished or aborted.
    """
    by.require(Permission.KEYS_WRITE)
    with desk.database.unit_of_work() as uow:
        ceremony = _lock_open(uow.connection, ceremony_id, desk.clock.now())
        if ceremony is not None:
            repository.end_ceremony(
                uow.connection,
                ceremony_id,
                CeremonyState.ABORTED,
                by=by.name,
                now=desk.clock.now(),
            )
            _record(uow.connection, by.actor, "ceremony.aborted", ceremony, desk.clock)
        ended = _load(uow.connection, ceremony_id)
        uow.commit()
    return ended


def wipe_overdue(database: Database, clock: Clock) -> int:
    """Wipe the components of ceremonies that took too long; return how many there were."""
    with database.unit_of_work() as uow:
        overdue = repository.list_overdue(uow.connection, clock.now())
        for ceremony_id in overdue:
            _lock_open(uow.connection, ceremony_id, clock.now())
        uow.commit()
    return len(overdue)


def load_ceremony(database: Database, ceremony_id: CeremonyId) -> Ceremony:
    """Return a ceremony: who did what, and check values; nothing of the key.

    Raises:
        CeremonyNotFoundError: There is none of this id.
    """
    with database.read() as connection:
        return _load(connection, ceremony_id)


def list_ceremonies(database: Database) -> list[Ceremony]:
    """Return the ceremonies, the newest first."""
    with database.read() as connection:
        return repository.list_ceremonies(connection, limit=LIST_COUNT_MAX)


def _import_of(ceremony: Ceremony) -> Act:
    """Return the act of taking in this key, from these custodians.

    Raises:
        CeremonyIncompleteError: A component is missing.
    """
    _require_open_and_complete(ceremony)
    attributes = ceremony.attributes
    payload = {
        "ceremony_id": str(ceremony.id),
        "key_expiry_number": attributes.ken,
        "base_date": int(attributes.base_date),
        "derivation": int(attributes.dkga),
        "check_value": ceremony.check_value,
        "demo": int(ceremony.is_demo),
        "components": [
            {
                "number": one.number,
                "custodian": one.custodian,
                "custodian_id": str(one.custodian_id),
                "check_value": one.check_value,
            }
            for one in ceremony.components
        ],
    }
    return Act(UseCase.KEY_IMPORT, f"key:{ceremony.register}", payload)


def _lock_open(connection: Connection, ceremony_id: CeremonyId, now: datetime) -> Ceremony | None:
    """Return the ceremony, locked and open; None: its time was over, and it is wiped now.

    The caller commits the wiping before it refuses.

    Raises:
        CeremonyNotFoundError: There is none of this id.
        CeremonyEndedError: It has ended.
        CeremonyExpiredError: It was seen to have expired before.
    """
    ceremony = repository.lock_ceremony(connection, ceremony_id)
    if ceremony is None:
        raise CeremonyNotFoundError
    if ceremony.state is CeremonyState.EXPIRED:
        raise CeremonyExpiredError
    if ceremony.state is not CeremonyState.OPEN:
        raise CeremonyEndedError(ceremony.state.value)
    if now < ceremony.expires_at:
        return ceremony
    repository.end_ceremony(connection, ceremony_id, CeremonyState.EXPIRED, by=_WIPER.name, now=now)
    return None


def _require_place(ceremony: Ceremony, by: SignedIn, number: int) -> None:
    if ceremony.is_complete:
        raise CeremonyCompleteError
    if not 1 <= number <= ceremony.component_count or any(
        one.number == number for one in ceremony.components
    ):
        raise ComponentNumberError(number, count=ceremony.component_count)
    if any(
        one.custodian_id == by.operator_id or by.is_same_person(one.person)
        for one in ceremony.components
    ):
        raise CustodianRepeatedError


def _require_open_and_complete(ceremony: Ceremony) -> None:
    if ceremony.state is CeremonyState.EXPIRED:
        raise CeremonyExpiredError
    if ceremony.state is not CeremonyState.OPEN:
        raise CeremonyEndedError(ceremony.state.value)
    if not ceremony.is_complete:
        raise CeremonyIncompleteError(
            entered=len(ceremony.components), wanted=ceremony.component_count
        )


def _require_check_value(check_value: str | None) -> str:
    if check_value is None:
        raise CheckValueMissingError
    return check_value


def _require_whole_key(
    connection: Connection,
    ceremony: Ceremony,
    last: EnteredComponent,
    component: KeyComponent,
    desk: CeremonyDesk,
) -> None:
    held = _open_components(connection, ceremony, desk)
    combine(_to_import(ceremony, {**held, last.number: component}))


def _brought(connection: Connection, ceremony: Ceremony, desk: CeremonyDesk) -> KeyImport:
    return _to_import(ceremony, _open_components(connection, ceremony, desk))


def _to_import(ceremony: Ceremony, components: dict[int, KeyComponent]) -> KeyImport:
    return KeyImport(
        attributes=ceremony.attributes,
        components=[components[number] for number in sorted(components)],
        check_value=ceremony.check_value,
        is_demo=ceremony.is_demo,
    )


@guarded
def _open_components(
    connection: Connection, ceremony: Ceremony, desk: CeremonyDesk
) -> dict[int, KeyComponent]:
    sealed = repository.load_sealed(connection, ceremony.id)
    sealer = desk.sealer
    return {
        one.number: KeyComponent(
            Secret(sealer.open(sealed[one.number], associated=_belonging(ceremony.id, one))),
            check_value=one.check_value,
        )
        for one in ceremony.components
    }


def _belonging(ceremony_id: CeremonyId, entered: EnteredComponent) -> bytes:
    """Return what a component is sealed to: its ceremony, its place, and who entered it."""
    return associate(
        ceremony_id.bytes, entered.number, entered.custodian_id.bytes, entered.check_value
    )


def _load(connection: Connection, ceremony_id: CeremonyId) -> Ceremony:
    ceremony = repository.find_ceremony(connection, ceremony_id)
    if ceremony is None:
        raise CeremonyNotFoundError
    return ceremony


def _record(
    connection: Connection,
    by: Actor,
    action: str,
    ceremony: Ceremony,
    clock: Clock,
    **details: int,
) -> None:
    event = AuditEvent(
        by, action, f"key:{ceremony.register}", {"ceremony_id": str(ceremony.id), **details}
    )
    record(connection, [event], clock)
