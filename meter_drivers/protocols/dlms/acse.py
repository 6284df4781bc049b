"""Association APDUs: AARQ, AARE, RLRQ and RLRE, in ASN.1 BER.

IEC 62056-53 (DLMS UA 1000-2, 9.4.2), ISO/IEC 8650-1; context tags inside:

    60 AARQ   A1 context | A6 client's title | 8A requirements | 8B mechanism | AC value | BE user
    61 AARE   A1 context | A2 result | A3 diagnostic | A4 server's title | 88 requirements
              | 89 mechanism | AA value | BE user
    62 RLRQ, 63 RLRE   80 reason | BE user

`value` is a password, or a challenge of HLS; `user` holds an initiate APDU, ciphered where the
context says so. Fields that we do not know are passed over; none may come twice. Only logical
names are spoken: contexts 1 (plain) and 3 (ciphered).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.octets import Cursor, encode_octets
from meter_drivers.protocols.dlms.results import find_code

AARQ: Final = 0x60
AARE: Final = 0x61
RLRQ: Final = 0x62
RLRE: Final = 0x63
FIELDS_MAX: Final = 24

_CONTEXT_PREFIX: Final = bytes.fromhex("608574050801")
_MECHANISM_PREFIX: Final = bytes.fromhex("608574050802")
_AUTHENTICATED: Final = bytes.fromhex("0780")
_USER: Final = 0xBE
_CONTEXT: Final = 0xA1
_INTEGER: Final = 0x02
_OCTET_STRING: Final = 0x04
_OBJECT_IDENTIFIER: Final = 0x06
_CHARACTERS: Final = 0x80
_SERVICE_USER: Final = 0xA1
_SERVICE_PROVIDER: Final = 0xA2


class Context(IntEnum):
    """Application contexts with logical names."""

    PLAIN = 1
    CIPHERED = 3


class Mechanism(IntEnum):
    """Authentication mechanisms; of the high ones, GMAC alone is carried out here."""

    NONE = 0
    LOW = 1
    HIGH = 2
    HIGH_MD5 = 3
    HIGH_SHA1 = 4
    HIGH_GMAC = 5
    HIGH_SHA256 = 6
    HIGH_ECDSA = 7


class AssociationResult(IntEnum):
    """Whether the server takes the association."""

    ACCEPTED = 0
    REJECTED_PERMANENT = 1
    REJECTED_TRANSIENT = 2


class Diagnostic(IntEnum):
    """Why, in the words of the ACSE service user."""

    NULL = 0
    NO_REASON_GIVEN = 1
    APPLICATION_CONTEXT_NAME_NOT_SUPPORTED = 2
    CALLING_AP_TITLE_NOT_RECOGNIZED = 3
    AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED = 11
    AUTHENTICATION_MECHANISM_NAME_REQUIRED = 12
    AUTHENTICATION_FAILURE = 13
    AUTHENTICATION_REQUIRED = 14


class ReleaseReason(IntEnum):
    """Why a side ends the association, or how the other one takes it."""

    NORMAL = 0
    URGENT_OR_NOT_FINISHED = 1
    USER_DEFINED = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest:
    """AARQ; `authentication_value` is a secret with low level security, so no repr shows it."""

    context: Context
    mechanism: Mechanism = Mechanism.NONE
    system_title: bytes | None = None
    authentication_value: bytes | None = field(default=None, repr=False)
    user_information: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        parts = [_encode_context(self.context)]
        if self.system_title is not None:
            parts.append(_field(0xA6, _field(_OCTET_STRING, self.system_title)))
        if self.mechanism is not Mechanism.NONE:
            parts.append(_field(0x8A, _AUTHENTICATED))
            parts.append(_field(0x8B, _encode_name(_MECHANISM_PREFIX, self.mechanism)))
        if self.authentication_value is not None:
            parts.append(_field(0xAC, _field(_CHARACTERS, self.authentication_value)))
        parts.append(_encode_user(self.user_information))
        return _field(AARQ, b"".join(parts))

    @classmethod
    def from_bytes(cls, apdu: bytes) -> Self:
        """Return the request in the APDU.

        Raises:
            RemoteProtocolError: If it is malformed, or its context or mechanism is unknown.
        """
        found = _split(apdu, AARQ, "an AARQ")
        return cls(
            context=_decode_context(found),
            mechanism=_decode_mechanism(found.get(0x8B)),
            system_title=_inner(found.get(0xA6), _OCTET_STRING),
            authentication_value=_inner(found.get(0xAC), _CHARACTERS),
            user_information=_inner(found.get(_USER), _OCTET_STRING) or b"",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationResponse:
    """AARE."""

    context: Context
    result: AssociationResult
    diagnostic: Diagnostic = Diagnostic.NULL
    mechanism: Mechanism = Mechanism.NONE
    system_title: bytes | None = None
    authentication_value: bytes | None = None
    user_information: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        diagnostic = _field(_SERVICE_USER, _field(_INTEGER, bytes([self.diagnostic])))
        parts = [
            _encode_context(self.context),
            _field(0xA2, _field(_INTEGER, bytes([self.result]))),
            _field(0xA3, diagnostic),
        ]
        if self.system_title is not None:
            parts.append(_field(0xA4, _field(_OCTET_STRING, self.system_title)))
        if self.mechanism is not Mechanism.NONE:
            parts.append(_field(0x88, _AUTHENTICATED))
            parts.append(_field(0x89, _encode_name(_MECHANISM_PREFIX, self.mechanism)))
        if self.authentication_value is not None:
            parts.append(_field(0xAA, _field(_CHARACTERS, self.authentication_value)))
        parts.append(_encode_user(self.user_information))
        return _field(AARE, b"".join(parts))

    @classmethod
    def from_bytes(cls, apdu: bytes) -> Self:
        """Return the response in the APDU.

        Raises:
            RemoteProtocolError: If it is malformed, or a code in it is unknown.
        """
        found = _split(apdu, AARE, "an AARE")
        result = _decode_integer(_inner(found.get(0xA2), _INTEGER), "a result")
        return cls(
            context=_decode_context(found),
            result=find_code(AssociationResult, result),
            diagnostic=_decode_diagnostic(found.get(0xA3)),
            mechanism=_decode_mechanism(found.get(0x89)),
            system_title=_inner(found.get(0xA4), _OCTET_STRING),
            authentication_value=_inner(found.get(0xAA), _CHARACTERS),
            user_information=_inner(found.get(_USER), _OCTET_STRING) or b"",
        )


@dataclass(frozen=True, slots=True)
class Release:
    """RLRQ or RLRE, by `tag`."""

    tag: int
    reason: ReleaseReason | None = ReleaseReason.NORMAL
    user_information: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the APDU."""
        reason = b"" if self.reason is None else _field(0x80, bytes([self.reason]))
        return _field(self.tag, reason + _encode_user(self.user_information))

    @classmethod
    def from_bytes(cls, apdu: bytes, *, tag: int) -> Self:
        """Return the release in the APDU.

        Raises:
            RemoteProtocolError: If it is malformed, or not of this tag.
        """
        found = _split(apdu, tag, "a release")
        code = found.get(0x80)
        return cls(
            tag,
            None if code is None else find_code(ReleaseReason, _decode_integer(code, "a reason")),
            _inner(found.get(_USER), _OCTET_STRING) or b"",
        )


