"""The forms of requests and answers, with examples; they decide nothing."""

from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vending.sales.model import VendRequest
from vending.sts import ungroup_digits
from vending.values.identifiers import IdempotencyKey, PartnerId, QuoteId
from vending.values.money import Currency, Money, UnknownCurrencyError

TENDER_MINOR_MAX: Final = 10**12
"""No purchase is larger: ten thousand million in a currency of two places."""

_PRINTABLE: Final = r"^[\x20-\x7e]+$"
ID_EXAMPLE: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
RecordId = Annotated[UUID, Field(examples=[ID_EXAMPLE])]
MeterNumber = Annotated[
    str,
    Field(
        min_length=1,
        max_length=40,
        description="DRN of 11 or 13 digits, or MeterPAN of 18; spaces and dashes are ignored",
        examples=["01234567897"],
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MoneyIn(_Request):
    """An amount in minor units: 5000 with KES is 50.00 shillings."""

    minor: Annotated[int, Field(gt=0, le=TENDER_MINOR_MAX, examples=[5000])]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["KES"])]

    @field_validator("currency")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            Currency(value)
        except UnknownCurrencyError as error:
            raise ValueError(str(error)) from error
        return value

    def to_money(self) -> Money:
        """Return the amount."""
        return Money(self.minor, Currency(self.currency))


class QuoteIn(_Request):
    """What would this money buy for this meter?"""

    meter: MeterNumber
    tender: MoneyIn


class SaleIn(_Request):
    """Sell to this meter, under a quote or at the price of now."""

    meter: MeterNumber
    tender: MoneyIn
    quote_id: Annotated[
        UUID | None,
        Field(
            strict=False, description="Sell exactly what this quote promised", examples=[ID_EXAMPLE]
        ),
    ] = None
    terminal: Annotated[
        str | None, Field(max_length=64, pattern=_PRINTABLE, examples=["till-3"])
    ] = None
    operator: Annotated[str | None, Field(max_length=64, pattern=_PRINTABLE, examples=["jane"])] = (
        None
    )

    outlet: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
            description="Which outlet of yours sells; the utility may stop one outlet alone",
            examples=["westgate-2"],
        ),
    ] = None

    def to_request(self, partner_id: PartnerId, key: IdempotencyKey) -> VendRequest:
        """Return the request of the vend use case."""
        return VendRequest(
            partner_id=partner_id,
            key=key,
            meter=ungroup_digits(self.meter),  # blanks and dashes do not make another request
            tender=self.tender.to_money(),
            quote_id=None if self.quote_id is None else QuoteId(self.quote_id),
            terminal=self.terminal,
            operator=self.operator,
            outlet=self.outlet,
        )


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MoneyOut(_Answer):
    """An amount: minor units to compute with, a decimal to show."""

    minor: Annotated[int, Field(examples=[5000])]
    currency: Annotated[str, Field(examples=["KES"])]
    decimal: Annotated[str, Field(examples=["50.00"])]


class LineOut(MoneyOut):
    """One part of the tender; the lines sum to it, credit brought forward counting negative."""

    code: Literal["energy", "vat", "credit_brought_forward", "credit_carried_forward"]


class MeterRefOut(_Answer):
    """Which meter it is for."""

    pan: Annotated[str, Field(examples=["600727012345678973"])]
    drn: Annotated[str, Field(examples=["01234567897"])]


class SaleMeterOut(MeterRefOut):
    """Which meter was sold to, and whose it is, masked."""

    customer: Annotated[str | None, Field(examples=["A**** W******"])]


class TariffOut(_Answer):
    """The version that set the price; VAT comes on top of it."""

    code: Annotated[str, Field(examples=["RES-1"])]
    version: Annotated[int, Field(examples=[1])]
    price_per_kwh: Annotated[str, Field(examples=["21.50"])]
    vat_percent: Annotated[str, Field(examples=["16"])]


class TokenOut(_Answer):
    """A token: 20 digits for the keypad, and the energy the meter adds."""

    digits: Annotated[str, Field(pattern=r"^[0-9]{20}$", examples=["70630503470028726114"])]
    grouped: Annotated[str, Field(examples=["7063 0503 4700 2872 6114"])]
    energy_wh: Annotated[int, Field(examples=[2000])]


