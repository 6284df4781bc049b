"""Every query on approvals."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from vending.approvals.errors import ApprovalNotFoundError
from vending.approvals.model import Act, Approval, ApprovalState, UseCase
from vending.approvals.tables import approvals
from vending.values.identifiers import ApprovalId, OperatorId

_DECIDABLE: Final = (
    "state",
    "decided_by",
    "decided_at",
    "decided_on",
    "note",
    "redeemed_by",
    "redeemed_at",
)
_PLAIN: Final = (
    "digest",
    "reason",
    "requested_by",
    "requested_at",
    "requested_on",
    "expires_at",
    *_DECIDABLE[1:],
)


def insert_approval(connection: Connection, approval: Approval) -> None:
    """Store a new approval."""
    row = {name: getattr(approval, name) for name in ("id", "state", *_PLAIN)}
    act = approval.act
    row |= {"use_case": act.use_case.value, "subject": act.subject, "payload": act.payload}
    connection.execute(insert(approvals), row)


def store_step(connection: Connection, before: Approval, after: Approval) -> bool:
    """Store what became of the approval; False: it had left the state it was in."""
    statement = (
        update(approvals)
        .where(approvals.c.id == before.id, approvals.c.state == before.state.value)
        .values({name: getattr(after, name) for name in _DECIDABLE})
    )
    return connection.execute(statement).rowcount == 1


def load_approval(connection: Connection, approval_id: ApprovalId) -> Approval:
    """Return the approval.

    Raises:
        ApprovalNotFoundError: There is none of this id.
    """
    return _one(connection, select(approvals).where(approvals.c.id == approval_id), approval_id)


def lock_approval(connection: Connection, approval_id: ApprovalId) -> Approval:
    """Return the approval, its row locked until the transaction ends.

    Raises:
        ApprovalNotFoundError: There is none of this id.
    """
    query = select(approvals).where(approvals.c.id == approval_id).with_for_update()
    return _one(connection, query, approval_id)


def list_newest(
    connection: Connection,
    *,
    state: ApprovalState | None,
    before: ApprovalId | None,
    limit: int,
) -> list[Approval]:
    """Return approvals, newest first; identifiers rise with time."""
    query = select(approvals).order_by(approvals.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(approvals.c.state == state.value)
    if before is not None:
        query = query.where(approvals.c.id < before)
    return [_to_approval(row) for row in connection.execute(query).mappings()]


def _one(connection: Connection, query: Select[Any], approval_id: ApprovalId) -> Approval:
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ApprovalNotFoundError(approval_id)
    return _to_approval(row)


def _to_approval(row: RowMapping) -> Approval:
    payload = row["payload"]
    assert isinstance(payload, Mapping), "only requests store payloads"
    plain = {name: row[name] for name in _PLAIN}
    plain["requested_by"] = OperatorId(row["requested_by"])
    return Approval(
        id=ApprovalId(row["id"]),
        act=Act(UseCase(row["use_case"]), row["subject"], payload),
        state=ApprovalState(row["state"]),
        **plain,
    )
