"""What holds now, read in the transaction of the act that it decides.

    with database.unit_of_work() as uow:
        ...lock what the act is about...
        if amount > load_policies(uow.connection).refund_limit_minor.get(currency, 0): ...

Nobody changes a policy here: `vending.approvals.policy_changes` does, for two people.
"""

from typing import Final

from sqlalchemy import Connection

from vending.errors import canonical_json
from vending.persistence.audit import AuditEvent, record
from vending.policies import repository, rules
from vending.policies.errors import PolicyChangedError
from vending.policies.model import DEFAULTS, Policies, PolicyName, PolicyStanding, PolicyVersion
from vending.values.actor import Actor
from vending.values.clock import Clock

HISTORY_COUNT_MAX: Final = 200


def load_policies(connection: Connection) -> Policies:
    """Return every policy as it holds in this transaction; one small query.

    Raises:
        PolicyInvalidError: A stored value is none that the policy takes: nothing is decided by it.
    """
    return rules.assemble({one.name: one.value for one in repository.list_newest(connection)})


def list_standings(connection: Connection) -> list[PolicyStanding]:
    """Return what holds of each policy, in the order of their list."""
    newest = {one.name: one for one in repository.list_newest(connection)}
    return [
        PolicyStanding(name=name, value=newest[name].value, version=newest[name].version)
        if name in newest
        else PolicyStanding(name=name, value=DEFAULTS[name], version=0)
        for name in PolicyName
    ]


def load_standing(connection: Connection, name: PolicyName) -> PolicyStanding:
    """Return what holds of one policy."""
    return next(one for one in list_standings(connection) if one.name is name)


def list_history(
    connection: Connection, name: PolicyName | None = None, *, limit: int = HISTORY_COUNT_MAX
) -> list[PolicyVersion]:
    """Return what two people have set, the newest first."""
    assert 1 <= limit <= HISTORY_COUNT_MAX, "a page is bounded"
    return repository.list_versions(connection, name, limit=limit)


def add_version(
    connection: Connection, version: PolicyVersion, before: object, *, by: Actor, clock: Clock
) -> None:
    """Let a value hold from now on, and record who changed it; the caller commits.

    Raises:
        PolicyInvalidError: The policy does not take the value.
        PolicyChangedError: Another change came first.
    """
    rules.check_value(version.name, version.value)
    if not repository.insert_version(connection, version):
        raise PolicyChangedError(version.name)
    event = AuditEvent(
        by,
        "policy.changed",
        f"policy:{version.name}",
        {
            "version": version.version,
            "from": describe_value(before),
            "to": describe_value(version.value),
            "approval": str(version.approval_id),
        },
    )
    record(connection, [event], clock)


def describe_value(value: object) -> str:
    """Return a value as JSON, in one line."""
    return canonical_json(value).decode()
