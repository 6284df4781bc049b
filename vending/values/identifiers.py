"""Identifiers of our own records: UUIDv7, so that they sort by time and cannot be guessed."""

import secrets
import uuid
from typing import NewType

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


def new_uuid7(clock: Clock) -> uuid.UUID:
    """Return a fresh UUID version 7 (RFC 9562, 5.7): 48 bits of milliseconds, 74 of randomness."""
    unix_ms = int(clock.now().timestamp() * 1000)
    random_a = secrets.randbits(12)
    random_b = secrets.randbits(62)
    return uuid.UUID(int=unix_ms << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)
