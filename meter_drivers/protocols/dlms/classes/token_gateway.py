"""Class 115, token gateway: 20 digits in, the meter's verdict out (IEC 62056-62, 5.13).

    1 logical_name | 2 token | 3 token_time | 4 token_description | 5 token_delivery_method
    6 token_status = structure {status_code enum, data_value bit string};   method 1 enter(token)

A token is an octet string of its ASCII digits, as vector C3 of this repository has it. Entering a
token twice does no harm where it is one of IEC 62055-41: the meter's memory of TIDs refuses it.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import Data, bit_string, enum, octet_string, structure
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method
from meter_drivers.protocols.dlms.results import find_code

CLASS_ID: Final = 115
GATEWAY: Final = LogicalName.parse("0.0.19.40.0.255")
TOKEN: Final = Attribute(CLASS_ID, GATEWAY, 2)
TOKEN_TIME: Final = Attribute(CLASS_ID, GATEWAY, 3)
TOKEN_DESCRIPTION: Final = Attribute(CLASS_ID, GATEWAY, 4)
TOKEN_DELIVERY_METHOD: Final = Attribute(CLASS_ID, GATEWAY, 5)
TOKEN_STATUS: Final = Attribute(CLASS_ID, GATEWAY, 6)
ENTER: Final = Method(CLASS_ID, GATEWAY, 1)
TOKEN_DIGIT_COUNT: Final = 20


class DeliveryMethod(IntEnum):
    """How the last token came."""

    REMOTE = 0
    LOCAL = 1
    MANUAL = 2


class TokenStatusCode(IntEnum):
    """How far the last token came, or where it failed."""

    FORMAT_OK = 0
    AUTHENTICATION_OK = 1
    VALIDATION_OK = 2
    TOKEN_EXECUTED = 3
    FORMAT_FAILURE = 4
    AUTHENTICATION_FAILURE = 5
    VALIDATION_FAILURE = 6
    EXECUTION_FAILURE = 7
    RECEIVED_NOT_YET_PROCESSED = 8


FAILED: Final = frozenset(
    {
        TokenStatusCode.FORMAT_FAILURE,
        TokenStatusCode.AUTHENTICATION_FAILURE,
        TokenStatusCode.VALIDATION_FAILURE,
        TokenStatusCode.EXECUTION_FAILURE,
    }
)
UNDECIDED: Final = frozenset(TokenStatusCode) - FAILED - {TokenStatusCode.TOKEN_EXECUTED}
"""The token is on its way through the steps; read again."""


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """The status, and bits of the maker's, bit 0 first."""

    code: TokenStatusCode
    bits: str = ""

    def to_data(self) -> Data:
        """Return token_status."""
        return structure(enum(self.code), bit_string(self.bits))

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return the status in token_status.

        Raises:
            RemoteProtocolError: If it is none.
        """
        code, bits = data.as_members(2)
        return cls(find_code(TokenStatusCode, code.as_integer()), bits.as_bits())


def encode_token(digits: str) -> Data:
    """Return the parameter of `enter`, which is also the attribute `token`.

    Raises:
        LocalProtocolError: If it is not 20 digits.
    """
    if not _is_token(digits):
        message = f"a token has {TOKEN_DIGIT_COUNT} digits"
        raise LocalProtocolError(message)
    return octet_string(digits.encode("ascii"))


def decode_token(data: Data) -> str:
    """Return the 20 digits.

    Raises:
        RemoteProtocolError: If it is not a token of 20 digits; the message does not show it.
    """
    digits = data.as_octets().decode("latin-1")
    if not _is_token(digits):
        reason = f"a token is not {TOKEN_DIGIT_COUNT} digits"
        raise RemoteProtocolError(reason)
    return digits


def decode_delivery_method(data: Data) -> DeliveryMethod:
    """Return how the last token came.

    Raises:
        RemoteProtocolError: If it is no such method.
    """
    return find_code(DeliveryMethod, data.as_integer())


def _is_token(digits: str) -> bool:
    return len(digits) == TOKEN_DIGIT_COUNT and digits.isascii() and digits.isdigit()
