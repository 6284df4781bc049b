"""Pure decisions on tariffs: the quote, its limits, which version holds, what may be added.

Every amount is exact: the price of 0.1 kWh is a whole number over a fixed denominator, and it
is rounded once, when it becomes minor units of a posting.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from vending.approvals.model import Act, UseCase
from vending.sts.amount import round_transfer_amount
from vending.tariffs.errors import (
    AmountTooHighError,
    AmountTooLowError,
    TariffBackdatedError,
    TariffCurrencyFixedError,
    TariffInvalidError,
    TariffNotFoundError,
    TariffOverlapError,
    WrongCurrencyError,
)
from vending.tariffs.model import (
    BASIS_POINTS_PER_WHOLE,
    MICRO_PER_MAJOR,
    Quote,
    StoredDraft,
    Tariff,
    TariffDraft,
)
from vending.values.money import Money, divide_half_up

UNITS_PER_KWH: Final = 10
"""A unit is the 0.1 kWh that a TransferCredit token counts in (IEC 62055-41)."""

UNITS_PER_SALE_MAX: Final = 180_223
"""18,022.3 kWh: up to here a transfer amount code is at most 0.9 kWh above what was paid."""

_NET_DENOMINATOR: Final = MICRO_PER_MAJOR * UNITS_PER_KWH
_GROSS_DENOMINATOR: Final = _NET_DENOMINATOR * BASIS_POINTS_PER_WHOLE
_PRICE: Final = re.compile(r"([0-9]{1,8})(?:\.([0-9]{1,6}))?")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?")


def compute_quote(tender: Money, brought_forward: Money, tariff: Tariff) -> Quote:
    """Return what `tender`, with the credit brought forward, buys under `tariff`.

    Energy is cut down to 0.1 kWh. The money that is left over stays the customer's credit.

    Raises:
        WrongCurrencyError: An amount is in another currency than the tariff.
        AmountTooLowError: It buys no 0.1 kWh, or nothing is tendered.
        AmountTooHighError: It buys more than one token codes to within 1 kWh.
    """
    _require_currency(tender, tariff)
    _require_currency(brought_forward, tariff)
    assert brought_forward.minor >= 0, "a customer's credit is never negative"
    available = tender + brought_forward
    unit_price = _gross_numerator(tariff)
    units = available.minor * _GROSS_DENOMINATOR // unit_price
    if tender.minor <= 0 or units == 0:
        raise AmountTooLowError(tender, compute_minimum_tender(brought_forward, tariff))
    if units > UNITS_PER_SALE_MAX:
        raise AmountTooHighError(tender, compute_maximum_tender(brought_forward, tariff))
    # Half up of an exact price that is at most `available`, a whole number, cannot exceed it.
    gross_minor = divide_half_up(units * unit_price, _GROSS_DENOMINATOR)
    vat_minor = _vat_within(gross_minor, tariff)
    units_on_token = round_transfer_amount(units)
    return Quote(
        tariff_id=tariff.id,
        tariff_code=tariff.code,
        tariff_version=tariff.version,
        tender=tender,
        brought_forward=brought_forward,
        units=units,
        units_on_token=units_on_token,
        net=Money(gross_minor - vat_minor, tariff.currency),
        vat=Money(vat_minor, tariff.currency),
        carried_forward=Money(available.minor - gross_minor, tariff.currency),
        rounding_expense=compute_net_value(units_on_token - units, tariff),
    )


def compute_minimum_tender(brought_forward: Money, tariff: TariffDraft) -> Money:
    """Return the smallest tender that buys 0.1 kWh; at least one minor unit."""
    one_unit_minor = -(-_gross_numerator(tariff) // _GROSS_DENOMINATOR)
    return Money(max(1, one_unit_minor - brought_forward.minor), tariff.currency)


def compute_maximum_tender(brought_forward: Money, tariff: TariffDraft) -> Money:
    """Return the largest tender that one token carries; zero where the credit alone fills it."""
    too_much = (UNITS_PER_SALE_MAX + 1) * _gross_numerator(tariff)
    available_minor = (too_much - 1) // _GROSS_DENOMINATOR
    return Money(max(0, available_minor - brought_forward.minor), tariff.currency)


def compute_net_value(units: int, tariff: TariffDraft) -> Money:
    """Return what units given away are worth without VAT, rounded half up."""
    minor = divide_half_up(units * _net_numerator(tariff), _NET_DENOMINATOR)
    return Money(minor, tariff.currency)


def choose_version(versions: Iterable[Tariff], code: str, at: datetime) -> Tariff:
    """Return the version of `code` that holds at the instant: the last to have started.

    Raises:
        TariffNotFoundError: None has started.
    """
    started = [v for v in versions if v.code == code and v.effective_from <= at]
    if not started:
        raise TariffNotFoundError(code, at)
    return max(started, key=lambda version: version.effective_from)


def check_new_version(draft: TariffDraft, latest: Tariff | None, now: datetime) -> int:
    """Return the version number that `draft` takes after `latest`, the last one stored.

    Raises:
        TariffInvalidError: The smallest amount would buy more than a token carries.
        TariffBackdatedError: It starts before now.
        TariffCurrencyFixedError: It changes the currency of the code.
        TariffOverlapError: It does not start after the latest.
    """
    nothing = Money(0, draft.currency)
    maximum = compute_maximum_tender(nothing, draft)
    if maximum.minor < compute_minimum_tender(nothing, draft).minor:
        raise TariffInvalidError(
            field="price_per_kwh_micro",
            wanted=f"high enough that the smallest amount of {draft.currency} fits on one token",
        )
    if draft.effective_from < now:
        raise TariffBackdatedError(draft.code, draft.effective_from, now)
    if latest is None:
        return 1
    if draft.currency != latest.currency:
        raise TariffCurrencyFixedError(draft.code, draft.currency, latest.currency)
    if draft.effective_from <= latest.effective_from:
        raise TariffOverlapError(draft.code, draft.effective_from, latest.effective_from)
    return latest.version + 1


def activation_act(draft: StoredDraft, latest: Tariff | None) -> Act:
    """Return what two people agree to: the whole version, and the number it would take now."""
    terms = draft.terms
    starts = terms.effective_from
    return Act(
        UseCase.TARIFF_ACTIVATION,
        f"tariff:{terms.code}",
        {
            "draft": str(draft.id),
            "code": terms.code,
            "version": 1 if latest is None else latest.version + 1,
            "currency": terms.currency.code,
            "price_per_kwh_micro": terms.price_per_kwh_micro,
            "vat_basis_points": terms.vat_basis_points,
            "effective_from": "at activation" if starts is None else starts.isoformat(),
        },
    )


def parse_price_per_kwh(text: str) -> int:
    """Return millionths of the major unit from a decimal such as `21.5`, up to six places.

    Raises:
        TariffInvalidError: The text is no such decimal.
    """
    match = _PRICE.fullmatch(text.strip())
    if match is None:
        raise TariffInvalidError(
            field="price_per_kwh", wanted="digits with at most six decimal places, such as 21.50"
        )
    return int(match[1] + (match[2] or "").ljust(6, "0"))


def parse_vat_percent(text: str) -> int:
    """Return basis points from a percentage such as `16` or `7.5`, up to two places.

    Raises:
        TariffInvalidError: The text is no such percentage.
    """
    match = _PERCENT.fullmatch(text.strip().removesuffix("%").rstrip())
    if match is None:
        raise TariffInvalidError(
            field="vat_percent", wanted="digits with at most two decimals, such as 16.00"
        )
    return int(match[1] + (match[2] or "").ljust(2, "0"))


def _require_currency(amount: Money, tariff: TariffDraft) -> None:
    if amount.currency != tariff.currency:
        raise WrongCurrencyError(amount.currency, tariff.currency)


def _net_numerator(tariff: TariffDraft) -> int:
    """Return the price of one unit without VAT, in minor units over `_NET_DENOMINATOR`."""
    return int(tariff.price_per_kwh_micro * 10**tariff.currency.exponent)


def _gross_numerator(tariff: TariffDraft) -> int:
    """Return the price of one unit with VAT, in minor units over `_GROSS_DENOMINATOR`."""
    return _net_numerator(tariff) * (BASIS_POINTS_PER_WHOLE + tariff.vat_basis_points)


def _vat_within(gross_minor: int, tariff: TariffDraft) -> int:
    """Return the VAT contained in a gross amount, rounded half up."""
    rate = tariff.vat_basis_points
    return divide_half_up(gross_minor * rate, BASIS_POINTS_PER_WHOLE + rate)
