import struct
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.registers import (
    SIGNED,
    UNSIGNED,
    WORD_COUNTS,
    Encoding,
    Marker,
    Reading,
    RegisterSpec,
    Unit,
    WordOrder,
    decode_reading,
    decode_text,
    encode_value,
    find_marked,
)


def spec_of(
    encoding: Encoding,
    *,
    scale: int = 1,
    order: WordOrder = WordOrder.BIG,
    invalid: frozenset[int] = frozenset(),
) -> RegisterSpec:
    return RegisterSpec(
        "energy",
        0,
        encoding,
        Unit.WH,
        scale=scale,
        count=WORD_COUNTS[encoding],
        word_order=order,
        invalid=invalid,
    )


TEXT = RegisterSpec("model", 0, Encoding.TEXT, Unit.TEXT, count=3)


@pytest.mark.parametrize(
    ("encoding", "words", "value"),
    [
        (Encoding.U16, (0xFFFF,), 65535),
        (Encoding.S16, (0xFFFF,), -1),
        (Encoding.S16, (0x8000,), -32768),
        (Encoding.U32, (0x0001, 0x0002), 65538),
        (Encoding.S32, (0xFFFF, 0xFFFE), -2),
        (Encoding.U64, (0, 0, 1, 0), 65536),
        (Encoding.U64, (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE), 2**64 - 2),
        (Encoding.S64, (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE), -2),
    ],
)
def test_number_is_read_and_written_high_word_first(
    encoding: Encoding, words: tuple[int, ...], value: int
) -> None:
    spec = spec_of(encoding)
    assert decode_reading(spec, words) == Reading("energy", Unit.WH, value)
    assert encode_value(spec, value) == words


def test_low_word_first_is_declared_not_guessed() -> None:
    spec = spec_of(Encoding.U32, order=WordOrder.LITTLE)
    assert decode_reading(spec, (2, 1)).value == 65538
    assert encode_value(spec, 65538) == (2, 1)


def test_scale_multiplies_and_the_meter_cuts_off_what_it_cannot_show() -> None:
    spec = spec_of(Encoding.S32, scale=10)
    assert decode_reading(spec, (0, 123)).value == 1230
    assert encode_value(spec, 1239) == (0, 123)
    assert encode_value(spec, -1239) == encode_value(spec, -1230)


@given(st.sampled_from([e for e in WORD_COUNTS if e is not Encoding.F32]), st.data())
def test_number_survives_the_way_there_and_back(encoding: Encoding, data: st.DataObject) -> None:
    words = tuple(
        data.draw(st.integers(0, 0xFFFF), label="word") for _ in range(WORD_COUNTS[encoding])
    )
    order = data.draw(st.sampled_from(WordOrder), label="order")
    spec = spec_of(encoding, scale=100, order=order)
    value = decode_reading(spec, words).value
    assert isinstance(value, int)
    assert encode_value(spec, value) == words


@pytest.mark.parametrize(
    ("encoding", "value"),
    [
        (Encoding.U16, 65536),
        (Encoding.U16, -1),
        (Encoding.S16, 32768),
        (Encoding.S32, -(2**31) - 1),
        (Encoding.S64, 2**63),
        (Encoding.U64, 2**64),
    ],
)
def test_number_that_does_not_fit_is_refused(encoding: Encoding, value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode_value(spec_of(encoding), value)


def test_value_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="holds a number"):
        encode_value(spec_of(Encoding.U16), "1")
    with pytest.raises(TypeError, match="holds text"):
        encode_value(TEXT, 1)


# --- floats -------------------------------------------------------------------------------------
def words_of(bits: int) -> tuple[int, int]:
    return bits >> 16, bits & 0xFFFF


@pytest.mark.parametrize(
    ("printed", "scale", "value"),
    [
        ("43664CCD", 1000, 230_300),
        ("00000000", 1000, 0),
        ("80000000", 1000, 0),
        ("BF800000", 1000, -1000),
        ("3A83126F", 1000, 1),
        ("3F000000", 1, 1),
        ("BF000000", 1, -1),
        ("3EFFFFFF", 1, 0),
        ("47C35000", 1000, 100_000_000),
        ("00000001", 1000, 0),
        ("7F7FFFFF", 1, 2**128 - 2**104),
    ],
)
def test_float_becomes_the_nearest_whole_number_half_away_from_zero(
    printed: str, scale: int, value: int
) -> None:
    spec = spec_of(Encoding.F32, scale=scale)
    assert decode_reading(spec, words_of(int(printed, 16))).value == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from([1, 1000]))
def test_float_is_converted_exactly(number: float, scale: int) -> None:
    (bits,) = struct.unpack(">I", struct.pack(">f", number))
    value = decode_reading(spec_of(Encoding.F32, scale=scale), words_of(bits)).value
    assert isinstance(value, int)
    assert abs(value - Fraction(number) * scale) <= Fraction(1, 2)


