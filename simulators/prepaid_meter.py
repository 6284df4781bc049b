"""A whole prepaid meter: its electric part, its token acceptor, and its guard of bus credit.

What an accepted token does to the electric part happens in the same value as storing its TID,
so a meter that is saved as a whole can never have done one without the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from meter_drivers.protocols.dlt645.recharge import Wallet
from meter_drivers.protocols.modbus.credit import (
    CreditOperation,
    CreditResult,
    SignedCreditOrder,
    SiteKey,
    Verdict,
    judge_credit_order,
)
from meter_drivers.protocols.modbus.token_entry import compute_entry_digest
from simulators.meter import (
    EventKind,
    MeterState,
    RelayPosition,
    accept_credit,
    advance,
    change_settings,
    clear_credit,
    clear_tamper,
    flowing_w,
    order_relay,
    record_event,
)
from simulators.token_acceptor import (
    Acceptance,
    AcceptorState,
    EntryResult,
    accept,
)
from vending.sts import (
    DRN,
    ClearCredit,
    ClearTamperCondition,
    InitiateMeterTest,
    MeterTest,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
    Token,
    TokenResult,
    TransferCredit,
)

WH_PER_CREDIT_UNIT: Final = 100
"""A TransferCredit token counts in 0.1 kWh (IEC 62055-41, transfer amount)."""
WH_PER_ORDER_UNIT: Final = 10
"""A credit order of the bus counts in 0.01 kWh."""
SOFTWARE_VERSION: Final = 100
_ALL_SEGMENTS: Final = 88_888_888


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """What a meter shows after an entry; `displays` has the value of each test asked for."""

    result: EntryResult
    token: Token | None = None
    displays: Mapping[MeterTest, int] = field(default_factory=dict)

    @property
    def is_accepted(self) -> bool:
        """Say whether the token had its effect, or a section of a key change is held."""
        return self.result in _ACCEPTED


_ACCEPTED: Final = frozenset(
    {
        TokenResult.ACCEPT,
        TokenResult.FIRST_KCT,
        TokenResult.SECOND_KCT,
        TokenResult.THIRD_KCT,
        TokenResult.FOURTH_KCT,
    }
)


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """What the meter keeps of the entries made; `digest` names the digits entered last."""

    count: int = 0
    result: EntryResult | None = None
    digest: int = 0
    last_credit_tid: int | None = None
    """`None`: no credit token was accepted yet."""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """What the meter keeps of the credit orders of the bus.

    `done` is the order carried out last, `None` before the first; the attempt is the last one
    that was written, also if it was refused.
    """

    done: SignedCreditOrder | None = None
    attempt_seq: int = 0
    attempt_result: CreditResult = CreditResult.NONE


@dataclass(frozen=True, slots=True)
class PurchaseRecord:
    """A purchase as the meter keeps it; amounts in what its wallet counts."""

    at_ms: int
    count: int
    amount_minor: int
    before_minor: int
    after_minor: int


@dataclass(frozen=True, slots=True)
class PurchaseBook:
    """The wallet of DL/T 645 beside the credit register, and the purchases, newest first."""

    wallet: Wallet = field(default_factory=Wallet)
    price_minor: int = 100
    """Of a kWh, in what the wallet counts; 100 where that is 0.01 kWh."""
    records: tuple[PurchaseRecord, ...] = ()
    cumulative_minor: int = 0


@dataclass(frozen=True, slots=True)
class PrepaidMeter:
    """A meter; every function below returns the next one.

    `site_key` is `None` in a meter that takes no credit over its bus.
    """

    drn: DRN
    electric: MeterState
    acceptor: AcceptorState
    site_key: SiteKey | None = None
    entries: EntryRecord = EntryRecord()
    orders: OrderRecord = OrderRecord()
    purchases: PurchaseBook = PurchaseBook()

    def __post_init__(self) -> None:
        assert not self.acceptor.kind.in_currency, "the credit register counts energy"


# --- tokens -------------------------------------------------------------------------------------
def enter_token(meter: PrepaidMeter, digits: str) -> tuple[PrepaidMeter, TokenEntry]:
    """Return the meter after 20 digits were entered, and what it shows."""
    room = meter.electric.headroom_wh // WH_PER_CREDIT_UNIT
    acceptance = accept(meter.acceptor, digits, at_ms=meter.electric.at_ms, room=room)
    electric, displays = meter.electric, dict[MeterTest, int]()
    if acceptance.token is None:
        electric = record_event(electric, EventKind.TOKEN_REFUSED)
    elif isinstance(acceptance.token, InitiateMeterTest):
        displays = _run_tests(meter, acceptance.token.control)
        electric = record_event(electric, EventKind.METER_TESTED, acceptance.token.control)
    else:
        electric = _apply(electric, acceptance.token)
    if acceptance.state.keys is not meter.acceptor.keys:
        electric = record_event(electric, EventKind.KEY_CHANGED, acceptance.state.keys.krn)
    entered = replace(
        meter,
        electric=electric,
        acceptor=acceptance.state,
        entries=_record_entry(meter.entries, digits, acceptance),
    )
    return entered, TokenEntry(acceptance.result, acceptance.token, displays)


def _record_entry(entries: EntryRecord, digits: str, acceptance: Acceptance) -> EntryRecord:
    last_credit_tid = entries.last_credit_tid
    if isinstance(acceptance.token, TransferCredit):
        last_credit_tid = acceptance.token.tid.minutes
    return EntryRecord(
        count=entries.count + 1,
        result=acceptance.result,
        digest=compute_entry_digest(digits if digits.isascii() else ""),
        last_credit_tid=last_credit_tid,
    )


def _apply(electric: MeterState, token: Token) -> MeterState:
    """Return the electric part after a token; sections of a key change do not touch it."""
    settings = electric.settings
    match token:
        case TransferCredit():
            return accept_credit(electric, token.units * WH_PER_CREDIT_UNIT)
        case ClearCredit():
            return clear_credit(electric)
        case ClearTamperCondition():
            return clear_tamper(electric)
        case SetMaximumPowerLimit():
            return change_settings(electric, replace(settings, power_limit_w=token.limit_w))
        case SetMaximumPhasePowerUnbalanceLimit():
            changed = replace(settings, phase_unbalance_limit_w=token.limit_w)
            return change_settings(electric, changed)
        case SetTariffRate():
            return change_settings(electric, replace(settings, tariff_rate=token.rate))
        case SetWaterMeterFactor():
            return change_settings(electric, replace(settings, water_meter_factor=token.wmf))
        case _:
            return electric


def _run_tests(meter: PrepaidMeter, control: int) -> dict[MeterTest, int]:
    electric, keys = meter.electric, meter.acceptor.keys
    values = {
        MeterTest.LOAD_SWITCH: int(electric.actual),
        MeterTest.DISPLAY: _ALL_SEGMENTS,
        MeterTest.CUMULATIVE_KWH: electric.energy_wh // 1000,
        MeterTest.KRN: keys.krn * 10 + keys.kt,
        MeterTest.TI: int(keys.ti),
        MeterTest.TOKEN_READER: 1,
        MeterTest.POWER_LIMIT: electric.settings.power_limit_w or 0,
        MeterTest.TAMPER_STATUS: int(electric.tamper),
        MeterTest.POWER_NOW: flowing_w(electric),
        MeterTest.SOFTWARE_VERSION: SOFTWARE_VERSION,
        MeterTest.PHASE_UNBALANCE_LIMIT: electric.settings.phase_unbalance_limit_w or 0,
    }
    return {test: value for test, value in values.items() if control & test}


# --- the bus ------------------------------------------------------------------------------------
def take_credit_order(meter: PrepaidMeter, signed: SignedCreditOrder) -> PrepaidMeter:
    """Return the meter after a credit order was written to it.

    The order carried out last, written again, changes nothing; a refused one leaves a trace in
    the attempt and nowhere else.
    """
    if meter.site_key is None:
        return _record_attempt(meter, signed, CreditResult.LOCAL_ONLY)
    last = meter.orders.done
    verdict = judge_credit_order(signed, key=meter.site_key, drn=meter.drn.digits, last=last)
    match verdict:
        case CreditResult():
            return _record_attempt(meter, signed, verdict)
        case Verdict.REPEAT_ANSWER:
            return _record_attempt(meter, signed, CreditResult.DONE)
        case Verdict.CARRY_OUT:
            return _carry_out(meter, signed)


def _carry_out(meter: PrepaidMeter, signed: SignedCreditOrder) -> PrepaidMeter:
    order, electric = signed.order, meter.electric
    if order.amount * WH_PER_ORDER_UNIT > electric.headroom_wh:
        return _record_attempt(meter, signed, CreditResult.OVERFLOW_ERROR)
    match CreditOperation(order.operation):
        case CreditOperation.ADD_CREDIT:
            electric = accept_credit(electric, order.amount * WH_PER_ORDER_UNIT)
        case CreditOperation.CLEAR_CREDIT:
            electric = clear_credit(electric)
        case CreditOperation.SET_POWER_LIMIT:
            settings = replace(electric.settings, power_limit_w=order.argument)
            electric = change_settings(electric, settings)
    orders = OrderRecord(signed, order.seq, CreditResult.DONE)
    return replace(meter, electric=electric, orders=orders)


def _record_attempt(
    meter: PrepaidMeter, signed: SignedCreditOrder, result: CreditResult
) -> PrepaidMeter:
    orders = replace(meter.orders, attempt_seq=signed.order.seq, attempt_result=result)
    return replace(meter, orders=orders)


def steer_relay(meter: PrepaidMeter, position: RelayPosition) -> PrepaidMeter:
    """Return the meter with its relay ordered over the bus."""
    return with_electric(meter, order_relay(meter.electric, position))


def with_electric(meter: PrepaidMeter, electric: MeterState) -> PrepaidMeter:
    """Return the meter with another electric part."""
    return replace(meter, electric=electric)


def pass_time(meter: PrepaidMeter, *, elapsed_ms: int, load_w: int) -> PrepaidMeter:
    """Return the meter after some time under a constant load."""
    return replace(meter, electric=advance(meter.electric, elapsed_ms=elapsed_ms, load_w=load_w))
