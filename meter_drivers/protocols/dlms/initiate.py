"""The xDLMS part of an association: what both sides can, and how long an APDU may be.

IEC 62056-53 (DLMS UA 1000-2, 9.4.4 and 9.5), A-XDR with one BER field, the conformance:

    01 request   dedicated key | response allowed | quality of service | version | 5F 1F 04 00
                 conformance (3) | size (2)
    08 response  quality of service | version | 5F 1F 04 00 conformance (3) | size (2) | VAA 0007
    0E error     01 | 06 initiate | reason

The optional fields are 00, or 01 and the field. A size of 0 sets no limit.
"""

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.octets import Cursor, encode_octets
from meter_drivers.protocols.dlms.results import find_code

INITIATE_REQUEST: Final = 0x01
INITIATE_RESPONSE: Final = 0x08
SERVICE_ERROR: Final = 0x0E
DLMS_VERSION: Final = 6
SIZE_MAX: Final = 0xFFFF
SIZE_MIN: Final = 64
"""The least APDU that carries each of our requests but those in blocks; below it we refuse."""

_CONFORMANCE_HEAD: Final = bytes.fromhex("5F1F0400")
_VAA_NAME: Final = bytes.fromhex("0007")
_INITIATE: Final = bytes([1, 6])


class Conformance(IntFlag):
    """What a side can; bit 23 of the standard is the lowest here. Short names are not spoken."""

    ACTION = 1 << 0
    EVENT_NOTIFICATION = 1 << 1
    SELECTIVE_ACCESS = 1 << 2
    SET = 1 << 3
    GET = 1 << 4
    ACCESS = 1 << 6
    DATA_NOTIFICATION = 1 << 7
    MULTIPLE_REFERENCES = 1 << 9
    BLOCK_TRANSFER_WITH_ACTION = 1 << 10
    BLOCK_TRANSFER_WITH_SET = 1 << 11
    BLOCK_TRANSFER_WITH_GET = 1 << 12
    ATTRIBUTE_0_WITH_GET = 1 << 13
    PRIORITY_MANAGEMENT = 1 << 14
    ATTRIBUTE_0_WITH_SET = 1 << 15
    DELTA_VALUE_ENCODING = 1 << 17
    GENERAL_BLOCK_TRANSFER = 1 << 21
    GENERAL_PROTECTION = 1 << 22


_KNOWN: Final = sum(Conformance)

OURS: Final = (
    Conformance.ACTION
    | Conformance.SELECTIVE_ACCESS
    | Conformance.SET
    | Conformance.GET
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.PRIORITY_MANAGEMENT
    | Conformance.GENERAL_PROTECTION
)
"""What this package can, in both roles."""


class InitiateError(IntEnum):
    """Why a server cannot agree on the xDLMS part."""

    OTHER = 0
    DLMS_VERSION_TOO_LOW = 1
    INCOMPATIBLE_CONFORMANCE = 2
    PDU_SIZE_TOO_SHORT = 3
    REFUSED_BY_THE_VDE_HANDLER = 4


@dataclass(frozen=True, slots=True)
class InitiateRequest:
    """What a client can, and the longest APDU that it takes."""

    conformance: Conformance = OURS
    receive_size_bytes: int = SIZE_MAX
    version: int = DLMS_VERSION
    dedicated_key: bytes | None = field(default=None, repr=False)
    """Of dedicated ciphering, which we do not use; `None` for none."""
    response_allowed: bool = True
    quality_of_service: int | None = None

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        key = b"\x00" if self.dedicated_key is None else b"\x01" + encode_octets(self.dedicated_key)
        allowed = b"\x00" if self.response_allowed else b"\x01\x00"
        head = bytes([INITIATE_REQUEST]) + key + allowed + _encode_quality(self.quality_of_service)
        return head + bytes([self.version]) + _encode_ability(self)

    @classmethod
    def from_bytes(cls, apdu: bytes) -> Self:
        """Return the request in the APDU.

        Raises:
            RemoteProtocolError: If it is malformed.
        """
        cursor = Cursor.of_whole(apdu, tag=INITIATE_REQUEST, what="an initiate request")
        dedicated_key = cursor.take_octets() if cursor.take_flag() else None
        response_allowed = not cursor.take_flag() or cursor.take_flag()
        quality = cursor.take_number(1, signed=True) if cursor.take_flag() else None
        version = cursor.take_byte()
        conformance, size_bytes = _take_ability(cursor)
        cursor.finish("an initiate request")
        return cls(conformance, size_bytes, version, dedicated_key, response_allowed, quality)


@dataclass(frozen=True, slots=True)
class InitiateResponse:
    """What client and server agree on, and the longest APDU that the server takes."""

    conformance: Conformance
    receive_size_bytes: int = SIZE_MAX
    version: int = DLMS_VERSION
    quality_of_service: int | None = None

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        head = bytes([INITIATE_RESPONSE]) + _encode_quality(self.quality_of_service)
        return head + bytes([self.version]) + _encode_ability(self) + _VAA_NAME

    @classmethod
    def from_bytes(cls, apdu: bytes) -> Self:
        """Return the response in the APDU.

        Raises:
            RemoteProtocolError: If it is malformed, or not for logical names.
        """
        cursor = Cursor.of_whole(apdu, tag=INITIATE_RESPONSE, what="an initiate response")
        quality = cursor.take_number(1, signed=True) if cursor.take_flag() else None
        version = cursor.take_byte()
        conformance, size_bytes = _take_ability(cursor)
        if cursor.take_rest() != _VAA_NAME:
            reason = "an initiate response is not for logical names"
            raise RemoteProtocolError(reason, frame=apdu)
        return cls(conformance, size_bytes, version, quality)


def encode_initiate_error(error: InitiateError) -> bytes:
    """Return the confirmed service error that refuses the xDLMS part."""
    return bytes([SERVICE_ERROR]) + _INITIATE + bytes([error])


def parse_initiate_error(apdu: bytes) -> InitiateError:
    """Return the reason in a confirmed service error.

    Raises:
        RemoteProtocolError: If it is none, or of another service.
    """
    cursor = Cursor.of_whole(apdu, tag=SERVICE_ERROR, what="a confirmed service error")
    if cursor.take(len(_INITIATE)) != _INITIATE:
        reason = "a confirmed service error is not of the initiation"
        raise RemoteProtocolError(reason, frame=apdu)
    error = find_code(InitiateError, cursor.take_byte())
    cursor.finish("a confirmed service error")
    return error


def _encode_quality(quality: int | None) -> bytes:
    return b"\x00" if quality is None else b"\x01" + quality.to_bytes(1, "big", signed=True)


def _encode_ability(side: InitiateRequest | InitiateResponse) -> bytes:
    conformance = int(side.conformance).to_bytes(3, "big")
    return _CONFORMANCE_HEAD + conformance + side.receive_size_bytes.to_bytes(2, "big")


def _take_ability(cursor: Cursor) -> tuple[Conformance, int]:
    head = cursor.take(len(_CONFORMANCE_HEAD))
    if head != _CONFORMANCE_HEAD:
        reason = "a conformance block is malformed"
        raise RemoteProtocolError(reason, frame=head)
    bits = cursor.take_number(3)
    return Conformance(bits & _KNOWN), cursor.take_number(2)
