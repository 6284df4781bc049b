"""Finds the models of a SunSpec device: the marker, then the chain of models behind it.

After SunSpec Device Information Model Specification 1.x: two registers with "SunS" at one of three
bases; then models, each with its number and its length in front; 0xFFFF ends the chain. Model 1
says who made the device.
"""

from collections.abc import Iterator
from typing import Final

from meter_drivers.capabilities import Identity
from meter_drivers.drivers.modbus_line import MeterLine
from meter_drivers.errors import MeterRefusedError, RemoteProtocolError
from meter_drivers.profiles.modbus_part import ADDRESS_END, SunSpecPlace
from meter_drivers.registers import RegisterTable, decode_text

MARKER: Final = (0x5375, 0x6E53)
"""The letters SunS."""
COMMON_MODEL: Final = 1
CHAIN_END: Final = 0xFFFF
MODELS_MAX: Final = 64
"""The most models that are walked over; a chain that goes on is none."""
HEAD_SIZE: Final = 2

_MAKER: Final = (2, 16)
_MODEL: Final = (18, 16)
_VERSION: Final = (42, 8)
"""Points Mn, Md, Vr of model 1: where they stand from its start, and how many registers."""


def find_origin(line: MeterLine, models: frozenset[int], bases: tuple[int, ...]) -> int:
    """Return the address at which the first of some models begins.

    Raises:
        RemoteProtocolError: If the device is no SunSpec device, or has none of them.
    """
    known = []
    for number, address in _walk(line, bases):
        if number in models:
            return address
        known.append(number)
    reason = f"it has the SunSpec models {known}, and none of {sorted(models)}"
    raise RemoteProtocolError(reason)


class SunSpecIdentifying:
    """Identifies by the common model, behind which must stand a model of the profile."""

    def __init__(self, line: MeterLine, place: SunSpecPlace) -> None:
        self._line = line
        self._place = place

    def identify(self) -> Identity:
        """Return who answers."""
        common = find_origin(self._line, frozenset({COMMON_MODEL}), self._place.bases)
        find_origin(self._line, self._place.models, self._place.bases)
        maker, model = (self._read_text(common, place) for place in (_MAKER, _MODEL))
        return Identity(
            profile=self._line.profile.name,
            model=f"{maker} {model}".strip() or self._line.profile.model,
            firmware=self._read_text(common, _VERSION) or None,
        )

    def _read_text(self, origin: int, place: tuple[int, int]) -> str:
        offset, count = place
        try:
            return decode_text(self._line.read(RegisterTable.HOLDING, origin + offset, count))
        except ValueError as error:
            reason = "the common model of SunSpec holds no printable ASCII"
            raise RemoteProtocolError(reason) from error


def _walk(line: MeterLine, bases: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield number and address of each model of the chain.

    Raises:
        RemoteProtocolError: If there is no chain, or it has no end.
    """
    address = _find_marker(line, bases) + len(MARKER)
    for _ in range(MODELS_MAX):
        if address + HEAD_SIZE > ADDRESS_END:
            break
        number, length = line.read(RegisterTable.HOLDING, address, HEAD_SIZE)
        if number == CHAIN_END:
            return
        yield number, address
        address += HEAD_SIZE + length
    reason = "its chain of SunSpec models has no end"
    raise RemoteProtocolError(reason)


def _find_marker(line: MeterLine, bases: tuple[int, ...]) -> int:
    for base in bases:
        try:
            words = line.read(RegisterTable.HOLDING, base, len(MARKER))
        except MeterRefusedError:
            continue
        if words == MARKER:
            return base
    tried = ", ".join(map(str, bases))
    reason = f"no SunSpec device: the marker SunS is at none of {tried}"
    raise RemoteProtocolError(reason)
