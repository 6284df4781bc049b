"""Every query of quotes, sales and the clock mark."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, insert, or_, select, update

from vending.keystore.model import KeyReference
from vending.persistence.upsert import insert_or_ignore
from vending.sales.model import (
    OPEN_SALE_STATES,
    SALE_TRANSITIONS,
    Refund,
    RefundDestination,
    RefundReason,
    Sale,
    SaleState,
    StoredQuote,
    VendRequest,
)
from vending.sales.tables import clock_mark, declined_sales, refunds, sale_quotes, sales
from vending.sts import SGC, TI, BaseDate, EncryptionAlgorithm, KeyType, MeterPAN, Resource
from vending.tariffs.model import Quote
from vending.values.identifiers import (
    ApprovalId,
    CustomerId,
    EntryId,
    IdempotencyKey,
    MeterId,
    OperatorId,
    PartnerId,
    QuoteId,
    RefundId,
    SaleId,
    TariffId,
)
from vending.values.money import Currency, Money

_MARK_ID: Final = 1
_OPEN: Final = sorted(state.value for state in OPEN_SALE_STATES)
_ORIGINS: Final = {
    target: sorted(origin.value for origin in SaleState if target in SALE_TRANSITIONS[origin])
    for target in SaleState
}

_BUSY_METERS: Final = select(sales.c.meter_id).where(
    sales.c.meter_id.in_(bindparam("meter_ids", expanding=True)), sales.c.state.in_(_OPEN)
)
"""Built once: every batch asks."""


def insert_sales(connection: Connection, rows: Sequence[Sale]) -> None:
    """Store new sales."""
    if rows:
        connection.execute(insert(sales), [_sale_values(sale) for sale in rows])


def move_sale(
    connection: Connection,
    sale_id: SaleId,
    target: SaleState,
    *,
    now: datetime,
    reason_code: str | None = None,
) -> None:
    """Move a sale, locked by the caller, to a state that may follow the one it is in."""
    moved = connection.execute(
        update(sales)
        .where(sales.c.id == sale_id, sales.c.state.in_(_ORIGINS[target]))
        .values(state=target.value, changed_at=now, reason_code=reason_code)
    )
    assert moved.rowcount == 1, "the caller has seen, under lock, that the state may follow"


def find_sale(connection: Connection, partner_id: PartnerId, sale_id: SaleId) -> Sale | None:
    """Return the partner's sale of this id; None: the partner has none such."""
    return _find_one(connection, sales.c.id == sale_id, sales.c.partner_id == partner_id)


def find_sale_by_key(
    connection: Connection, partner_id: PartnerId, key: IdempotencyKey
) -> Sale | None:
    """Return the sale made under the partner's key; None: there is none."""
    return _find_one(connection, sales.c.partner_id == partner_id, sales.c.idempotency_key == key)


def find_changed_at(connection: Connection, sale_id: SaleId) -> datetime | None:
    """Return when the sale last changed its state; None: there is no such sale."""
    query = select(sales.c.changed_at).where(sales.c.id == sale_id)
    return connection.execute(query).scalar_one_or_none()


def lock_open_sale(connection: Connection, sale_id: SaleId) -> Sale | None:
    """Return the sale under a row lock while it is open; None: it was finished meanwhile."""
    query = select(sales).where(sales.c.id == sale_id, sales.c.state.in_(_OPEN)).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _to_sale(row)


def list_open_sales(connection: Connection, *, before: datetime, limit: int) -> list[Sale]:
    """Return open sales that nobody has moved since `before`, the oldest first."""
    query = (
        select(sales)
        .where(sales.c.state.in_(_OPEN), sales.c.changed_at < before)
        .order_by(sales.c.changed_at)
        .limit(limit)
    )
    return [_to_sale(row) for row in connection.execute(query).mappings()]


def find_oldest_open(connection: Connection) -> datetime | None:
    """Return when the open sale that waits longest was begun; None: none is open."""
    query = select(func.min(sales.c.created_at)).where(sales.c.state.in_(_OPEN))
    return connection.execute(query).scalar_one_or_none()


