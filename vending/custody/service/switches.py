"""Kill switches: anybody with the permission stops at once, two people release."""

import re
import uuid
from typing import Final

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.rules import check_text
from vending.approvals.service import redeem, request_approval
from vending.custody.errors import StopNotFoundError, StopReleasedError, TargetInvalidError
from vending.custody.model import (
    IssueStop,
    StopId,
    StopScope,
    StopTarget,
)
from vending.custody.repository import limits as repository
from vending.keystore.model import KeyReference
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.partners.errors import PartnerNotFoundError
from vending.partners.service import load_partner
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.sts import SGC, KeyType
from vending.sts.errors import STSError
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, PartnerId, new_uuid7

LIST_COUNT_MAX: Final = 500
_KEY: Final = re.compile(r"([0-9]{6})/([1-9])/(DITK|DDTK|DUTK|DCTK)")


def parse_target(scope: StopScope, name: str, *, outlet: str | None = None) -> StopTarget:
    """Return what a person named: a key, a supply group, a partner, or its outlet.

    Raises:
        TargetInvalidError: It names nothing of the kind.
    """
    match scope:
        case StopScope.KEY:
            return StopTarget.key(parse_register(name))
        case StopScope.SUPPLY_GROUP:
            return StopTarget.supply_group(_parse_sgc(name))
        case StopScope.PARTNER:
            return StopTarget.partner(_parse_partner(name, scope))
        case StopScope.OUTLET:
            return StopTarget.outlet(_parse_partner(name, scope), outlet or "")


def parse_register(name: str) -> KeyReference:
    """Return the key that a text such as `201457/1/DUTK` names.

    Raises:
        TargetInvalidError: It names none.
    """
    found = _KEY.fullmatch(name)
    if found is None:
        raise TargetInvalidError(StopScope.KEY)
    return KeyReference(SGC(found[1]), int(found[2]), KeyType[found[3]])


def stop(
    database: Database, by: SignedIn, target: StopTarget, *, reason: str, clock: Clock
) -> IssueStop:
    """Stop issuing at once; a repeat changes nothing and returns the stop that stands.

    Raises:
        PermissionDeniedError: The operator may not stop issuing.
        TargetInvalidError: There is no such partner.
        ApprovalContentError: The reason is empty, too long or cannot be shown.
    """
    by.require(Permission.SWITCHES_STOP)
    wanted = IssueStop(
        id=StopId(new_uuid7(clock)),
        target=target,
        reason=check_text(reason, "reason"),
        stopped_at=clock.now(),
        stopped_by=by.name,
        released_at=None,
        released_by=None,
    )
    with database.unit_of_work() as uow:
        _require_partner(uow.connection, target)
        repository.insert_stop(uow.connection, wanted)
        standing = repository.find_standing(uow.connection, target)
        assert standing is not None, "it was put on stop just now, or before"
        if standing.id == wanted.id:
            event = AuditEvent(by.actor, "switch.stopped", str(target), {"stop_id": str(wanted.id)})
            record(uow.connection, [event], clock)
        uow.commit()
    return standing


def propose_release(
    database: Database, by: SignedIn, stop_id: StopId, *, reason: str, clock: Clock
) -> Approval:
    """Ask for a switch to be released.

    Raises:
        PermissionDeniedError: The operator may not ask for it.
        StopNotFoundError: There is none of this id.
        StopReleasedError: It was released already.
        ApprovalContentError: The reason cannot be shown.
    """
    with database.unit_of_work() as uow:
        stopped = _lock(uow.connection, stop_id)
        asked = request_approval(
            uow.connection, by, _release_of(stopped), reason=reason, clock=clock
        )
        uow.commit()
    return asked


def release(
    database: Database, by: SignedIn, stop_id: StopId, approval_id: ApprovalId, *, clock: Clock
) -> IssueStop:
    """Release a switch under an approval; issuing goes on at once.

    Raises:
        VendingError: The approval does not hold for this, see `vending.approvals`.
        StopNotFoundError: There is none of this id.
        StopReleasedError: It was released already.
    """
    with database.unit_of_work() as uow:
        stopped = _lock(uow.connection, stop_id)
        redeem(uow.connection, by, approval_id, _release_of(stopped), clock=clock)
        repository.release_stop(
            uow.connection, stop_id, now=clock.now(), by=by.name, approval_id=approval_id
        )
        event = AuditEvent(
            by.actor,
            "switch.released",
            str(stopped.target),
            {"stop_id": str(stop_id), "approval_id": str(approval_id)},
        )
        record(uow.connection, [event], clock)
        released = repository.lock_stop(uow.connection, stop_id)
        assert released is not None, "it was locked above"
        uow.commit()
    return released


def list_stops(database: Database, *, standing_only: bool) -> list[IssueStop]:
    """Return what is stopped, or also what once was; the newest first."""
    with database.read() as connection:
        return repository.list_stops(connection, standing_only=standing_only, limit=LIST_COUNT_MAX)


def _release_of(stopped: IssueStop) -> Act:
    """Return the act of releasing this stop, and not a later one of the same target."""
    payload = {
        "stop_id": str(stopped.id),
        "scope": stopped.target.scope.value,
        "name": stopped.target.name,
        "stopped_by": stopped.stopped_by,
        "stopped_for": stopped.reason,
    }
    return Act(UseCase.SWITCH_RELEASE, str(stopped.target), payload)


def _lock(connection: Connection, stop_id: StopId) -> IssueStop:
    stopped = repository.lock_stop(connection, stop_id)
    if stopped is None:
        raise StopNotFoundError
    if stopped.released_at is not None:
        raise StopReleasedError
    return stopped


def _require_partner(connection: Connection, target: StopTarget) -> None:
    if target.scope not in {StopScope.PARTNER, StopScope.OUTLET}:
        return
    partner_id = PartnerId(uuid.UUID(target.name.partition("/")[0]))
    try:
        load_partner(connection, partner_id)
    except PartnerNotFoundError as error:
        raise TargetInvalidError(target.scope) from error


def _parse_sgc(name: str) -> SGC:
    try:
        return SGC(name)
    except STSError as error:
        raise TargetInvalidError(StopScope.SUPPLY_GROUP) from error


def _parse_partner(name: str, scope: StopScope) -> PartnerId:
    try:
        return PartnerId(uuid.UUID(name))
    except ValueError as error:
        raise TargetInvalidError(scope) from error
