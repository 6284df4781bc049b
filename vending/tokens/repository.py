"""Every query of issued tokens and of orders."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, insert, select, update

from vending.keystore.model import KeyReference
from vending.sts import (
    SGC,
    TI,
    BaseDate,
    EncryptionAlgorithm,
    KeyType,
    MeterPAN,
    Resource,
)
from vending.tokens.model import (
    OrderPurpose,
    OrderState,
    TokenKind,
    TokenOrder,
    TokenRecord,
)
from vending.tokens.tables import issued_tokens, token_orders
from vending.values.identifiers import (
    ApprovalId,
    MeterId,
    OperatorId,
    SaleId,
    TokenId,
    TokenOrderId,
)
from vending.values.money import Currency, Money


def insert_tokens(connection: Connection, rows: Sequence[tuple[TokenRecord, bytes]]) -> None:
    """Store records with their sealed digits."""
    if not rows:
        return
    values = [
        {
            "id": record.id,
            "sale_id": record.sale_id,
            "order_id": record.order_id,
            "meter_id": record.meter_id,
            "meter_pan": record.meter_pan.digits,
            "base_date": int(record.base_date),
            "tid": record.tid,
            "rnd": record.rnd,
            "kind": record.kind.value,
            "units": record.units,
            "sgc": record.sgc.digits,
            "krn": record.krn,
            "last_four": record.last_four,
            "sealed_digits": sealed,
            "issued_at": record.issued_at,
        }
        for record, sealed in rows
    ]
    connection.execute(insert(issued_tokens), values)


def load_tokens(
    connection: Connection, token_ids: Collection[TokenId]
) -> list[tuple[TokenRecord, bytes]]:
    """Return the records of these ids with their sealed digits."""
    query = select(issued_tokens).where(issued_tokens.c.id.in_(token_ids))
    return [_to_record(row) for row in connection.execute(query).mappings()]


def load_tokens_of_sale(connection: Connection, sale_id: SaleId) -> list[tuple[TokenRecord, bytes]]:
    """Return the records of a sale with their sealed digits, in the order of their identifiers."""
    query = (
        select(issued_tokens)
        .where(issued_tokens.c.sale_id == sale_id)
        .order_by(issued_tokens.c.tid)
    )
    return [_to_record(row) for row in connection.execute(query).mappings()]


def load_token_of_order(
    connection: Connection, order_id: TokenOrderId
) -> tuple[TokenRecord, bytes] | None:
    """Return the record an order made with its sealed digits; None: it has made none."""
    query = select(issued_tokens).where(issued_tokens.c.order_id == order_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _to_record(row)


def list_tokens(connection: Connection, meter_id: MeterId, *, limit: int) -> list[TokenRecord]:
    """Return a meter's newest tokens, the newest first."""
    query = (
        select(issued_tokens)
        .where(issued_tokens.c.meter_id == meter_id)
        .order_by(issued_tokens.c.issued_at.desc(), issued_tokens.c.id.desc())
        .limit(limit)
    )
    return [_to_record(row)[0] for row in connection.execute(query).mappings()]


def list_by_last_four(
    connection: Connection, meter_id: MeterId, last_four: str, *, limit: int
) -> list[TokenRecord]:
    """Return a meter's tokens that end in these four digits, the newest first."""
    query = (
        select(issued_tokens)
        .where(issued_tokens.c.meter_id == meter_id, issued_tokens.c.last_four == last_four)
        .order_by(issued_tokens.c.issued_at.desc())
        .limit(limit)
    )
    return [_to_record(row)[0] for row in connection.execute(query).mappings()]


def insert_order(connection: Connection, order: TokenOrder) -> None:
    """Store a new order."""
    connection.execute(
        insert(token_orders).values(
            id=order.id,
            purpose=order.purpose.value,
            kind=order.kind.value,
            value=order.value,
            meter_id=order.meter_id,
            meter_pan=order.meter_pan.digits,
            base_date=int(order.base_date),
            tid=order.tid,
            rnd=order.rnd,
            sgc=order.register.sgc.digits,
            krn=order.register.krn,
            kt=int(order.register.kt),
            ti=order.ti.digits,
            ea=int(order.ea),
            resource=int(order.resource),
            approval_id=order.approval_id,
            sale_id=order.sale_id,
            replaces_token_id=order.replaces_token_id,
            currency=None if order.worth is None else order.worth.currency.code,
            value_minor=None if order.worth is None else order.worth.minor,
            reason=order.reason,
            ordered_by=order.ordered_by,
            state=order.state.value,
            result_code=order.result_code,
            created_at=order.created_at,
            changed_at=order.created_at,
        )
    )


def end_order(
    connection: Connection,
    order_id: TokenOrderId,
    state: OrderState,
    *,
    now: datetime,
    result_code: str | None = None,
) -> None:
    """Move an order, open and locked by the caller, to its end."""
    ended = connection.execute(
        update(token_orders)
        .where(token_orders.c.id == order_id, token_orders.c.state == OrderState.OPEN.value)
        .values(state=state.value, result_code=result_code, changed_at=now)
    )
    assert ended.rowcount == 1, "the caller has seen it open, under lock"


def touch_order(
    connection: Connection, order_id: TokenOrderId, *, now: datetime, result_code: str
) -> None:
    """Keep why an order is still open, and when that was last seen."""
    connection.execute(
        update(token_orders)
        .where(token_orders.c.id == order_id, token_orders.c.state == OrderState.OPEN.value)
        .values(changed_at=now, result_code=result_code)
    )