def find_busy_meters(connection: Connection, meter_ids: Collection[MeterId]) -> set[MeterId]:
    """Return those of the meters that have an open sale."""
    found = connection.execute(_BUSY_METERS, {"meter_ids": meter_ids})
    return {MeterId(meter_id) for meter_id in found.scalars()}


def sum_open_tenders(
    connection: Connection, partner_ids: Collection[PartnerId]
) -> list[tuple[PartnerId, Currency, int]]:
    """Return what the open sales of these partners come to, by partner and currency."""
    query = (
        select(sales.c.partner_id, sales.c.currency, func.sum(sales.c.tender_minor))
        .where(sales.c.partner_id.in_(partner_ids), sales.c.state.in_(_OPEN))
        .group_by(sales.c.partner_id, sales.c.currency)
    )
    return [
        (PartnerId(partner_id), Currency(currency), int(minor))
        for partner_id, currency, minor in connection.execute(query)
    ]


def list_sales_of_customer(
    connection: Connection, customer_id: CustomerId, *, limit: int
) -> list[Sale]:
    """Return the newest sales made to a customer, the newest first."""
    query = (
        select(sales)
        .where(sales.c.customer_id == customer_id)
        .order_by(sales.c.created_at.desc(), sales.c.id.desc())
        .limit(limit)
    )
    return [_to_sale(row) for row in connection.execute(query).mappings()]


def find_last_sales(
    connection: Connection, customer_ids: Collection[CustomerId]
) -> dict[CustomerId, datetime]:
    """Return when those of the customers bought last who ever did."""
    query = (
        select(sales.c.customer_id, func.max(sales.c.created_at))
        .where(sales.c.customer_id.in_(customer_ids))
        .group_by(sales.c.customer_id)
    )
    return {CustomerId(customer_id): at for customer_id, at in connection.execute(query)}


def lock_sale(connection: Connection, sale_id: SaleId) -> Sale | None:
    """Return the sale of any partner, under a row lock; None: there is none."""
    query = select(sales).where(sales.c.id == sale_id).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _to_sale(row)


def find_meter_pan(connection: Connection, sale_id: SaleId) -> MeterPAN | None:
    """Return the meter of a sale of any partner; None: there is no such sale."""
    query = select(sales.c.meter_pan).where(sales.c.id == sale_id)
    digits = connection.execute(query).scalar_one_or_none()
    return None if digits is None else MeterPAN(digits)


def insert_refund(connection: Connection, refund: Refund) -> None:
    """Store a new refund."""
    connection.execute(
        insert(refunds).values(
            id=refund.id,
            sale_id=refund.sale_id,
            currency=refund.net.currency.code,
            net_minor=refund.net.minor,
            vat_minor=refund.vat.minor,
            destination=refund.destination.value,
            reason_code=refund.reason.value,
            note=refund.note,
            approval_id=refund.approval_id,
            request_key=refund.key,
            entry_id=refund.entry_id,
            refunded_by=refund.refunded_by,
            refunded_at=refund.refunded_at,
        )
    )


def find_refund_by_key(connection: Connection, key: str) -> Refund | None:
    """Return the refund made under a key; None: none was."""
    query = select(refunds).where(refunds.c.request_key == key)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _to_refund(row)


def list_refunds(connection: Connection, sale_id: SaleId) -> list[Refund]:
    """Return what went back for a sale, the oldest first."""
    query = (
        select(refunds)
        .where(refunds.c.sale_id == sale_id)
        .order_by(refunds.c.refunded_at, refunds.c.id)
    )
    return [_to_refund(row) for row in connection.execute(query).mappings()]


def insert_declined(
    connection: Connection,
    rows: Sequence[tuple[uuid.UUID, VendRequest, str]],
    *,
    now: datetime,
) -> None:
    """Store requests that were refused for good, each with its id and reason code."""
    if rows:
        values = [
            {
                "id": row_id,
                "partner_id": request.partner_id,
                "idempotency_key": request.key,
                "meter": request.meter,
                "currency": request.tender.currency.code,
                "tender_minor": request.tender.minor,
                "reason_code": code,
                "declined_at": now,
            }
            for row_id, request, code in rows
        ]
        connection.execute(insert(declined_sales), values)


