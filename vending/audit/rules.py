"""The arithmetic of the chain: what bytes a row is, its codes, and the signature of a head.

A row is taken as the bytes that PostgreSQL sends for it in binary, and on SQLite as the same
bytes: each column as its length in 4 bytes, then its value; a column that is NULL has the length
-1 and no value. Numbers are big-endian; an instant counts microseconds from 2000-01-01. No two
different rows give the same bytes.

    event_mac = HMAC(events key, id at actor_kind actor_name actor_id session_id action subject
                     details)
    link      = HMAC(links key, previous link, position kind event_id event_mac)
    signature = Ed25519(heads key, label, position previous_position sealed_at link)
    mac       = HMAC(marks key, position previous_position link sealed_at signature)

HMAC is HMAC-SHA-256. The keys are derived by HKDF-SHA-256 from one random secret that the key
store seals, so that a superuser of the database has none of them. The first link follows 32 zero
bytes. `mac` lets whoever has the key check every head in microseconds; the signature lets whoever
has not check an exported one.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vending.audit.errors import PublicKeyInvalidError
from vending.audit.model import Head, LinkKind

SECRET_BYTES: Final = 32
MAC_BYTES: Final = 32
ID_BYTES: Final = 16
FIRST_LINK: Final = bytes(MAC_BYTES)
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
KEY_NAME_DIGITS: Final = 16

EVENT_COLUMNS: Final = (
    "id",
    "at",
    "actor_kind",
    "actor_name",
    "actor_id",
    "session_id",
    "action",
    "subject",
    "details",
)
"""In the order in which they enter the code."""

LINK_ROW: Final = struct.Struct(">4xq4xh4x16s4x32s4x32s")
"""Reads a row of `audit_links`: position, kind, event id, event code, link."""
LINK_WRITER: Final = struct.Struct(">iqihi16si32s")
"""Writes it, but for the link."""
LINK_TAIL_BYTES: Final = 4 + MAC_BYTES
"""The link itself, which the rest of its row is the message of."""

_HEAD_BODY: Final = struct.Struct(">iqiqi32siq")
_SIGNED: Final = struct.Struct(">qqq32s")
_HEAD_LABEL: Final = b"vending audit head, version 1\n"
_DERIVATION_LABEL: Final = b"vending audit, version 1: "
_BLOCK_BYTES: Final = 64
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST: Final = datetime.max.replace(tzinfo=UTC) - _UNIX_EPOCH
_MICROSECOND: Final = timedelta(microseconds=1)
_NULL: Final = (-1).to_bytes(4, signed=True)


class Hash(Protocol):
    """What we use of a hash of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """Return the hash."""
        ...


class KeyedHash:
    """HMAC-SHA-256 (RFC 2104) under one key, whose two blocks are hashed once."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        assert len(block) == _BLOCK_BYTES, "a key has at most one block"
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def __call__(self, message: bytes) -> bytes:
        """Return the code of the message, 32 bytes."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    @property
    def copiers(self) -> tuple[Callable[[], Hash], Callable[[], Hash]]:
        """Return what copies the inner and the outer hash, for loops that count microseconds."""
        return self._inner.copy, self._outer.copy

    def __repr__(self) -> str:
        return "KeyedHash(sealed)"


class ChainKeys:
    """Everything that makes and checks a chain, derived from its secret."""

    __slots__ = ("_signer", "event_code", "event_key", "head_code", "link_code", "public_key")

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == SECRET_BYTES, "the secret of a chain has 32 bytes"
        self.event_key = _derive(secret, "events")
        self.event_code = KeyedHash(self.event_key)
        self.link_code = KeyedHash(_derive(secret, "links"))
        self.head_code = KeyedHash(_derive(secret, "marks"))
        self._signer = Ed25519PrivateKey.from_private_bytes(_derive(secret, "heads"))
        self.public_key = PublicKey(self._signer.public_key().public_bytes_raw())

    def sign(self, position: int, previous_position: int, link: bytes, sealed_at: datetime) -> Head:
        """Return the signed head."""
        unsigned = Head(position, previous_position, link, sealed_at, b"")
        signature = self._signer.sign(signed_bytes(unsigned))
        return Head(position, previous_position, link, sealed_at, signature)

    def __repr__(self) -> str:
        return f"ChainKeys({self.public_key.name})"


