"""Every query of policies."""

from sqlalchemy import Connection, Row, func, select, tuple_

from vending.persistence.upsert import insert_or_ignore
from vending.policies.model import PolicyName, PolicyVersion
from vending.policies.tables import policy_versions
from vending.values.identifiers import ApprovalId, OperatorId

_NAMES = frozenset(name.value for name in PolicyName)


def list_newest(connection: Connection) -> list[PolicyVersion]:
    """Return the newest version of each policy that was ever set."""
    table = policy_versions
    newest = select(table.c.name, func.max(table.c.version)).group_by(table.c.name)
    query = select(table).where(tuple_(table.c.name, table.c.version).in_(newest))
    # A name that only a later release knows is for that one to read.
    return [_version(row) for row in connection.execute(query) if row.name in _NAMES]


def list_versions(
    connection: Connection, name: PolicyName | None, *, limit: int
) -> list[PolicyVersion]:
    """Return versions, the newest first."""
    table = policy_versions
    query = select(table).where(table.c.name.in_(_NAMES if name is None else [name.value]))
    order = (table.c.valid_from.desc(), table.c.name, table.c.version.desc())
    return [_version(row) for row in connection.execute(query.order_by(*order).limit(limit))]


def insert_version(connection: Connection, version: PolicyVersion) -> bool:
    """Store a version; return whether it is the one of its number."""
    row = {
        "name": version.name.value,
        "version": version.version,
        "value": version.value,
        "valid_from": version.valid_from,
        "changed_by": version.changed_by,
        "approval_id": version.approval_id,
    }
    table = policy_versions
    statement = insert_or_ignore(connection, table).returning(table.c.version)
    return connection.execute(statement, row).scalar_one_or_none() is not None


def _version(row: Row[tuple[object, ...]]) -> PolicyVersion:
    return PolicyVersion(
        name=PolicyName(row.name),
        version=row.version,
        value=row.value,
        valid_from=row.valid_from,
        changed_by=OperatorId(row.changed_by),
        approval_id=ApprovalId(row.approval_id),
    )
