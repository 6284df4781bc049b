import os

import pytest

from vending.cli.arguments import ArgumentInvalidError, name_actor, parse_currency


def test_currency_is_parsed_or_refused_by_its_option() -> None:
    assert parse_currency("KES").code == "KES"
    with pytest.raises(ArgumentInvalidError, match="--currency kes: write an ISO 4217 code"):
        parse_currency("kes")


def test_actor_is_the_login_name() -> None:
    assert name_actor(lambda: "amina") == "amina"


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_actor_that_no_password_file_knows_is_a_number(error: type[Exception]) -> None:
    def fail() -> str:
        raise error

    assert name_actor(fail) == f"uid {os.getuid()}"
