"""The file of a backup: a header that anybody may read, then one encrypted stream.

    0    8   magic, "VBACKUP1"
    8    4   length of the header, big-endian
    12   n   header, JSON: identity, instant, custodians, the content key wrapped for each pair
    12+n 32  SHA-256 of all before it; tells damage without a key
    ..       chunks: cipher text of 65,536 bytes and a 16-byte tag; the last may be shorter

Chunks are AES-256-GCM under a key of this file alone, in the construction STREAM (Hoang,
Reyhanitabar, Rogaway, Vizár 2015). The nonce is the number of the chunk and a byte that only the
last one has; the header is associated data of each. A chunk that is altered, cut off, appended,
repeated, moved or taken from another backup therefore does not open, nor does any under an
altered header. The plain text is compressed lines; both directions work in bounded memory.
"""

import hashlib
import hmac
import json
import secrets
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vending.backups.custodian_keys import CustodianKey, WrappedKey, require_name, unwrap, wrap
from vending.backups.errors import (
    BackupDamagedError,
    BackupLockedError,
    CustodianNameError,
    CustodianPublicKeyError,
)
from vending.backups.model import Custodian
from vending.errors import canonical_json
from vending.keystore.errors import SealBrokenError
from vending.keystore.redaction import Secret
from vending.keystore.sealing import KEY_BYTES, Purpose, Sealer, associate

CHUNK_BYTES: Final = 65_536
CHUNK_BYTES_MIN: Final = 64
CHUNK_BYTES_MAX: Final = 1 << 24
LINE_BYTES_MAX: Final = 1 << 26
"""A line is some hundred rows; a longer one was never written."""

_MAGIC: Final = b"VBACKUP1"
_LENGTH_BYTES: Final = 4
_DIGEST_BYTES: Final = 32
_TAG_BYTES: Final = 16
_HEADER_BYTES_MAX: Final = 65_536
_COUNTER_BYTES: Final = 11
_COMPRESSION_LEVEL: Final = 1
_MALFORMED: Final = (
    KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError,
    CustodianNameError,
)  # fmt: skip
"""What comes of a header that anybody may have written: its digest takes no key."""
_CONTENT_LABEL: Final = b"vending backup, version 1: "


class ContentKey:
    """The random key of one backup, and what is derived from it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    @classmethod
    def generate(cls) -> "ContentKey":
        """Return a fresh one."""
        return cls(Secret(secrets.token_bytes(KEY_BYTES)))

    def wrap(self, custodians: Sequence[Custodian], *, bound: bytes) -> WrappedKey:
        """Return the key wrapped for every pair of the custodians."""
        return wrap(self._secret, [each.public_key for each in custodians], bound=bound)

    def sealer(self) -> Sealer:
        """Return what seals the key store's root key once more inside the backup."""
        return Sealer(self._derive(b"root key"), Purpose.BACKUP_KEY)

    def cipher(self) -> AESGCM:
        """Return the cipher of the chunks."""
        return AESGCM(self._derive(b"chunks").reveal())

    def _derive(self, label: bytes) -> Secret:
        derivation = HKDF(
            algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_CONTENT_LABEL + label
        )
        return Secret(derivation.derive(self._secret.reveal()))

    def __repr__(self) -> str:
        return "ContentKey(***)"


@dataclass(frozen=True, slots=True)
class ArchiveHeader:
    """What stands in front of the encrypted stream."""

    backup_id: uuid.UUID
    at: str
    custodians: tuple[Custodian, ...]
    wrapped: WrappedKey
    chunk_bytes: int

    @property
    def bound(self) -> bytes:
        """Return what the wrapped keys are bound to."""
        return _bound(self.backup_id, self.at)

    def unlock(self, holders: Sequence[CustodianKey]) -> ContentKey:
        """Return the content key, by two custodians together.

        Raises:
            BackupLockedError: They are not two different custodians of this backup.
            BackupDamagedError: They are, and the wrapped key was altered.
        """
        public_keys = [each.public_key for each in self.custodians]
        try:
            secret = unwrap(self.wrapped, public_keys, holders, bound=self.bound)
        except (SealBrokenError, CustodianPublicKeyError) as error:
            what = "the wrapped key was altered"
            raise BackupDamagedError(what) from error
        if secret is None:
            raise BackupLockedError(", ".join(each.name for each in self.custodians))
        return ContentKey(secret)


def make_header(
    content_key: ContentKey,
    *,
    backup_id: uuid.UUID,
    at: str,
    custodians: Sequence[Custodian],
    chunk_bytes: int = CHUNK_BYTES,
) -> ArchiveHeader:
    """Return the header of a backup that any two of the custodians open."""
    wrapped = content_key.wrap(custodians, bound=_bound(backup_id, at))
    return ArchiveHeader(backup_id, at, tuple(custodians), wrapped, chunk_bytes)


class ArchiveWriter:
    """Writes lines into a backup file; `finish` ends it, and without it the file is damaged."""

    def __init__(self, file: BinaryIO, header: ArchiveHeader, content_key: ContentKey) -> None:
        prefix = _render(header)
        file.write(prefix)
        self._file = file
        self._cipher = content_key.cipher()
        self._associated = hashlib.sha256(prefix).digest()
        self._chunk_bytes = header.chunk_bytes
        self._compressor = zlib.compressobj(_COMPRESSION_LEVEL)
        self._waiting = bytearray()
        self._chunk_count = 0

    def write_line(self, line: bytes) -> None:
        """Append one line."""
        assert b"\n" not in line, "a line ends where it ends"
        self._waiting += self._compressor.compress(line + b"\n")
        # The last chunk is marked, so one is always held back.
        while len(self._waiting) > self._chunk_bytes:
            self._put(bytes(self._waiting[: self._chunk_bytes]), is_last=False)
            del self._waiting[: self._chunk_bytes]

    def finish(self) -> None:
        """Write what waits, and the last chunk."""
        self._waiting += self._compressor.flush()
        while len(self._waiting) > self._chunk_bytes:
            self._put(bytes(self._waiting[: self._chunk_bytes]), is_last=False)
            del self._waiting[: self._chunk_bytes]
        self._put(bytes(self._waiting), is_last=True)

    def _put(self, plain: bytes, *, is_last: bool) -> None:
        nonce = _nonce(self._chunk_count, is_last=is_last)
        self._file.write(self._cipher.encrypt(nonce, plain, self._associated))
        self._chunk_count += 1


