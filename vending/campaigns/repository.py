"""Every query on campaigns, their meters, sets and steps; all of them set-based."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    and_,
    exists,
    func,
    insert,
    select,
    update,
)

from vending.campaigns.model import (
    SETTLED_STEPS,
    Campaign,
    CampaignMeter,
    CampaignState,
    Channel,
    Evidence,
    KeyChangeSet,
    MeterStep,
    StepRecord,
)
from vending.campaigns.rules import (
    filter_document,
    parse_filter,
    parse_target,
    target_document,
)
from vending.campaigns.tables import (
    IS_OUT,
    IS_PLANNED,
    campaign_meters,
    campaign_steps,
    campaigns,
    key_change_sets,
)
from vending.meters.model import MeterKey
from vending.persistence.bulk import insert_rows, is_one_of, update_rows
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate
from vending.values.identifiers import (
    ApprovalId,
    CampaignId,
    KeyChangeSetId,
    MeterId,
    SaleId,
)

StepRow = dict[str, object]
SealedSet = tuple[KeyChangeSet, bytes]
_SET_COLUMNS: Final = [column for column in key_change_sets.c if column.name != "sealed_sections"]


# --- campaigns ----------------------------------------------------------------------------------
def insert_campaign(connection: Connection, campaign: Campaign) -> None:
    """Store a new campaign."""
    connection.execute(
        insert(campaigns).values(
            id=campaign.id,
            name=campaign.name,
            state=campaign.state.value,
            filter=filter_document(campaign.wanted),
            target=target_document(campaign.target),
            channels=sorted(channel.value for channel in campaign.channels),
            chase_after_days=campaign.chase_after_days,
            reason=campaign.reason,
            created_by=campaign.created_by,
            created_at=campaign.created_at,
            changed_at=campaign.changed_at,
        )
    )


def find_campaign(connection: Connection, campaign_id: CampaignId) -> Campaign | None:
    """Return the campaign of this id; None: there is none."""
    return _one(connection, select(campaigns).where(campaigns.c.id == campaign_id))


def lock_campaign(connection: Connection, campaign_id: CampaignId) -> Campaign | None:
    """Return the campaign of this id, locked against any other change; None: there is none."""
    query = select(campaigns).where(campaigns.c.id == campaign_id).with_for_update()
    return _one(connection, query)


def hold_campaign(connection: Connection, campaign_id: CampaignId) -> Campaign | None:
    """Return the campaign, kept as it is until the transaction ends; others may hold it too."""
    query = select(campaigns).where(campaigns.c.id == campaign_id).with_for_update(read=True)
    return _one(connection, query)


def list_campaigns(
    connection: Connection, *, state: CampaignState | None, limit: int
) -> list[Campaign]:
    """Return up to `limit` campaigns, the newest first."""
    query = select(campaigns).order_by(campaigns.c.created_at.desc(), campaigns.c.id.desc())
    if state is not None:
        query = query.where(campaigns.c.state == state.value)
    return [_to_campaign(row) for row in connection.execute(query.limit(limit)).mappings()]


def move_campaign(
    connection: Connection, campaign_id: CampaignId, values: Mapping[str, object]
) -> None:
    """Store what has changed about a locked campaign."""
    connection.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(values))


# --- meters of a campaign -----------------------------------------------------------------------
def insert_meters(
    connection: Connection, campaign_id: CampaignId, ids: Sequence[MeterId], *, now: datetime
) -> None:
    """Add meters to a campaign, planned."""
    rows = [
        {
            "campaign_id": campaign_id,
            "meter_id": one,
            "step": MeterStep.PLANNED.value,
            "changed_at": now,
        }
        for one in ids
    ]
    insert_rows(connection, campaign_meters, rows)


def list_planned(
    connection: Connection,
    campaign_id: CampaignId,
    *,
    limit: int,
    but: Select[Any] | None = None,
) -> list[MeterId]:
    """Return up to `limit` planned meters of a campaign, in the order of their ids.

    `but` finds the ids of meters that are passed over.
    """
    query = (
        select(campaign_meters.c.meter_id)
        .where(campaign_meters.c.campaign_id == campaign_id, IS_PLANNED)
        .order_by(campaign_meters.c.meter_id)
        .limit(limit)
    )
    if but is not None:
        is_passed = but.where(but.selected_columns[0] == campaign_meters.c.meter_id)
        query = query.where(~is_passed.correlate(campaign_meters).exists())
    return [MeterId(row.meter_id) for row in connection.execute(query)]


def find_out(connection: Connection, meter_ids: Collection[MeterId]) -> set[MeterId]:
    """Return for which of these meters a set of any campaign is out."""
    query = select(campaign_meters.c.meter_id).where(
        is_one_of(connection, campaign_meters.c.meter_id, list(meter_ids)), IS_OUT
    )
    return {MeterId(row.meter_id) for row in connection.execute(query)}


def lock_meters_of(
    connection: Connection, campaign_id: CampaignId, meter_ids: Collection[MeterId]
) -> dict[MeterId, CampaignMeter]:
    """Return these meters of a campaign, locked in the order of their ids."""
    query = (
        select(campaign_meters)
        .where(
            campaign_meters.c.campaign_id == campaign_id,
            is_one_of(connection, campaign_meters.c.meter_id, list(meter_ids)),
        )
        .order_by(campaign_meters.c.meter_id)
        .with_for_update()
    )
    found = [_to_meter(row) for row in connection.execute(query).mappings()]
    return {each.meter_id: each for each in found}


def find_meter(
    connection: Connection, campaign_id: CampaignId, meter_id: MeterId
) -> CampaignMeter | None:
    """Return a meter of a campaign; None: it has no part in it."""
    query = select(campaign_meters).where(
        campaign_meters.c.campaign_id == campaign_id, campaign_meters.c.meter_id == meter_id
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _to_meter(row)


def move_meters(connection: Connection, moved: Sequence[CampaignMeter]) -> None:
    """Store where locked meters of a campaign stand now."""
    update_rows(
        connection,
        campaign_meters,
        [
            {
                "campaign_id": each.campaign_id,
                "meter_id": each.meter_id,
                "step": each.step.value,
                "code": each.code,
                "evidence": None if each.evidence is None else each.evidence.value,
                "changed_at": each.changed_at,
            }
            for each in moved
        ],
        key=["campaign_id", "meter_id"],
    )


def mark_issued(
    connection: Connection, campaign_id: CampaignId, ids: Sequence[MeterId], *, now: datetime
) -> None:
    """Move locked meters to issued; the set itself is the record of that step."""
    if not ids:
        return
    connection.execute(
        update(campaign_meters)
        .where(
            campaign_meters.c.campaign_id == campaign_id,
            is_one_of(connection, campaign_meters.c.meter_id, list(ids)),
        )
        .values(step=MeterStep.ISSUED.value, evidence=Evidence.SET_MADE.value, changed_at=now)
    )


def list_meters_of(
    connection: Connection,
    campaign_id: CampaignId,
    *,
    steps: Collection[MeterStep],
    after: MeterId | None = None,
    limit: int,
) -> list[CampaignMeter]:
    """Return up to `limit` meters at these steps that come after one, in the order of their ids."""
    query = (
        select(campaign_meters)
        .where(
            campaign_meters.c.campaign_id == campaign_id,
            campaign_meters.c.step.in_([step.value for step in steps]),
        )
        .order_by(campaign_meters.c.meter_id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(campaign_meters.c.meter_id > after)
    return [_to_meter(row) for row in connection.execute(query).mappings()]


def count_steps(
    connection: Connection, campaign_id: CampaignId
) -> dict[tuple[MeterStep, str | None, Evidence | None], int]:
    """Return how many meters of a campaign stand at each step, for which reason, how known."""
    c = campaign_meters.c
    query = (
        select(c.step, c.code, c.evidence, func.count())
        .where(c.campaign_id == campaign_id)
        .group_by(c.step, c.code, c.evidence)
    )
    return {
        (MeterStep(step), code, None if evidence is None else Evidence(evidence)): count
        for step, code, evidence, count in connection.execute(query)
    }


def has_unsettled(connection: Connection, campaign_id: CampaignId) -> bool:
    """Return whether a meter of the campaign still waits for something."""
    settled = [step.value for step in SETTLED_STEPS]
    query = select(
        exists().where(
            campaign_meters.c.campaign_id == campaign_id,
            campaign_meters.c.step.not_in(settled),
        )
    )
    return bool(connection.execute(query).scalar_one())


# --- sets ---------------------------------------------------------------------------------------
def insert_sets(connection: Connection, made: Sequence[SealedSet]) -> None:
    """Store sets with their sealed sections."""
    insert_rows(
        connection,
        key_change_sets,
        [
            {
                "id": each.id,
                "campaign_id": each.campaign_id,
                "meter_id": each.meter_id,
                "meter_pan": each.pan.digits,
                "ea": each.ea.value,
                **_key_row("old", each.old),
                **_key_row("new", each.new),
                "new_dkga": each.new_dkga.value,
                "section_count": each.section_count,
                "sealed_sections": sealed,
                "issued_at": each.issued_at,
            }
            for each, sealed in made
        ],
    )


def load_sets(
    connection: Connection, set_ids: Collection[KeyChangeSetId]
) -> dict[KeyChangeSetId, SealedSet]:
    """Return these sets with their sealed sections."""
    query = select(key_change_sets).where(
        is_one_of(connection, key_change_sets.c.id, list(set_ids))
    )
    return {found.id: (found, sealed) for found, sealed in _load_sealed(connection, query)}


def load_sets_of(
    connection: Connection, campaign_id: CampaignId, meter_ids: Collection[MeterId]
) -> dict[MeterId, SealedSet]:
    """Return the sets that a campaign made for these meters, with their sealed sections."""
    query = select(key_change_sets).where(
        key_change_sets.c.campaign_id == campaign_id,
        is_one_of(connection, key_change_sets.c.meter_id, list(meter_ids)),
    )
    return {found.meter_id: (found, sealed) for found, sealed in _load_sealed(connection, query)}


def list_set_ids(
    connection: Connection, campaign_id: CampaignId, meter_ids: Collection[MeterId]
) -> list[KeyChangeSetId]:
    """Return the ids of the sets that a campaign made for these meters."""
    query = select(key_change_sets.c.id).where(
        key_change_sets.c.campaign_id == campaign_id,
        is_one_of(connection, key_change_sets.c.meter_id, list(meter_ids)),
    )
    return [KeyChangeSetId(row.id) for row in connection.execute(query)]


def find_sets_out(
    connection: Connection, meter_ids: Collection[MeterId]
) -> dict[MeterId, KeyChangeSet]:
    """Return the set that is out for each of these meters, without its digits."""
    query = (
        select(*_SET_COLUMNS)
        .join(
            campaign_meters,
            and_(
                campaign_meters.c.campaign_id == key_change_sets.c.campaign_id,
                campaign_meters.c.meter_id == key_change_sets.c.meter_id,
            ),
        )
        .where(is_one_of(connection, campaign_meters.c.meter_id, list(meter_ids)), IS_OUT)
    )
    return {found.meter_id: found for found in map(_to_set, connection.execute(query).mappings())}


def list_sets_for_meters(connection: Connection, meter_ids: Collection[MeterId]) -> list[SealedSet]:
    """Return every set ever made for these meters, the newest first."""
    query = (
        select(key_change_sets)
        .where(is_one_of(connection, key_change_sets.c.meter_id, list(meter_ids)))
        .order_by(key_change_sets.c.issued_at.desc(), key_change_sets.c.id.desc())
    )
    return _load_sealed(connection, query)


def find_set_times(
    connection: Connection, campaign_id: CampaignId
) -> tuple[datetime, datetime, int] | None:
    """Return when the first and the last set of a campaign were made, and how many; None: none."""
    c = key_change_sets.c
    query = select(func.min(c.issued_at), func.max(c.issued_at), func.count()).where(
        c.campaign_id == campaign_id
    )
    first, last, count = connection.execute(query).one()
    return None if first is None else (first, last, count)


# --- steps --------------------------------------------------------------------------------------
def append_steps(connection: Connection, rows: Sequence[StepRow]) -> None:
    """Store steps; each row has the same columns."""
    insert_rows(connection, campaign_steps, rows)


def list_steps(
    connection: Connection, campaign_id: CampaignId, meter_id: MeterId
) -> list[StepRecord]:
    """Return the steps of a meter in a campaign, the first one first."""
    query = (
        select(campaign_steps)
        .where(campaign_steps.c.campaign_id == campaign_id, campaign_steps.c.meter_id == meter_id)
        .order_by(campaign_steps.c.at, campaign_steps.c.id)
    )
    return [
        StepRecord(
            campaign_id=campaign_id,
            meter_id=meter_id,
            at=row["at"],
            origin=MeterStep(row["origin"]),
            target=MeterStep(row["target"]),
            evidence=Evidence(row["evidence"]),
            code=row["code"],
            actor=row["actor"],
        )
        for row in connection.execute(query).mappings()
    ]


def find_sold_with(
    connection: Connection, sale_ids: Collection[SaleId]
) -> dict[SaleId, tuple[CampaignId, MeterId]]:
    """Return with which of these sales a set was handed out, and of which meter and campaign."""
    c = campaign_steps.c
    query = select(c.sale_id, c.campaign_id, c.meter_id).where(
        c.sale_id.is_not(None), is_one_of(connection, c.sale_id, list(sale_ids))
    )
    return {
        SaleId(row.sale_id): (CampaignId(row.campaign_id), MeterId(row.meter_id))
        for row in connection.execute(query)
    }


# --- rows to records ----------------------------------------------------------------------------
def _one(connection: Connection, query: Select[Any]) -> Campaign | None:
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _to_campaign(row)


def _to_campaign(row: RowMapping) -> Campaign:
    return Campaign(
        id=CampaignId(row["id"]),
        name=row["name"],
        state=CampaignState(row["state"]),
        wanted=parse_filter(row["filter"]),
        target=parse_target(row["target"]),
        channels=frozenset(map(Channel, row["channels"])),
        chase_after_days=row["chase_after_days"],
        reason=row["reason"],
        meter_count=row["meter_count"],
        digest=row["digest"],
        approval_id=None if row["approval_id"] is None else ApprovalId(row["approval_id"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        changed_at=row["changed_at"],
    )


def _load_sealed(connection: Connection, query: Select[Any]) -> list[SealedSet]:
    return [
        (_to_set(row), bytes(row["sealed_sections"]))
        for row in connection.execute(query).mappings()
    ]


def _to_meter(row: RowMapping) -> CampaignMeter:
    return CampaignMeter(
        campaign_id=CampaignId(row["campaign_id"]),
        meter_id=MeterId(row["meter_id"]),
        step=MeterStep(row["step"]),
        code=row["code"],
        evidence=None if row["evidence"] is None else Evidence(row["evidence"]),
        changed_at=row["changed_at"],
    )


def _to_set(row: RowMapping) -> KeyChangeSet:
    return KeyChangeSet(
        id=KeyChangeSetId(row["id"]),
        campaign_id=CampaignId(row["campaign_id"]),
        meter_id=MeterId(row["meter_id"]),
        pan=MeterPAN(row["meter_pan"]),
        ea=EncryptionAlgorithm(row["ea"]),
        old=_to_key("old", row),
        new=_to_key("new", row),
        new_dkga=KeyDerivation(row["new_dkga"]),
        section_count=row["section_count"],
        issued_at=row["issued_at"],
    )


def _to_key(side: str, row: RowMapping) -> MeterKey:
    return MeterKey(
        sgc=SGC(row[f"{side}_sgc"]),
        krn=row[f"{side}_krn"],
        kt=KeyType(row[f"{side}_kt"]),
        ti=TI(row[f"{side}_ti"]),
        base_date=BaseDate(row[f"{side}_base_date"]),
    )


def _key_row(side: str, key: MeterKey) -> dict[str, object]:
    return {
        f"{side}_sgc": key.sgc.digits,
        f"{side}_krn": key.krn,
        f"{side}_kt": key.kt.value,
        f"{side}_ti": key.ti.digits,
        f"{side}_base_date": key.base_date.value,
    }
