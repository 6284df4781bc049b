import pytest

from meter_drivers.protocols.dlt645.requests import ChangePassword, Speed


@pytest.mark.parametrize("speed", Speed)
def test_speed_names_its_baud(speed: Speed) -> None:
    assert speed.name == f"BAUD_{speed.baud}"


def test_password_of_a_level_has_its_identifier() -> None:
    request = ChangePassword(2, b"abc", 4, b"def")
    assert request.to_data().hex() == "050c0004" + "02616263" + "04646566"
