import json
import logging

import pytest
import structlog

from vending.observability.logs import configure_logs, get_logger
from vending.observability.redaction import MASK, redact, redact_text

TOKEN = "70630503470028726114"
KEY = "ABABABABABABABAB949494949494949401234567"


@pytest.mark.parametrize(
    "text", [TOKEN, "7063 0503 4700 2872 6114", "7063-0503-4700-2872-6114", f"got {TOKEN}."]
)
def test_token_is_cut_to_its_last_four_digits(text: str) -> None:
    assert "****6114" in redact_text(text)
    assert "0503" not in redact_text(text)


def test_meter_pan_of_18_digits_stays_readable() -> None:
    assert redact_text("meter 600727000000000009") == "meter 600727000000000009"


@pytest.mark.parametrize("secret", [KEY, KEY.lower(), "abababababababab", "pk_ab12_Zm9vYmFy-x_9"])
def test_key_is_masked(secret: str) -> None:
    assert redact_text(f"with {secret} inside") == f"with {MASK} inside"


@pytest.mark.parametrize("prefix", ["os_", "ot_", "od_"])
def test_session_ticket_and_device_are_masked(prefix: str) -> None:
    assert redact_text(f"with {prefix}{'5e' * 32}") == f"with {prefix}{MASK}"


def test_recovery_and_activation_codes_are_masked() -> None:
    assert redact_text("code K7QM-2XRD-T5WB-6HCF-L3VN-4PYA.") == f"code {MASK}."


def test_password_in_a_database_address_is_masked() -> None:
    assert redact_text("postgresql://me:s3cret@db/vending") == f"postgresql://me:{MASK}@db/vending"


@pytest.mark.parametrize(
    "value", [b"\x01\x02", bytearray(b"k"), {"material": 5}, {"a": {"token": 1}}]
)
def test_bytes_and_secret_names_are_masked_at_any_depth(value: object) -> None:
    assert MASK in json.dumps(redact(value))


def test_nesting_past_the_limit_is_masked_whole() -> None:
    nested: object = "x"
    for _ in range(12):
        nested = [nested]
    assert MASK in json.dumps(redact(nested))


def test_number_as_long_as_a_token_is_cut() -> None:
    assert redact(int(TOKEN)) == "****6114"
    assert redact(42) == 42


class Keyed(Exception):
    pass


def test_no_secret_reaches_the_log_by_message_field_or_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(level="info", log_format="json")
    structlog.contextvars.bind_contextvars(request_id="r-1")
    try:
        raise Keyed(f"cannot use {KEY} for {TOKEN}")
    except Keyed:
        get_logger("test").exception(
            "failed", token=TOKEN, note=f"token {TOKEN}", nested={"x": KEY}
        )
        logging.getLogger("library").exception("library says %s", TOKEN)
    finally:
        structlog.contextvars.clear_contextvars()
    printed = capsys.readouterr().err
    assert TOKEN not in printed
    assert KEY not in printed
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["level"] for line in lines] == ["error", "error"]
    assert {line["request_id"] for line in lines} == {"r-1"}


def test_secret_that_became_a_name_is_masked() -> None:
    assert redact({TOKEN: 1}) == {"****6114": 1}


def test_what_is_nested_too_deep_is_masked_whole() -> None:
    nested: object = TOKEN
    for _ in range(10):
        nested = [nested]
    assert MASK in json.dumps(redact(nested))
    assert TOKEN not in json.dumps(redact(nested))


def test_other_objects_are_shown_as_text_without_secrets() -> None:
    class Holder:
        def __str__(self) -> str:
            return f"holder of {TOKEN}"

    assert redact(Holder()) == "holder of ****6114"
    assert redact((1, 2.5, None, True)) == [1, 2.5, None, True]
    assert redact(int(TOKEN)) == "****6114"
