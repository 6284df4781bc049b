import pytest

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.modbus.blocks import size
from meter_drivers.protocols.modbus.status import (
    STATUS_LAYOUT,
    AlarmBit,
    RelayCode,
    StatusBlock,
    TamperBit,
    TripCause,
)

STATUS = StatusBlock(
    last_seq=70_000,
    last_result=1,
    attempt_seq=70_001,
    attempt_result=2,
    balance=-12,
    cumulative_credit=2**32 - 1,
    purchase_count=65_535,
    relay_command=RelayCode.CLOSED,
    relay_actual=RelayCode.OPEN,
    trip_cause=TripCause.NO_CREDIT,
    alarm_bits=AlarmBit.NO_CREDIT | AlarmBit.LOW_CREDIT,
    tamper_bits=TamperBit.MAGNET,
    event_counter=99,
)


def test_status_survives_the_way_there_and_back() -> None:
    assert StatusBlock.from_registers(STATUS.to_registers()) == STATUS


def test_block_is_laid_out_as_printed() -> None:
    assert STATUS.to_registers() == (
        1, 4464, 1, 1, 4465, 2, 0xFFFF, 0xFFF4, 0xFFFF, 0xFFFF, 0xFFFF, 1, 0, 1, 3, 4, 0, 99,
    )  # fmt: skip


@pytest.mark.parametrize("index", [11, 12, 13], ids=["command", "actual", "trip cause"])
def test_code_of_another_profile_is_refused(index: int) -> None:
    words = list(STATUS.to_registers())
    words[index] = 9
    with pytest.raises(RemoteProtocolError, match="not of this profile"):
        StatusBlock.from_registers(words)


def test_unknown_bits_are_kept() -> None:
    words = list(STATUS.to_registers())
    words[14] = 0x8001
    assert int(StatusBlock.from_registers(words).alarm_bits) == 0x8001
    assert len(words) == size(STATUS_LAYOUT)
