"""What entries do to balances; pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from vending.ledger.errors import InsufficientBalanceError
from vending.ledger.model import Account, AccountCode, Balance, JournalEntry


def compute_changes(
    entries: Iterable[JournalEntry], accounts: Mapping[AccountCode, Account]
) -> dict[AccountCode, int]:
    """Return by how much each account changes, in the direction of its kind."""
    changes: defaultdict[AccountCode, int] = defaultdict(int)
    for entry in entries:
        for leg in entry.postings:
            changes[leg.account_code] += accounts[leg.account_code].kind.sign * leg.minor
    return dict(changes)


def require_floor(balance: Balance, change_minor: int) -> None:
    """Check that the change leaves the account at or above its floor.

    A change upwards is always welcome, even while the account is below a floor.

    Raises:
        InsufficientBalanceError: It would fall below.
    """
    floor = balance.account.floor_minor
    if floor is not None and change_minor < 0 and balance.minor + change_minor < floor:
        raise InsufficientBalanceError(
            balance.account.code,
            balance_minor=balance.minor,
            change_minor=change_minor,
            floor_minor=floor,
        )


def apply_entry(
    balances: Mapping[AccountCode, Balance], entry: JournalEntry
) -> dict[AccountCode, Balance]:
    """Return the balances after the entry; accounts that `balances` leaves out are not looked at.

    A batch of sales uses it to refuse, one by one, what a float can no longer carry.

    Raises:
        InsufficientBalanceError: An account would fall below its floor.
    """
    known = {code: balance.account for code, balance in balances.items()}
    watched = [leg for leg in entry.postings if leg.account_code in known]
    after = dict(balances)
    changes: defaultdict[AccountCode, int] = defaultdict(int)
    for leg in watched:
        changes[leg.account_code] += known[leg.account_code].kind.sign * leg.minor
    for code, change in changes.items():
        require_floor(balances[code], change)
        after[code] = Balance(known[code], balances[code].minor + change)
    return after
