import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import (
    DEPTH_MAX,
    ELEMENTS_MAX,
    FIXED_SIZES,
    INTEGER_FORMATS,
    NULL,
    Data,
    DataType,
    array,
    bit_string,
    boolean,
    double_long,
    double_long_unsigned,
    enum,
    integer,
    long,
    long_unsigned,
    octet_string,
    structure,
    unsigned,
    visible_string,
)
from meter_drivers.protocols.dlms.octets import Cursor, encode_length

PRINTED = [
    (NULL, "00"),
    (boolean(True), "0301"),  # noqa: FBT003 # the value itself
    (bit_string("1010000011"), "040AA0C0"),
    (bit_string(""), "0400"),
    (double_long(-2), "05FFFFFFFE"),
    (double_long_unsigned(1), "0600000001"),
    (octet_string(b"AB"), "09024142"),
    (octet_string(bytes(200)), "0981C8" + "00" * 200),
    (visible_string("é"), "0A01E9"),
    (Data(DataType.UTF8_STRING, "é"), "0C02C3A9"),
    (Data(DataType.BCD, 0x12), "0D12"),
    (integer(-1), "0FFF"),
    (long(-1), "10FFFF"),
    (unsigned(255), "11FF"),
    (long_unsigned(65535), "12FFFF"),
    (Data(DataType.LONG64, -1), "14FFFFFFFFFFFFFFFF"),
    (Data(DataType.LONG64_UNSIGNED, 1), "150000000000000001"),
    (enum(30), "161E"),
    (Data(DataType.FLOAT32, bytes.fromhex("3F800000")), "173F800000"),
    (Data(DataType.DONT_CARE), "FF"),
    (structure(integer(0), enum(30)), "02020F00161E"),
    (array([]), "0100"),
    (array([unsigned(1), unsigned(2)]), "010211011102"),
    (Data(DataType.COMPACT_ARRAY, (unsigned(1), unsigned(2))), "1311020102"),
    (
        Data(
            DataType.COMPACT_ARRAY,
            tuple(structure(long(each), array([enum(each), enum(0)])) for each in (1, 2)),
        ),
        "1302021001000216080001010000020200",
    ),
]


def whole_numbers(type_: DataType) -> st.SearchStrategy[Data]:
    size_bytes, signed = INTEGER_FORMATS[type_]
    bits = size_bytes * 8 - signed
    least = -(1 << bits) if signed else 0
    return st.builds(Data, st.just(type_), st.integers(least, (1 << bits) - 1))


def fixed_octets(type_: DataType) -> st.SearchStrategy[Data]:
    size_bytes = FIXED_SIZES[type_]
    return st.builds(Data, st.just(type_), st.binary(min_size=size_bytes, max_size=size_bytes))


def scalars() -> st.SearchStrategy[Data]:
    whole = [whole_numbers(type_) for type_ in INTEGER_FORMATS]
    fixed = [fixed_octets(type_) for type_ in FIXED_SIZES]
    return st.one_of(
        *whole,
        *fixed,
        st.sampled_from([NULL, Data(DataType.DONT_CARE)]),
        st.booleans().map(boolean),
        st.text("01", max_size=40).map(bit_string),
        st.binary(max_size=300).map(octet_string),
        st.text(max_size=40).map(lambda text: Data(DataType.UTF8_STRING, text)),
    )


VALUES = st.recursive(
    scalars(),
    lambda inner: (
        st.lists(inner, max_size=5).map(array)
        | st.lists(inner, max_size=5).map(lambda members: structure(*members))
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(("value", "printed"), PRINTED)
def test_value_is_its_bytes_both_ways(value: Data, printed: str) -> None:
    assert value.to_bytes() == bytes.fromhex(printed)
    assert Data.from_bytes(bytes.fromhex(printed)) == value


@pytest.mark.parametrize(("value", "printed"), PRINTED)
def test_every_part_of_a_value_is_refused(value: Data, printed: str) -> None:
    whole = bytes.fromhex(printed)
    for size_bytes in range(len(whole)):
        with pytest.raises(RemoteProtocolError):
            Data.from_bytes(whole[:size_bytes])
    with pytest.raises(RemoteProtocolError, match="follow a value"):
        Data.from_bytes(value.to_bytes() + b"\x00")


@given(VALUES)
def test_any_value_comes_back(value: Data) -> None:
    assert Data.from_bytes(value.to_bytes()) == value


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=9)), min_size=1, max_size=9))
def test_any_compact_array_comes_back(rows: list[tuple[int, bytes]]) -> None:
    elements = tuple(structure(unsigned(a), octet_string(b)) for a, b in rows)
    value = Data(DataType.COMPACT_ARRAY, elements)
    assert Data.from_bytes(value.to_bytes()) == value


