"""Claims idempotency keys and keeps their answers under seal: an answer holds the token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from vending.keystore.errors import SealBrokenError
from vending.keystore.sealing import Sealer, associate
from vending.persistence.idempotency import (
    Answer as StoredAnswer,
)
from vending.persistence.idempotency import (
    Claim,
    Fresh,
    InFlight,
    Mismatch,
    Replay,
    claim,
)
from vending.sales.errors import IdempotencyKeyReusedError
from vending.sales.model import Answer, Declined, VendOutcome, VendRequest
from vending.values.identifiers import IdempotencyKey, PartnerId


@dataclass(frozen=True, slots=True)
class Claimed:
    """A batch sorted by what its keys say."""

    fresh: dict[int, VendRequest] = field(default_factory=dict)
    """To be worked on now."""
    open: dict[int, VendRequest] = field(default_factory=dict)
    """Begun before, without an answer yet."""
    outcomes: dict[int, VendOutcome] = field(default_factory=dict)
    """Answered before, or refused because the key belongs to another body."""


def claim_keys(
    connection: Connection, requests: Mapping[int, VendRequest], sealer: Sealer, *, now: datetime
) -> Claimed:
    """Claim the key of each request and sort the requests by what became of that."""
    claims = [Claim(one.partner_id, one.key, one.fingerprint()) for one in requests.values()]
    claimed = Claimed()
    for (index, request), found in zip(
        requests.items(), claim(connection, claims, now=now), strict=True
    ):
        match found:
            case Fresh():
                claimed.fresh[index] = request
            case InFlight():
                claimed.open[index] = request
            case Mismatch():
                claimed.outcomes[index] = Declined(IdempotencyKeyReusedError())
            case Replay():
                claimed.outcomes[index] = _replay(found, request, sealer)
    return claimed


def _replay(found: Replay, request: VendRequest, sealer: Sealer) -> VendOutcome:
    """Return the stored answer; one that was tampered with does not stop the others."""
    try:
        return open_answer(found, request.partner_id, request.key, sealer)
    except SealBrokenError as error:
        return Declined(error)


def seal_answer(
    partner_id: PartnerId, key: IdempotencyKey, *, status: int, body: bytes, sealer: Sealer
) -> StoredAnswer:
    """Return the answer as it is stored, sealed to its partner and key."""
    sealed = sealer.seal(body, associated=associate(partner_id.bytes, key, status))
    return StoredAnswer(partner_id, key, status, sealed)


def open_answer(
    found: Replay, partner_id: PartnerId, key: IdempotencyKey, sealer: Sealer
) -> Answer:
    """Return a stored answer as it was first sent, marked as replayed.

    Raises:
        SealBrokenError: The row was altered or moved.
    """
    body = sealer.open(found.body, associated=associate(partner_id.bytes, key, found.status))
    return Answer(found.status, body, replayed=True)
