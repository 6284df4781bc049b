"""The wallet of a prepaid meter that counts purchases, over the one credit register it has.

The rules are those of `protocols.dlt645.recharge`; the register counts watt-hours, and a price
turns them into what the wallet counts: 0.01 of a currency, or 0.01 kWh at the price of 100. What
is not a whole watt-hour is cut off: a simulated meter pays no bills.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from meter_drivers.protocols.dlt645.purchases import OrderPurchase, Purchase
from meter_drivers.protocols.dlt645.recharge import Taken, Wallet, take_purchase
from meter_drivers.protocols.dlt645.refusals import SecurityError
from simulators.meter import accept_credit
from simulators.prepaid_meter import PrepaidMeter, PurchaseBook, PurchaseRecord

RECORDS_MAX: Final = 10
WH_PER_KWH: Final = 1000


def meter_time(meter: PrepaidMeter) -> datetime:
    """Return what the clock of a meter shows: UTC, told as local time."""
    return datetime.fromtimestamp(meter.electric.at_ms // 1000, UTC).replace(tzinfo=None)


def wallet_of(meter: PrepaidMeter) -> Wallet:
    """Return the wallet with what the credit register holds now; below zero is owed."""
    balance = meter.electric.balance_wh * meter.purchases.price_minor // WH_PER_KWH
    return replace(
        meter.purchases.wallet,
        balance_minor=max(0, balance),
        overdraft_minor=max(0, -balance),
    )


def with_wallet(meter: PrepaidMeter, wallet: Wallet) -> PrepaidMeter:
    """Return the meter with another wallet, its credit register untouched."""
    return replace(meter, purchases=replace(meter.purchases, wallet=wallet))


def enter_purchase(
    meter: PrepaidMeter, purchase: Purchase | OrderPurchase, *, is_genuine: bool
) -> tuple[PrepaidMeter, SecurityError | None]:
    """Return the meter after a purchase, and why it was refused; `None` if it was taken."""
    before, now = wallet_of(meter), meter_time(meter)
    after, outcome = take_purchase(before, purchase, is_genuine=is_genuine, now=now)
    if not isinstance(outcome, Taken):
        return with_wallet(meter, after), outcome
    amount = outcome.repaid_minor + outcome.credited_minor
    amount_wh = amount * WH_PER_KWH // meter.purchases.price_minor
    if amount_wh < 0:
        return meter, SecurityError.OTHER  # Refunds are not simulated.
    if amount_wh > meter.electric.headroom_wh:
        return meter, SecurityError.HOARDING
    record = PurchaseRecord(
        at_ms=meter.electric.at_ms,
        count=after.count,
        amount_minor=amount,
        before_minor=before.balance_minor,
        after_minor=after.balance_minor,
    )
    electric = accept_credit(meter.electric, amount_wh)
    book = _record(meter.purchases, after, record)
    return replace(meter, electric=electric, purchases=book), None


def _record(book: PurchaseBook, wallet: Wallet, record: PurchaseRecord) -> PurchaseBook:
    return replace(
        book,
        wallet=wallet,
        records=(record, *book.records)[:RECORDS_MAX],
        cumulative_minor=book.cumulative_minor + record.amount_minor,
    )
