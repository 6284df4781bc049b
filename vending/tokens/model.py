"""What is kept of a token, and the orders of tokens that no sale makes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from vending.keystore.model import KeyReference
from vending.meters.model import MeterKey
from vending.sts import (
    SGC,
    TI,
    BaseDate,
    EncryptionAlgorithm,
    MeterPAN,
    Resource,
)
from vending.values.identifiers import (
    ApprovalId,
    MeterId,
    OperatorId,
    SaleId,
    TokenId,
    TokenOrderId,
)
from vending.values.money import Money


class TokenKind(StrEnum):
    """What a token does at the meter; the standard's names."""

    TRANSFER_CREDIT = "transfer-credit"
    INITIATE_METER_TEST = "initiate-meter-test"
    """Class 1: the same for every meter, without an identifier; it changes nothing."""
    SET_MAXIMUM_POWER_LIMIT = "set-maximum-power-limit"
    CLEAR_CREDIT = "clear-credit"
    SET_TARIFF_RATE = "set-tariff-rate"
    CLEAR_TAMPER_CONDITION = "clear-tamper-condition"
    SET_MAXIMUM_PHASE_POWER_UNBALANCE_LIMIT = "set-maximum-phase-power-unbalance-limit"
    SET_WATER_METER_FACTOR = "set-water-meter-factor"


MANAGEMENT_KINDS: Final = frozenset(TokenKind) - {TokenKind.TRANSFER_CREDIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """One token that was made, without its digits.

    `rnd` and `tid` are kept so that the same token can be made again, digit for digit; a meter
    test has neither. A token belongs to a sale or to an order, never to both.
    """

    id: TokenId
    sale_id: SaleId | None
    order_id: TokenOrderId | None = None
    meter_id: MeterId
    meter_pan: MeterPAN
    base_date: BaseDate
    tid: int | None
    rnd: int | None
    kind: TokenKind
    units: int
    """In 0.1 kWh; 0 where the token is no credit."""
    sgc: SGC
    krn: int
    last_four: str
    issued_at: datetime

    def __post_init__(self) -> None:
        assert (self.sale_id is None) != (self.order_id is None), "of a sale or of an order"


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made: its record and its 20 digits, which no repr shows."""

    record: TokenRecord
    digits: str

    def __repr__(self) -> str:
        return f"NewToken({self.record.id}, …{self.record.last_four})"


class OrderPurpose(StrEnum):
    """Why a token is made outside a sale."""

    MANAGEMENT = "management"
    FREE_UNITS = "free-units"
    REPLACEMENT = "replacement"


class OrderState(StrEnum):
    """Where an order stands."""

    OPEN = "open"
    """Everything that enters the token is fixed; the security module has not told it yet."""
    ISSUED = "issued"
    REFUSED = "refused"
    """The security module refused for good; nothing was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOrder:
    """One token wanted outside a sale, and all that it is made from."""

    id: TokenOrderId
    purpose: OrderPurpose
    kind: TokenKind
    value: int
    """Units of 0.1 kWh, watts, a register, a rate, a factor or test bits, as the kind says."""
    meter_id: MeterId
    meter_pan: MeterPAN
    base_date: BaseDate
    tid: int | None
    rnd: int | None
    register: KeyReference
    ti: TI
    ea: EncryptionAlgorithm
    resource: Resource
    approval_id: ApprovalId | None
    """None: it took one person, as the kind or the limit allows."""
    sale_id: SaleId | None = None
    """Whose token is replaced."""
    replaces_token_id: TokenId | None = None
    worth: Money | None = None
    """What free units would have cost without VAT; None: it gives none."""
    reason: str
    ordered_by: OperatorId
    state: OrderState
    result_code: str | None = None
    created_at: datetime

    @property
    def key(self) -> MeterKey:
        """The key that the meter must hold to read the token."""
        return MeterKey(
            sgc=self.register.sgc,
            krn=self.register.krn,
            kt=self.register.kt,
            ti=self.ti,
            base_date=self.base_date,
        )


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """A management token that somebody wants for a meter."""

    meter: str
    """DRN or MeterPAN as it was written."""
    kind: TokenKind
    value: int = 0


@dataclass(frozen=True, slots=True)
class FreeUnitsRequest:
    """Units that somebody wants to give to a meter's customer for nothing."""

    meter: str
    units: int
    """Of 0.1 kWh."""
