"""What delivery asks of a way to the meters; `vending.delivery.gateway` implements it.

No method raises for what a line or a meter does: each answers with a `TryResult`. What it does
raise is a defect, and the command stays in doubt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from vending.commands.model import TryResult


@dataclass(frozen=True, slots=True)
class MeterAddress:
    """How a meter is reached: the link as the register keeps it, and its model's profile."""

    link: str
    profile: str


class RelayPosition(StrEnum):
    """Where the relay between the grid and the house stands."""

    OPEN = "open"
    """No current flows."""
    CLOSED = "closed"


class MeterGateway(Protocol):
    """A way to the meters; its methods are called from several threads, one a meter."""

    def deliver_token(self, address: MeterAddress, digits: str) -> TryResult:
        """Enter 20 digits and return what the meter says of them."""
        ...

    def deliver_key_change(self, address: MeterAddress, sections: Sequence[str]) -> TryResult:
        """Enter all sections of a key-change set in their order, and return what the meter says.

        Done only when the last one completed the set. Begins anew at the first section each time,
        unless the meter tells that it took this set before.
        """
        ...

    def switch_relay(self, address: MeterAddress, wanted: RelayPosition) -> TryResult:
        """Order the relay to a position and return done only when it was seen there."""
        ...

    def read_relay(self, address: MeterAddress) -> RelayPosition | TryResult | None:
        """Return where the relay was ordered to and stands, or why that cannot be told.

        None: it does not stand where it was ordered to.
        """
        ...