def _field(tag: int, contents: bytes) -> bytes:
    return bytes([tag]) + encode_octets(contents)


def _encode_name(prefix: bytes, number: int) -> bytes:
    return prefix + bytes([number])


def _encode_context(context: Context) -> bytes:
    return _field(_CONTEXT, _field(_OBJECT_IDENTIFIER, _encode_name(_CONTEXT_PREFIX, context)))


def _encode_user(information: bytes) -> bytes:
    return _field(_USER, _field(_OCTET_STRING, information)) if information else b""


def _split(apdu: bytes, tag: int, what: str) -> Mapping[int, bytes]:
    """Return the contents of each field of an APDU by its tag.

    Raises:
        RemoteProtocolError: If it is malformed, or a field comes twice.
    """
    outer = Cursor.of_whole(apdu, tag=tag, what=what)
    cursor = Cursor(outer.take_octets())
    outer.finish(what)
    found: dict[int, bytes] = {}
    while cursor.left_size_bytes:
        each = cursor.take_byte()
        if each in found or len(found) >= FIELDS_MAX:
            reason = f"field 0x{each:02X} of {what} comes twice, or there are too many"
            raise RemoteProtocolError(reason)
        found[each] = cursor.take_octets()
    return found


def _inner(contents: bytes | None, tag: int) -> bytes | None:
    """Return what the one field inside another one holds; `None` if that is absent."""
    if contents is None:
        return None
    cursor = Cursor.of_whole(contents, tag=tag, what="a field of an association")
    inner = cursor.take_octets()
    cursor.finish("a field of an association")
    return inner


def _decode_name(octets: bytes, prefix: bytes) -> int:
    if len(octets) != len(prefix) + 1 or not octets.startswith(prefix):
        reason = "a name of an association is unknown"
        raise RemoteProtocolError(reason, frame=octets)
    return octets[-1]


def _decode_context(found: Mapping[int, bytes]) -> Context:
    name = _inner(found.get(_CONTEXT), _OBJECT_IDENTIFIER)
    if name is None:
        reason = "an association names no application context"
        raise RemoteProtocolError(reason)
    return find_code(Context, _decode_name(name, _CONTEXT_PREFIX))


def _decode_mechanism(octets: bytes | None) -> Mechanism:
    if octets is None:
        return Mechanism.NONE
    return find_code(Mechanism, _decode_name(octets, _MECHANISM_PREFIX))


def _decode_integer(octets: bytes | None, what: str) -> int:
    if octets is None or len(octets) != 1:
        reason = f"{what} of an association is absent or malformed"
        raise RemoteProtocolError(reason)
    return octets[0]


def _decode_diagnostic(contents: bytes | None) -> Diagnostic:
    """Return the diagnostic; those of the service provider, not in `Diagnostic`, give no reason."""
    if contents is None:
        return Diagnostic.NULL
    if contents[:1] == bytes([_SERVICE_PROVIDER]):
        code = _decode_integer(
            _inner(_inner(contents, _SERVICE_PROVIDER), _INTEGER), "a diagnostic"
        )
        return Diagnostic.NO_REASON_GIVEN if code else Diagnostic.NULL
    code = _decode_integer(_inner(_inner(contents, _SERVICE_USER), _INTEGER), "a diagnostic")
    return Diagnostic(code) if code in set(Diagnostic) else Diagnostic.NO_REASON_GIVEN
