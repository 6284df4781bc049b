"""Policies change when one person asks and another approves, and in no other way."""

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.service import redeem, request_approval
from vending.operators.model import SignedIn
from vending.persistence.engine import Database
from vending.policies.model import PolicyName, PolicyStanding, PolicyVersion
from vending.policies.rules import check_value
from vending.policies.service import add_version, load_standing
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId


def propose_policy(
    database: Database,
    by: SignedIn,
    name: PolicyName,
    value: object,
    *,
    reason: str,
    clock: Clock,
) -> Approval:
    """Ask that a policy have this value.

    Raises:
        PermissionDeniedError: The operator may not ask for it.
        PolicyInvalidError: The policy does not take the value.
        ApprovalContentError: The reason cannot be shown.
    """
    check_value(name, value)
    with database.unit_of_work() as uow:
        act, _ = _build_act(uow.connection, name, value)
        asked = request_approval(uow.connection, by, act, reason=reason, clock=clock)
        uow.commit()
    return asked


def change_policy(
    database: Database,
    by: SignedIn,
    name: PolicyName,
    value: object,
    *,
    approval_id: ApprovalId,
    clock: Clock,
) -> PolicyVersion:
    """Give a policy this value, as was approved; whatever begins after it goes by it.

    Raises:
        VendingError: The approval is not there, not approved, over, used up or of something else:
            see `vending.approvals.service.redeem`; also when the policy has changed since.
        PolicyInvalidError: The policy does not take the value.
        PolicyChangedError: Another change came first.
    """
    check_value(name, value)
    with database.unit_of_work() as uow:
        connection = uow.connection
        act, before = _build_act(connection, name, value)
        redeem(connection, by, approval_id, act, clock=clock)
        version = PolicyVersion(
            name=name,
            version=before.version + 1,
            value=value,
            valid_from=clock.now(),
            changed_by=by.operator_id,
            approval_id=approval_id,
        )
        add_version(connection, version, before.value, by=by.actor, clock=clock)
        uow.commit()
    return version


def _build_act(
    connection: Connection, name: PolicyName, value: object
) -> tuple[Act, PolicyStanding]:
    """Return the change from what holds now; another value meanwhile makes another act of it."""
    before = load_standing(connection, name)
    payload = {
        "policy": name.value,
        "version": before.version,
        "from": before.value,
        "to": value,
    }
    return Act(UseCase.POLICY_CHANGE, f"policy:{name}", payload), before
