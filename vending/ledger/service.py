"""The use cases of the ledger: post entries, read balances, prove that everything adds up."""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from vending.ledger import repository
from vending.ledger.errors import (
    AccountMismatchError,
    AccountNotFoundError,
    AlreadyReversedError,
    EntryExistsError,
    FloorAboveBalanceError,
)
from vending.ledger.model import (
    Account,
    AccountCode,
    Balance,
    Finding,
    JournalEntry,
    TrialBalanceLine,
)
from vending.ledger.rules import compute_changes, require_floor

VERIFY_CHUNK: Final = 10_000
"""Entries looked at between two calls of the progress callback."""
FINDINGS_MAX: Final = 1_000
"""A broken ledger is shown, not listed to the end."""

Progress = Callable[[int, int], None]
"""Called with the count of entries looked at and of all entries."""


def post_entries(
    connection: Connection, entries: Sequence[JournalEntry], accounts: Sequence[Account]
) -> None:
    """Write the entries, opening accounts on first use; all of them or, by an error, none.

    `accounts` are those the entries may need opened; one that exists is compared, not changed.
    Balances come last, so that the rows everybody needs are locked for the shortest time.

    Raises:
        AccountNotFoundError: A posting names an account that is neither there nor given.
        AccountMismatchError: An account is of another kind or currency.
        EntryExistsError: An entry was posted before.
        AlreadyReversedError: A reversed entry was reversed before.
        InsufficientBalanceError: An account would fall below its floor.
        IntegrityError: The database refuses what our own checks let through.
    """
    if not entries:
        return
    known = _open_accounts(connection, entries, accounts)
    try:
        repository.insert_entries(connection, entries)
    except IntegrityError as error:
        ours = _refusal_of(error, entries)
        if ours is None:
            raise
        raise ours from error
    _change_balances(connection, compute_changes(entries, known))


def open_accounts(connection: Connection, accounts: Sequence[Account]) -> None:
    """Open those of the accounts that are not there yet, each with a balance of 0."""
    repository.insert_accounts(connection, accounts)


def lock_accounts(
    connection: Connection, accounts: Sequence[Account]
) -> dict[AccountCode, Balance]:
    """Return the balances of accounts with a floor, opened where need be, locked in order.

    Who must decide on a balance before posting to it holds it so until the transaction ends.
    """
    codes = [account.code for account in accounts]
    locked = repository.lock_balances(connection, codes)
    missing = [account for account in accounts if account.code not in locked]
    if missing:
        repository.insert_accounts(connection, missing)
        locked = repository.lock_balances(connection, codes)
    return locked


def read_balances(
    connection: Connection, codes: Collection[AccountCode]
) -> dict[AccountCode, Balance]:
    """Return the balances of those accounts that exist.

    An account with a floor has its balance stored; of the others the postings are summed, which
    takes longer the more there are.
    """
    stored = repository.load_stored_balances(connection, codes)
    accounts = repository.load_accounts(connection, set(codes) - stored.keys())
    totals = repository.sum_postings(connection, accounts.keys())
    summed = {
        code: Balance(account, account.kind.sign * totals.get(code, 0))
        for code, account in accounts.items()
    }
    return stored | summed


def change_floor(connection: Connection, code: AccountCode, floor_minor: int) -> Balance:
    """Set the floor of an account, such as a new credit line; return the balance under it.

    Raises:
        AccountNotFoundError: Nobody opened the account.
        FloorAboveBalanceError: The account holds less than the new floor.
    """
    account = repository.load_accounts(connection, [code]).get(code)
    if account is None:
        raise AccountNotFoundError(code)
    locked = repository.lock_balances(connection, [code]).get(code)
    minor = (
        locked.minor
        if locked is not None
        else account.kind.sign * repository.sum_postings(connection, [code]).get(code, 0)
    )
    balance = Balance(_with_floor(account, floor_minor), minor)
    if minor < floor_minor:
        raise FloorAboveBalanceError(code, balance_minor=minor, floor_minor=floor_minor)
    if locked is None:
        repository.insert_balances(connection, [balance])
    else:
        repository.update_floor(connection, code, floor_minor)
    return balance


def find_entry(connection: Connection, entry_id: uuid.UUID) -> JournalEntry | None:
    """Return the entry; None: it was never posted."""
    found = repository.load_entries(connection, [entry_id])
    return found[0] if found else None


def list_entries(connection: Connection, reference: str) -> list[JournalEntry]:
    """Return the entries of one business object, oldest first."""
    return repository.load_entries_of(connection, reference)


def trial_balance(connection: Connection) -> list[TrialBalanceLine]:
    """Return the totals of every account, by currency and code."""
    return repository.sum_by_account(connection)


