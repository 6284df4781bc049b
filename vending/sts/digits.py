"""Strings of decimal digits, the form in which IEC 62055-41 numbers reach people."""

from collections.abc import Collection
from typing import Final

from vending.sts.errors import FieldFormatError

_GROUP_SIZE: Final = 4
_SEPARATORS: Final = str.maketrans("", "", " -\t\u00a0")


def is_digits(text: str) -> bool:
    """Say whether a text is one or more of the ASCII digits, and nothing else."""
    return text.isascii() and text.isdecimal()


def require_digits(field: str, text: str, lengths: Collection[int]) -> None:
    """Refuse a text that is not digits, or not of one of these lengths.

    Raises:
        FieldFormatError: It is not; the message names the field and the lengths.
    """
    if not is_digits(text) or len(text) not in lengths:
        wanted = " or ".join(str(length) for length in lengths)
        raise FieldFormatError(field=field, given=text, wanted=f"{wanted} digits")


def group_digits(digits: str) -> str:
    """Return digits in groups of four, as a customer reads them: `7063 0503 4700 2872 6114`."""
    starts = range(0, len(digits), _GROUP_SIZE)
    return " ".join(digits[start : start + _GROUP_SIZE] for start in starts)


def ungroup_digits(text: str) -> str:
    """Return a typed number without the spaces and hyphens people put in."""
    return text.translate(_SEPARATORS)