@given(st.sampled_from([1, 2, 4, 9, 12, 19]), st.binary(max_size=24))
def test_any_bytes_give_a_value_that_comes_back_or_a_named_error(tag: int, octets: bytes) -> None:
    try:
        value = Data.from_bytes(bytes([tag]) + octets)
    except RemoteProtocolError:
        return
    assert isinstance(value, Data)


def nested(depth: int) -> bytes:
    return bytes.fromhex("0101") * depth + b"\x00"


def test_depth_is_limited_both_ways() -> None:
    deepest = Data.from_bytes(nested(DEPTH_MAX))
    assert deepest.to_bytes() == nested(DEPTH_MAX)
    with pytest.raises(RemoteProtocolError, match="deeper"):
        Data.from_bytes(nested(DEPTH_MAX + 1))
    with pytest.raises(LocalProtocolError, match="deep"):
        array([deepest]).to_bytes()
    with pytest.raises(RemoteProtocolError, match="deeper"):
        Data.from_bytes(b"\x13" + bytes.fromhex("020101") * (DEPTH_MAX + 1))
    with pytest.raises(LocalProtocolError, match="deep"):
        Data(DataType.COMPACT_ARRAY, (deepest,)).to_bytes()


@pytest.mark.parametrize(
    "octets",
    [
        "0984FFFFFFFF",  # length far beyond the end
        "0985FFFFFFFFFF",  # length of five bytes
        "0980",  # indefinite length
        "0182FFFF",  # count beyond the end
        "0482FFFF00",
        "07",
        "0C01FF",  # no UTF-8
        "1313",  # compact array of compact arrays
        "130011FF",  # one zero-width element for each missing byte
        "1300 01 00",  # elements that take no bytes never fill the contents
        "1301FFFF01FFFF00 01 00",
    ],
)
def test_malformed_value_is_refused(octets: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Data.from_bytes(bytes.fromhex(octets))


def test_elements_are_limited() -> None:
    with pytest.raises(RemoteProtocolError, match="more than"):
        Data.from_bytes(b"\x01" + encode_length(ELEMENTS_MAX) + bytes(ELEMENTS_MAX))


@pytest.mark.parametrize(
    "value",
    [
        unsigned(256),
        integer(-129),
        Data(DataType.UNSIGNED, "1"),
        Data(DataType.ARRAY, b""),
        Data(DataType.COMPACT_ARRAY, (unsigned(1), long(1))),
        Data(DataType.COMPACT_ARRAY, (array([unsigned(1), long(1)]),)),
        Data(DataType.COMPACT_ARRAY, (array([]),)),
        Data(DataType.COMPACT_ARRAY, (NULL,)),
        Data(DataType.COMPACT_ARRAY, (Data(DataType.ARRAY, 5),)),
        Data(DataType.DATE, b"1234"),
        visible_string("€"),
        bit_string("012"),
        Data(DataType.NULL, 0),
        Data(DataType.BOOLEAN, 1),
    ],
)
def test_value_that_does_not_fit_its_type_is_refused(value: Data) -> None:
    with pytest.raises(LocalProtocolError):
        value.to_bytes()


def test_empty_compact_array_comes_back() -> None:
    empty = Data(DataType.COMPACT_ARRAY, ())
    assert Data.from_bytes(empty.to_bytes()) == empty


@pytest.mark.parametrize(
    "take",
    [
        Data.as_integer,
        Data.as_boolean,
        Data.as_octets,
        Data.as_text,
        Data.as_bits,
        Data.as_elements,
        Data.as_members,
    ],
)
def test_value_of_another_type_is_refused(take: object) -> None:
    assert callable(take)
    with pytest.raises(RemoteProtocolError, match="NULL came instead of"):
        take(NULL)


def test_structure_of_another_size_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="2 members instead of 3"):
        structure(NULL, NULL).as_members(3)


def test_length_beyond_four_bytes_is_refused() -> None:
    assert encode_length(0xFFFF_FFFF) == bytes.fromhex("84FFFFFFFF")
    with pytest.raises(LocalProtocolError):
        encode_length(1 << 32)


def test_cursor_refuses_another_tag() -> None:
    with pytest.raises(RemoteProtocolError, match="a thing begins with 0x01 instead of 0x02"):
        Cursor.of_whole(b"\x01", tag=2, what="a thing")
