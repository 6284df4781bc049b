"""Remembers for a moment which keys were just proven, so that not every sale asks the database.

A revocation or suspension is seen at most `REMEMBERED_S` after it was committed, in every
process. Only proofs are remembered, never refusals; and of a key only its digest.
"""

import hashlib
import threading
from typing import Final

from vending.partners.model import Partner
from vending.values.clock import Clock

REMEMBERED_S: Final = 1
"""From before the database was asked."""
REMEMBERED_MAX: Final = 1_000
"""Keys; when there are more, all are forgotten and asked for again."""


class RecentProofs:
    """The partners behind the keys proven within the last second; safe between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._proofs: dict[bytes, tuple[float, Partner]] = {}

    def find(self, presented: str) -> Partner | None:
        """Return the partner whose key was proven just now; None: ask the database."""
        with self._lock:
            at_s, partner = self._proofs.get(_digest_of(presented), (0.0, None))
        return partner if self._clock.monotonic_s() - at_s < REMEMBERED_S else None

    def remember(self, presented: str, partner: Partner, at_s: float) -> None:
        """Remember a proof; `at_s` is the monotonic time before the database was asked."""
        with self._lock:
            if len(self._proofs) >= REMEMBERED_MAX:
                self._proofs.clear()
            self._proofs[_digest_of(presented)] = (at_s, partner)


def _digest_of(presented: str) -> bytes:
    """Return what stands for a presented text, whatever its form; the text is not kept."""
    return hashlib.sha256(presented.encode(errors="surrogatepass")).digest()
