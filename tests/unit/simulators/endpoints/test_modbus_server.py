from collections.abc import Sequence

import pytest

from simulators.endpoints.modbus_server import (
    ExceptionCode,
    Function,
    ModbusRefusalError,
    answer_request,
)


class Memory:
    """A bank of ten registers that keeps what is written."""

    def __init__(self) -> None:
        self.words = list(range(10))

    def read_words(self, _function: Function, address: int, count: int) -> Sequence[int]:
        if address + count > len(self.words):
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)
        return self.words[address : address + count]

    def write_words(self, _function: Function, address: int, words: Sequence[int]) -> None:
        self.words[address : address + len(words)] = words


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.mark.parametrize(
    ("request_hex", "answer_hex"),
    [
        ("0300020002", "030400020003"),
        ("0400000001", "04020000"),
        ("060001abcd", "060001abcd"),
        ("10000100020400ff00fe", "1000010002"),
        ("030009000a", "8302"),
        ("0300000000", "8303"),
        ("030000007e", "8303"),
        ("0300", "8303"),
        ("0600", "8603"),
        ("1000", "9003"),
        ("10000100020200ff", "9003"),
        ("100001000204000000", "9003"),
        ("1000010000", "9003"),
        ("1000010000" + "00", "9003"),
        ("01000000ff", "8101"),
        ("41", "c101"),
    ],
)
def test_each_request_has_its_answer(memory: Memory, request_hex: str, answer_hex: str) -> None:
    assert answer_request(memory, bytes.fromhex(request_hex)).hex() == answer_hex


def test_writes_are_stored(memory: Memory) -> None:
    answer_request(memory, bytes.fromhex("060001abcd"))
    answer_request(memory, bytes.fromhex("10000200020411112222"))
    assert memory.words[1:4] == [0xABCD, 0x1111, 0x2222]
