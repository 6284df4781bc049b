"""Token records never show their digits."""

import uuid
from datetime import UTC, datetime

from tests.support.shop import pan_of
from vending.sts import SGC, BaseDate
from vending.tokens.model import NewToken, TokenKind, TokenRecord
from vending.values.identifiers import MeterId, SaleId, TokenId


def test_repr_shows_the_last_four_digits_and_no_more() -> None:
    record = TokenRecord(
        id=TokenId(uuid.UUID(int=1)),
        sale_id=SaleId(uuid.UUID(int=2)),
        meter_id=MeterId(uuid.UUID(int=3)),
        meter_pan=pan_of(1),
        base_date=BaseDate.Y2014,
        tid=6_000_000,
        rnd=5,
        kind=TokenKind.TRANSFER_CREDIT,
        units=21,
        sgc=SGC("201457"),
        krn=1,
        last_four="6114",
        issued_at=datetime(2026, 11, 25, 8, 0, tzinfo=UTC),
    )
    token = NewToken(record, "70630503470028726114")
    assert "7063050347002872" not in repr(token)
    assert "…6114" in repr(token)
