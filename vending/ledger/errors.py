"""What the ledger refuses, and why.

ValueError
└── UnbalancedEntryError      our own code built an impossible entry
VendingError
├── InsufficientBalanceError  an account would fall below its floor
├── FloorAboveBalanceError    a floor would be set above what is there
├── AccountNotFoundError      nobody opened the account
├── AccountMismatchError      the account is of another kind or currency
├── EntryExistsError          the entry was posted before
└── AlreadyReversedError      the entry was reversed before
"""

import uuid
from collections.abc import Sequence
from typing import ClassVar, Final

from vending.errors import ErrorKind, VendingError

_IDS_SHOWN_MAX: Final = 5


class UnbalancedEntryError(ValueError):
    """An entry breaks a law of double entry; the message says which."""


class InsufficientBalanceError(VendingError):
    """The account holds too little for the entry; nothing was posted."""

    kind: ClassVar[ErrorKind] = ErrorKind.REFUSED
    code: ClassVar[str] = "insufficient_balance"
    remedy: ClassVar[str] = "pay into the account, or ask for a higher credit line"

    def __init__(
        self, account_code: str, *, balance_minor: int, change_minor: int, floor_minor: int
    ) -> None:
        super().__init__(
            f"account {account_code} holds {balance_minor}; a change of {change_minor} would take"
            f" it below its floor of {floor_minor} (minor units)",
            account=account_code,
            balance_minor=balance_minor,
            change_minor=change_minor,
            floor_minor=floor_minor,
        )


class FloorAboveBalanceError(VendingError):
    """The account holds less than the floor it should get."""

    kind: ClassVar[ErrorKind] = ErrorKind.REFUSED
    code: ClassVar[str] = "floor_above_balance"
    remedy: ClassVar[str] = "pay into the account first, or choose a lower floor"

    def __init__(self, account_code: str, *, balance_minor: int, floor_minor: int) -> None:
        super().__init__(
            f"account {account_code} holds {balance_minor}, less than a floor of {floor_minor}"
            " (minor units)",
            account=account_code,
            balance_minor=balance_minor,
            floor_minor=floor_minor,
        )


class AccountNotFoundError(VendingError):
    """No account has this code."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    code: ClassVar[str] = "account_not_found"
    remedy: ClassVar[str] = "see the codes that `vending ledger balance` lists"

    def __init__(self, account_code: str) -> None:
        super().__init__(f"there is no account {account_code}", account=account_code)


class AccountMismatchError(VendingError):
    """The account exists with another kind or currency."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "account_mismatch"
    remedy: ClassVar[str] = "an account keeps its kind and currency; open another one"

    def __init__(self, account_code: str, *, stored: str, given: str) -> None:
        super().__init__(
            f"account {account_code} is {stored}, not {given}",
            account=account_code,
            stored=stored,
            given=given,
        )


class EntryExistsError(VendingError):
    """One of the entries was posted before; nothing was posted now."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "entry_exists"
    remedy: ClassVar[str] = "read the entry; a correction is a new entry"

    def __init__(self, entry_ids: Sequence[uuid.UUID]) -> None:
        shown = ", ".join(str(entry_id) for entry_id in entry_ids[:_IDS_SHOWN_MAX])
        super().__init__(
            f"an entry was posted before; among {len(entry_ids)}: {shown}",
            entry_ids=shown,
            entry_count=len(entry_ids),
        )


class AlreadyReversedError(VendingError):
    """The entry was reversed before; nothing was posted now."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "already_reversed"
    remedy: ClassVar[str] = "read the reversal that exists"

    def __init__(self, entry_ids: Sequence[uuid.UUID]) -> None:
        shown = ", ".join(str(entry_id) for entry_id in entry_ids[:_IDS_SHOWN_MAX])
        super().__init__(f"an entry was reversed before; among: {shown}", entry_ids=shown)
