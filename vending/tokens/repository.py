"""Every query of issued tokens."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, RowMapping, insert, select

from vending.sts import SGC, BaseDate, MeterPAN
from vending.tokens.model import TokenKind, TokenRecord
from vending.tokens.tables import issued_tokens
from vending.values.identifiers import MeterId, SaleId, TokenId


def insert_tokens(connection: Connection, rows: Sequence[tuple[TokenRecord, bytes]]) -> None:
    """Store records with their sealed digits."""
    if not rows:
        return
    values = [
        {
            "id": record.id,
            "sale_id": record.sale_id,
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


def _to_record(row: RowMapping) -> tuple[TokenRecord, bytes]:
    record = TokenRecord(
        id=TokenId(row["id"]),
        sale_id=SaleId(row["sale_id"]),
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
