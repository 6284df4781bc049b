"""Accounts: who is there."""

from typing import Final

from sqlalchemy import Connection

from vending.operators.errors import OperatorNotFoundError
from vending.operators.model import Operator
from vending.operators.repository import accounts
from vending.values.identifiers import OperatorId

OPERATOR_COUNT_MAX: Final = 1_000
"""Of one list; a longer one is asked for in parts."""


def load_operator(connection: Connection, operator_id: OperatorId) -> Operator:
    """Return one operator.

    Raises:
        OperatorNotFoundError: There is none with this id.
    """
    operator = accounts.find_operator(connection, operator_id)
    if operator is None:
        raise OperatorNotFoundError(str(operator_id))
    return operator


def load_operator_by_name(connection: Connection, name: str) -> Operator:
    """Return one operator.

    Raises:
        OperatorNotFoundError: There is none of this name.
    """
    operator = accounts.find_operator_by_name(connection, name)
    if operator is None:
        raise OperatorNotFoundError(name)
    return operator


def list_operators(
    connection: Connection, *, after: str | None = None, limit: int = OPERATOR_COUNT_MAX
) -> list[Operator]:
    """Return operators in the order of their names, those that come after a name."""
    assert 1 <= limit <= OPERATOR_COUNT_MAX, "a list is bounded"
    return accounts.list_operators(connection, after=after, limit=limit)