def insert_quotes(connection: Connection, rows: Sequence[StoredQuote]) -> None:
    """Store new quotes."""
    values = [
        {
            "id": row.id,
            "partner_id": row.partner_id,
            "meter_id": row.meter_id,
            "meter_pan": row.meter_pan.digits,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            **_quote_values(row.quote),
        }
        for row in rows
    ]
    connection.execute(insert(sale_quotes), values)


def load_quotes(
    connection: Connection, ids: Collection[QuoteId]
) -> dict[tuple[PartnerId, QuoteId], StoredQuote]:
    """Return the quotes of these ids, each under its own partner."""
    query = select(sale_quotes).where(sale_quotes.c.id.in_(ids))
    found = [_to_stored_quote(row) for row in connection.execute(query).mappings()]
    return {(quote.partner_id, quote.id): quote for quote in found}


def find_used_quotes(connection: Connection, ids: Collection[QuoteId]) -> set[QuoteId]:
    """Return those of the quotes under which a sale was made."""
    query = select(sales.c.quote_id).where(sales.c.quote_id.in_(ids))
    return {QuoteId(quote_id) for quote_id in connection.execute(query).scalars() if quote_id}


def read_clock_mark(connection: Connection) -> tuple[datetime, int] | None:
    """Return the last committed time and how often an operator has confirmed the clock."""
    query = select(clock_mark.c.seen_at, clock_mark.c.confirmations)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.seen_at, row.confirmations)


def raise_clock_mark(connection: Connection, now: datetime) -> None:
    """Raise the mark to now, unless somebody else is at it; it never goes back here."""
    free = select(clock_mark.c.id).with_for_update(skip_locked=True).scalar_subquery()
    connection.execute(
        update(clock_mark)
        .where(clock_mark.c.id.in_(free), clock_mark.c.seen_at < now)
        .values(seen_at=now)
    )


def confirm_clock_mark(connection: Connection, now: datetime) -> None:
    """Set the mark to now, forward or back, because an operator says that the clock is right."""
    make_clock_mark(connection, now)
    connection.execute(
        update(clock_mark).values(seen_at=now, confirmations=clock_mark.c.confirmations + 1)
    )


def make_clock_mark(connection: Connection, now: datetime) -> None:
    """Make the mark when there is none."""
    first = {"id": _MARK_ID, "seen_at": now, "confirmations": 0}
    connection.execute(insert_or_ignore(connection, clock_mark), first)


def count_sales(connection: Connection) -> int:
    """Return how many sales were accepted."""
    return connection.execute(select(func.count()).select_from(sales)).scalar_one()


def list_sales(
    connection: Connection,
    partner_id: PartnerId,
    *,
    after: tuple[datetime, SaleId] | None,
    limit: int,
) -> list[Sale]:
    """Return a page of the partner's sales, the newest first, continuing after a sale."""
    query = select(sales).where(sales.c.partner_id == partner_id)
    if after is not None:
        created_at, sale_id = after
        query = query.where(
            or_(
                sales.c.created_at < created_at,
                and_(sales.c.created_at == created_at, sales.c.id < sale_id),
            )
        )
    query = query.order_by(sales.c.created_at.desc(), sales.c.id.desc()).limit(limit)
    return [_to_sale(row) for row in connection.execute(query).mappings()]


def _find_one(connection: Connection, *conditions: Any) -> Sale | None:  # noqa: ANN401 # SQLAlchemy's clauses
    row = connection.execute(select(sales).where(*conditions)).mappings().one_or_none()
    return None if row is None else _to_sale(row)