class ReceiptOut(_Answer):
    """The receipt as lines to print, in the customer's language."""

    language: Literal["en", "zh-CN"]
    lines: Annotated[list[str], Field(examples=[["Lumen Utility", "7063 0503 4700 2872 6114"]])]


class QuoteOut(_Answer):
    """What the tender buys, promised until `expires_at`."""

    id: RecordId
    expires_at: Annotated[str, Field(examples=["2026-11-25T08:10:00Z"])]
    meter: MeterRefOut
    tariff: TariffOut
    tender: MoneyOut
    lines: list[LineOut]
    energy_wh: Annotated[int, Field(examples=[2000])]


class KeyChangeTokenOut(_Answer):
    """One section of a key-change set."""

    section: Annotated[int, Field(examples=[1])]
    digits: Annotated[str, Field(pattern=r"^[0-9]{20}$", examples=["70630503470028726114"])]
    grouped: Annotated[str, Field(examples=["7063 0503 4700 2872 6114"])]


class KeyChangeOut(_Answer):
    """A key-change set: show it before the token, in this order; the token needs it."""

    tokens: list[KeyChangeTokenOut]
    instructions: Annotated[
        dict[str, str],
        Field(description="By language", examples=[{"en": "ENTER THESE FIRST"}]),
    ]


class SaleOut(_Answer):
    """A sale: the same bytes at every repeat of its key."""

    id: RecordId
    receipt_number: Annotated[str, Field(examples=["7GQ2-M4XC-81TE"])]
    issued_at: Annotated[str, Field(examples=["2026-11-25T08:00:00Z"])]
    meter: SaleMeterOut
    tariff: TariffOut
    tender: MoneyOut
    lines: list[LineOut]
    tokens: list[TokenOut]
    key_change: Annotated[
        KeyChangeOut | None,
        Field(description="To be entered before the tokens; absent: nothing is"),
    ] = None
    receipt: ReceiptOut


class ReprintOut(SaleOut):
    """A receipt again, marked as a copy."""

    is_copy: Annotated[Literal[True], Field(alias="copy")]


class DeliveryOut(_Answer):
    """How far the token has come on its way to the meter."""

    state: Annotated[str, Field(examples=["done"])]
    result_code: Annotated[str | None, Field(examples=["accepted"])]
    attempts: Annotated[int, Field(examples=[1])]


class SaleStatusOut(_Answer):
    """Where a sale stands now."""

    id: RecordId
    state: Annotated[str, Field(examples=["released"])]
    sale: SaleOut | None
    delivery: DeliveryOut | None


class MeterOut(MeterRefOut):
    """What a seller may know of a meter before money moves."""

    state: Annotated[str, Field(examples=["commissioned"])]
    can_vend: bool
    customer: Annotated[str | None, Field(examples=["A**** W******"])]
    currency: Annotated[str, Field(examples=["KES"])]
    tariff: TariffOut | None
    minimum_tender: MoneyOut | None
    maximum_tender: MoneyOut | None


class FieldProblem(_Answer):
    """One field of a request that does not fit."""

    field: Annotated[str, Field(examples=["tender.minor"])]
    message: Annotated[str, Field(examples=["Input should be greater than 0"])]


class ProblemOut(BaseModel):
    """A problem document (RFC 9457)."""

    type: Annotated[str, Field(examples=["urn:prepaid-vending:problem:amount_too_low"])]
    title: Annotated[str, Field(examples=["Amount too low"])]
    status: Annotated[int, Field(examples=[422])]
    code: Annotated[str, Field(examples=["amount_too_low"])]
    detail: Annotated[str, Field(examples=["0.01 KES is below the minimum of 2.32 KES"])]
    remedy: Annotated[str, Field(examples=["Ask for at least the minimum."])]
    retryable: bool
    outcome: Literal["none", "done", "unknown"]
    facts: dict[str, str | int | bool | None]
    errors: list[FieldProblem] | None = None
