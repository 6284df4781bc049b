"""Looks at tokens: who sees digits is recorded, and for what, before they are shown."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from vending.meters.rules import parse_meter_number
from vending.meters.service import load_meter
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.persistence.column_types import Json
from vending.tokens import repository
from vending.tokens.errors import TokenNotFoundError, TokenOrderNotFoundError
from vending.tokens.model import NewToken, TokenOrder, TokenRecord
from vending.tokens.repository import find_replacement, is_sale_replaced
from vending.tokens.rules import require_reason
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.sealed import open_tokens
from vending.values.identifiers import TokenId, TokenOrderId

__all__ = [
    "LIST_COUNT_MAX",
    "ViewedToken",
    "find_replacement",
    "find_token",
    "is_sale_replaced",
    "list_tokens",
    "load_order",
    "view_token",
]

LIST_COUNT_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ViewedToken(NewToken):
    """A token as it is shown again."""

    enter_first: tuple[str, ...]
    """The key-change set that the meter still needs before it, 1st section first."""


def view_token(token_id: TokenId, desk: TokenDesk, *, by: SignedIn, purpose: str) -> ViewedToken:
    """Return a token with its digits, once it is recorded who sees them and for what.

    A token that was made under a key its meter is not known to hold comes with the set, as it did
    when it was made: without it the meter would refuse it.

    Raises:
        PermissionDeniedError: The operator may not see digits.
        TokenRequestInvalidError: No purpose is given.
        TokenNotFoundError: No token has this id.
        SealBrokenError: The row was altered or moved.
    """
    by.require(Permission.TOKENS_VIEW)
    require_reason(purpose)
    with desk.database.unit_of_work() as uow:
        token = open_tokens(uow.connection, [token_id], desk.token_sealer).get(token_id)
        if token is None:
            raise TokenNotFoundError(token_id)
        enter_first = desk.key_changes.find_before(uow.connection, token.record)
        details: dict[str, Json] = {"token": str(token_id), "purpose": purpose}
        if enter_first:
            details["key_change_sections"] = len(enter_first)
        subject = f"meter:{token.record.meter_pan.digits}"
        event = AuditEvent(by.actor, "token.viewed", subject, details)
        record(uow.connection, [event], desk.clock)
        uow.commit()
    return ViewedToken(token.record, token.digits, enter_first=enter_first)


def list_tokens(
    connection: Connection, number: str, *, limit: int = LIST_COUNT_MAX
) -> tuple[list[TokenRecord], list[TokenOrder]]:
    """Return the newest tokens of a meter, without digits, and the orders of those no sale made.

    Raises:
        MeterNumberInvalidError: The number is no DRN and no MeterPAN.
        MeterCheckDigitError: Its check digit is wrong.
        MeterNotFoundError: The register has none of this number.
    """
    assert 1 <= limit <= LIST_COUNT_MAX, "a list is bounded"
    meter = load_meter(connection, parse_meter_number(number))
    return (
        repository.list_tokens(connection, meter.id, limit=limit),
        repository.list_orders(connection, meter.id, limit=limit),
    )


def find_token(connection: Connection, token_id: TokenId) -> TokenRecord | None:
    """Return a token without its digits; None: there is none of this id."""
    found = repository.load_tokens(connection, [token_id])
    return found[0][0] if found else None


def load_order(connection: Connection, order_id: TokenOrderId) -> TokenOrder:
    """Return an order.

    Raises:
        TokenOrderNotFoundError: There is none of this id.
    """
    order = repository.find_order(connection, order_id)
    if order is None:
        raise TokenOrderNotFoundError(order_id)
    return order
