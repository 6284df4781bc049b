"""Accounts and balanced entries: the records of double entry."""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from vending.ledger.errors import UnbalancedEntryError
from vending.values.identifiers import EntryId
from vending.values.money import Currency

AccountCode = NewType("AccountCode", str)

CODE_LENGTH_MAX: Final = 120
POSTINGS_MIN: Final = 2
POSTINGS_MAX: Final = 1_000
MINOR_MAX: Final = 10**15
"""No single posting is larger: a thousand of them still fit 64 bits, nine times over."""

_CODE: Final = re.compile(r"[a-z][a-z0-9-]*(?::[A-Za-z0-9_.-]+)*")


def account_code(*parts: object) -> AccountCode:
    """Return the code made of the parts, such as `partner:<id>:float`.

    Raises:
        ValueError: A part is empty or holds a character other than letters, digits, `-_.`.
    """
    code = ":".join(str(part) for part in parts)
    if _CODE.fullmatch(code) is None or len(code) > CODE_LENGTH_MAX:
        message = f"{code!r} is no account code"
        raise ValueError(message)
    return AccountCode(code)


class AccountKind(StrEnum):
    """What the account stands for; it decides on which side its balance is positive."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"

    @property
    def sign(self) -> int:
        """Return 1 where debits raise the balance (asset, expense), -1 where credits do."""
        return 1 if self in {AccountKind.ASSET, AccountKind.EXPENSE} else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of the ledger.

    `floor_minor` is the least balance it may have, in the direction of its kind: a partner's
    prepaid float is a liability with a floor of 0, or of minus its credit line. None: no floor,
    and no balance row either, so the account is never a place where sales queue up. The floor
    counts when the account is opened; `service.change_floor` alone changes it later.
    """

    code: AccountCode
    kind: AccountKind
    currency: Currency
    floor_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """One leg of an entry: `minor` units, a debit above zero, a credit below."""

    account_code: AccountCode
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """Something that happened to money: two or more postings of one currency that sum to zero.

    `reference` is the business object behind it (a sale's id), `reverses` the entry it undoes.
    """

    id: EntryId
    at: datetime
    kind: str
    reference: str
    currency: Currency
    postings: tuple[Posting, ...]
    reverses: EntryId | None = None

    def __post_init__(self) -> None:
        fault = _find_fault(self.postings)
        if fault is not None:
            message = f"entry {self.id} {fault}"
            raise UnbalancedEntryError(message)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds, in the direction of its kind; `floor_minor` None: no floor."""

    account: Account
    minor: int

    @property
    def available_minor(self) -> int | None:
        """Return how much may still be taken; None: without limit."""
        floor = self.account.floor_minor
        return None if floor is None else self.minor - floor


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """The totals of one account; over all accounts of a currency debits equal credits."""

    account: Account
    debit_minor: int
    credit_minor: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference that `service.verify` found; `subject` is an entry or an account."""

    code: str
    subject: str
    message: str


def build_reversal(
    entry: JournalEntry, *, entry_id: uuid.UUID, at: datetime, reference: str
) -> JournalEntry:
    """Return the entry that undoes another one, leg by leg."""
    return JournalEntry(
        id=EntryId(entry_id),
        at=at,
        kind=f"{entry.kind}-reversal",
        reference=reference,
        currency=entry.currency,
        postings=tuple(Posting(leg.account_code, -leg.minor) for leg in entry.postings),
        reverses=entry.id,
    )


def _find_fault(postings: tuple[Posting, ...]) -> str | None:
    if not POSTINGS_MIN <= len(postings) <= POSTINGS_MAX:
        return f"has {len(postings)} postings; {POSTINGS_MIN} to {POSTINGS_MAX} are allowed"
    if any(leg.minor == 0 or abs(leg.minor) > MINOR_MAX for leg in postings):
        return f"has a posting of zero or above {MINOR_MAX}"
    total = sum(leg.minor for leg in postings)
    return f"sums to {total}, not to zero" if total else None
