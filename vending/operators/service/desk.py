"""What signing in works with; one a process."""

from collections.abc import Callable
from dataclasses import dataclass

from vending.keystore.sealing import Sealer
from vending.operators.openid import OpenIDClient
from vending.operators.passkeys import PasskeySite
from vending.operators.passwords import Passwords
from vending.persistence.engine import Database
from vending.values.clock import Clock


@dataclass(frozen=True, slots=True, eq=False)
class SignInDesk:
    """What the use cases of signing in work with."""

    database: Database
    clock: Clock
    passwords: Passwords
    sealer: Callable[[], Sealer]
    """Of secrets of operators, as the key store is now: its root key may be changed."""
    issuer: str = "Prepaid vending"
    """Under which an authenticator app lists the account: the utility's name."""
    passkey_site: PasskeySite | None = None
    """None: no address was set at which passkeys could hold."""
    openid: OpenIDClient | None = None
    """None: no provider was set."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, before it is known who it is."""

    source: str
    """Network address; `command line` for the machine's own."""
    device_token: str | None = None
    """What the device was given when somebody signed in on it before."""