def find_order(connection: Connection, order_id: TokenOrderId) -> TokenOrder | None:
    """Return the order; None: there is none."""
    return _find_order(connection, select(token_orders).where(token_orders.c.id == order_id))


def find_order_by_approval(connection: Connection, approval_id: ApprovalId) -> TokenOrder | None:
    """Return the order that used an approval up; None: none did."""
    query = select(token_orders).where(token_orders.c.approval_id == approval_id)
    return _find_order(connection, query)


def find_replacement(connection: Connection, token_id: TokenId) -> TokenOrder | None:
    """Return the order that takes the place of a token; None: none does."""
    query = select(token_orders).where(
        token_orders.c.replaces_token_id == token_id,
        token_orders.c.state != OrderState.REFUSED.value,
    )
    return _find_order(connection, query)


def is_sale_replaced(connection: Connection, sale_id: SaleId) -> bool:
    """Return whether a token of the sale was replaced, or is about to be."""
    sold = select(issued_tokens.c.id).where(issued_tokens.c.sale_id == sale_id)
    query = select(token_orders.c.id).where(
        token_orders.c.replaces_token_id.in_(sold),
        token_orders.c.state != OrderState.REFUSED.value,
    )
    return connection.execute(query.limit(1)).first() is not None


def lock_open_order(connection: Connection, order_id: TokenOrderId) -> TokenOrder | None:
    """Return the order under a row lock while it is open; None: it was ended meanwhile."""
    query = (
        select(token_orders)
        .where(token_orders.c.id == order_id, token_orders.c.state == OrderState.OPEN.value)
        .with_for_update()
    )
    return _find_order(connection, query)


def list_open_orders(connection: Connection, *, before: datetime, limit: int) -> list[TokenOrder]:
    """Return open orders that nobody has touched since `before`, the oldest first."""
    query = (
        select(token_orders)
        .where(token_orders.c.state == OrderState.OPEN.value, token_orders.c.changed_at < before)
        .order_by(token_orders.c.changed_at)
        .limit(limit)
    )
    return [_to_order(row) for row in connection.execute(query).mappings()]


def list_orders(connection: Connection, meter_id: MeterId, *, limit: int) -> list[TokenOrder]:
    """Return a meter's newest orders, the newest first."""
    query = (
        select(token_orders)
        .where(token_orders.c.meter_id == meter_id)
        .order_by(token_orders.c.created_at.desc(), token_orders.c.id.desc())
        .limit(limit)
    )
    return [_to_order(row) for row in connection.execute(query).mappings()]


def sum_free_units(connection: Connection, meter_id: MeterId, *, since: datetime) -> int:
    """Return the units of 0.1 kWh given to a meter for nothing since an instant."""
    query = select(func.coalesce(func.sum(token_orders.c.value), 0)).where(
        token_orders.c.meter_id == meter_id,
        token_orders.c.purpose == OrderPurpose.FREE_UNITS.value,
        token_orders.c.state != OrderState.REFUSED.value,
        token_orders.c.created_at >= since,
    )
    return int(connection.execute(query).scalar_one())


def _find_order(connection: Connection, query: Select[Any]) -> TokenOrder | None:
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _to_order(row)


def _to_record(row: RowMapping) -> tuple[TokenRecord, bytes]:
    record = TokenRecord(
        id=TokenId(row["id"]),
        sale_id=None if row["sale_id"] is None else SaleId(row["sale_id"]),
        order_id=None if row["order_id"] is None else TokenOrderId(row["order_id"]),
        meter_id=MeterId(row["meter_id"]),
        meter_pan=MeterPAN(row["meter_pan"]),
        base_date=BaseDate(row["base_date"]),
        tid=row["tid"],
        rnd=row["rnd"],
        kind=TokenKind(row["kind"]),
        units=row["units"],
        sgc=SGC(row["sgc"]),
        krn=row["krn"],
        last_four=row["last_four"],
        issued_at=row["issued_at"],
    )
    return record, bytes(row["sealed_digits"])


def _to_order(row: RowMapping) -> TokenOrder:
    worth = (
        None if row["currency"] is None else Money(row["value_minor"], Currency(row["currency"]))
    )
    replaced = row["replaces_token_id"]
    return TokenOrder(
        id=TokenOrderId(row["id"]),
        purpose=OrderPurpose(row["purpose"]),
        kind=TokenKind(row["kind"]),
        value=row["value"],
        meter_id=MeterId(row["meter_id"]),
        meter_pan=MeterPAN(row["meter_pan"]),
        base_date=BaseDate(row["base_date"]),
        tid=row["tid"],
        rnd=row["rnd"],
        register=KeyReference(SGC(row["sgc"]), row["krn"], KeyType(row["kt"])),
        ti=TI(row["ti"]),
        ea=EncryptionAlgorithm(row["ea"]),
        resource=Resource(row["resource"]),
        approval_id=None if row["approval_id"] is None else ApprovalId(row["approval_id"]),
        sale_id=None if row["sale_id"] is None else SaleId(row["sale_id"]),
        replaces_token_id=None if replaced is None else TokenId(replaced),
        worth=worth,
        reason=row["reason"],
        ordered_by=OperatorId(row["ordered_by"]),
        state=OrderState(row["state"]),
        result_code=row["result_code"],
        created_at=row["created_at"],
    )