class PublicKey:
    """What checks the signature of a head; no secret."""

    __slots__ = ("_verifier", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._verifier = Ed25519PublicKey.from_public_bytes(raw)

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Return the key of 64 hexadecimal digits.

        Raises:
            PublicKeyInvalidError: It is none.
        """
        try:
            raw = bytes.fromhex(text.strip())
        except ValueError as error:
            raise PublicKeyInvalidError from error
        if len(raw) != PUBLIC_KEY_BYTES:
            raise PublicKeyInvalidError
        return cls(raw)

    @property
    def name(self) -> str:
        """Return the first digits of the key's SHA-256, by which two people compare it."""
        return hashlib.sha256(self.raw).hexdigest()[:KEY_NAME_DIGITS]

    def has_signed(self, head: Head) -> bool:
        """Return whether the head bears the signature."""
        try:
            self._verifier.verify(head.signature, signed_bytes(head))
        except (InvalidSignature, struct.error):
            return False
        return True


def signed_bytes(head: Head) -> bytes:
    """Return what is signed of a head."""
    instant = to_microseconds(head.sealed_at)
    return _HEAD_LABEL + _SIGNED.pack(head.position, head.previous_position, instant, head.link)


def head_row(head: Head) -> bytes:
    """Return the head as the row that its code is made over."""
    body = _HEAD_BODY.pack(
        8,
        head.position,
        8,
        head.previous_position,
        MAC_BYTES,
        head.link,
        8,
        to_microseconds(head.sealed_at),
    )
    return body + encode_columns([head.signature])


def link_message(position: int, kind: int, event_id: bytes, event_mac: bytes) -> bytes:
    """Return what a link is made over, after the previous link."""
    return LINK_WRITER.pack(8, position, 2, kind, 16, event_id, MAC_BYTES, event_mac)


def missing_mac(keys: ChainKeys, event_id: bytes) -> bytes:
    """Return the code that stands for an event which was deleted before it was sealed."""
    return keys.event_code(encode_columns([event_id, None]))


def encode_columns(values: Sequence[bytes | None]) -> bytes:
    """Return the columns of a row as one sequence of bytes."""
    return b"".join(_NULL if value is None else len(value).to_bytes(4) + value for value in values)


def decode_columns(row: bytes) -> list[bytes | None]:
    """Return the columns that `encode_columns` joined.

    Raises:
        ValueError: The bytes are no such row.
    """
    values: list[bytes | None] = []
    start = 0
    while start < len(row):
        length = int.from_bytes(row[start : start + 4], signed=True)
        start += 4
        if length < 0:
            values.append(None)
            continue
        if start + length > len(row):
            message = "the row ends within a column"
            raise ValueError(message)
        values.append(row[start : start + length])
        start += length
    return values


def to_microseconds(instant: datetime) -> int:
    """Return the instant as microseconds from 2000-01-01."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """Return the instant that is so many microseconds from 2000-01-01."""
    return _EPOCH + count * _MICROSECOND


def instant_of(event_id: UUID) -> datetime:
    """Return the moment in an identifier of version 7; the last one there is, if it is later."""
    since = timedelta(milliseconds=event_id.int >> 80)
    return _UNIX_EPOCH + min(since, _LONGEST)


def is_known_kind(kind: int) -> bool:
    """Return whether the number is that of a kind of link."""
    return kind in LinkKind.__members__.values()


def _derive(secret: bytes, label: str) -> bytes:
    info = _DERIVATION_LABEL + label.encode()
    return HKDF(algorithm=SHA256(), length=SECRET_BYTES, salt=None, info=info).derive(secret)
