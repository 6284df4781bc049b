import pytest

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlt645.bcd import decode_digits, decode_number, encode_number


def test_no_bytes_are_no_number() -> None:
    assert decode_digits(b"") == ""
    with pytest.raises(RemoteProtocolError, match="no bytes"):
        decode_number(b"")


@pytest.mark.parametrize(("number", "octets"), [(-1, "0180"), (7_999, "9979"), (-7_999, "99F9")])
def test_sign_is_the_top_bit(number: int, octets: str) -> None:
    assert encode_number(number, 2, signed=True) == bytes.fromhex(octets)
    assert decode_number(bytes.fromhex(octets), signed=True) == number
