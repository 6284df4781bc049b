"""Turns what was typed into values, and refuses it by the name of its option."""

import getpass
import os
import re
from collections.abc import Callable
from typing import Final

from vending.errors import ErrorKind, VendingError
from vending.values.money import Currency, UnknownCurrencyError

_AMOUNT: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,4}))?")


class ArgumentInvalidError(VendingError):
    """An option of a command has a value that is none of those it takes."""

    kind = ErrorKind.INVALID
    code = "argument_invalid"
    remedy = "Correct the option named; --help shows what each takes."

    def __init__(self, option: str, given: str, *, wanted: str) -> None:
        super().__init__(f"{option} {given}: {wanted}", option=option, given=given, wanted=wanted)


def parse_currency(given: str, option: str = "--currency") -> Currency:
    """Return the currency.

    Raises:
        ArgumentInvalidError: It is no ISO 4217 code.
    """
    try:
        return Currency(given)
    except UnknownCurrencyError as error:
        wanted = "write an ISO 4217 code such as KES"
        raise ArgumentInvalidError(option, given, wanted=wanted) from error


def parse_amount(given: str, currency: Currency, option: str) -> int:
    """Return an amount of money such as `50` or `50.00` in minor units.

    Raises:
        ArgumentInvalidError: It is no amount of the currency.
    """
    match = _AMOUNT.fullmatch(given.strip())
    if match is None or len(match[2] or "") > currency.exponent:
        raise ArgumentInvalidError(option, given, wanted=f"write an amount in {currency}, as 50.00")
    return int(match[1] + (match[2] or "").ljust(currency.exponent, "0"))


def name_actor(read: Callable[[], str] = getpass.getuser) -> str:
    """Return who types the command: the login name, else the number of the user.

    A container often runs as a user that no password file knows.
    """
    try:
        return read()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
