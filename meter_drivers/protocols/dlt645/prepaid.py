"""Security and prepaid messages (function 03): identity, session, status, account, recharge.

The prepaid supplement of DL/T 645-2007, as State Grid meters have it, and one maker's form with
an order number. All data begin with an identifier and the operator's code:

    DI (4) | C0 C1 C2 C3 | payload            request
    DI (4) | payload                          reply

A message here is the payload; `to_request` puts the head before it. Numbers come low byte first.
MACs are bytes as they travel: nobody can make one without the keys, so they come out of a signer
(`signing`). Whether amounts are binary or decimal, and how long SERR is, differs by maker:
`PrepaidDialect`.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import ClassVar, Final, Self

from meter_drivers.errors import LocalProtocolError
from meter_drivers.protocols.dlt645.bcd import (
    decode_number,
    encode_digits,
    encode_number,
)
from meter_drivers.protocols.dlt645.frames import Function
from meter_drivers.protocols.dlt645.requests import (
    NO_OPERATOR,
    OPERATOR_SIZE_BYTES,
    check_size,
    decode_identifier,
    encode_identifier,
)

AMOUNT_SIZE_BYTES: Final = 4
COUNT_SIZE_BYTES: Final = 4
MAC_SIZE_BYTES: Final = 4
CUSTOMER_DIGITS: Final = 12
ORDER_SIZE_BYTES: Final = 8
COUNT_MAX: Final = 0xFFFFFFFF
SESSION_MINUTES_DEFAULT: Final = 5


class SecurityFunction(IntEnum):
    """The identifiers of function 03."""

    AUTHENTICATE = 0x070000FF
    """身份认证"""
    SET_SESSION_VALIDITY = 0x070001FF
    """身份认证时效设置"""
    END_SESSION = 0x070002FF
    """身份认证失效"""
    OPEN_ACCOUNT = 0x070101FF
    """开户"""
    RECHARGE = 0x070102FF
    """充值"""
    INITIALISE_WALLET = 0x070103FF
    """钱包初始化"""
    WRITE_PARAMETERS = 0x070104FF
    """One maker's block of parameters."""
    REFUND = 0x070108FF
    """退费, of some makers."""
    OPEN_BY_ORDER = 0x070115FF
    RECHARGE_BY_ORDER = 0x070116FF
    REFUND_BY_ORDER = 0x070117FF
    UPDATE_KEY_1 = 0x070201FF
    UPDATE_KEY_2 = 0x070202FF
    UPDATE_KEY_3 = 0x070203FF
    READ_ELEMENT = 0x078001FF
    """数据回抄: a block of the secure element."""
    READ_STATUS = 0x078102FF
    """状态查询"""


class AmountCoding(StrEnum):
    """How amounts, and purchase counts beside them, are written."""

    BINARY = "binary"
    BCD = "bcd"


@dataclass(frozen=True, slots=True)
class PrepaidDialect:
    """What differs by maker in the messages of function 03."""

    amount_coding: AmountCoding = AmountCoding.BINARY
    count_coding: AmountCoding = AmountCoding.BINARY
    error_size_bytes: int = 2
    """Of SERR, in replies that a meter makes; both are understood."""


STATE_GRID: Final = PrepaidDialect()


@dataclass(frozen=True, slots=True)
class SecurityRequest:
    """Any request of function 03: identifier, operator, payload."""

    identifier: int
    payload: bytes = b""
    operator: bytes = NO_OPERATOR
    function: ClassVar[Function] = Function.SECURITY

    def to_data(self) -> bytes:
        """Return identifier, operator and payload.

        Raises:
            LocalProtocolError: If the operator has no four bytes.
        """
        if len(self.operator) != OPERATOR_SIZE_BYTES:
            message = "an operator code has four bytes"
            raise LocalProtocolError(message)
        return encode_identifier(self.identifier) + self.operator + self.payload

    @classmethod
    def from_data(cls, data: bytes) -> Self:
        """Return the request.

        Raises:
            RemoteProtocolError: If the identifier is missing.
        """
        identifier = decode_identifier(data)
        check_size(data[4:8], OPERATOR_SIZE_BYTES)
        return cls(identifier, data[8:], data[4:8])


