"""Use cases of approvals: ask, decide, and use up in the transaction of the act."""

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval
from vending.operators.model import SignedIn
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId


def request_approval(
    connection: Connection, by: SignedIn, act: Act, *, reason: str, clock: Clock
) -> Approval:
    """Ask for an approval; the caller commits."""
    raise NotImplementedError


def redeem(
    connection: Connection, by: SignedIn, approval_id: ApprovalId, act: Act, *, clock: Clock
) -> Approval:
    """Use up an approval for exactly this act, in the act's own transaction."""
    raise NotImplementedError
