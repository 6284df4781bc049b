"""A seeded plan of what goes wrong on a line, the same faults for the same seed.

Each exchange draws at most one fault. What a fault does to the bytes is decided here, purely;
the endpoints only wait, send, or stay silent as the plan says.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

PERMILLE: Final = 1000


class Fault(StrEnum):
    """One thing that goes wrong between a request and its answer."""

    DROP = "drop"
    """The request never reaches the meter."""
    DELAY = "delay"
    """The answer comes late, but in time."""
    DUPLICATE = "duplicate"
    """The answer comes twice."""
    CORRUPT = "corrupt"
    """One bit of the answer is turned over."""
    TRUNCATE = "truncate"
    """The answer ends early."""
    LOST_ANSWER = "lost_answer"
    """The meter did as told; its answer is lost."""
    LATE_ANSWER = "late_answer"
    """The meter did as told; its answer comes after the driver gave up."""


@dataclass(frozen=True, slots=True)
class Transmission:
    """Bytes to put on the line after a wait; none at all is silence."""

    payload: bytes
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How many of a thousand exchanges draw each fault, and how long the slow ones wait."""

    permille: Mapping[Fault, int] = field(default_factory=dict)
    delay_ms: int = 50
    late_ms: int = 1500

    def __post_init__(self) -> None:
        rates = self.permille.values()
        if any(rate < 0 for rate in rates) or sum(rates) > PERMILLE:
            raise FaultRatesError(sum(rates))


class FaultRatesError(ValueError):
    """Fault rates below zero, or above a thousand in all."""

    def __init__(self, total: int) -> None:
        super().__init__(
            f"fault rates add up to {total} permille; give each from 0, at most {PERMILLE} in all"
        )


def new_rnd_source(seed: int) -> Callable[[], int]:
    """Return a source of the 4 random bits of a token, the same for the same seed."""
    source = random.Random(seed)
    return lambda: source.getrandbits(4)


def new_byte_source(seed: int) -> Callable[[int], bytes]:
    """Return a source of random bytes, so many at a time, the same for the same seed."""
    return random.Random(seed).randbytes


class FaultPlan:
    """Draws the fault of each exchange: first those queued by name, then by the rates."""

    def __init__(self, rates: FaultRates, *, seed: int) -> None:
        self._rates = rates
        self._random = random.Random(seed)
        self._queued: list[Fault | None] = []

    def queue(self, *faults: Fault | None) -> None:
        """Decide the next exchanges, one fault (`None`: nothing goes wrong) each."""
        self._queued += faults

    def draw(self) -> Fault | None:
        """Return what goes wrong with the next exchange, or `None`."""
        if self._queued:
            return self._queued.pop(0)
        if not self._rates.permille:
            return None
        mark = self._random.randrange(PERMILLE)
        for fault, permille in self._rates.permille.items():
            if mark < permille:
                return fault
            mark -= permille
        return None

    def spoil(self, answer: bytes, fault: Fault | None) -> tuple[Transmission, ...]:
        """Return what reaches the other end instead of the answer."""
        match fault:
            case None:
                return (Transmission(answer),)
            case Fault.DROP | Fault.LOST_ANSWER:
                return ()
            case Fault.DELAY:
                return (Transmission(answer, self._rates.delay_ms),)
            case Fault.LATE_ANSWER:
                return (Transmission(answer, self._rates.late_ms),)
            case Fault.DUPLICATE:
                return (Transmission(answer), Transmission(answer))
            case Fault.CORRUPT:
                return (Transmission(self._flip_one_bit(answer)),)
            case Fault.TRUNCATE:
                return (Transmission(answer[: self._random.randrange(len(answer))]),)

    def _flip_one_bit(self, answer: bytes) -> bytes:
        bit = self._random.randrange(8 * len(answer))
        spoiled = bytearray(answer)
        spoiled[bit // 8] ^= 1 << bit % 8
        return bytes(spoiled)
