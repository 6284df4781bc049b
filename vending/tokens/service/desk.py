"""What the making of tokens outside a sale works with; put together in `vending.bootstrap`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vending.keystore.port import SecurityModule
from vending.keystore.sealing import Sealer
from vending.meters.model import Meter
from vending.persistence.engine import Database
from vending.tokens.model import TokenOrder, TokenRecord
from vending.values.actor import Actor
from vending.values.clock import Clock


@dataclass(frozen=True, slots=True)
class OrderLimits:
    """The bounds that a utility sets."""

    tid_ahead_limit_min: int


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """What must be known of keys on the change; campaigns, above tokens, answer it."""

    find_key_in_use: Callable[[Connection, Meter], Meter]
    """Returns a locked meter as tokens are made for it now: with a set out, under its new key."""
    hand_out: Callable[[Connection, TokenOrder, Actor], tuple[str, ...]]
    """Returns the sections to be entered before an order's token, and keeps that they went."""
    find_before: Callable[[Connection, TokenRecord], tuple[str, ...]]
    """Returns the sections to be entered before a token that was made, whatever made it."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenDesk:
    """The database, the clock, the keys and the rules of one utility."""

    database: Database
    clock: Clock
    require_trusted: Callable[[Connection], datetime]
    """Returns the time now; raises while the clock cannot be trusted, so that nothing is dated."""
    security_module: SecurityModule
    token_sealer: Sealer
    limits: OrderLimits
    draw_rnd: Callable[[], int]
    """Returns the 4 bits of RND of the next token."""
    key_changes: KeyChanges
