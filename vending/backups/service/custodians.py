"""Who may open backups: named by two people, since who adds custodians could add himself twice."""

from collections.abc import Sequence

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.service import redeem, request_approval
from vending.backups import repository
from vending.backups.custodian_keys import CustodianKey, require_name
from vending.backups.errors import (
    CustodianCountError,
    CustodianExistsError,
    CustodianNotFoundError,
)
from vending.backups.model import CUSTODIANS_MAX, CUSTODIANS_MIN, Custodian
from vending.operators.model import SignedIn
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, new_uuid7


def list_custodians(database: Database) -> list[Custodian]:
    """Return those who open the backups that are made from now on, by name."""
    with database.read() as connection:
        return repository.list_custodians(connection)


def propose_custodian(
    database: Database, by: SignedIn, who: Custodian, *, reason: str, clock: Clock
) -> Approval:
    """Ask for a custodian to be added.

    Raises:
        CustodianNameError: The name cannot be used.
        CustodianExistsError: The name or the key is a custodian's already.
        CustodianCountError: There are as many as there may be.
        PermissionDeniedError: The operator may not ask for it.
        ApprovalContentError: The reason cannot be shown.
    """
    with database.unit_of_work() as uow:
        act = _adding(uow.connection, who)
        asked = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return asked


def add_custodian(
    database: Database, by: SignedIn, who: Custodian, *, approval_id: ApprovalId, clock: Clock
) -> None:
    """Let a person, with any other custodian, open the backups made from now on.

    Raises:
        CustodianNameError: The name cannot be used.
        CustodianExistsError: The name or the key is a custodian's already.
        CustodianCountError: There are as many as there may be.
        PermissionDeniedError: The operator may not do it.
        ApprovalNotFoundError: There is no approval of this id.
        ApprovalMismatchError: It was given for something else.
        ApprovalUsedError: It was used before.
        ApprovalStateError: It is not approved.
        ApprovalExpiredError: Its time is over.
        ApprovalStandingError: Who asked or approved was locked since or lost the role.
        ApprovalOwnError: Both accounts turned out to be one person's.
    """
    with database.unit_of_work() as uow:
        connection = uow.connection
        redeem(connection, by, approval_id, _adding(connection, who), clock=clock)
        repository.insert_custodian(connection, new_uuid7(clock), who, clock.now())
        _record(connection, by, "backup.custodian-added", who, clock)
        uow.commit()


def propose_removal(
    database: Database, by: SignedIn, name: str, *, reason: str, clock: Clock
) -> Approval:
    """Ask for a custodian to be removed.

    Raises:
        CustodianNotFoundError: There is none of this name.
        PermissionDeniedError: The operator may not ask for it.
        ApprovalContentError: The reason cannot be shown.
    """
    with database.unit_of_work() as uow:
        act, _ = _removing(uow.connection, name)
        asked = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return asked


def remove_custodian(
    database: Database, by: SignedIn, name: str, *, approval_id: ApprovalId, clock: Clock
) -> None:
    """Let a custodian open no backup made from now on; older files open as before.

    Raises:
        CustodianNotFoundError: There is none of this name.
        PermissionDeniedError: The operator may not do it.
        ApprovalNotFoundError: There is no approval of this id.
        ApprovalMismatchError: It was given for something else.
        ApprovalUsedError: It was used before.
        ApprovalStateError: It is not approved.
        ApprovalExpiredError: Its time is over.
        ApprovalStandingError: Who asked or approved was locked since or lost the role.
        ApprovalOwnError: Both accounts turned out to be one person's.
    """
    with database.unit_of_work() as uow:
        connection = uow.connection
        act, who = _removing(connection, name)
        redeem(connection, by, approval_id, act, clock=clock)
        repository.remove_custodian(connection, name, clock.now())
        _record(connection, by, "backup.custodian-removed", who, clock)
        uow.commit()


def require_custodians(connection: Connection) -> list[Custodian]:
    """Return the custodians a backup is made for.

    Raises:
        CustodianCountError: There are fewer than two.
    """
    present = repository.list_custodians(connection)
    if len(present) < CUSTODIANS_MIN:
        count = len(present)
        raise CustodianCountError(count, count_min=CUSTODIANS_MIN, count_max=CUSTODIANS_MAX)
    return present


def require_witnesses(connection: Connection, keys: Sequence[CustodianKey]) -> None:
    """Go on only with the keys of two who are custodians now.

    Raises:
        CustodianNotFoundError: A key is no present custodian's.
        CustodianCountError: They are fewer than two.
    """
    present = {one.public_key for one in repository.list_custodians(connection)}
    for key in keys:
        if key.public_key not in present:
            raise CustodianNotFoundError(key.name)
    count = len({key.public_key for key in keys})
    if count < CUSTODIANS_MIN:
        raise CustodianCountError(count, count_min=CUSTODIANS_MIN, count_max=CUSTODIANS_MAX)


def _adding(connection: Connection, who: Custodian) -> Act:
    require_name(who.name)
    present = repository.list_custodians(connection)
    if any(who.name == each.name or who.public_key == each.public_key for each in present):
        raise CustodianExistsError(who.name)
    if len(present) >= CUSTODIANS_MAX:
        count = len(present) + 1
        raise CustodianCountError(count, count_min=CUSTODIANS_MIN, count_max=CUSTODIANS_MAX)
    return _act("add", who, present)


def _removing(connection: Connection, name: str) -> tuple[Act, Custodian]:
    present = repository.list_custodians(connection)
    who = next((each for each in present if each.name == name), None)
    if who is None:
        raise CustodianNotFoundError(name)
    return _act("remove", who, present), who


def _act(change: str, who: Custodian, present: list[Custodian]) -> Act:
    payload = {
        "change": change,
        "public_key": who.fingerprint,
        "present": [each.fingerprint for each in present],
    }
    return Act(UseCase.KEY_CHANGE, f"backup-custodian:{who.name}", payload)


def _record(
    connection: Connection, by: SignedIn, action: str, who: Custodian, clock: Clock
) -> None:
    subject, details = f"backup-custodian:{who.name}", {"public_key": who.fingerprint}
    record(connection, [AuditEvent(by.actor, action, subject, details)], clock)
