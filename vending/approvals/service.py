"""Use cases of approvals: ask, decide, withdraw, and use up in the transaction of the act.

Every function works inside the caller's transaction and leaves an audit event in it. What is
asked for is bound by a hash; `redeem` takes the act as it would be done now, so that whatever has
changed since the other person looked is refused.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from vending.approvals import repository, rules
from vending.approvals.errors import ApprovalStandingError, ApprovalStateError
from vending.approvals.model import USE_CASE_RULES, Act, Approval, ApprovalState, Decision
from vending.operators.model import Operator, OperatorState, SignedIn
from vending.operators.permissions import Permission, permissions_of
from vending.operators.service.accounts import load_operator
from vending.operators.service.sessions import reload_roles
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.policies.service import load_policies
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, new_uuid7

LIST_COUNT_MAX: Final = 200


def request_approval(
    connection: Connection, by: SignedIn, act: Act, *, reason: str, clock: Clock
) -> Approval:
    """Ask for an approval; the caller commits.

    Raises:
        PermissionDeniedError: The operator may not ask for this use case.
        ApprovalContentError: Subject, payload or reason cannot be bound or shown.
    """
    asked = rules.request(
        act, by, reason=reason, approval_id=ApprovalId(new_uuid7(clock)), now=clock.now()
    )
    repository.insert_approval(connection, asked)
    _record(connection, by, asked, "approval.requested", clock)
    return asked


def decide(
    connection: Connection,
    by: SignedIn,
    approval_id: ApprovalId,
    decision: Decision,
    *,
    clock: Clock,
) -> Approval:
    """Approve or refuse what another person asked for.

    Raises:
        ApprovalNotFoundError: There is none of this id.
        SignInRequiredError: The operator's session was ended, or the account locked, meanwhile.
        SecondFactorStaleError: To approve, the second factor was given too long ago.
        PermissionDeniedError: The operator may not decide this use case.
        ApprovalOwnError: The operator asked for it, or is the person who did.
        ApprovalSameDeviceError: Policy asks for two devices, and it is not certain that two took
            part.
        ApprovalExpiredError: Its time is over.
        ApprovalStateError: It was decided or withdrawn before.
        ApprovalStandingError: Who asked may not ask today.
        ApprovalContentError: The note cannot be shown.
    """
    by = reload_roles(connection, by)
    if decision.approve:  # to refuse, whoever sits there does
        by.require_fresh(clock.now())
    approval = repository.lock_approval(connection, approval_id)
    requester = load_operator(connection, approval.requested_by)
    decided = rules.decide(
        approval,
        by,
        requester_person=requester.person,
        decision=decision,
        distinct_devices=load_policies(connection).distinct_devices,
        now=clock.now(),
    )
    if decision.approve:
        _require_standing(
            approval, requester, USE_CASE_RULES[approval.act.use_case].ask, "requester"
        )
    _store(connection, approval, decided)
    _record(connection, by, decided, f"approval.{decided.state}", clock)
    return decided


def withdraw(
    connection: Connection,
    by: SignedIn,
    approval_id: ApprovalId,
    *,
    note: str | None = None,
    clock: Clock,
) -> Approval:
    """Take back what one asked for, or one's own consent, as long as it was not used.

    Raises:
        ApprovalNotFoundError: There is none of this id.
        ApprovalNotYoursError: The operator neither asked nor decided.
        ApprovalStateError: It was refused, withdrawn or used before.
        ApprovalContentError: The note cannot be shown.
    """
    approval = repository.lock_approval(connection, approval_id)
    withdrawn = rules.withdraw(approval, by, note=note)
    _store(connection, approval, withdrawn)
    _record(connection, by, withdrawn, "approval.withdrawn", clock)
    return withdrawn


def redeem(
    connection: Connection, by: SignedIn, approval_id: ApprovalId, act: Act, *, clock: Clock
) -> Approval:
    """Use up an approval for exactly this act, in the act's own transaction.

    Raises:
        SignInRequiredError: The operator's session was ended, or the account locked, meanwhile.
        SecondFactorStaleError: The second factor was given too long ago.
        ApprovalNotFoundError: There is none of this id.
        PermissionDeniedError: The operator may not ask for this use case, hence not do it.
        ApprovalMismatchError: It was given for another act, or something has changed since.
        ApprovalUsedError: It was used before.
        ApprovalStateError: It is not approved.
        ApprovalExpiredError: Its time is over.
        ApprovalSameDeviceError: Policy asks for two devices by now, and it is not certain that two
            took part.
        ApprovalStandingError: Who asked or who approved was locked since or lost the role.
        ApprovalOwnError: Both accounts turned out to be one person's.
        ApprovalContentError: The act cannot be bound.
    """
    by = reload_roles(connection, by)
    by.require_fresh(clock.now())
    approval = repository.lock_approval(connection, approval_id)
    distinct_devices = load_policies(connection).distinct_devices
    redeemed = rules.redeem(approval, by, act, distinct_devices=distinct_devices, now=clock.now())
    _require_two_standing(connection, approval)
    _store(connection, approval, redeemed)
    _record(connection, by, redeemed, "approval.redeemed", clock)
    return redeemed


def find_approval(connection: Connection, by: SignedIn, approval_id: ApprovalId) -> Approval:
    """Return an approval with everything that is bound by it.

    Raises:
        PermissionDeniedError: The operator may not read approvals.
        ApprovalNotFoundError: There is none of this id.
    """
    by.require(Permission.APPROVALS_READ)
    return repository.load_approval(connection, approval_id)


def list_approvals(
    connection: Connection,
    by: SignedIn,
    *,
    state: ApprovalState | None = None,
    before: ApprovalId | None = None,
    limit: int = LIST_COUNT_MAX,
) -> list[Approval]:
    """Return approvals, the newest first; `before` is the last id of the page before.

    Raises:
        PermissionDeniedError: The operator may not read approvals.
    """
    assert 1 <= limit <= LIST_COUNT_MAX, "a page is bounded"
    by.require(Permission.APPROVALS_READ)
    return repository.list_newest(connection, state=state, before=before, limit=limit)


def _require_two_standing(connection: Connection, approval: Approval) -> None:
    """Go on only if both are still there, still different people, and still have their roles.

    Raises:
        ApprovalStandingError: One of them was locked since or lost the role.
        ApprovalOwnError: Both accounts turned out to be one person's.
    """
    rule = USE_CASE_RULES[approval.act.use_case]
    assert approval.decided_by is not None, "an approved one was decided"
    requester = load_operator(connection, approval.requested_by)
    approver = load_operator(connection, approval.decided_by)
    _require_standing(approval, requester, rule.ask, "requester")
    _require_standing(approval, approver, rule.decide, "approver")
    rules.require_two_people(approval, requester.person, approver.person)


def _require_standing(
    approval: Approval, operator: Operator, permission: Permission, party: str
) -> None:
    if operator.state is not OperatorState.ACTIVE or permission not in permissions_of(
        operator.roles
    ):
        raise ApprovalStandingError(approval.id, party=party)


def _store(connection: Connection, before: Approval, after: Approval) -> None:
    if not repository.store_step(connection, before, after):
        raise ApprovalStateError(before.id, state=before.state.value, target=after.state.value)


def _record(
    connection: Connection, by: SignedIn, approval: Approval, action: str, clock: Clock
) -> None:
    details: Mapping[str, Json] = {
        "use_case": approval.act.use_case.value,
        "for": approval.act.subject,
        "digest": approval.digest,
    }
    event = AuditEvent(by.actor, action, f"approval:{approval.id}", details)
    record(connection, [event], clock)
