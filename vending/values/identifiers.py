"""Identifiers of our own records: UUIDv7, so that they sort by time and cannot be guessed."""

import secrets
import threading
import uuid
from typing import Final, NewType

from vending.values.clock import Clock

SaleId = NewType("SaleId", uuid.UUID)
QuoteId = NewType("QuoteId", uuid.UUID)
TokenId = NewType("TokenId", uuid.UUID)
EntryId = NewType("EntryId", uuid.UUID)
MeterId = NewType("MeterId", uuid.UUID)
CustomerId = NewType("CustomerId", uuid.UUID)
PartnerId = NewType("PartnerId", uuid.UUID)
TariffId = NewType("TariffId", uuid.UUID)
CommandId = NewType("CommandId", uuid.UUID)
OutboxId = NewType("OutboxId", uuid.UUID)
OperatorId = NewType("OperatorId", uuid.UUID)
ApprovalId = NewType("ApprovalId", uuid.UUID)
TokenOrderId = NewType("TokenOrderId", uuid.UUID)
RefundId = NewType("RefundId", uuid.UUID)
TariffDraftId = NewType("TariffDraftId", uuid.UUID)
CampaignId = NewType("CampaignId", uuid.UUID)
KeyChangeSetId = NewType("KeyChangeSetId", uuid.UUID)
CeremonyId = NewType("CeremonyId", uuid.UUID)
IdempotencyKey = NewType("IdempotencyKey", str)


_RANDOM_BITS: Final = 74
_STEP_BITS: Final = 48
"""What one identifier lies above the one before it in its millisecond cannot be guessed."""


class _Draws:
    """The random part of the last identifier, so that those of one millisecond rise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unix_ms = -1
        self._drawn = 0

    def draw(self, unix_ms: int) -> int:
        """Return 74 bits: random, and above the last ones of the same millisecond.

        The highest bit starts at 0, which leaves room for 2^25 identifiers a millisecond.
        """
        with self._lock:
            if unix_ms == self._unix_ms:
                self._drawn += 1 + secrets.randbits(_STEP_BITS)
            else:
                self._unix_ms, self._drawn = unix_ms, secrets.randbits(_RANDOM_BITS - 1)
            return self._drawn & ((1 << _RANDOM_BITS) - 1)


_draws: Final = _Draws()


def new_uuid7(clock: Clock) -> uuid.UUID:
    """Return a fresh UUID version 7 (RFC 9562, 5.7): 48 bits of milliseconds, 74 of randomness.

    Those of one millisecond rise in the order in which this process made them (6.2, method 2):
    what is sorted by time and identifier keeps its order.
    """
    unix_ms = int(clock.now().timestamp() * 1000)
    drawn = _draws.draw(unix_ms)
    random_a, random_b = drawn >> 62, drawn & ((1 << 62) - 1)
    return uuid.UUID(int=unix_ms << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)
