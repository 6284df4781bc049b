"""What is kept of a token: the identifier it used up, and its digits under seal."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vending.sts import SGC, BaseDate, MeterPAN
from vending.values.identifiers import MeterId, SaleId, TokenId


class TokenKind(StrEnum):
    """What a token does at the meter; the standard's names."""

    TRANSFER_CREDIT = "transfer-credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """One token that was made, without its digits.

    `rnd` and `tid` are kept so that the same token can be made again, digit for digit.
    """

    id: TokenId
    sale_id: SaleId
    meter_id: MeterId
    meter_pan: MeterPAN
    base_date: BaseDate
    tid: int
    rnd: int
    kind: TokenKind
    units: int
    sgc: SGC
    krn: int
    last_four: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made: its record and its 20 digits, which no repr shows."""

    record: TokenRecord
    digits: str

    def __repr__(self) -> str:
        return f"NewToken({self.record.id}, …{self.record.last_four})"