def verify(connection: Connection, progress: Progress | None = None) -> list[Finding]:
    """Rebuild every sum and balance from the postings; return each difference.

    The database refuses all of these; what is found here was done behind its back.
    """
    report = progress or _no_progress
    findings = _verify_entries(connection, report)
    findings += _verify_postings(connection)
    findings += _verify_balances(connection)
    findings += _verify_currencies(connection)
    return findings[:FINDINGS_MAX]


def _open_accounts(
    connection: Connection, entries: Iterable[JournalEntry], accounts: Iterable[Account]
) -> dict[AccountCode, Account]:
    """Return the accounts of the entries as stored, after opening those that are missing.

    Raises:
        AccountNotFoundError: A posting names an account that is neither there nor given.
        AccountMismatchError: An account is of another kind or currency.
    """
    given = {account.code: account for account in accounts}
    needed = {leg.account_code for entry in entries for leg in entry.postings}
    known = repository.load_accounts(connection, needed)
    missing = needed - known.keys()
    for code in sorted(missing):
        if code not in given:
            raise AccountNotFoundError(code)
    if missing:
        repository.insert_accounts(connection, [given[code] for code in missing])
        known |= repository.load_accounts(connection, missing)
    for entry in entries:
        for leg in entry.postings:
            account = known[leg.account_code]
            _require_same(account, given.get(account.code, account))
            if account.currency != entry.currency:
                raise AccountMismatchError(
                    account.code, stored=account.currency.code, given=entry.currency.code
                )
    return known


def _require_same(stored: Account, given: Account) -> None:
    if (stored.kind, stored.currency) != (given.kind, given.currency):
        raise AccountMismatchError(
            stored.code,
            stored=f"{stored.kind} {stored.currency}",
            given=f"{given.kind} {given.currency}",
        )


def _change_balances(connection: Connection, changes: Mapping[AccountCode, int]) -> None:
    balances = repository.lock_balances(connection, changes.keys())
    for code, balance in balances.items():
        require_floor(balance, changes[code])
    wanted = {code: changes[code] for code in balances if changes[code]}
    changed_count = repository.update_balances(connection, wanted)
    assert changed_count == len(wanted), "the rows are locked, their floors were looked at"


def _refusal_of(
    error: IntegrityError, entries: Sequence[JournalEntry]
) -> EntryExistsError | AlreadyReversedError | None:
    """Return the refusal behind a constraint; both engines name it in the message."""
    text = str(error.orig)
    if "uq_journal_entries_reverses" in text or "journal_entries.reverses" in text:
        return AlreadyReversedError([e.reverses for e in entries if e.reverses is not None])
    if any(name in text for name in ("pk_postings", "postings.entry_id", "pk_journal_entries")):
        return EntryExistsError([entry.id for entry in entries])
    return None


def _with_floor(account: Account, floor_minor: int) -> Account:
    return Account(
        code=account.code, kind=account.kind, currency=account.currency, floor_minor=floor_minor
    )


def _no_progress(done_count: int, total_count: int) -> None:
    del done_count, total_count


def _verify_entries(connection: Connection, progress: Progress) -> list[Finding]:
    total_count = repository.count_entries(connection)
    findings: list[Finding] = []
    done_count = 0
    after: uuid.UUID | None = None
    while len(findings) < FINDINGS_MAX:
        progress(done_count, total_count)
        until, count = repository.find_last_of_chunk(connection, after=after, size=VERIFY_CHUNK)
        if until is None:
            break
        findings += [
            Finding(
                "entry_unbalanced",
                str(row.id),
                f"has {row.line_count} of {row.posting_count} postings, their sum is {row.total}",
            )
            for row in repository.list_broken_entries(connection, after=after, until=until)
        ]
        done_count += count
        after = until
    return findings


def _verify_postings(connection: Connection) -> list[Finding]:
    unsealed = [
        Finding("posting_unsealed", str(entry_id), "has postings and no entry")
        for entry_id in repository.list_unsealed(connection, limit=FINDINGS_MAX)
    ]
    foreign = [
        Finding(
            "posting_foreign", str(row.entry_id), f"posts to {row.account_code}, not an account"
        )
        for row in repository.list_foreign_legs(connection, limit=FINDINGS_MAX)
    ]
    return unsealed + foreign


def _verify_balances(connection: Connection) -> list[Finding]:
    differing = [
        Finding(
            "balance_differs",
            row.account_code,
            f"stores {row.balance_minor}, postings say {row.rebuilt}",
        )
        for row in repository.list_broken_balances(connection, limit=FINDINGS_MAX)
    ]
    below = [
        Finding(
            "balance_below_floor",
            row.account_code,
            f"stores {row.balance_minor}, floor {row.floor_minor}",
        )
        for row in repository.list_below_floor(connection, limit=FINDINGS_MAX)
    ]
    return differing + below


def _verify_currencies(connection: Connection) -> list[Finding]:
    return [
        Finding("currency_unbalanced", row.currency, f"debits exceed credits by {row.total}")
        for row in repository.list_broken_currencies(connection)
    ]