@given(st.integers(-9_999_999, 9_999_999))
def test_float_of_seven_digits_survives_the_way_there_and_back(value: int) -> None:
    spec = spec_of(Encoding.F32, scale=1000)
    assert decode_reading(spec, encode_value(spec, value)).value == value


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7F800001, 0x7F800000, 0xFF800000])
def test_nan_and_infinity_are_unavailable_never_zero(bits: int) -> None:
    reading = decode_reading(spec_of(Encoding.F32), words_of(bits))
    assert reading.value is None
    assert reading.unavailable_reason


# --- not available ------------------------------------------------------------------------------
@pytest.mark.parametrize("encoding", [Encoding.U32, Encoding.S32, Encoding.F32])
def test_sentinel_is_unavailable_and_says_so(encoding: Encoding) -> None:
    spec = spec_of(encoding, invalid=frozenset({0x7FFFFFFE}) if encoding is not Encoding.F32
                   else frozenset({0x42C80000}))  # fmt: skip
    (bits,) = spec.invalid
    reading = decode_reading(spec, words_of(bits))
    assert reading.value is None
    assert "not available" in str(reading.unavailable_reason)


@given(
    st.sampled_from(sorted(SIGNED | UNSIGNED)),
    st.sampled_from(Marker),
    st.sampled_from(WordOrder),
    st.data(),
)
def test_marker_is_never_a_number_and_every_other_value_is_one(
    encoding: Encoding, marker: Marker, order: WordOrder, data: st.DataObject
) -> None:
    width_bits = 16 * WORD_COUNTS[encoding]
    marked = find_marked(marker, width_bits)
    spec = spec_of(encoding, order=order, invalid=frozenset({marked}))
    plain = replace(spec, invalid=frozenset())
    raw = data.draw(
        st.sampled_from([marked, (marked + 1) % 2**width_bits, 0])
        | st.integers(0, 2**width_bits - 1)
    )
    is_high = encoding in SIGNED and raw >> (width_bits - 1)
    value = raw - 2**width_bits if is_high else raw
    words = encode_value(plain, value)
    assert decode_reading(plain, words).value == value
    assert decode_reading(spec, words).value == (None if raw == marked else value)


# --- scale from another register ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("raw", "scale", "exponent", "value"),
    [(2296, 1000, -1, 229_600), (5, 1, 3, 5000), (15, 1, -1, 2), (-15, 1, -1, -2), (14, 1, -1, 1)],
)
def test_power_of_ten_scales_and_rounds_half_away_from_zero(
    raw: int, scale: int, exponent: int, value: int
) -> None:
    spec = spec_of(Encoding.S16, scale=scale)
    words = encode_value(spec_of(Encoding.S16), raw)
    assert decode_reading(spec, words, exponent=exponent).value == value


@given(
    st.sampled_from([Encoding.S16, Encoding.U32, Encoding.S64]),
    st.sampled_from([1, 10, 1000]),
    st.integers(-10, 10),
    st.data(),
)
def test_scaled_number_is_exact_to_half_a_unit_and_survives_where_nothing_is_cut(
    encoding: Encoding, scale: int, exponent: int, data: st.DataObject
) -> None:
    spec = spec_of(encoding, scale=scale)
    words = tuple(
        data.draw(st.integers(0, 0xFFFF), label="word") for _ in range(WORD_COUNTS[encoding])
    )
    raw = decode_reading(spec_of(encoding), words).value
    value = decode_reading(spec, words, exponent=exponent).value
    assert isinstance(raw, int)
    assert isinstance(value, int)
    assert abs(value - Fraction(10) ** exponent * raw * scale) <= Fraction(1, 2)
    if scale * Fraction(10) ** exponent >= 1:
        assert encode_value(spec, value, exponent=exponent) == words


# --- text ---------------------------------------------------------------------------------------
def test_text_is_padded_and_read_back() -> None:
    words = encode_value(TEXT, "SDM")
    assert words == (0x5344, 0x4D00, 0)
    assert decode_reading(TEXT, words).value == "SDM"


def test_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 6"):
        encode_value(TEXT, "SDM6301")


@pytest.mark.parametrize(
    ("words", "reason"),
    [((0, 0, 0), "empty"), ((0xC3A4, 0, 0), "printable"), ((0x0741, 0, 0), "printable")],
)
def test_text_that_is_none_is_unavailable(words: tuple[int, ...], reason: str) -> None:
    reading = decode_reading(TEXT, words)
    assert reading.value is None
    assert reason in str(reading.unavailable_reason)


def test_text_that_is_not_printable_is_refused() -> None:
    with pytest.raises(ValueError, match="not printable"):
        decode_text((0x0741,))
