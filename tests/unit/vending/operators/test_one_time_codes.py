"""Codes of an app and codes on paper."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vending.operators.one_time_codes import (
    NO_STEP,
    STEP_S,
    WrongCode,
    accept_totp_code,
    describe_enrolment,
    make_code,
    make_totp_secret,
    parse_code,
)

RFC_6238_SECRET = base64.b32encode(b"12345678901234567890").decode()
NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
PRESENT = int(NOW.timestamp()) // STEP_S


@pytest.mark.parametrize(
    ("unix_s", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ],
)
def test_published_codes_are_right(unix_s: int, code: str) -> None:
    """RFC 6238, appendix B, the last six of eight digits."""
    now = datetime.fromtimestamp(unix_s, UTC)
    step = accept_totp_code(RFC_6238_SECRET, code, now=now, last_step=NO_STEP)
    assert step == unix_s // STEP_S


@given(st.integers(-4, 4), st.integers(-4, 4))
def test_code_is_right_within_a_step_and_after_the_last_used(apart: int, last: int) -> None:
    at = NOW + timedelta(seconds=STEP_S * apart)
    code = code_at(at)
    is_near, is_new = abs(apart) <= 1, apart > last
    if is_near and is_new:
        step = accept_totp_code(RFC_6238_SECRET, code, now=NOW, last_step=PRESENT + last)
        assert step == PRESENT + apart
        return
    with pytest.raises(WrongCode) as told:
        accept_totp_code(RFC_6238_SECRET, code, now=NOW, last_step=PRESENT + last)
    assert told.value.is_reused is is_near


def code_at(at: datetime) -> str:
    """The code of an instant, found by trying all: the module itself never shows one."""
    import pyotp  # noqa: PLC0415 # the second opinion of this test alone

    return pyotp.TOTP(RFC_6238_SECRET).at(at)


@given(st.text(max_size=12))
def test_any_text_is_judged(text: str) -> None:
    try:
        accept_totp_code(RFC_6238_SECRET, text, now=NOW, last_step=NO_STEP)
    except WrongCode as wrong:
        assert not wrong.is_reused  # noqa: PT017 # most texts are wrong, and no other error comes


def test_code_may_be_typed_in_two_groups() -> None:
    code = code_at(NOW)
    spaced = f"{code[:3]} {code[3:]}"
    assert accept_totp_code(RFC_6238_SECRET, spaced, now=NOW, last_step=NO_STEP) == PRESENT


def test_secret_has_160_bits_and_its_uri_names_the_account() -> None:
    secret = make_totp_secret()
    assert len(base64.b32decode(secret)) == 20
    assert make_totp_secret() != secret
    enrolment = describe_enrolment(secret, account="amina", issuer="Lumen Utility")
    assert enrolment.uri == (
        f"otpauth://totp/Lumen%20Utility:amina?secret={secret}&issuer=Lumen%20Utility"
    )


def test_code_on_paper_is_read_as_it_is_typed() -> None:
    code = make_code()
    assert len(code.split("-")) == 6
    wanted = code.replace("-", "")
    for typed in (code, wanted, wanted.lower(), code.replace("-", " "), f" {code} "):
        assert parse_code(typed) == wanted
    assert len(base64.b32decode(wanted)) == 15


@given(st.text(max_size=40))
def test_other_text_is_no_code(text: str) -> None:
    try:
        parsed = parse_code(text)
    except WrongCode:
        return
    assert set(parsed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
