import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.modbus.token_entry import (
    TAKEN,
    TOKEN_OUTCOME_MEANINGS,
    TOKEN_OUTCOME_NAMES,
    UNDECIDED,
    TokenOutcome,
    TokenResultBlock,
    compute_entry_digest,
    find_token_outcome,
    pack_token,
    unpack_token,
)

DIGITS = "09123456789012345678"


def test_digits_stand_two_to_a_register_then_the_commit() -> None:
    assert pack_token(DIGITS) == (
        0x09, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x78, 1,
    )  # fmt: skip


@given(st.text("0123456789", min_size=20, max_size=20))
def test_digits_survive_the_way_there_and_back(digits: str) -> None:
    assert unpack_token(pack_token(digits)) == digits


@pytest.mark.parametrize(
    "digits", ["", DIGITS[:-1], DIGITS + "0", "0912345678901234567x", "٣" * 20]
)
def test_text_that_is_no_token_is_refused(digits: str) -> None:
    with pytest.raises(LocalProtocolError, match="20 digits"):
        pack_token(digits)


@pytest.mark.parametrize(("index", "word"), [(10, 0), (10, 2), (0, 0x0A), (0, 0xA0), (9, 0x100)])
def test_entry_without_commit_or_with_other_than_digits_is_none(index: int, word: int) -> None:
    words = list(pack_token(DIGITS))
    words[index] = word
    assert unpack_token(words) is None


@pytest.mark.parametrize("outcome", TokenOutcome)
@pytest.mark.parametrize("last_tid", [None, 0, 0xFFFFFF])
def test_result_survives_the_way_there_and_back(
    outcome: TokenOutcome, last_tid: int | None
) -> None:
    block = TokenResultBlock(70_000, outcome, last_tid, 0xCAFE_0001)
    assert TokenResultBlock.from_registers(block.to_registers()) == block


def test_result_block_is_laid_out_as_printed() -> None:
    block = TokenResultBlock(70_000, TokenOutcome.USED_ERROR, None, 0xCAFE_0001)
    assert block.to_registers() == (1, 4464, 18, 0xFFFF, 0xFFFF, 0xCAFE, 1)


def test_result_that_is_no_code_of_this_profile_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="token result 99"):
        TokenResultBlock.from_registers((0, 1, 99, 0, 0, 0, 0))


def test_every_outcome_has_name_and_meaning() -> None:
    assert TOKEN_OUTCOME_NAMES.keys() == TOKEN_OUTCOME_MEANINGS.keys() == set(TokenOutcome)
    assert len(set(TOKEN_OUTCOME_NAMES.values())) == len(TokenOutcome)
    assert TAKEN.isdisjoint(UNDECIDED)


def test_outcome_is_found_by_its_standard_name() -> None:
    assert find_token_outcome("UsedError") is TokenOutcome.USED_ERROR
    assert find_token_outcome("Whatever") is None


def test_digest_is_the_crc_32_that_zip_uses() -> None:
    assert compute_entry_digest("123456789") == 0xCBF43926
    assert compute_entry_digest(DIGITS) == binascii.crc32(DIGITS.encode())
