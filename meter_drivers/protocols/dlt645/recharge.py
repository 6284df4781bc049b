"""What a prepaid meter does with purchases: which it takes, which it refuses, and why.

The prepaid supplement of DL/T 645-2007 and the State Grid acceptance tests. Pure: a wallet and a
message in, the next wallet and the outcome out; the time is that of the meter's clock, and whether
a MAC is right was asked of the secure element before. Rules, in the order they are applied:

1. a suspended wallet refuses everything until the day is over: SUSPENDED
2. without a valid identity session nothing is taken: NO_SESSION
3. a wrong MAC is SECURE_ELEMENT; the 3rd ends the session, the 15th of a day suspends
4. a purchase before an account is open: OTHER; a second opening: as 6 and 7 say, else OTHER
5. another customer than the account's: CUSTOMER_NUMBER
6. the stored count, or the last order, again: REPEATED_RECHARGE, and nothing changes
7. a count that is not the stored one + 1: PURCHASE_COUNT
8. a balance past the hoarding limit: HOARDING; a refund of more than there is: OTHER
9. else the amount repays the overdraft first, and what is left of it is credit

Number 4 has no bit of its own in the standard, and 8 none for refunds; OTHER is our reading.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

from meter_drivers.protocols.dlt645.prepaid import (
    CUSTOMER_DIGITS,
    SESSION_MINUTES_DEFAULT,
    SecurityFunction,
)
from meter_drivers.protocols.dlt645.purchases import (
    OrderPurchase,
    Purchase,
    WalletInitialisation,
)
from meter_drivers.protocols.dlt645.refusals import SecurityError
from meter_drivers.protocols.dlt645.signing import Session

SESSION_MAC_FAILURES_MAX: Final = 3
"""So many wrong MACs end the session."""
DAY_MAC_FAILURES_MAX: Final = 15
"""So many in one day suspend the wallet until it is over."""
NO_CUSTOMER: Final = "0" * CUSTOMER_DIGITS
HOARDING_LIMIT_MINOR: Final = 99_999_999
"""As shipped: 999,999.99."""

_OPENINGS: Final = frozenset({SecurityFunction.OPEN_ACCOUNT, SecurityFunction.OPEN_BY_ORDER})
_REFUNDS: Final = frozenset({SecurityFunction.REFUND, SecurityFunction.REFUND_BY_ORDER})


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session and how long it is good for."""

    session: Session
    ends_at: datetime
    mac_failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """The money side of a meter; amounts in 0.01 of its currency."""

    balance_minor: int = 0
    overdraft_minor: int = 0
    """What the customer owes the meter (透支金额); repaid before the balance grows."""
    count: int = 0
    """The purchase count (购电次数)."""
    customer_number: str = NO_CUSTOMER
    is_open: bool = False
    keys_are_live: bool = True
    """False under test keys, which alone let the wallet be initialised."""
    hoarding_limit_minor: int = HOARDING_LIMIT_MINOR
    session_minutes: int = SESSION_MINUTES_DEFAULT
    open_session: OpenSession | None = None
    mac_failures_on: date | None = None
    """The day the next number counts; `None` before the first wrong MAC."""
    mac_failures: int = 0
    last_order: bytes | None = None
    """The order number taken last, in the form that has one."""

    def is_suspended(self, now: datetime) -> bool:
        """Return whether wrong MACs locked it for this day."""
        return self.mac_failures >= DAY_MAC_FAILURES_MAX and self.mac_failures_on == now.date()

    def find_session(self, now: datetime) -> Session | None:
        """Return the session that is valid now, `None` if there is none."""
        held = self.open_session
        return held.session if held and now < held.ends_at else None


@dataclass(frozen=True, slots=True)
class Taken:
    """A purchase was taken: what of it repaid the overdraft, and what became credit."""

    repaid_minor: int
    credited_minor: int
    """Below zero by a refund."""


# --- sessions -----------------------------------------------------------------------------------
def begin_session(
    wallet: Wallet, session: Session | None, *, now: datetime
) -> tuple[Wallet, SecurityError | None]:
    """Return the wallet after an authentication; `session` is `None` if it was not genuine."""
    if wallet.is_suspended(now):
        return wallet, SecurityError.SUSPENDED
    if session is None:
        return wallet, SecurityError.NO_SESSION
    ends_at = now + timedelta(minutes=wallet.session_minutes)
    return replace(wallet, open_session=OpenSession(session, ends_at)), None


def end_session(wallet: Wallet) -> Wallet:
    """Return the wallet without a session."""
    return replace(wallet, open_session=None)


def set_session_validity(
    wallet: Wallet, minutes: int, *, is_genuine: bool, now: datetime
) -> tuple[Wallet, SecurityError | None]:
    """Return the wallet whose sessions, this one included, last so many minutes from now."""
    wallet, refusal = check_mac(wallet, is_genuine=is_genuine, now=now)
    if refusal is not None or wallet.open_session is None:
        return wallet, refusal
    held = replace(wallet.open_session, ends_at=now + timedelta(minutes=minutes))
    return replace(wallet, session_minutes=minutes, open_session=held), None


