"""Stores issued tokens under seal and opens them for those who may see them."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection

from vending.keystore.sealing import Sealer, associate
from vending.tokens import repository
from vending.tokens.model import NewToken, TokenRecord
from vending.values.identifiers import SaleId, TokenId, TokenOrderId

_NO_TID: Final = -1
"""Stands in the seal for the identifier that a meter test does not carry."""


def store_tokens(connection: Connection, tokens: Sequence[NewToken], sealer: Sealer) -> None:
    """Store the tokens, each sealed to its own record."""
    rows = [
        (token.record, sealer.seal(token.digits.encode(), associated=_bound_to(token.record)))
        for token in tokens
    ]
    repository.insert_tokens(connection, rows)


def open_tokens(
    connection: Connection, token_ids: Collection[TokenId], sealer: Sealer
) -> dict[TokenId, NewToken]:
    """Return the tokens of these ids with their digits.

    Raises:
        SealBrokenError: A row was altered or moved.
    """
    found = repository.load_tokens(connection, token_ids)
    return {record.id: _opened(record, sealed, sealer) for record, sealed in found}


def open_tokens_of_sale(connection: Connection, sale_id: SaleId, sealer: Sealer) -> list[NewToken]:
    """Return the tokens of a sale with their digits; none: it has none.

    Raises:
        SealBrokenError: A row was altered or moved.
    """
    found = repository.load_tokens_of_sale(connection, sale_id)
    return [_opened(record, sealed, sealer) for record, sealed in found]


def open_token_of_order(
    connection: Connection, order_id: TokenOrderId, sealer: Sealer
) -> NewToken | None:
    """Return the token an order made, with its digits; None: it has made none.

    Raises:
        SealBrokenError: The row was altered or moved.
    """
    found = repository.load_token_of_order(connection, order_id)
    return None if found is None else _opened(*found, sealer)


def _opened(record: TokenRecord, sealed: bytes, sealer: Sealer) -> NewToken:
    digits = sealer.open(sealed, associated=_bound_to(record)).decode()
    return NewToken(record, digits)


def _bound_to(record: TokenRecord) -> bytes:
    """Return what the seal binds the digits to: a row moved to another meter does not open."""
    owner = record.sale_id if record.order_id is None else record.order_id
    assert owner is not None, "a token belongs to a sale or to an order"
    return associate(
        record.id.bytes,
        owner.bytes,
        record.meter_pan.digits,
        int(record.base_date),
        _NO_TID if record.tid is None else record.tid,
        record.units,
    )
