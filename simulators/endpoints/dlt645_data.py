"""What a simulated DL/T 645 meter answers to a read, identifier by identifier."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.identifiers import find_item, identifier_of
from meter_drivers.protocols.dlt645.recharge import Wallet
from meter_drivers.protocols.dlt645.status_words import MeterKind, StatusWord3
from meter_drivers.protocols.dlt645.values import Value, encode_value
from simulators.meter import Figures, RelayPosition, measure
from simulators.prepaid_meter import PrepaidMeter
from simulators.purchases import meter_time, wallet_of

WH_PER_MINOR: Final = 10
"""A wallet that counts energy does so in 0.01 kWh."""
_RECORD_COUNT_END: Final = 10_000
_PART_COUNT: Final = 2


@dataclass(frozen=True, slots=True)
class Shown:
    """A meter at one moment, as its answers are made of it."""

    meter: PrepaidMeter
    address: Address
    kind: MeterKind

    @property
    def wallet(self) -> Wallet:
        """Return the wallet with what the credit register holds."""
        return wallet_of(self.meter)

    @property
    def figures(self) -> Figures:
        """Return what is measured."""
        return measure(self.meter.electric)


def status_word(shown: Shown) -> StatusWord3:
    """Return status word 3: the order to the relay and its contact are apart."""
    electric, wallet = shown.meter.electric, shown.wallet
    return StatusWord3(
        relay_is_open=electric.actual is RelayPosition.OPEN,
        open_is_ordered=electric.ordered is RelayPosition.OPEN,
        kind=shown.kind,
        session_is_valid=wallet.find_session(meter_time(shown.meter)) is not None,
        remote_account_is_open=wallet.is_open,
    )


Reader = Callable[[Shown], Value]

_VALUES: Final[Mapping[str, Reader]] = {
    "energy.combined": lambda shown: shown.meter.electric.energy_wh,
    "energy.import": lambda shown: shown.meter.electric.energy_wh,
    "energy.export": lambda _: 0,
    "voltage": lambda shown: shown.figures.voltage_dv * 100,
    "current": lambda shown: shown.figures.current_ma,
    "power.active": lambda shown: shown.figures.power_w * 1000,
    "power.reactive": lambda shown: shown.figures.reactive_power_var * 1000,
    "power.apparent": lambda shown: shown.figures.apparent_power_va * 1000,
    "power_factor": lambda shown: shown.figures.power_factor_permille,
    "frequency": lambda shown: shown.figures.frequency_chz * 10,
    "clock": lambda shown: meter_time(shown.meter),
    "clock.date": lambda shown: meter_time(shown.meter).date(),
    "clock.time": lambda shown: meter_time(shown.meter).time(),
    "address": lambda shown: str(shown.address),
    "meter_number": lambda shown: str(shown.address),
    "customer_number": lambda shown: shown.wallet.customer_number,
    "status_word_3": status_word,
    "limit.hoarding": lambda shown: shown.wallet.hoarding_limit_minor,
}
_MONEY: Final[Mapping[str, Reader]] = {
    "credit.money": lambda shown: shown.wallet.balance_minor,
    "credit.money_overdraft": lambda shown: shown.wallet.overdraft_minor,
}
_ENERGY: Final[Mapping[str, Reader]] = {
    "credit.energy": lambda shown: shown.wallet.balance_minor * WH_PER_MINOR,
    "credit.energy_overdraft": lambda shown: shown.wallet.overdraft_minor * WH_PER_MINOR,
}
_OF_KIND: Final[Mapping[MeterKind, Mapping[str, Reader]]] = {
    MeterKind.MONEY_PREPAID: {**_VALUES, **_MONEY},
    MeterKind.ENERGY_PREPAID: {**_VALUES, **_ENERGY},
}
_SIMULATED: Final = {identifier_of(name) for name in (*_VALUES, *_MONEY, *_ENERGY)} | {
    identifier_of(name, f=1) for name in ("voltage", "current", "power.active", "power.reactive")
}
"""Totals, the present, and the one phase there is."""
_RECORDS: Final = identifier_of("purchase.at") >> 16


def find_value(shown: Shown, identifier: int) -> bytes | None:
    """Return the bytes that answer a read; `None` if the meter has no such data."""
    if identifier >> 16 == _RECORDS:
        return _find_record(shown, identifier)
    item = find_item(identifier)
    if item is None or identifier not in _SIMULATED:
        return None
    read = _OF_KIND.get(shown.kind, _VALUES).get(item.name)
    return None if read is None else _encode(identifier, read(shown))


def _encode(identifier: int, value: Value) -> bytes:
    """Return a value as a counter shows it: digits below its resolution are cut off."""
    item = find_item(identifier)
    assert item is not None, "it was found before"
    if isinstance(value, int):
        value = abs(value) // item.scale * item.scale * (1 if value >= 0 else -1)
    return encode_value(identifier, value)


def _find_record(shown: Shown, identifier: int) -> bytes | None:
    """Return a part of a purchase record; number 1 is the newest, 0 of the count the present."""
    book = shown.meter.purchases
    part, number = identifier >> 8 & 0xFF, identifier & 0xFF
    if part == _PART_COUNT and number == 0:
        return _encode(identifier, book.wallet.count % _RECORD_COUNT_END)
    if not 0 < number <= len(book.records):
        return None
    record = book.records[number - 1]
    values: Mapping[int, Value] = {
        1: datetime.fromtimestamp(record.at_ms // 1000, UTC).replace(tzinfo=None),
        _PART_COUNT: record.count % _RECORD_COUNT_END,
        3: record.amount_minor,
        4: record.before_minor,
        5: record.after_minor,
        6: book.cumulative_minor,
    }
    return _encode(identifier, values[part]) if part in values else None
