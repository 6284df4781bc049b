"""Answers a Modbus request from a bank of registers (Modbus Application Protocol 1.1b3).

Functions 03, 04, 06 and 16; any other is refused with exception 1. The bank decides which
addresses exist and what a write does; it refuses by raising `ModbusRefusalError`.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol

_READ_COUNT_RANGE: Final = range(1, 126)
_WRITE_COUNT_RANGE: Final = range(1, 124)
_EXCEPTION_BIT: Final = 0x80
_READ_SIZE_BYTES: Final = 5
_WRITE_ONE_SIZE_BYTES: Final = 5
_WRITE_HEADER_SIZE_BYTES: Final = 6


class Function(IntEnum):
    """The function codes that are answered."""

    READ_HOLDING = 3
    READ_INPUT = 4
    WRITE_ONE = 6
    WRITE_MANY = 16


class ExceptionCode(IntEnum):
    """Why a meter refuses a request."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3


class ModbusRefusalError(Exception):
    """The meter answers a request with an exception code."""

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(code.name)
        self.code = code


class RegisterBank(Protocol):
    """What stands behind one unit id."""

    def read_words(self, function: Function, address: int, count: int) -> Sequence[int]:
        """Return words of 16 bits; raises `ModbusRefusalError`."""
        ...

    def write_words(self, function: Function, address: int, words: Sequence[int]) -> None:
        """Take words of 16 bits, all or none; raises `ModbusRefusalError`."""
        ...


def answer_request(bank: RegisterBank, pdu: bytes) -> bytes:
    """Return the answer to a request: its values, its echo, or an exception."""
    code = pdu[0]
    try:
        function = _parse_function(code)
        if function in (Function.READ_HOLDING, Function.READ_INPUT):
            return _read(bank, function, pdu)
        return _write(bank, function, pdu)
    except ModbusRefusalError as refusal:
        return bytes([code | _EXCEPTION_BIT, refusal.code])


def _parse_function(code: int) -> Function:
    if code not in frozenset(Function):
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)
    return Function(code)


def _read(bank: RegisterBank, function: Function, pdu: bytes) -> bytes:
    count = int.from_bytes(pdu[3:5], "big")
    if len(pdu) != _READ_SIZE_BYTES or count not in _READ_COUNT_RANGE:
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
    words = bank.read_words(function, int.from_bytes(pdu[1:3], "big"), count)
    payload = b"".join(word.to_bytes(2, "big") for word in words)
    return bytes([function, len(payload)]) + payload


def _write(bank: RegisterBank, function: Function, pdu: bytes) -> bytes:
    is_one = function is Function.WRITE_ONE
    payload = pdu[3:5] if is_one else pdu[_WRITE_HEADER_SIZE_BYTES:]
    if not (_is_write_of_one(pdu) if is_one else _is_write_of_many(pdu)):
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
    words = [
        int.from_bytes(payload[start : start + 2], "big") for start in range(0, len(payload), 2)
    ]
    bank.write_words(function, int.from_bytes(pdu[1:3], "big"), words)
    return pdu[:5]  # the echo of either form of write


def _is_write_of_one(pdu: bytes) -> bool:
    return len(pdu) == _WRITE_ONE_SIZE_BYTES


def _is_write_of_many(pdu: bytes) -> bool:
    if len(pdu) < _WRITE_HEADER_SIZE_BYTES:
        return False
    count = int.from_bytes(pdu[3:5], "big")
    size_bytes = len(pdu) - _WRITE_HEADER_SIZE_BYTES
    return count in _WRITE_COUNT_RANGE and pdu[5] == 2 * count == size_bytes
