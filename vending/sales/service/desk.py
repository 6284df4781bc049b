"""What every use case of selling works with; put together once, in `vending.bootstrap`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from vending.keystore.port import SecurityModule
from vending.keystore.sealing import Sealer
from vending.persistence.engine import Database
from vending.sales.model import VendOutcome, VendRequest
from vending.sales.receipt import Letterhead
from vending.sales.service.clock_guard import ClockGuard
from vending.sales.service.lane import Lane
from vending.values.clock import Clock

BATCH_MAX: Final = 500
"""Requests of one call: a transaction stays short enough for the others."""

RESUME_AFTER: Final = timedelta(seconds=10)
"""An open sale younger than this is still in the hands of the process that opened it."""


@dataclass(frozen=True, slots=True)
class SaleLimits:
    """The bounds that a utility sets."""

    tid_ahead_limit_min: int
    quote_lifetime: timedelta


@dataclass(frozen=True, slots=True, eq=False)
class SalesDesk:
    """The database, the clock, the keys and the rules of one utility."""

    database: Database
    clock: Clock
    clock_guard: ClockGuard
    security_module: SecurityModule
    token_sealer: Sealer
    answer_sealer: Sealer
    letterhead: Letterhead
    limits: SaleLimits
    draw_rnd: Callable[[], int]
    """Returns the 4 bits of RND of the next token."""
    lane: Lane[VendRequest, VendOutcome] = field(init=False, default_factory=Lane)
    """Joins the requests of this process; every desk has its own."""
