"""The identity block of the open prepay profile: who answers, in which version.

Ours, over Modbus function 0x03 (Modbus Application Protocol V1.1b3, 6.3). The marker comes
first, so that four bytes tell whether anything else may be believed. DRN and MeterPAN are those
of IEC 62055-41 as ASCII digits; the DRN is also what the MAC of a credit order binds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.modbus.blocks import Layout, lay_out, pack, unpack_number, unpack_text
from meter_drivers.registers import Encoding

MARKER: Final = "OPPM"
VERSION: Final = 1

IDENTITY_LAYOUT: Final[Layout] = lay_out(
    ("identity.marker", Encoding.TEXT, 2),
    ("identity.version", Encoding.U16),
    ("identity.drn", Encoding.TEXT, 7),
    ("identity.pan", Encoding.TEXT, 9),
    ("identity.model", Encoding.TEXT, 8),
    ("identity.firmware", Encoding.TEXT, 4),
)


@dataclass(frozen=True, slots=True)
class IdentityBlock:
    """Who a meter is: DRN of 11 or 13 digits, MeterPAN of 18 digits, model and firmware."""

    drn: str
    pan: str
    model: str
    firmware: str

    def to_registers(self) -> tuple[int, ...]:
        """Return the block as the meter shows it."""
        return pack(
            IDENTITY_LAYOUT,
            {
                "identity.marker": MARKER,
                "identity.version": VERSION,
                "identity.drn": self.drn,
                "identity.pan": self.pan,
                "identity.model": self.model,
                "identity.firmware": self.firmware,
            },
        )

    @classmethod
    def from_registers(cls, words: Sequence[int]) -> Self:
        """Return the identity in the block.

        Raises:
            RemoteProtocolError: If the marker is missing, or the version another one.
        """
        marker = unpack_text(IDENTITY_LAYOUT, words, "identity.marker")
        if marker != MARKER:
            reason = f"the device does not follow the open prepay profile (marker {marker!r})"
            raise RemoteProtocolError(reason)
        version = unpack_number(IDENTITY_LAYOUT, words, "identity.version")
        if version != VERSION:
            reason = f"open prepay profile version {version} is not known, only {VERSION}"
            raise RemoteProtocolError(reason)
        return cls(
            drn=unpack_text(IDENTITY_LAYOUT, words, "identity.drn"),
            pan=unpack_text(IDENTITY_LAYOUT, words, "identity.pan"),
            model=unpack_text(IDENTITY_LAYOUT, words, "identity.model"),
            firmware=unpack_text(IDENTITY_LAYOUT, words, "identity.firmware"),
        )
