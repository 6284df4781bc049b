"""What hangs on a line: bytes in, answers out, whichever protocol the meters speak.

A *service* is everything that can be reached over one line, such as the Modbus units of an
RS-485 bus. Each connection, or the one serial line, is a *conversation* with it. What the line
does to an answer was decided when it comes out of here: the lines only wait and send.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from simulators.faults import FaultPlan, Transmission


class Carrier(StrEnum):
    """How frames are told apart, which some protocols make depend on the line."""

    SERIAL = "serial"
    """By silence, length and checksum, also through a gateway that passes bytes on."""
    STREAM = "stream"
    """By the headers that the protocol has on TCP."""


class HangUpError(Exception):
    """What came cannot be read, and nothing after it: the connection is closed."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that was whole, and what comes back; nothing at all is silence."""

    request_size_bytes: int
    sent: tuple[Transmission, ...]


class Conversation(Protocol):
    """One side of a line in use; not shared between connections."""

    def receive(self, data: bytes) -> list[Exchange]:
        """Return what the requests bring that are whole with these bytes.

        Raises:
            HangUpError: The bytes make no sense, and those after them would not either.
        """
        ...

    def reset(self) -> None:
        """Forget half a frame after a silence on the line."""
        ...


Listener = Callable[[tuple[Transmission, ...]], None]


def take_no_notice(_sent: tuple[Transmission, ...]) -> None:
    """Listen to nothing."""


class LineService(Protocol):
    """Everything that can be reached over one line."""

    faults: FaultPlan
    listener: Listener
    """Is told what each request brings, before any of it is on the line."""

    def converse(self, carrier: Carrier) -> Conversation:
        """Begin a conversation."""
        ...
