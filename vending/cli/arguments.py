"""Turns what was typed into values, and refuses it by the name of its option."""

import getpass
import os
from collections.abc import Callable

from vending.errors import ErrorKind, VendingError
from vending.values.money import Currency, UnknownCurrencyError


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


def name_actor(read: Callable[[], str] = getpass.getuser) -> str:
    """Return who types the command: the login name, else the number of the user.

    A container often runs as a user that no password file knows.
    """
    try:
        return read()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