def encode_counted(number: int, coding: AmountCoding) -> bytes:
    """Return an amount or a purchase count in four bytes.

    Raises:
        LocalProtocolError: If it does not fit.
    """
    if coding is AmountCoding.BCD:
        return encode_number(number, AMOUNT_SIZE_BYTES)
    if not 0 <= number <= COUNT_MAX:
        message = f"{number} does not fit into four bytes"
        raise LocalProtocolError(message)
    return number.to_bytes(AMOUNT_SIZE_BYTES, "little")


def decode_counted(octets: bytes, coding: AmountCoding) -> int:
    """Return the amount or purchase count in four bytes.

    Raises:
        RemoteProtocolError: If it is decimal, and a half byte is no digit.
    """
    if coding is AmountCoding.BCD:
        return decode_number(octets)
    return int.from_bytes(octets, "little")


def encode_customer(customer_number: str) -> bytes:
    """Return a customer or meter number in six bytes.

    Raises:
        LocalProtocolError: If it has no 12 digits.
    """
    if len(customer_number) != CUSTOMER_DIGITS:
        message = f"a customer number has {CUSTOMER_DIGITS} digits"
        raise LocalProtocolError(message)
    return encode_digits(customer_number)


def check_part(octets: bytes, size_bytes: int, what: str) -> bytes:
    """Return a part that comes from elsewhere.

    Raises:
        LocalProtocolError: If it has another size.
    """
    if len(octets) != size_bytes:
        message = f"{what} has {size_bytes} bytes, not {len(octets)}"
        raise LocalProtocolError(message)
    return octets


@dataclass(frozen=True, slots=True)
class Authentication:
    """The utility shows that it holds the keys."""

    cipher: bytes
    """Eight bytes: the host's random number under the identity key of this meter."""
    host_random: bytes
    diversifier: bytes
    """Eight bytes: what makes the key of this meter out of the root key (分散因子)."""

    def to_request(self, operator: bytes = NO_OPERATOR) -> SecurityRequest:
        """Return the request.

        Raises:
            LocalProtocolError: If a part has no eight bytes.
        """
        payload = b"".join(
            check_part(part, 8, "each part of an authentication")
            for part in (self.cipher, self.host_random, self.diversifier)
        )
        return SecurityRequest(SecurityFunction.AUTHENTICATE, payload, operator)

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Return the authentication.

        Raises:
            RemoteProtocolError: If its size is wrong.
        """
        check_size(payload, 24)
        return cls(payload[:8], payload[8:16], payload[16:])


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The meter took the authentication."""

    meter_random: bytes
    """Four bytes, which go into every MAC of this session."""
    element_number: bytes
    """Eight bytes: the number of its secure element (ESAM)."""

    def to_payload(self) -> bytes:
        """Return the payload of the reply.

        Raises:
            LocalProtocolError: If a part has another size.
        """
        random = check_part(self.meter_random, 4, "the random number of a meter")
        return random + check_part(self.element_number, 8, "the number of a secure element")

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Return the reply.

        Raises:
            RemoteProtocolError: If its size is wrong.
        """
        check_size(payload, 12)
        return cls(payload[:4], payload[4:])


@dataclass(frozen=True, slots=True)
class SessionValidity:
    """How long a session lasts, with the MAC where the meter wants one."""

    minutes: int = SESSION_MINUTES_DEFAULT
    mac: bytes = b""

    def to_request(self, operator: bytes = NO_OPERATOR) -> SecurityRequest:
        """Return the request.

        Raises:
            LocalProtocolError: If the minutes have more than four digits.
        """
        payload = encode_number(self.minutes, 2) + self.mac
        return SecurityRequest(SecurityFunction.SET_SESSION_VALIDITY, payload, operator)

    @classmethod
    def from_payload(cls, payload: bytes) -> Self:
        """Return the message.

        Raises:
            RemoteProtocolError: If its size is wrong, or the minutes are no digits.
        """
        check_size(payload, 2, 2 + MAC_SIZE_BYTES)
        return cls(decode_number(payload[:2]), payload[2:])