class ArchiveReader:
    """Reads a backup file: the header at once, the lines with the content key."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.header, prefix = _parse(file)
        self._start = len(prefix)
        self._associated = hashlib.sha256(prefix).digest()

    def lines(self, content_key: ContentKey) -> Iterator[bytes]:
        """Yield every line, each seen to be whole; what was yielded before an error was, too.

        Raises:
            BackupDamagedError: A chunk was altered, cut, moved or comes from elsewhere.
        """
        held = bytearray()
        for plain in self._inflate(self._chunks(content_key)):
            held += plain
            *whole, rest = bytes(held).split(b"\n") if b"\n" in plain else (bytes(held),)
            yield from whole
            held = bytearray(rest)
            if len(held) > LINE_BYTES_MAX:
                what = "a line has no end"
                raise BackupDamagedError(what)
        if held:
            what = "the last line has no end"
            raise BackupDamagedError(what)

    def _chunks(self, content_key: ContentKey) -> Iterator[bytes]:
        self._file.seek(self._start)
        cipher, size = content_key.cipher(), self.header.chunk_bytes + _TAG_BYTES
        number, present = 0, self._file.read(size)
        while True:
            following = self._file.read(size)
            nonce = _nonce(number, is_last=not following)
            try:
                yield cipher.decrypt(nonce, present, self._associated)
            except InvalidTag as error:
                what = f"chunk {number} was altered, cut off or moved"
                raise BackupDamagedError(what) from error
            if not following:
                return
            number, present = number + 1, following

    @staticmethod
    def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
        inflater = zlib.decompressobj()
        try:
            for chunk in chunks:
                waiting = chunk
                while waiting:
                    yield inflater.decompress(waiting, CHUNK_BYTES)
                    waiting = inflater.unconsumed_tail
            yield inflater.flush()
        except zlib.error as error:
            what = "the stream does not unpack"
            raise BackupDamagedError(what) from error
        if not inflater.eof or inflater.unused_data:
            what = "the stream has another end"
            raise BackupDamagedError(what)


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES) + bytes([is_last])


def _bound(backup_id: uuid.UUID, at: str) -> bytes:
    return associate("backup", backup_id.bytes, at)


def _render(header: ArchiveHeader) -> bytes:
    document = canonical_json(
        {
            "at": header.at,
            "backup_id": header.backup_id.hex,
            "chunk_bytes": header.chunk_bytes,
            "custodians": [
                {"name": each.name, "public_key": each.fingerprint} for each in header.custodians
            ],
            "ephemeral": header.wrapped.ephemeral.hex(),
            "pairs": [
                {"first": first, "second": second, "sealed": sealed.hex()}
                for (first, second), sealed in sorted(header.wrapped.pairs.items())
            ],
        }
    )
    body = _MAGIC + len(document).to_bytes(_LENGTH_BYTES) + document
    return body + hashlib.sha256(body).digest()


def _parse(file: BinaryIO) -> tuple[ArchiveHeader, bytes]:
    """Return the header, and its bytes.

    Raises:
        BackupDamagedError: It was altered or cut off, or is none.
    """
    start = file.read(len(_MAGIC) + _LENGTH_BYTES)
    if len(start) != len(_MAGIC) + _LENGTH_BYTES or not start.startswith(_MAGIC):
        what = "it is no backup of this product"
        raise BackupDamagedError(what)
    length = int.from_bytes(start[len(_MAGIC) :])
    if length > _HEADER_BYTES_MAX:
        what = "its header is too long"
        raise BackupDamagedError(what)
    document, digest = file.read(length), file.read(_DIGEST_BYTES)
    if not hmac.compare_digest(hashlib.sha256(start + document).digest(), digest):
        what = "its header was altered or cut off"
        raise BackupDamagedError(what)
    try:
        header = _header_of(json.loads(document))
    except _MALFORMED as error:
        what = "its header cannot be read"
        raise BackupDamagedError(what) from error
    if not CHUNK_BYTES_MIN <= header.chunk_bytes <= CHUNK_BYTES_MAX:
        what = "its chunks have an impossible size"
        raise BackupDamagedError(what)
    return header, start + document + digest


def _header_of(document: Mapping[str, Any]) -> ArchiveHeader:
    pairs = {
        (int(each["first"]), int(each["second"])): bytes.fromhex(each["sealed"])
        for each in document["pairs"]
    }
    custodians = tuple(
        Custodian(each["name"], bytes.fromhex(each["public_key"]))
        for each in document["custodians"]
    )
    for each in custodians:
        require_name(each.name)
    return ArchiveHeader(
        backup_id=uuid.UUID(hex=document["backup_id"]),
        at=str(document["at"]),
        custodians=custodians,
        wrapped=WrappedKey(bytes.fromhex(document["ephemeral"]), pairs),
        chunk_bytes=int(document["chunk_bytes"]),
    )
