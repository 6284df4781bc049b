"""The registers of a simulated meter, as its profile lays them out.

The same file that tells a driver where to read tells the simulator what to show, so a model is
simulated without a line of code. Blocks of the open prepay profile are packed by the codecs that
the drivers unpack them with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from meter_drivers.profiles.modbus_part import Block, ModbusProfile, RelaySpec, SunSpecPlace
from meter_drivers.protocols.modbus.blocks import size
from meter_drivers.protocols.modbus.credit import CREDIT_LAYOUT, CreditResult, SignedCreditOrder
from meter_drivers.protocols.modbus.identity import IDENTITY_LAYOUT, IdentityBlock
from meter_drivers.protocols.modbus.status import (
    STATUS_LAYOUT,
    WH_PER_CREDIT_UNIT,
    AlarmBit,
    RelayCode,
    StatusBlock,
    TamperBit,
    TripCause,
)
from meter_drivers.protocols.modbus.token_entry import (
    TOKEN_ENTRY_LAYOUT,
    TOKEN_RESULT_LAYOUT,
    TokenOutcome,
    TokenResultBlock,
    find_token_outcome,
    unpack_token,
)
from meter_drivers.registers import (
    RegisterSpec,
    RegisterTable,
    Unit,
    WriteRule,
    encode_text,
    encode_value,
)
from simulators.endpoints.modbus_server import (
    ExceptionCode,
    Function,
    ModbusRefusalError,
)
from simulators.meter import Figures, RelayPosition, measure
from simulators.prepaid_meter import PrepaidMeter, take_credit_order
from simulators.simulated_meter import SimulatedMeter
from simulators.token_acceptor import ENTRY_RESULTS
from vending.sts import MeterPAN

MODEL: Final = "simulated meter"
FIRMWARE: Final = "1.0"

_TABLES: Final = {
    Function.READ_HOLDING: RegisterTable.HOLDING,
    Function.READ_INPUT: RegisterTable.INPUT,
}
_WRITE_FUNCTIONS: Final = {
    WriteRule.FC06: Function.WRITE_ONE,
    WriteRule.FC16: Function.WRITE_MANY,
}
_U16_MASK: Final = (1 << 16) - 1
_U32_MASK: Final = (1 << 32) - 1


class UnknownRegisterError(Exception):
    """A profile has a register that the simulated meter has no value for."""

    def __init__(self, profile: str, register: str) -> None:
        known = ", ".join(sorted(_READINGS))
        super().__init__(
            f"profile {profile}: the simulator has no value for register {register}; "
            f"leave it out or use one of: {known}"
        )


# --- what each register shows -------------------------------------------------------------------
Reader = Callable[[PrepaidMeter, Figures], int]

_PHASE_ANGLE_MDEG: Final = 16_260
"""Of a power factor of 0.960, as the simulated household has."""
_VARH_PER_WH: Final = (7, 24)
"""The same power factor: 0.28 / 0.96."""

_READINGS: Final[Mapping[str, Reader]] = {
    "energy.import.total": lambda meter, _: meter.electric.energy_wh,
    "energy.export.total": lambda *_: 0,
    "energy.total": lambda meter, _: meter.electric.energy_wh,
    "energy.total.sharp": lambda *_: 0,
    "energy.total.peak": lambda *_: 0,
    "energy.total.flat": lambda meter, _: meter.electric.energy_wh,
    "energy.total.valley": lambda *_: 0,
    "energy.reactive_import.total": lambda meter, _: _varh(meter),
    "energy.reactive_export.total": lambda *_: 0,
    "energy.reactive.total": lambda meter, _: _varh(meter),
    "voltage": lambda _, figures: figures.voltage_dv * 100,
    "current": lambda _, figures: figures.current_ma,
    "power.active": lambda _, figures: figures.power_w * 1000,
    "power.reactive": lambda _, figures: figures.reactive_power_var * 1000,
    "power.apparent": lambda _, figures: figures.apparent_power_va * 1000,
    "power_factor": lambda _, figures: figures.power_factor_permille,
    "phase_angle": lambda _, figures: _PHASE_ANGLE_MDEG if figures.power_w else 0,
    "frequency": lambda _, figures: figures.frequency_chz * 10,
    "clock": lambda meter, _: meter.electric.at_ms // 1000,
}
"""By register name, in the unit that profiles give readings in."""

_SHARED: Final[Mapping[str, str]] = {
    "energy.import": "energy.import.total",
    "energy.export": "energy.export.total",
    "energy.sum": "energy.total",
    "current": "current",
    "power.active": "power.active",
    "power.reactive": "power.reactive",
    "power.apparent": "power.apparent",
}
"""What the three phases share: the load is spread evenly, and what does not divide is on L1."""
_PHASES: Final = frozenset({"l1", "l2", "l3"})
_COMMON: Final = frozenset({"voltage", "power_factor"})
"""What is the same on each phase."""


_EXPONENTS: Final[Mapping[str, int]] = {
    "scale.current": -2,
    "scale.voltage": -1,
    "scale.frequency": -2,
    "scale.power.active": 0,
    "scale.power.apparent": 0,
    "scale.power.reactive": 0,
    "scale.power_factor": -1,
    "scale.energy": 1,
}
"""The powers of ten that a SunSpec meter says it counts in; those of a meter in a house."""

_SUNSPEC_MARKER: Final = (0x5375, 0x6E53)
_SUNSPEC_METER_LENGTH: Final = 105
"""Of the models 201 to 204."""
_SUNSPEC_COMMON: Final = (
    *(1, 66),
    *encode_text("simulated", 16),
    *encode_text(MODEL, 16),
    *encode_text("", 8),
    *encode_text(FIRMWARE, 8),
    *encode_text("", 16),
    *(0x8000, 0x8000),
)
"""The common model: who made it, the model, options, version, no serial number, no address."""


def _varh(meter: PrepaidMeter) -> int:
    reactive, active = _VARH_PER_WH
    return meter.electric.energy_wh * reactive // active


def _find_reader(name: str) -> Reader | None:
    quantity, _, phase = name.rpartition(".")
    if phase not in _PHASES:
        return _READINGS.get(name)
    if quantity in _COMMON:
        return _READINGS[quantity]
    if quantity not in _SHARED:
        return None
    whole = _READINGS[_SHARED[quantity]]
    share = _share_of_l1 if phase == "l1" else _share_of_others
    return lambda meter, figures: share(whole(meter, figures))


def _share_of_l1(whole: int) -> int:
    return whole - 2 * (whole // 3)


def _share_of_others(whole: int) -> int:
    return whole // 3


@dataclass(frozen=True, slots=True)
class _Span:
    """Registers that one function fills."""

    address: int
    count: int
    words: Callable[[PrepaidMeter], Sequence[int]]


class RegisterLayout:
    """Where a model shows what; one serves every meter of the model."""

    def __init__(self, profile: ModbusProfile) -> None:
        """Lay the registers out.

        Raises:
            UnknownRegisterError: The profile has a register that is not simulated.
        """
        self.profile = profile
        self._places: dict[tuple[RegisterTable, int], tuple[_Span, int]] = {}
        origin = 0
        if profile.part.sunspec is not None:
            origin = self._place_chain(profile.part.sunspec)
        for spec in profile.part.registers:
            self._place(spec.table, _span_of(profile, spec, origin))
        for block, address in profile.part.blocks.items():
            if block in _BLOCK_WORDS:
                words, count = _BLOCK_WORDS[block]
                self._place(RegisterTable.HOLDING, _Span(address, count, words))
        if profile.part.relay is not None:
            for span in _relay_spans(profile.part.relay):
                self._place(RegisterTable.HOLDING, span)

    def _place_chain(self, place: SunSpecPlace) -> int:
        """Lay out what is around the model of a SunSpec meter, and return where it begins."""
        base = place.bases[0]
        common = base + len(_SUNSPEC_MARKER)
        origin = common + len(_SUNSPEC_COMMON)
        chain = {
            base: _SUNSPEC_MARKER,
            common: _SUNSPEC_COMMON,
            origin: (max(place.models), _SUNSPEC_METER_LENGTH),
            origin + 2 + _SUNSPEC_METER_LENGTH: (0xFFFF, 0),
        }
        for address, words in chain.items():
            self._place(RegisterTable.HOLDING, _fixed_span(address, words))
        return origin

    def _place(self, table: RegisterTable, span: _Span) -> None:
        for offset in range(span.count):
            self._places.setdefault((table, span.address + offset), (span, offset))

    def find(self, table: RegisterTable, address: int) -> tuple[_Span, int] | None:
        """Return what fills a register, and which of its words that is; `None`: nothing does."""
        return self._places.get((table, address))


class RegisterImage:
    """The bank of registers of one meter."""

    def __init__(self, layout: RegisterLayout, meter: SimulatedMeter) -> None:
        """Show a meter by a layout."""
        self._layout = layout
        self._profile = layout.profile
        self._meter = meter

    def read_words(self, function: Function, address: int, count: int) -> Sequence[int]:
        """Return the words of one moment.

        Raises:
            ModbusRefusalError: More than the meter gives at once, or an address it has not.
        """
        if count > self._profile.part.reads.registers_max:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        table = _TABLES[function]
        places = [self._layout.find(table, address + offset) for offset in range(count)]
        if places[0] is None or places[-1] is None or _longest_gap(places) > self._gap_max:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)
        state = self._meter.state
        filled: dict[int, Sequence[int]] = {}
        words = []
        for place in places:
            if place is None:
                words.append(0)
                continue
            span, offset = place
            if id(span) not in filled:
                filled[id(span)] = span.words(state)
            words.append(filled[id(span)][offset])
        return words

    @property
    def _gap_max(self) -> int:
        return self._profile.part.reads.gap_max

    def write_words(self, function: Function, address: int, words: Sequence[int]) -> None:
        """Take a relay order, a credit order or a token; blocks are written whole by FC16.

        Raises:
            ModbusRefusalError: The address is not written to, not so, or not with that.
        """
        blocks, relay = self._profile.part.blocks, self._profile.part.relay
        if relay is not None and address == relay.command:
            self._write_relay(relay, function, words)
        elif address == blocks.get(Block.CREDIT):
            self._write_credit(function, words)
        elif address == blocks.get(Block.TOKEN_ENTRY):
            self._write_token(function, words)
        else:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)

    def _write_relay(self, relay: RelaySpec, function: Function, words: Sequence[int]) -> None:
        if function is not _WRITE_FUNCTIONS[relay.write]:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
        positions = {
            relay.open_value: RelayPosition.OPEN,
            relay.closed_value: RelayPosition.CLOSED,
        }
        position = positions.get(words[0]) if len(words) == 1 else None
        if position is None:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        self._meter.order_relay(position)

    def _write_credit(self, function: Function, words: Sequence[int]) -> None:
        if function is not Function.WRITE_MANY or len(words) != size(CREDIT_LAYOUT):
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        order = SignedCreditOrder.from_registers(words)
        self._meter.change(lambda meter: take_credit_order(meter, order))

    def _write_token(self, function: Function, words: Sequence[int]) -> None:
        if function is not Function.WRITE_MANY or len(words) != size(TOKEN_ENTRY_LAYOUT):
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        digits = unpack_token(words)
        if digits is None:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        self._meter.enter_token(digits)


def _longest_gap(places: Sequence[object | None]) -> int:
    longest = gap = 0
    for place in places:
        gap = gap + 1 if place is None else 0
        longest = max(longest, gap)
    return longest


def _fixed_span(address: int, words: Sequence[int]) -> _Span:
    return _Span(address, len(words), lambda _: words)


def _span_of(profile: ModbusProfile, spec: RegisterSpec, origin: int) -> _Span:
    if spec.unit is Unit.EXPONENT and spec.name in _EXPONENTS:
        return _fixed_span(origin + spec.address, encode_value(spec, _EXPONENTS[spec.name]))
    exponent = _EXPONENTS.get(spec.scale_from or "", 0)
    read = _find_reader(spec.name)
    if read is None:
        raise UnknownRegisterError(profile.name, spec.name)
    return _Span(
        origin + spec.address,
        spec.count,
        lambda meter: encode_value(spec, read(meter, measure(meter.electric)), exponent=exponent),
    )


def _relay_spans(relay: RelaySpec) -> list[_Span]:
    """Return the registers that show the order and the actual position, or both in one."""

    def show(position: RelayPosition) -> tuple[int]:
        is_closed = position is RelayPosition.CLOSED
        return (relay.closed_value if is_closed else relay.open_value,)

    ordered = _Span(relay.command, 1, lambda meter: show(meter.electric.ordered))
    return [ordered, _Span(relay.actual, 1, lambda meter: show(meter.electric.actual))]


# --- the blocks of the open prepay profile ------------------------------------------------------
def _identity_words(meter: PrepaidMeter) -> tuple[int, ...]:
    pan = MeterPAN.from_drn(meter.drn.digits)
    return IdentityBlock(meter.drn.digits, pan.digits, MODEL, FIRMWARE).to_registers()


def _status_words(meter: PrepaidMeter) -> tuple[int, ...]:
    electric, orders = meter.electric, meter.orders
    done = orders.done
    return StatusBlock(
        last_seq=done.order.seq if done else 0,
        last_result=CreditResult.DONE if done else CreditResult.NONE,
        attempt_seq=orders.attempt_seq,
        attempt_result=orders.attempt_result,
        balance=electric.balance_wh // WH_PER_CREDIT_UNIT,
        cumulative_credit=electric.accepted_wh // WH_PER_CREDIT_UNIT & _U32_MASK,
        purchase_count=electric.purchase_count & _U16_MASK,
        relay_command=RelayCode(electric.ordered),
        relay_actual=RelayCode(electric.actual),
        trip_cause=TripCause(electric.trip_cause),
        alarm_bits=AlarmBit(electric.alarms),
        tamper_bits=TamperBit(electric.tamper),
        event_counter=electric.event_count & _U32_MASK,
    ).to_registers()


def _token_result_words(meter: PrepaidMeter) -> tuple[int, ...]:
    entries = meter.entries
    outcome = TokenOutcome.NONE if entries.result is None else _OUTCOMES[entries.result.value]
    return TokenResultBlock(
        entries.count & _U32_MASK, outcome, entries.last_credit_tid, entries.digest
    ).to_registers()


_OUTCOMES: Final = {
    name: outcome for name in ENTRY_RESULTS if (outcome := find_token_outcome(name)) is not None
}
_BLOCK_WORDS: Final[Mapping[Block, tuple[Callable[[PrepaidMeter], Sequence[int]], int]]] = {
    Block.IDENTITY: (_identity_words, size(IDENTITY_LAYOUT)),
    Block.STATUS: (_status_words, size(STATUS_LAYOUT)),
    Block.TOKEN_RESULT: (_token_result_words, size(TOKEN_RESULT_LAYOUT)),
}
"""The blocks that are read; the others are written only."""
