from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import pytest

from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.prepaid import (
    Authentication,
    SecurityFunction,
    SessionOpened,
)
from meter_drivers.protocols.dlt645.purchases import (
    OrderPurchase,
    Purchase,
    PurchaseTerms,
    WalletInitialisation,
)
from meter_drivers.protocols.dlt645.recharge import (
    DAY_MAC_FAILURES_MAX,
    SESSION_MAC_FAILURES_MAX,
    Taken,
    Wallet,
    begin_session,
    end_session,
    initialise_wallet,
    set_session_validity,
    take_purchase,
)
from meter_drivers.protocols.dlt645.refusals import SecurityError
from meter_drivers.protocols.dlt645.signing import Session

NOW: Final = datetime(2026, 11, 25, 12)  # noqa: DTZ001
CUSTOMER: Final = "000000000042"
SESSION: Final = Session(
    Address.parse("161"),
    Authentication(bytes(8), bytes(8), bytes(8)),
    SessionOpened(bytes(4), bytes(8)),
)
MAC: Final = bytes(4)


def begun(wallet: Wallet) -> Wallet:
    opened, refusal = begin_session(wallet, SESSION, now=NOW)
    assert refusal is None
    return opened


OPEN: Final = begun(
    Wallet(
        balance_minor=1_000,
        count=3,
        customer_number=CUSTOMER,
        is_open=True,
        hoarding_limit_minor=10_000,
    )
)


def recharge(
    count: int = 4,
    amount: int = 500,
    customer: str = CUSTOMER,
    function: SecurityFunction = SecurityFunction.RECHARGE,
) -> Purchase:
    return Purchase(PurchaseTerms(function, amount, count, customer), MAC, MAC)


def order(number: int, amount: int = 500) -> OrderPurchase:
    content = number.to_bytes(8, "little")
    function = SecurityFunction.RECHARGE_BY_ORDER
    return OrderPurchase(function, amount, content, MAC, "0" * 12, CUSTOMER, MAC)


def take(
    wallet: Wallet,
    purchase: Purchase | OrderPurchase,
    *,
    is_genuine: bool = True,
    now: datetime = NOW,
) -> tuple[Wallet, Taken | SecurityError]:
    return take_purchase(wallet, purchase, is_genuine=is_genuine, now=now)


def test_next_count_is_taken() -> None:
    wallet, taken = take(OPEN, recharge(4))
    assert taken == Taken(0, 500)
    assert wallet == replace(OPEN, balance_minor=1_500, count=4)


REFUSALS = [
    (OPEN, recharge(5), SecurityError.PURCHASE_COUNT),
    (OPEN, recharge(2), SecurityError.PURCHASE_COUNT),
    (OPEN, recharge(3), SecurityError.REPEATED_RECHARGE),
    (OPEN, recharge(4, amount=9_001), SecurityError.HOARDING),
    (OPEN, recharge(4, customer="000000000043"), SecurityError.CUSTOMER_NUMBER),
    (replace(OPEN, is_open=False), recharge(4), SecurityError.OTHER),
    (end_session(OPEN), recharge(4), SecurityError.NO_SESSION),
    (OPEN, recharge(4, function=SecurityFunction.OPEN_ACCOUNT), SecurityError.OTHER),
    (OPEN, recharge(3, function=SecurityFunction.OPEN_ACCOUNT), SecurityError.REPEATED_RECHARGE),
    (OPEN, recharge(9, function=SecurityFunction.OPEN_ACCOUNT), SecurityError.PURCHASE_COUNT),
    (OPEN, recharge(4, 1_001, function=SecurityFunction.REFUND), SecurityError.OTHER),
]


@pytest.mark.parametrize(("wallet", "purchase", "refusal"), REFUSALS)
def test_purchase_is_refused_and_nothing_changes(
    wallet: Wallet, purchase: Purchase, refusal: SecurityError
) -> None:
    assert take(wallet, purchase) == (wallet, refusal)


def test_repeat_of_a_purchase_is_told_and_changes_nothing() -> None:
    wallet, _ = take(OPEN, recharge(4))
    assert take(wallet, recharge(4)) == (wallet, SecurityError.REPEATED_RECHARGE)


def test_balance_may_reach_the_hoarding_limit() -> None:
    assert take(OPEN, recharge(4, amount=9_000))[0].balance_minor == 10_000


@pytest.mark.parametrize(
    ("amount", "expected"), [(300, Taken(300, 0)), (400, Taken(400, 0)), (500, Taken(400, 100))]
)
def test_overdraft_is_repaid_first(amount: int, expected: Taken) -> None:
    indebted = replace(OPEN, balance_minor=0, overdraft_minor=400)
    wallet, taken = take(indebted, recharge(4, amount=amount))
    assert taken == expected
    assert wallet.overdraft_minor == 400 - expected.repaid_minor
    assert wallet.balance_minor == expected.credited_minor


def test_what_repays_the_overdraft_is_not_hoarded() -> None:
    indebted = replace(OPEN, balance_minor=0, overdraft_minor=400)
    assert take(indebted, recharge(4, amount=10_400))[1] == Taken(400, 10_000)


def test_opening_gives_the_account_its_customer() -> None:
    purchase = recharge(1, 500, function=SecurityFunction.OPEN_ACCOUNT)
    wallet, taken = take(begun(Wallet()), purchase)
    assert taken == Taken(0, 500)
    assert (wallet.is_open, wallet.customer_number, wallet.count) == (True, CUSTOMER, 1)


