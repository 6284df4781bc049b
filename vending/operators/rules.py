"""Pure decisions on operators: the form of their tokens, and which session holds.

A session token is `os_` and 64 hexadecimal digits, 256 random bits, so that one SHA-256 suffices
to store it: a slow hash protects what can be guessed.
"""

import hashlib
import re
from datetime import datetime
from typing import Final

from vending.operators.errors import SignInRequiredError
from vending.operators.model import Session

SECRET_BYTES: Final = 32
SESSION_PREFIX: Final = "os_"

_SESSION_TOKEN: Final = re.compile(r"os_[0-9a-f]{64}")


def make_session_token(secret: bytes) -> str:
    """Return the token made of 32 random bytes."""
    assert len(secret) == SECRET_BYTES, "a token has 256 bits"
    return f"{SESSION_PREFIX}{secret.hex()}"


def parse_session_token(presented: str) -> bytes:
    """Return the digest under which a presented token is stored.

    Raises:
        SignInRequiredError: It has not the form of a token.
    """
    if _SESSION_TOKEN.fullmatch(presented) is None:
        raise SignInRequiredError
    return compute_digest(presented)


def compute_digest(text: str) -> bytes:
    """Return the SHA-256 of a secret of 112 bits or more, 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


def check_session(session: Session | None, now: datetime) -> Session:
    """Return the session when it holds.

    Raises:
        SignInRequiredError: There is none, or it is revoked or over.
    """
    if session is None or not session.holds(now):
        raise SignInRequiredError
    return session
