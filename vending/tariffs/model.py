"""Tariff versions and quotes: frozen records that cannot hold an illegal value."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from vending.tariffs.errors import TariffInvalidError
from vending.values.energy import Energy
from vending.values.identifiers import ApprovalId, OperatorId, TariffDraftId, TariffId
from vending.values.money import Currency, Money

MICRO_PER_MAJOR: Final = 1_000_000
BASIS_POINTS_PER_WHOLE: Final = 10_000
PRICE_MICRO_MAX: Final = 10**13
"""Ten million major units a kWh: room for every currency, and far inside 64 bits."""
VAT_BASIS_POINTS_MAX: Final = 10_000
"""VAT of 100 %; no country asks for more, and a typed 1600 % is a slip."""

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffDraft:
    """What a version of a tariff says, before it is stored.

    The price is in millionths of the major unit a kWh, VAT exclusive; `vat_basis_points` is in
    hundredths of a percent: 1600 is 16 %. `effective_from` is inclusive, in UTC.

    Raises:
        TariffInvalidError: A field is outside its limits.
    """

    code: str
    currency: Currency
    price_per_kwh_micro: int
    vat_basis_points: int
    effective_from: datetime

    def __post_init__(self) -> None:
        assert self.effective_from.tzinfo is UTC, "an instant is in UTC"
        if not _CODE.fullmatch(self.code):
            raise TariffInvalidError(
                field="code",
                wanted="1 to 32 letters, digits, dots, dashes or underscores, such as RES-1",
            )
        if not 1 <= self.price_per_kwh_micro <= PRICE_MICRO_MAX:
            raise TariffInvalidError(
                field="price_per_kwh_micro",
                wanted=f"1 to {PRICE_MICRO_MAX} millionths of {self.currency}",
            )
        if not 0 <= self.vat_basis_points <= VAT_BASIS_POINTS_MAX:
            raise TariffInvalidError(
                field="vat_basis_points", wanted=f"0 to {VAT_BASIS_POINTS_MAX}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff(TariffDraft):
    """A stored version: it never changes, and ends where the next version starts."""

    id: TariffId
    version: int


class DraftState(StrEnum):
    """Where a draft stands."""

    DRAFT = "draft"
    """Sells nothing; waits for a second person."""
    ACTIVATED = "activated"
    """Became a version, through an approval."""
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffTerms:
    """What somebody wants the next version of a tariff to say.

    `effective_from` None: from the moment it is activated.

    Raises:
        TariffInvalidError: A field is outside its limits.
    """

    code: str
    currency: Currency
    price_per_kwh_micro: int
    vat_basis_points: int
    effective_from: datetime | None = None

    def __post_init__(self) -> None:
        self.starting(datetime.min.replace(tzinfo=UTC))

    def starting(self, activated_at: datetime) -> TariffDraft:
        """Return the version as it would be when activated at an instant."""
        return TariffDraft(
            code=self.code,
            currency=self.currency,
            price_per_kwh_micro=self.price_per_kwh_micro,
            vat_basis_points=self.vat_basis_points,
            effective_from=activated_at if self.effective_from is None else self.effective_from,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDraft:
    """Terms that were drafted, and what became of them."""

    id: TariffDraftId
    terms: TariffTerms
    drafted_by: OperatorId
    drafted_at: datetime
    state: DraftState = DraftState.DRAFT
    approval_id: ApprovalId | None = None
    tariff_id: TariffId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a tender buys, to the minor unit; the law of its sum holds by construction.

    tender + brought_forward = net + vat + carried_forward

    `units` are paid for, in 0.1 kWh; `units_on_token` are what the meter adds, never fewer,
    more only where the transfer amount code is coarse. `rounding_expense` is the net value of
    the difference, borne by the utility.
    """

    tariff_id: TariffId
    tariff_code: str
    tariff_version: int
    tender: Money
    brought_forward: Money
    units: int
    units_on_token: int
    net: Money
    vat: Money
    carried_forward: Money
    rounding_expense: Money

    def __post_init__(self) -> None:
        assert self.tender + self.brought_forward == self.gross + self.carried_forward, (
            "a quote is exact"
        )
        assert self.units_on_token >= self.units >= 1, "the customer never loses by rounding"
        assert min(self.net.minor, self.vat.minor, self.rounding_expense.minor) >= 0
        assert self.brought_forward.minor >= 0, "a customer's credit is never negative"
        assert self.carried_forward.minor >= 0, "a customer's credit is never negative"

    @property
    def gross(self) -> Money:
        """Return the price of the units, VAT included."""
        return self.net + self.vat

    @property
    def energy(self) -> Energy:
        """Return the energy paid for."""
        return Energy.from_sts_units(self.units)

    @property
    def energy_on_token(self) -> Energy:
        """Return the energy that the meter adds when it accepts the token."""
        return Energy.from_sts_units(self.units_on_token)