def _to_refund(row: RowMapping) -> Refund:
    currency = Currency(row["currency"])
    return Refund(
        id=RefundId(row["id"]),
        sale_id=SaleId(row["sale_id"]),
        net=Money(row["net_minor"], currency),
        vat=Money(row["vat_minor"], currency),
        destination=RefundDestination(row["destination"]),
        reason=RefundReason(row["reason_code"]),
        note=row["note"],
        approval_id=None if row["approval_id"] is None else ApprovalId(row["approval_id"]),
        key=row["request_key"],
        entry_id=EntryId(row["entry_id"]),
        refunded_by=OperatorId(row["refunded_by"]),
        refunded_at=row["refunded_at"],
    )


def _quote_values(quote: Quote) -> dict[str, object]:
    return {
        "tariff_id": quote.tariff_id,
        "tariff_code": quote.tariff_code,
        "tariff_version": quote.tariff_version,
        "currency": quote.tender.currency.code,
        "tender_minor": quote.tender.minor,
        "brought_forward_minor": quote.brought_forward.minor,
        "net_minor": quote.net.minor,
        "vat_minor": quote.vat.minor,
        "carried_forward_minor": quote.carried_forward.minor,
        "rounding_expense_minor": quote.rounding_expense.minor,
        "units": quote.units,
        "units_on_token": quote.units_on_token,
    }


def _to_quote(row: RowMapping) -> Quote:
    currency = Currency(row["currency"])
    amounts: Mapping[str, Money] = {
        name: Money(row[f"{name}_minor"], currency)
        for name in ("tender", "brought_forward", "net", "vat", "carried_forward")
    }
    return Quote(
        tariff_id=TariffId(row["tariff_id"]),
        tariff_code=row["tariff_code"],
        tariff_version=row["tariff_version"],
        units=row["units"],
        units_on_token=row["units_on_token"],
        rounding_expense=Money(row["rounding_expense_minor"], currency),
        **amounts,
    )


def _to_stored_quote(row: RowMapping) -> StoredQuote:
    return StoredQuote(
        id=QuoteId(row["id"]),
        partner_id=PartnerId(row["partner_id"]),
        meter_id=MeterId(row["meter_id"]),
        meter_pan=MeterPAN(row["meter_pan"]),
        quote=_to_quote(row),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


def _sale_values(sale: Sale) -> dict[str, object]:
    return {
        "id": sale.id,
        "partner_id": sale.partner_id,
        "idempotency_key": sale.key,
        "state": sale.state.value,
        "receipt_number": sale.receipt_number,
        "meter_id": sale.meter_id,
        "meter_pan": sale.meter_pan.digits,
        "customer_id": sale.customer_id,
        "quote_id": sale.quote_id,
        "base_date": int(sale.base_date),
        "tid": sale.tid,
        "rnd": sale.rnd,
        "sgc": sale.register.sgc.digits,
        "krn": sale.register.krn,
        "kt": int(sale.register.kt),
        "ti": sale.ti.digits,
        "ea": int(sale.ea),
        "resource": int(sale.resource),
        "terminal": sale.terminal,
        "operator": sale.operator,
        "outlet": sale.outlet,
        "created_at": sale.created_at,
        "changed_at": sale.created_at,
        **_quote_values(sale.quote),
    }


def _to_sale(row: RowMapping) -> Sale:
    return Sale(
        id=SaleId(row["id"]),
        partner_id=PartnerId(row["partner_id"]),
        key=IdempotencyKey(row["idempotency_key"]),
        state=SaleState(row["state"]),
        meter_id=MeterId(row["meter_id"]),
        meter_pan=MeterPAN(row["meter_pan"]),
        customer_id=None if row["customer_id"] is None else CustomerId(row["customer_id"]),
        receipt_number=row["receipt_number"],
        quote=_to_quote(row),
        quote_id=None if row["quote_id"] is None else QuoteId(row["quote_id"]),
        base_date=BaseDate(row["base_date"]),
        tid=row["tid"],
        rnd=row["rnd"],
        register=KeyReference(SGC(row["sgc"]), row["krn"], KeyType(row["kt"])),
        ti=TI(row["ti"]),
        ea=EncryptionAlgorithm(row["ea"]),
        resource=Resource(row["resource"]),
        terminal=row["terminal"],
        operator=row["operator"],
        outlet=row["outlet"],
        created_at=row["created_at"],
    )