def check_mac(
    wallet: Wallet, *, is_genuine: bool, now: datetime
) -> tuple[Wallet, SecurityError | None]:
    """Return the wallet after rules 1 to 3, and the refusal if one of them holds."""
    if wallet.is_suspended(now):
        return wallet, SecurityError.SUSPENDED
    held = wallet.open_session
    if held is None or wallet.find_session(now) is None:
        return wallet, SecurityError.NO_SESSION
    if is_genuine:
        return wallet, None
    of_day = wallet.mac_failures if wallet.mac_failures_on == now.date() else 0
    of_session = held.mac_failures + 1
    ends = of_session >= SESSION_MAC_FAILURES_MAX or of_day + 1 >= DAY_MAC_FAILURES_MAX
    failed = replace(
        wallet,
        open_session=None if ends else replace(held, mac_failures=of_session),
        mac_failures_on=now.date(),
        mac_failures=of_day + 1,
    )
    return failed, SecurityError.SECURE_ELEMENT


# --- purchases ----------------------------------------------------------------------------------
def take_purchase(
    wallet: Wallet, purchase: Purchase | OrderPurchase, *, is_genuine: bool, now: datetime
) -> tuple[Wallet, Taken | SecurityError]:
    """Return the wallet after an opening, recharge or refund, and what came of it."""
    wallet, refusal = check_mac(wallet, is_genuine=is_genuine, now=now)
    if refusal is not None:
        return wallet, refusal
    function, amount, customer = _read_terms(purchase)
    refusal = (
        _judge_account(wallet, purchase, function, customer)
        or _judge_guard(wallet, purchase)
        or _judge_amount(wallet, function, amount)
    )
    if refusal is not None:
        return wallet, refusal
    taken = _split_amount(wallet, function, amount)
    return _record_guard(wallet, purchase, customer, taken), taken


def initialise_wallet(
    wallet: Wallet, message: WalletInitialisation, *, is_genuine: bool, now: datetime
) -> tuple[Wallet, SecurityError | None]:
    """Return the wallet set to an amount, without account, overdraft and count; test keys only."""
    wallet, refusal = check_mac(wallet, is_genuine=is_genuine, now=now)
    if refusal is not None:
        return wallet, refusal
    if wallet.keys_are_live:
        return wallet, SecurityError.OTHER
    if message.count != 0:
        return wallet, SecurityError.PURCHASE_COUNT
    if message.amount_minor > wallet.hoarding_limit_minor:
        return wallet, SecurityError.HOARDING
    fresh = replace(
        wallet,
        balance_minor=message.amount_minor,
        overdraft_minor=0,
        count=0,
        customer_number=NO_CUSTOMER,
        is_open=False,
        last_order=None,
    )
    return fresh, None


def _read_terms(purchase: Purchase | OrderPurchase) -> tuple[SecurityFunction, int, str]:
    if isinstance(purchase, OrderPurchase):
        return purchase.function, purchase.amount_minor, purchase.customer_number
    terms = purchase.terms
    return terms.function, terms.amount_minor, terms.customer_number


def _judge_account(
    wallet: Wallet,
    purchase: Purchase | OrderPurchase,
    function: SecurityFunction,
    customer: str,
) -> SecurityError | None:
    if function in _OPENINGS:
        return (_judge_guard(wallet, purchase) or SecurityError.OTHER) if wallet.is_open else None
    if not wallet.is_open:
        return SecurityError.OTHER
    return None if customer == wallet.customer_number else SecurityError.CUSTOMER_NUMBER


def _judge_guard(wallet: Wallet, purchase: Purchase | OrderPurchase) -> SecurityError | None:
    if isinstance(purchase, OrderPurchase):
        is_repeated = purchase.order_number == wallet.last_order
        return SecurityError.REPEATED_RECHARGE if is_repeated else None
    if purchase.terms.count == wallet.count:
        return SecurityError.REPEATED_RECHARGE
    return None if purchase.terms.count == wallet.count + 1 else SecurityError.PURCHASE_COUNT


def _judge_amount(wallet: Wallet, function: SecurityFunction, amount: int) -> SecurityError | None:
    if function in _REFUNDS:
        return SecurityError.OTHER if amount > wallet.balance_minor else None
    after = wallet.balance_minor + _split_amount(wallet, function, amount).credited_minor
    return SecurityError.HOARDING if after > wallet.hoarding_limit_minor else None


def _split_amount(wallet: Wallet, function: SecurityFunction, amount: int) -> Taken:
    if function in _REFUNDS:
        return Taken(0, -amount)
    repaid = min(amount, wallet.overdraft_minor)
    return Taken(repaid, amount - repaid)


def _record_guard(
    wallet: Wallet, purchase: Purchase | OrderPurchase, customer: str, taken: Taken
) -> Wallet:
    order = purchase.order_number if isinstance(purchase, OrderPurchase) else wallet.last_order
    return replace(
        wallet,
        balance_minor=wallet.balance_minor + taken.credited_minor,
        overdraft_minor=wallet.overdraft_minor - taken.repaid_minor,
        count=wallet.count + 1,
        customer_number=customer,
        is_open=True,
        last_order=order,
    )
