"""The bytes of a row, and the codes over them."""

import hmac
import random  # noqa: TID251 # seeded examples
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vending.audit.model import Head, LinkKind
from vending.audit.rules import (
    LINK_ROW,
    ChainKeys,
    KeyedHash,
    decode_columns,
    encode_columns,
    from_microseconds,
    head_row,
    instant_of,
    link_message,
    missing_mac,
    to_microseconds,
)


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 1_000])
def test_the_keyed_hash_is_hmac_sha_256(size: int) -> None:
    rng = random.Random(size)  # noqa: S311 # repeatable
    for key_size in (1, 32, 64):
        key, message = rng.randbytes(key_size), rng.randbytes(size)
        assert KeyedHash(key)(message) == hmac.digest(key, message, "sha256")


def test_the_keyed_hash_agrees_with_rfc_4231() -> None:
    """Test case 2."""
    code = KeyedHash(b"Jefe")(b"what do ya want for nothing?")
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert code.hex() == expected


def test_different_rows_give_different_bytes() -> None:
    rows: list[list[bytes | None]] = [
        [b"ab", b"c"],
        [b"a", b"bc"],
        [b"abc", b""],
        [b"abc", None],
        [None, b"abc"],
        [b"abc"],
        [b"\0\0\0\1a"],
        [b"a"],
    ]
    encoded = [encode_columns(row) for row in rows]
    assert len(set(encoded)) == len(rows)
    assert [decode_columns(each) for each in encoded] == rows


def test_a_row_that_ends_within_a_column_is_none() -> None:
    with pytest.raises(ValueError, match="within a column"):
        decode_columns(encode_columns([b"abc"])[:-1])


def test_a_link_is_read_as_it_was_written() -> None:
    event_id, mac, link = UUID(int=7).bytes, b"m" * 32, b"l" * 32
    row = link_message(5, LinkKind.GAP, event_id, mac) + encode_columns([link])
    assert LINK_ROW.unpack(row) == (5, LinkKind.GAP, event_id, mac, link)
    assert decode_columns(row)[2:] == [event_id, mac, link]


def test_instants_are_counted_in_microseconds() -> None:
    instant = datetime(2026, 11, 25, 8, 0, 0, 1, tzinfo=UTC)
    assert from_microseconds(to_microseconds(instant)) == instant
    assert to_microseconds(datetime(2000, 1, 1, tzinfo=UTC)) == 0
    event_id = UUID(int=1_000 << 80 | 0x7 << 76)
    assert instant_of(event_id) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=1)


def test_every_secret_has_keys_of_its_own_and_shows_none() -> None:
    one, same, other = ChainKeys(b"1" * 32), ChainKeys(b"1" * 32), ChainKeys(b"2" * 32)
    assert one.public_key.raw == same.public_key.raw != other.public_key.raw
    codes = {keys.event_code(b"") for keys in (one, other)}
    codes |= {one.link_code(b""), one.head_code(b"")}
    assert len(codes) == 4
    assert repr(one) == f"ChainKeys({one.public_key.name})"
    assert repr(one.event_code) == "KeyedHash(sealed)"


def test_a_head_is_signed_and_coded_in_every_field() -> None:
    keys = ChainKeys(b"1" * 32)
    head = keys.sign(7, 3, b"l" * 32, datetime(2026, 11, 25, tzinfo=UTC))
    assert keys.public_key.has_signed(head)
    assert not ChainKeys(b"2" * 32).public_key.has_signed(head)
    rows = {head_row(head), head_row(Head(7, 3, head.link, head.sealed_at, b""))}
    assert len(rows) == 2
    assert missing_mac(keys, b"a" * 16) != missing_mac(keys, b"b" * 16)