def test_refund_is_taken_from_the_balance() -> None:
    wallet, taken = take(OPEN, recharge(4, 1_000, function=SecurityFunction.REFUND))
    assert taken == Taken(0, -1_000)
    assert (wallet.balance_minor, wallet.count) == (0, 4)


def test_order_number_guards_its_form() -> None:
    wallet, taken = take(OPEN, order(7))
    assert taken == Taken(0, 500)
    assert take(wallet, order(7)) == (wallet, SecurityError.REPEATED_RECHARGE)
    assert take(wallet, order(8))[1] == Taken(0, 500)


# --- sessions -----------------------------------------------------------------------------------
def test_session_ends_with_its_validity() -> None:
    last = NOW + timedelta(minutes=5) - timedelta(seconds=1)
    assert take(OPEN, recharge(4), now=last)[1] == Taken(0, 500)
    refused = take(OPEN, recharge(4), now=NOW + timedelta(minutes=5))
    assert refused == (OPEN, SecurityError.NO_SESSION)


def test_session_validity_holds_for_this_session_and_the_next() -> None:
    wallet, refusal = set_session_validity(OPEN, 30, is_genuine=True, now=NOW)
    assert refusal is None
    assert wallet.find_session(NOW + timedelta(minutes=29)) is SESSION
    assert begun(end_session(wallet)).find_session(NOW + timedelta(minutes=29)) is SESSION


def test_session_validity_needs_a_session_and_a_mac() -> None:
    assert set_session_validity(Wallet(), 30, is_genuine=True, now=NOW)[1] is (
        SecurityError.NO_SESSION
    )
    wallet, refusal = set_session_validity(OPEN, 30, is_genuine=False, now=NOW)
    assert refusal is SecurityError.SECURE_ELEMENT
    assert wallet.session_minutes == OPEN.session_minutes


def test_authentication_that_is_not_genuine_opens_nothing() -> None:
    assert begin_session(Wallet(), None, now=NOW) == (Wallet(), SecurityError.NO_SESSION)


def test_third_wrong_mac_ends_the_session() -> None:
    wallet = OPEN
    for _ in range(SESSION_MAC_FAILURES_MAX):
        assert wallet.find_session(NOW) is SESSION
        wallet, refusal = take(wallet, recharge(4), is_genuine=False)
        assert refusal is SecurityError.SECURE_ELEMENT
    assert wallet.find_session(NOW) is None
    assert wallet.balance_minor == OPEN.balance_minor


def fail_for_a_day(wallet: Wallet) -> Wallet:
    for _ in range(DAY_MAC_FAILURES_MAX):
        if wallet.find_session(NOW) is None:
            wallet = begun(wallet)
        wallet, refusal = take(wallet, recharge(4), is_genuine=False)
        assert refusal is SecurityError.SECURE_ELEMENT
    return wallet


def test_fifteenth_wrong_mac_suspends_until_the_day_is_over() -> None:
    wallet = fail_for_a_day(OPEN)
    assert begin_session(wallet, SESSION, now=NOW) == (wallet, SecurityError.SUSPENDED)
    assert take(wallet, recharge(4)) == (wallet, SecurityError.SUSPENDED)
    tomorrow = NOW + timedelta(days=1)
    opened, refusal = begin_session(wallet, SESSION, now=tomorrow)
    assert refusal is None
    assert take(opened, recharge(4), now=tomorrow)[1] == Taken(0, 500)


def test_wrong_macs_of_yesterday_do_not_count() -> None:
    tomorrow = NOW + timedelta(days=1)
    opened, _ = begin_session(fail_for_a_day(OPEN), SESSION, now=tomorrow)
    failed, _ = take(opened, recharge(4), is_genuine=False, now=tomorrow)
    assert failed.mac_failures == 1


# --- initialising -------------------------------------------------------------------------------
INITIALISE = WalletInitialisation(700, MAC, MAC)


def test_wallet_is_initialised_under_test_keys() -> None:
    testing = replace(OPEN, keys_are_live=False, overdraft_minor=5, last_order=bytes(8))
    wallet, refusal = initialise_wallet(testing, INITIALISE, is_genuine=True, now=NOW)
    assert refusal is None
    assert (wallet.balance_minor, wallet.count, wallet.is_open) == (700, 0, False)
    assert (wallet.overdraft_minor, wallet.last_order) == (0, None)


@pytest.mark.parametrize(
    ("wallet", "message", "refusal"),
    [
        (OPEN, INITIALISE, SecurityError.OTHER),
        (end_session(OPEN), INITIALISE, SecurityError.NO_SESSION),
        (
            replace(OPEN, keys_are_live=False),
            replace(INITIALISE, count=1),
            SecurityError.PURCHASE_COUNT,
        ),
        (
            replace(OPEN, keys_are_live=False),
            replace(INITIALISE, amount_minor=10_001),
            SecurityError.HOARDING,
        ),
    ],
)
def test_wallet_is_not_initialised(
    wallet: Wallet, message: WalletInitialisation, refusal: SecurityError
) -> None:
    assert initialise_wallet(wallet, message, is_genuine=True, now=NOW) == (wallet, refusal)
