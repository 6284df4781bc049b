"""Money as whole minor units of one currency; rounding has a name."""

import re
from dataclasses import dataclass
from typing import Final, Self

from babel.numbers import get_currency_precision, list_currencies

_DECIMAL: Final = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]+))?")
KNOWN_CURRENCIES: Final = frozenset(list_currencies("en"))


class MoneyFormatError(ValueError):
    """A text is not an amount of the currency; the message says which form is wanted."""


class UnknownCurrencyError(ValueError):
    """A text is not an ISO 4217 currency code."""


@dataclass(frozen=True, slots=True, order=True)
class Currency:
    """An ISO 4217 currency, such as `KES`."""

    code: str

    def __post_init__(self) -> None:
        if self.code not in KNOWN_CURRENCIES:
            message = f"{self.code!r} is no ISO 4217 currency; write three capitals such as KES"
            raise UnknownCurrencyError(message)

    @property
    def exponent(self) -> int:
        """Return the number of decimal places of the minor unit: 2 for KES, 0 for UGX."""
        return get_currency_precision(self.code)

    def __str__(self) -> str:
        return self.code


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of its currency; adding two currencies is an error."""

    minor: int
    currency: Currency

    @classmethod
    def parse(cls, text: str, currency: Currency) -> Self:
        """Return the amount written as a decimal in major units, such as `50.00`.

        Raises:
            MoneyFormatError: The text is no decimal, or has more places than the currency.
        """
        match = _DECIMAL.fullmatch(text.strip())
        if match is None or len(match[3] or "") > currency.exponent:
            message = (
                f"{text!r} is no amount of {currency}: write digits with at most "
                f"{currency.exponent} decimal places"
            )
            raise MoneyFormatError(message)
        fraction = (match[3] or "").ljust(currency.exponent, "0")
        return cls(int(match[1] + match[2] + fraction), currency)

    def __add__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __str__(self) -> str:
        return f"{self.to_decimal()} {self.currency}"

    def to_decimal(self) -> str:
        """Return it in major units without the currency, such as `-0.05`."""
        exponent = self.currency.exponent
        digits = str(abs(self.minor)).rjust(exponent + 1, "0")
        sign = "-" if self.minor < 0 else ""
        if exponent == 0:
            return f"{sign}{digits}"
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"

    def _require_same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            message = f"{self.currency} and {other.currency} do not add"
            raise ValueError(message)


def divide_half_up(numerator: int, denominator: int) -> int:
    """Return the quotient rounded to the nearest whole, a half away from zero.

    This is commercial rounding, the rule that tax offices print; `denominator` is positive.
    """
    assert denominator > 0, "a divisor of money is positive"
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude
