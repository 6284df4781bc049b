"""Ceilings: one person lowers, two raise or lift."""

from collections.abc import Mapping

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.service import redeem, request_approval
from vending.custody.errors import ApprovalWantedError
from vending.custody.model import Ceiling, UseClass
from vending.custody.repository import limits as repository
from vending.custody.rules import is_lowered
from vending.custody.service.limits import load_limit_policy
from vending.keystore.model import KeyReference
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.persistence.engine import Database
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId


def lower_ceiling(
    database: Database,
    by: SignedIn,
    key: tuple[KeyReference, UseClass],
    ceiling: Ceiling,
    clock: Clock,
) -> Ceiling:
    """Set a ceiling that allows nothing more than the present one; return what it was.

    Raises:
        PermissionDeniedError: The operator may not set ceilings.
        ApprovalWantedError: Something in it is higher than now.
    """
    by.require(Permission.CEILINGS_WRITE)
    with database.unit_of_work() as uow:
        before = _lock(uow.connection, key)
        if not is_lowered(before, ceiling):
            raise ApprovalWantedError
        _store(uow.connection, by, key, before, ceiling, clock)
        uow.commit()
    return before


def propose_ceiling(
    database: Database,
    by: SignedIn,
    key: tuple[KeyReference, UseClass],
    ceiling: Ceiling,
    clock: Clock,
    *,
    reason: str,
) -> Approval:
    """Ask for another ceiling.

    Raises:
        PermissionDeniedError: The operator may not ask for it.
        ApprovalContentError: The reason cannot be shown.
    """
    with database.unit_of_work() as uow:
        act = _act_of(key, _lock(uow.connection, key), ceiling)
        asked = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return asked


def set_ceiling(
    database: Database,
    by: SignedIn,
    key: tuple[KeyReference, UseClass],
    ceiling: Ceiling,
    clock: Clock,
    *,
    approval_id: ApprovalId,
) -> Ceiling:
    """Set a ceiling under an approval; return what it was.

    Raises:
        VendingError: The approval does not hold for this, see `vending.approvals`; also when
            the present ceiling is another one than at the time of asking.
    """
    with database.unit_of_work() as uow:
        before = _lock(uow.connection, key)
        redeem(uow.connection, by, approval_id, _act_of(key, before, ceiling), clock=clock)
        _store(uow.connection, by, key, before, ceiling, clock, approval_id=approval_id)
        uow.commit()
    return before


def describe_ceiling(ceiling: Ceiling) -> dict[str, Json]:
    """Return a ceiling as it is approved, recorded and shown; null: there is none."""
    return {
        "energy_wh": ceiling.energy_wh,
        "money_minor": dict(sorted(ceiling.money_minor.items())),
        "token_count": ceiling.token_count,
    }


def _lock(connection: Connection, key: tuple[KeyReference, UseClass]) -> Ceiling:
    register, use_class = key
    own = repository.lock_ceiling(connection, str(register), use_class)
    return own or load_limit_policy(connection).default_of(use_class)


def _store(  # noqa: PLR0913 # one row of the table, and who changed it
    connection: Connection,
    by: SignedIn,
    key: tuple[KeyReference, UseClass],
    before: Ceiling,
    after: Ceiling,
    clock: Clock,
    *,
    approval_id: ApprovalId | None = None,
) -> None:
    register, use_class = key
    repository.store_ceiling(connection, str(register), use_class, after, now=clock.now())
    details: Mapping[str, Json] = {
        "class": use_class.value,
        "before": describe_ceiling(before),
        "after": describe_ceiling(after),
        "approval_id": None if approval_id is None else str(approval_id),
    }
    event = AuditEvent(by.actor, "ceiling.set", f"key:{register}", details)
    record(connection, [event], clock)


def _act_of(key: tuple[KeyReference, UseClass], before: Ceiling, after: Ceiling) -> Act:
    register, use_class = key
    payload = {
        "class": use_class.value,
        "before": describe_ceiling(before),
        "after": describe_ceiling(after),
    }
    return Act(UseCase.CEILING_CHANGE, f"key:{register}", payload)
