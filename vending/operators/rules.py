"""Pure decisions on operators: the form of their tokens, and which session holds.

A session token is `os_` and 64 hexadecimal digits, 256 random bits, so that one SHA-256 suffices
to store it: a slow hash protects what can be guessed.
"""

import hashlib
import ipaddress
import re
import uuid
from datetime import datetime, timedelta
from typing import Final

from vending.operators.errors import SignInRequiredError
from vending.operators.model import Session

SECRET_BYTES: Final = 32
SESSION_PREFIX: Final = "os_"
DEVICE_PREFIX: Final = "od_"
TICKET_PREFIX: Final = "ot_"

FREE_FAILURES: Final = 5
"""Of an account: a person mistypes."""
FREE_FAILURES_OF_SOURCE: Final = 20
"""Of an address: an office of many people may share one."""
SOURCE_PREFIX_BITS: Final = 64
"""Of an IPv6 address: within it, a caller takes another address for each attempt at will."""
WAIT_MAX: Final = timedelta(minutes=15)
"""However many there were: the next attempt is never further away."""
FORGOTTEN_AFTER: Final = timedelta(hours=24)
"""Without another wrong attempt, the count begins anew."""

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
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def check_session(session: Session | None, now: datetime) -> Session:
    """Return the session when it holds.

    Raises:
        SignInRequiredError: There is none, or it is revoked or over.
    """
    if session is None or not session.holds(now):
        raise SignInRequiredError
    return session


def make_device_token(secret: bytes) -> str:
    """Return the text that a device keeps, made of 32 random bytes."""
    assert len(secret) == SECRET_BYTES, "a token has 256 bits"
    return f"{DEVICE_PREFIX}{secret.hex()}"


def make_ticket(secret: bytes) -> str:
    """Return the text that leads from one step of signing in to the next."""
    assert len(secret) == SECRET_BYTES, "a token has 256 bits"
    return f"{TICKET_PREFIX}{secret.hex()}"


def compute_wait(failures: int, free: int) -> timedelta:
    """Return how long after a wrong attempt the next one has to wait: 1 s, 2 s, 4 s, ..."""
    beyond = failures - free
    if beyond < 0:
        return timedelta(0)
    doubled = timedelta(seconds=2 ** min(beyond, 20))
    return min(doubled, WAIT_MAX)


def track_of_account(name: str) -> bytes:
    """Return under what wrong attempts on a name are counted, whether or not it exists."""
    return hashlib.sha256(b"account\0" + name.encode(errors="surrogatepass")).digest()


def track_of_source(source: str) -> bytes:
    """Return under what wrong attempts from an address are counted: an IPv6 one by its network."""
    network = _network_of(source)
    return hashlib.sha256(b"source\0" + network.encode(errors="surrogatepass")).digest()


def _network_of(source: str) -> str:
    """Return what one caller has of addresses: of IPv4 one, of IPv6 a /64 (RFC 6177)."""
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:  # no network address, such as the command line
        return source
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, SOURCE_PREFIX_BITS), strict=False))


def track_of_device(operator_id: uuid.UUID, device_id: uuid.UUID) -> bytes:
    """Return under what wrong attempts on an account from a device it knows are counted."""
    return hashlib.sha256(b"device\0" + operator_id.bytes + device_id.bytes).digest()


def track_of_session(session_id: uuid.UUID) -> bytes:
    """Return under what wrong codes given in a session are counted."""
    return hashlib.sha256(b"session\0" + session_id.bytes).digest()
