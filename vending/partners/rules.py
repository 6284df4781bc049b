"""Pure decisions on API keys: their form, their digest, their comparison.

A key is `pk_<prefix>_<secret>`: 12 hexadecimal digits that name it, 64 that prove it. The
secret has 256 bits of randomness, so one SHA-256 suffices to store it: a slow hash protects
guessable passwords, and would cost every sale.
"""

import hashlib
import hmac
import re
from datetime import datetime
from typing import Final

from vending.partners.errors import UnauthenticatedError
from vending.partners.model import APIKey, IssuedAPIKey
from vending.values.identifiers import PartnerId

PREFIX_SIZE_BYTES: Final = 6
SECRET_SIZE_BYTES: Final = 32

_KEY: Final = re.compile(r"pk_([0-9a-f]{12})_[0-9a-f]{64}")
_NO_DIGEST: Final = bytes(32)
"""Compared against where no key has the prefix, so that both answers take as long."""


def make_api_key(
    partner_id: PartnerId, *, prefix: bytes, secret: bytes, created_at: datetime
) -> IssuedAPIKey:
    """Return the key made of 6 and 32 random bytes."""
    assert len(prefix) == PREFIX_SIZE_BYTES, "a prefix has 6 bytes"
    assert len(secret) == SECRET_SIZE_BYTES, "a secret has 256 bits"
    text = f"pk_{prefix.hex()}_{secret.hex()}"
    key = APIKey(
        prefix=prefix.hex(),
        partner_id=partner_id,
        digest=compute_digest(text),
        last_four=text[-4:],
        created_at=created_at,
    )
    return IssuedAPIKey(key, text)


def compute_digest(text: str) -> bytes:
    """Return the SHA-256 of a whole key, 32 bytes."""
    return hashlib.sha256(text.encode("ascii")).digest()


def parse_prefix(text: str) -> str:
    """Return the prefix of a presented key.

    Raises:
        UnauthenticatedError: The text has not the form of a key.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise UnauthenticatedError
    return match[1]


def check_api_key(text: str, stored: APIKey | None, now: datetime) -> APIKey:
    """Return the stored key that `text` proves, comparing in constant time.

    Raises:
        UnauthenticatedError: None is stored, the secret differs, or the key is revoked.
    """
    expected = stored.digest if stored is not None else _NO_DIGEST
    is_same = hmac.compare_digest(compute_digest(text), expected)
    if stored is None or not is_same or not stored.is_valid(now):
        raise UnauthenticatedError
    return stored
