import pytest

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.modbus.blocks import (
    READ_REGISTERS_MAX,
    WRITE_REGISTERS_MAX,
    Layout,
    lay_out,
    pack,
    place,
    size,
    unpack_number,
    unpack_text,
)
from meter_drivers.protocols.modbus.credit import CREDIT_LAYOUT, CREDIT_REGISTER_COUNT
from meter_drivers.protocols.modbus.identity import IDENTITY_LAYOUT
from meter_drivers.protocols.modbus.status import STATUS_LAYOUT
from meter_drivers.protocols.modbus.token_entry import TOKEN_ENTRY_LAYOUT, TOKEN_RESULT_LAYOUT
from meter_drivers.registers import Encoding

LAYOUT = lay_out(("a", Encoding.U16), ("b", Encoding.S32), ("c", Encoding.TEXT, 2))


def test_fields_follow_one_another() -> None:
    assert [(spec.name, spec.address, spec.count) for spec in LAYOUT] == [
        ("a", 0, 1),
        ("b", 1, 2),
        ("c", 3, 2),
    ]
    assert size(LAYOUT) == 5


def test_placed_layout_begins_where_the_profile_says() -> None:
    assert [spec.address for spec in place(LAYOUT, 0x0200)] == [0x0200, 0x0201, 0x0203]


def test_block_is_packed_and_unpacked() -> None:
    words = pack(LAYOUT, {"a": 1, "b": -2, "c": "abc"})
    assert words == (1, 0xFFFF, 0xFFFE, 0x6162, 0x6300)
    assert unpack_number(LAYOUT, words, "b") == -2
    assert unpack_text(LAYOUT, words, "c") == "abc"


def test_field_of_another_kind_is_refused() -> None:
    words = pack(LAYOUT, {"a": 1, "b": -2, "c": "abc"})
    with pytest.raises(RemoteProtocolError, match="no number"):
        unpack_number(LAYOUT, words, "c")
    with pytest.raises(RemoteProtocolError, match="no text"):
        unpack_text(LAYOUT, words, "a")


def test_field_that_is_missing_is_a_defect() -> None:
    with pytest.raises(AssertionError):
        pack(LAYOUT, {"a": 1})


@pytest.mark.parametrize(
    ("layout", "size_max"),
    [
        (IDENTITY_LAYOUT, READ_REGISTERS_MAX),
        (STATUS_LAYOUT, READ_REGISTERS_MAX),
        (TOKEN_RESULT_LAYOUT, READ_REGISTERS_MAX),
        (TOKEN_ENTRY_LAYOUT, WRITE_REGISTERS_MAX),
        (CREDIT_LAYOUT, WRITE_REGISTERS_MAX),
    ],
)
def test_every_block_travels_in_one_frame(layout: Layout, size_max: int) -> None:
    assert size(layout) <= size_max


def test_credit_layout_is_the_one_that_its_codec_writes() -> None:
    assert size(CREDIT_LAYOUT) == CREDIT_REGISTER_COUNT
