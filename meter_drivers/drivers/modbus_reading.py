"""What a Modbus meter tells: who it is, its registers, its credit."""

from collections.abc import Iterator, Mapping, Sequence
from enum import IntFlag
from typing import Final

from meter_drivers.capabilities import CreditStatus, Identity, RelayReport, RelayState
from meter_drivers.drivers.modbus_line import MeterLine
from meter_drivers.drivers.sunspec import find_origin
from meter_drivers.errors import MeterRefusedError, RemoteProtocolError
from meter_drivers.profiles.modbus_part import Block, ProbeSpec
from meter_drivers.profiles.plan import PlannedRead, plan_reads
from meter_drivers.protocols.modbus.credit import CreditResult
from meter_drivers.protocols.modbus.identity import IDENTITY_LAYOUT, IdentityBlock
from meter_drivers.protocols.modbus.status import (
    STATUS_LAYOUT,
    WH_PER_CREDIT_UNIT,
    RelayCode,
    StatusBlock,
    TripCause,
)
from meter_drivers.protocols.modbus.token_entry import TOKEN_RESULT_LAYOUT, TokenResultBlock
from meter_drivers.registers import Reading, RegisterSpec, Unit, decode_reading

EXPONENT_MAX: Final = 10
"""The widest scale that SunSpec knows."""


class IdentityBlockReading:
    """Identifies by the identity block of the open prepay profile."""

    def __init__(self, line: MeterLine) -> None:
        self._line = line

    def identify(self) -> Identity:
        """Return who answers."""
        block = read_identity(self._line)
        return Identity(
            profile=self._line.profile.name,
            model=block.model,
            drn=block.drn or None,
            pan=block.pan or None,
            firmware=block.firmware or None,
        )


class ProbeReading:
    """Identifies a model that has no identity by one register that must make sense."""

    def __init__(self, line: MeterLine, probe: ProbeSpec) -> None:
        self._line = line
        self._probe = probe

    def identify(self) -> Identity:
        """Return the model that answers as this profile would.

        Raises:
            RemoteProtocolError: If what it answers makes no sense for this model.
        """
        spec = self._line.profile.part.register(self._probe.register)
        words = self._line.read(spec.table, spec.address, spec.count)
        value = decode_reading(spec, words).value
        if not isinstance(value, int) or not self._probe.lowest <= value <= self._probe.highest:
            reason = (
                f"{spec.name} reads {value} {spec.unit}, which is not from {self._probe.lowest} "
                f"to {self._probe.highest}: another model than {self._line.profile.model}"
            )
            raise RemoteProtocolError(reason)
        return Identity(profile=self._line.profile.name, model=self._line.profile.model)


_Held = Sequence[int] | str
"""The words of a register, or why there are none."""


class RegisterReading:
    """Reads every register of the profile, in as few frames as it allows."""

    def __init__(self, line: MeterLine) -> None:
        self._line = line
        self._plan = plan_reads(line.profile.part.registers, line.profile.part.reads)

    def read_registers(self) -> list[Reading]:
        """Return the readings; those of a block that the meter refuses say so."""
        place = self._line.profile.part.sunspec
        origin = 0 if place is None else find_origin(self._line, place.models, place.bases)
        found = [pair for planned in self._plan for pair in self._read(planned, origin)]
        exponents = {
            spec.name: _as_reading(spec, held) for spec, held in found if _is_exponent(spec)
        }
        return [_scale(spec, held, exponents) for spec, held in found if not _is_exponent(spec)]

    def _read(self, planned: PlannedRead, origin: int) -> Iterator[tuple[RegisterSpec, _Held]]:
        try:
            words = self._line.read(planned.table, origin + planned.address, planned.count)
        except MeterRefusedError as error:
            for spec in planned.specs:
                yield spec, str(error)
            return
        for spec in planned.specs:
            first = spec.address - planned.address
            yield spec, words[first : first + spec.count]


def _is_exponent(spec: RegisterSpec) -> bool:
    return spec.unit is Unit.EXPONENT


def _as_reading(spec: RegisterSpec, held: _Held, exponent: int = 0) -> Reading:
    if isinstance(held, str):
        return Reading.unavailable(spec, held)
    return decode_reading(spec, held, exponent=exponent)


def _scale(spec: RegisterSpec, held: _Held, exponents: Mapping[str, Reading]) -> Reading:
    if spec.scale_from is None:
        return _as_reading(spec, held)
    exponent = exponents[spec.scale_from].value
    plain = _as_reading(spec, held)
    if plain.value is None:
        return plain
    if not isinstance(exponent, int) or abs(exponent) > EXPONENT_MAX:
        return Reading.unavailable(spec, f"{spec.scale_from} holds no scale")
    return _as_reading(spec, held, exponent)


class CreditReading:
    """Reads credit, relay and alarms of the open prepay profile."""

    def __init__(self, line: MeterLine) -> None:
        self._line = line

    def read_credit(self) -> CreditStatus:
        """Return credit, relay and alarms of one moment."""
        status = read_status(self._line)
        last_tid = None
        if Block.TOKEN_RESULT in self._line.profile.part.blocks:
            last_tid = read_token_result(self._line).last_tid
        return CreditStatus(
            balance_wh=status.balance * WH_PER_CREDIT_UNIT,
            cumulative_credit_wh=status.cumulative_credit * WH_PER_CREDIT_UNIT,
            purchase_count=status.purchase_count,
            last_seq=status.last_seq,
            last_result=name_credit_result(status.last_result),
            last_tid=last_tid,
            relay=report_relay(status),
            alarms=_name_bits(status.alarm_bits),
            tampers=_name_bits(status.tamper_bits),
            event_counter=status.event_counter,
        )


def read_identity(line: MeterLine) -> IdentityBlock:
    """Return the identity block of a meter."""
    return IdentityBlock.from_registers(line.read_block(Block.IDENTITY, IDENTITY_LAYOUT))


def read_status(line: MeterLine) -> StatusBlock:
    """Return the status block of a meter."""
    return StatusBlock.from_registers(line.read_block(Block.STATUS, STATUS_LAYOUT))


def read_token_result(line: MeterLine) -> TokenResultBlock:
    """Return the token result block of a meter."""
    words = line.read_block(Block.TOKEN_RESULT, TOKEN_RESULT_LAYOUT)
    return TokenResultBlock.from_registers(words)


def report_relay(status: StatusBlock) -> RelayReport:
    """Return the relay as the status block shows it."""
    cause = None if status.trip_cause is TripCause.NONE else status.trip_cause.name.lower()
    return RelayReport(
        command=_name_position(status.relay_command),
        actual=_name_position(status.relay_actual),
        trip_cause=cause,
    )


def name_credit_result(code: int) -> str:
    """Return the name of a credit result, or its number where it is not of this profile."""
    known = {int(result): result.name.lower() for result in CreditResult}
    return known.get(code, f"result_{code}")


def _name_position(code: RelayCode) -> RelayState:
    return RelayState.CLOSED if code is RelayCode.CLOSED else RelayState.OPEN


def _name_bits(bits: IntFlag) -> tuple[str, ...]:
    """Return the names of the bits that are set; a bit without name goes by its number."""
    named = [flag for flag in type(bits) if flag in bits]
    rest = int(bits) & ~sum(int(flag) for flag in named)
    unnamed = [f"bit_{index}" for index in range(rest.bit_length()) if rest >> index & 1]
    return (*(str(flag.name).lower() for flag in named), *unnamed)
