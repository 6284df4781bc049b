"""Policies for tests, set as two people set them."""

from collections.abc import Mapping
from datetime import timedelta

from tests.support.people import approve, sign_in_as
from vending.approvals.policy_changes import change_policy, propose_policy
from vending.custody.model import Ceiling, UseClass
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.policies.model import Policies, PolicyName
from vending.policies.service import load_policies
from vending.values.clock import Clock

FRESHNESS = timedelta(minutes=10)
"""For how long a second factor counts where nobody has set a policy."""
ANY_HOUR = {PolicyName.DISCONNECTION_HOURS: "00:00-24:00"}
"""One person may order a disconnection at any time."""


def set_policies(database: Database, clock: Clock, values: Mapping[PolicyName, object]) -> None:
    """Each of the policies has its value from now on."""
    asks, agrees = (
        sign_in_as(database, clock, Role.ADMINISTRATOR, name=name, device=name)
        for name in ("policy-asks", "policy-agrees")
    )
    for name, value in values.items():
        asked = propose_policy(database, asks, name, value, reason="for the test", clock=clock)
        approve(database, clock, asked.id, agrees)
        change_policy(database, asks, name, value, approval_id=asked.id, clock=clock)


def policies_of(database: Database) -> Policies:
    """What holds now."""
    with database.read() as connection:
        return load_policies(connection)


def ceilings(use_class: UseClass, ceiling: Ceiling) -> dict[PolicyName, object]:
    """The policies by which keys without a ceiling of their own have this one."""
    names = {
        UseClass.CREDIT: (
            PolicyName.CEILING_CREDIT_WH,
            PolicyName.CEILING_CREDIT_MINOR,
            PolicyName.CEILING_CREDIT_TOKENS,
        ),
        UseClass.FREE: (PolicyName.CEILING_FREE_WH, None, PolicyName.CEILING_FREE_TOKENS),
        UseClass.MANAGEMENT: (None, None, PolicyName.CEILING_MANAGEMENT_TOKENS),
    }[use_class]
    values = (ceiling.energy_wh, dict(ceiling.money_minor), ceiling.token_count)
    given: dict[PolicyName, object] = {}
    for name, value in zip(names, values, strict=True):
        assert name is not None or not value, "there is no such ceiling of this class"
        if name is not None:
            given[name] = value
    return given
