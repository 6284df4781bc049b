from dataclasses import replace
from datetime import timedelta

import pytest

from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.prepaid import SecurityFunction, SessionOpened
from meter_drivers.protocols.dlt645.purchases import Purchase, PurchaseTerms
from meter_drivers.protocols.dlt645.recharge import Wallet, begin_session
from meter_drivers.protocols.dlt645.refusals import SecurityError
from meter_drivers.protocols.dlt645.signing import Session
from simulators.dlt645_security import ToySigner
from simulators.faults import new_byte_source
from simulators.prepaid_meter import PrepaidMeter, PurchaseBook
from simulators.purchases import (
    RECORDS_MAX,
    enter_purchase,
    meter_time,
    wallet_of,
    with_wallet,
)

CUSTOMER = "000000000007"
ADDRESS = Address.parse("161")
AUTHENTICATION = ToySigner(new_byte_source(1)).open_session(ADDRESS)
SESSION = Session(ADDRESS, AUTHENTICATION, SessionOpened(bytes(4), bytes(8)))


@pytest.fixture
def prepaid(meter: PrepaidMeter) -> PrepaidMeter:
    """A meter whose wallet counts 0.01 kWh, with an open account and a session."""
    wallet = Wallet(count=3, customer_number=CUSTOMER, is_open=True)
    meter = replace(meter, purchases=PurchaseBook(wallet, price_minor=100))
    begun, refusal = begin_session(wallet_of(meter), SESSION, now=meter_time(meter))
    assert refusal is None
    return with_wallet(meter, begun)


def buy(count: int, amount: int = 250) -> Purchase:
    function = SecurityFunction.REFUND if amount < 0 else SecurityFunction.RECHARGE
    return Purchase(PurchaseTerms(function, abs(amount), count, CUSTOMER), bytes(4), bytes(4))


def test_purchase_becomes_credit_and_a_record(prepaid: PrepaidMeter) -> None:
    before = wallet_of(prepaid)
    after, refusal = enter_purchase(prepaid, buy(4), is_genuine=True)
    assert refusal is None
    assert after.electric.balance_wh == prepaid.electric.balance_wh + 2500
    assert wallet_of(after).balance_minor == before.balance_minor + 250
    (record,) = after.purchases.records
    assert (record.count, record.amount_minor) == (4, 250)
    assert record.after_minor - record.before_minor == 250


def test_same_purchase_again_changes_nothing(prepaid: PrepaidMeter) -> None:
    once, _ = enter_purchase(prepaid, buy(4), is_genuine=True)
    twice, refusal = enter_purchase(once, buy(4), is_genuine=True)
    assert refusal is SecurityError.REPEATED_RECHARGE
    assert (twice.electric, twice.purchases.records) == (once.electric, once.purchases.records)


def test_overdraft_is_repaid_from_the_whole_amount(prepaid: PrepaidMeter) -> None:
    owed = replace(prepaid.electric, consumed_wh=prepaid.electric.accepted_wh + 1000)
    indebted = replace(prepaid, electric=owed)
    assert wallet_of(indebted).overdraft_minor == 100
    after, _ = enter_purchase(indebted, buy(4), is_genuine=True)
    wallet = wallet_of(after)
    assert (wallet.balance_minor, wallet.overdraft_minor) == (150, 0)
    assert after.purchases.records[0].amount_minor == 250


@pytest.mark.parametrize(
    ("purchase", "is_genuine", "refusal"),
    [
        (buy(4), False, SecurityError.SECURE_ELEMENT),
        (buy(5), True, SecurityError.PURCHASE_COUNT),
        (buy(4, -1), True, SecurityError.OTHER),
    ],
)
def test_refused_purchase_leaves_the_credit(
    prepaid: PrepaidMeter, purchase: Purchase, refusal: SecurityError, *, is_genuine: bool
) -> None:
    after, refused = enter_purchase(prepaid, purchase, is_genuine=is_genuine)
    assert refused is refusal
    assert after.electric == prepaid.electric
    assert after.purchases.records == ()


def test_purchase_past_the_credit_register_is_refused(prepaid: PrepaidMeter) -> None:
    rating = replace(prepaid.electric.rating, credit_max_wh=prepaid.electric.balance_wh + 10)
    full = replace(prepaid, electric=replace(prepaid.electric, rating=rating))
    after, refusal = enter_purchase(full, buy(4), is_genuine=True)
    assert (after, refusal) == (full, SecurityError.HOARDING)


def test_session_ends_with_its_time(prepaid: PrepaidMeter) -> None:
    later_ms = prepaid.electric.at_ms + timedelta(minutes=6) // timedelta(milliseconds=1)
    late = replace(prepaid, electric=replace(prepaid.electric, at_ms=later_ms))
    _, refusal = enter_purchase(late, buy(4), is_genuine=True)
    assert refusal is SecurityError.NO_SESSION


def test_only_the_newest_records_are_kept(prepaid: PrepaidMeter) -> None:
    meter = prepaid
    for count in range(4, 4 + RECORDS_MAX + 2):
        meter, _ = enter_purchase(meter, buy(count, 1), is_genuine=True)
    assert [record.count for record in meter.purchases.records][:2] == [15, 14]
    assert len(meter.purchases.records) == RECORDS_MAX
