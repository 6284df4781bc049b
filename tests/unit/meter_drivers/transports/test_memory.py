import pytest

from meter_drivers.errors import ConnectionLostError
from meter_drivers.transports.memory import MemoryStream


def test_bytes_that_came_before_the_other_end_closed_are_read() -> None:
    near, far = MemoryStream.pair()
    far.write(b"last", timeout_s=1)
    far.close()
    assert near.read(10, timeout_s=1) == b"last"
    with pytest.raises(ConnectionLostError):
        near.read(10, timeout_s=1)


def test_end_opens_anew_only_towards_an_open_one() -> None:
    near, far = MemoryStream.pair()
    near.close()
    near.open()
    far.write(b"x", timeout_s=1)
    assert near.read(1, timeout_s=1) == b"x"
    far.close()
    near.close()
    with pytest.raises(ConnectionLostError, match="other end is closed"):
        near.open()
