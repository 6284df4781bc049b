import pytest

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.modbus.identity import IdentityBlock

IDENTITY = IdentityBlock("12345678903", "600727123456789034", "open prepay", "1.0")


def test_identity_survives_the_way_there_and_back() -> None:
    assert IdentityBlock.from_registers(IDENTITY.to_registers()) == IDENTITY


def test_block_begins_with_marker_and_version() -> None:
    assert IDENTITY.to_registers()[:3] == (0x4F50, 0x504D, 1)


@pytest.mark.parametrize(
    ("index", "word", "problem"), [(0, 0x4141, "marker"), (0, 0, "marker"), (2, 2, "version 2")]
)
def test_block_of_another_device_is_refused(index: int, word: int, problem: str) -> None:
    words = list(IDENTITY.to_registers())
    words[index] = word
    with pytest.raises(RemoteProtocolError, match=problem):
        IdentityBlock.from_registers(words)


def test_field_left_empty_reads_as_empty() -> None:
    words = IdentityBlock("12345678903", "", "", "").to_registers()
    assert IdentityBlock.from_registers(words).pan == ""
