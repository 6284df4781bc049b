"""What every use case of campaigns works with; put together once, in `vending.bootstrap`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.errors import CampaignNotFoundError
from vending.campaigns.model import (
    Campaign,
    CampaignMeter,
    Evidence,
    KeyChangeSet,
    MeterStep,
    OpenedSet,
)
from vending.campaigns.repository import SealedSet
from vending.keystore.port import SecurityModule
from vending.keystore.sealing import Sealer, associate
from vending.meters.model import MeterKey
from vending.persistence.engine import Database
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import CampaignId, SaleId, new_uuid7


@dataclass(frozen=True, slots=True, eq=False)
class CampaignOffice:
    """The database, the clock, the keys and the rules of one utility."""

    database: Database
    clock: Clock
    security_module: SecurityModule
    sealer: Sealer
    """Of issued tokens."""


def subject_of(campaign_id: CampaignId) -> str:
    """Return how the audit log names a campaign."""
    return f"campaign:{campaign_id}"


def load_campaign(connection: Connection, campaign_id: CampaignId) -> Campaign:
    """Return the campaign of this id.

    Raises:
        CampaignNotFoundError: There is none.
    """
    campaign = repository.find_campaign(connection, campaign_id)
    if campaign is None:
        raise CampaignNotFoundError(campaign_id)
    return campaign


def lock_campaign(connection: Connection, campaign_id: CampaignId) -> Campaign:
    """Return the campaign of this id, locked.

    Raises:
        CampaignNotFoundError: There is none.
    """
    campaign = repository.lock_campaign(connection, campaign_id)
    if campaign is None:
        raise CampaignNotFoundError(campaign_id)
    return campaign


def seal_sections(made: KeyChangeSet, sections: Sequence[str], sealer: Sealer) -> SealedSet:
    """Return the set with its digits sealed to it."""
    plaintext = " ".join(sections).encode()
    return made, sealer.seal(plaintext, associated=_bound_to(made))


def open_sections(found: SealedSet, sealer: Sealer) -> OpenedSet:
    """Return a set with its digits.

    Raises:
        SealBrokenError: The row was altered or moved.
    """
    made, sealed = found
    sections = sealer.open(sealed, associated=_bound_to(made)).decode().split(" ")
    return OpenedSet(made, tuple(sections))


def _bound_to(made: KeyChangeSet) -> bytes:
    """Return what the seal binds the digits to: on another meter, or for other keys, none opens."""
    return associate(
        made.id.bytes,
        made.campaign_id.bytes,
        made.pan.digits,
        made.ea.value,
        _key_name(made.old),
        _key_name(made.new),
        made.section_count,
    )


def _key_name(key: MeterKey) -> str:
    return f"{key.sgc.digits}/{key.krn}/{key.kt.value}/{key.ti.digits}/{key.base_date.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What takes a meter of a campaign to its next step."""

    target: MeterStep
    evidence: Evidence
    code: str | None = None
    sale_id: SaleId | None = None


def take_steps(
    connection: Connection,
    moves: Iterable[tuple[CampaignMeter, Move]],
    *,
    actor: Actor,
    clock: Clock,
    now: datetime,
) -> list[CampaignMeter]:
    """Store where locked meters stand now, and each step with its evidence; return them so.

    A move that leaves a meter where it is, such as a second hand-out, is kept as a step.
    """
    pairs = list(moves)
    moved = [
        CampaignMeter(
            campaign_id=meter.campaign_id,
            meter_id=meter.meter_id,
            step=move.target,
            code=move.code,
            evidence=move.evidence,
            changed_at=now,
        )
        for meter, move in pairs
    ]
    repository.move_meters(
        connection,
        [
            after
            for after, (before, _) in zip(moved, pairs, strict=True)
            if after.step is not before.step
        ],
    )
    repository.append_steps(
        connection,
        [
            {
                "id": new_uuid7(clock),
                "campaign_id": before.campaign_id,
                "meter_id": before.meter_id,
                "at": now,
                "origin": before.step.value,
                "target": move.target.value,
                "evidence": move.evidence.value,
                "code": move.code,
                "actor": str(actor),
                "sale_id": move.sale_id,
            }
            for before, move in pairs
        ],
    )
    return moved
