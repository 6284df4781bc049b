from datetime import date, datetime, time

import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.status_words import MeterKind, StatusWord3, Supply
from meter_drivers.protocols.dlt645.values import (
    Demand,
    Value,
    decode_block,
    decode_value,
    encode_value,
)

BOTH_WAYS: list[tuple[int, str, Value | None]] = [
    (0x00010000, "26000000", 260),
    (0x00010000, "78060000", 6_780),
    (0x00000000, "78060080", -6_780),
    (0x0002010C, "99999999", 999_999_990),
    (0x00900100, "00150000", 15_000),
    (0x00900200, "99999999", 99_999_999),
    (0x00900201, "01000000", 1),
    (0x02010100, "0110", 100_100),
    (0x02010100, "FFFF", None),
    (0x02020100, "345200", 5_234),
    (0x02020100, "345280", -5_234),
    (0x02030000, "123401", 1_341_200),
    (0x02060000, "0010", 1_000),
    (0x02060000, "9889", -998),
    (0x02070100, "0012", 120_000),
    (0x02800002, "9949", 49_990),
    (0x0280000B, "00520000", 5_200),
    (0x04000101, "03251126", date(2026, 11, 25)),
    (0x04000102, "053014", time(14, 30, 5)),
    (0x0400010C, "05301403251126", datetime(2026, 11, 25, 14, 30, 5)),  # noqa: DTZ001
    (0x04000401, "611001301215", "151230011061"),
    (0x04000501, "0180", 0x8001),
    (0x04001004, "99999999", 99_999_999),
    (0x04050101, "34120000", 1_234),
    (0x04060001, "00001000", 1_000_000),
    (0x03330101, "3014251126", datetime(2026, 11, 25, 14, 30)),  # noqa: DTZ001
    (0x03330201, "0700", 7),
    (0x01010000, "123401" + "3014251126", Demand(1_341_200, datetime(2026, 11, 25, 14, 30))),  # noqa: DTZ001
    (0x01010000, "00" * 8, Demand(0, None)),
]


@pytest.mark.parametrize(("identifier", "octets", "value"), BOTH_WAYS)
def test_value_is_read_and_written(identifier: int, octets: str, value: Value | None) -> None:
    assert decode_value(identifier, bytes.fromhex(octets)) == value
    assert encode_value(identifier, value) == bytes.fromhex(octets)


def test_text_is_read_and_written() -> None:
    octets = encode_value(0x04000403, "ASSET 7")
    assert len(octets) == 32
    assert octets.endswith(b"7 TESSA")
    assert decode_value(0x04000403, octets) == "ASSET 7"


def test_block_is_read_value_by_value() -> None:
    assert decode_block(0x0001FF00, bytes.fromhex("26000000 FFFFFFFF 78060000")) == (
        260,
        None,
        6_780,
    )


@pytest.mark.parametrize("identifier", [0x00010000, 0x12345678])
def test_single_value_is_no_block(identifier: int) -> None:
    with pytest.raises(LocalProtocolError, match="no block"):
        decode_block(identifier, b"")


def test_block_of_half_a_value_is_malformed() -> None:
    with pytest.raises(RemoteProtocolError, match="multiple"):
        decode_block(0x0001FF00, bytes(5))


@pytest.mark.parametrize("identifier", [0x0001FF00, 0x12345678])
def test_value_is_asked_of_a_known_single_identifier(identifier: int) -> None:
    with pytest.raises(LocalProtocolError, match="one known value"):
        decode_value(identifier, bytes(4))


@pytest.mark.parametrize(
    ("identifier", "octets", "reason"),
    [
        (0x00010000, "260000", "3 bytes"),
        (0x00010000, "2A000000", "no decimal number"),
        (0x04000102, "603014", "no moment"),
        (0x04000101, "00320126", "no moment"),
        (0x03330101, "3025251126", "no moment"),
        (0x04000403, "80" * 32, "not ASCII"),
    ],
)
def test_malformed_value_is_refused(identifier: int, octets: str, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        decode_value(identifier, bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("identifier", "value", "reason"),
    [
        (0x00010000, 5, "between two counts"),
        (0x00010000, -10, "does not fit"),
        (0x00000000, 8_000_000 * 1000, "does not fit"),
        (0x00010000, 1_000_000_000, "does not fit"),
        (0x00010000, "26", "is no value of energy.import"),
        (0x04000501, 0x10000, "is no value of status_word_1"),
        (0x04000501, -1, "is no value of status_word_1"),
        (0x04000401, "1", "is no value of address"),
        (0x04000401, "1" * 11 + "x", "no even number of digits"),
        (0x04000101, datetime(2026, 11, 25), "is no value of clock.date"),  # noqa: DTZ001
        (0x0400010C, datetime(1999, 11, 25), "1999"),  # noqa: DTZ001
    ],
)
def test_value_that_does_not_fit_is_our_fault(identifier: int, value: Value, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        encode_value(identifier, value)


@pytest.mark.parametrize("bit", range(16))
def test_status_word_3_keeps_every_bit(bit: int) -> None:
    assert StatusWord3.from_word(1 << bit).to_word() == 1 << bit


def test_status_word_3_tells_command_and_position_apart() -> None:
    status = decode_value(0x04000503, bytes.fromhex("4011"))
    expected = StatusWord3(open_is_ordered=True, kind=MeterKind.ENERGY_PREPAID, power_is_kept=True)
    assert status == expected
    assert encode_value(0x04000503, expected) == bytes.fromhex("4011")


def test_status_word_3_tells_the_supply() -> None:
    assert StatusWord3.from_word(0x0004).supply is Supply.BATTERY
    assert StatusWord3.from_word(0x0200).kind is MeterKind.MONEY_PREPAID


def test_year_of_another_century_does_not_fit() -> None:
    with pytest.raises(LocalProtocolError, match="2100"):
        encode_value(0x03330101, datetime(2100, 1, 1))  # noqa: DTZ001
