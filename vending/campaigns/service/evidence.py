"""What shows that a meter changed, or did not; the register follows in the same transaction.

the meter took every section            strong
the meter took a token made under the new key    strong: it would not have read it before
somebody says so                        weak, and marked so
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.errors import CampaignMeterNotFoundError, CampaignMeterStateError
from vending.campaigns.model import (
    NOTE_LENGTH_MAX,
    CampaignMeter,
    Evidence,
    KeyChangeSet,
    MeterStep,
    require_text,
)
from vending.campaigns.rules import holds, may_become
from vending.campaigns.service.deliveries import find_set_before_token
from vending.campaigns.service.office import (
    CampaignOffice,
    Move,
    load_campaign,
    subject_of,
    take_steps,
)
from vending.commands.model import Command, CommandKind, CommandState
from vending.commands.service import withdraw_sets
from vending.meters.model import MeterHolding
from vending.meters.service import load_meter, lock_holdings, record_keys
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.audit import AuditEvent, record
from vending.sts.pan import MeterPAN
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import CampaignId, KeyChangeSetId, MeterId

WORKER: Final = Actor.system("delivery")
REGISTER_DIFFERS: Final = "register_differs"
"""The register had neither key of the set; it was not touched."""

_APPLIED: Final = frozenset({CommandState.DONE, CommandState.RECONCILED})
_STEPS: Final[Mapping[CommandState, Move]] = {
    CommandState.DONE: Move(target=MeterStep.ENTERED, evidence=Evidence.METER_ACCEPTED),
    CommandState.RECONCILED: Move(target=MeterStep.ENTERED, evidence=Evidence.METER_ACCEPTED),
    CommandState.UNKNOWN: Move(target=MeterStep.DELIVERED, evidence=Evidence.SENT),
    CommandState.REFUSED: Move(target=MeterStep.NEEDS_CHASE, evidence=Evidence.METER_REFUSED),
    CommandState.NEEDS_HUMAN: Move(target=MeterStep.NEEDS_CHASE, evidence=Evidence.SENT),
}
"""What the state of the command that carries a set says of its meter; others say nothing."""


def note_commands(connection: Connection, changed: Sequence[Command], clock: Clock) -> None:
    """Learn from what became of commands: of those that carry sets, and of tokens after a set.

    In the transaction that stores the commands.
    """
    of_sets = [each for each in changed if each.kind is CommandKind.ENTER_KEY_CHANGE]
    of_tokens = [
        each for each in changed if each.kind is CommandKind.ENTER_TOKEN and each.state in _APPLIED
    ]
    found: dict[tuple[CampaignId, MeterId], Move] = {}
    if of_sets:
        found |= _learn_from_sets(connection, of_sets)
    if of_tokens:
        entered = Move(target=MeterStep.ENTERED, evidence=Evidence.CREDIT_ACCEPTED)
        found |= dict.fromkeys(find_places_shown(connection, of_tokens), entered)
    if found:
        apply_moves(connection, found, actor=WORKER, clock=clock)


def find_places_shown(
    connection: Connection, taken: Sequence[Command]
) -> list[tuple[CampaignId, MeterId]]:
    """Return which meters hold their new key, because they took a token made under it."""
    sale_ids = [each.sale_id for each in taken if each.sale_id is not None]
    sold = repository.find_sold_with(connection, sale_ids) if sale_ids else {}
    ordered = [each.token_id for each in taken if each.sale_id is None and each.token_id]
    sets = [find_set_before_token(connection, token_id) for token_id in ordered]
    return [*sold.values(), *((made.campaign_id, made.meter_id) for made in sets if made)]


def _learn_from_sets(
    connection: Connection, changed: Sequence[Command]
) -> dict[tuple[CampaignId, MeterId], Move]:
    ids = [each.key_change_set_id for each in changed if each.key_change_set_id is not None]
    sets = repository.load_sets(connection, ids)
    found = {}
    for command in changed:
        move = _STEPS.get(command.state)
        assert command.key_change_set_id is not None, "the kind says so"
        if move is not None:
            made, _ = sets[command.key_change_set_id]
            told = Move(target=move.target, evidence=move.evidence, code=command.result_code)
            found[made.campaign_id, made.meter_id] = told
    return found


def note_entered(
    office: CampaignOffice, campaign_id: CampaignId, pan: MeterPAN, *, note: str, by: SignedIn
) -> CampaignMeter:
    """Note that a customer or field staff says the meter took its set; weaker than its own word.

    Raises:
        PermissionDeniedError: The operator may not.
        CampaignNotFoundError: There is no campaign of this id.
        CampaignMeterNotFoundError: The meter has no part in it.
        CampaignMeterStateError: No set is out for it.
        CampaignInvalidError: The note is empty or too long.
        MeterNotFoundError: The register has none of this number.
    """
    move = Move(target=MeterStep.ENTERED, evidence=Evidence.CUSTOMER_SAID, code=note)
    return _note(office, campaign_id, pan, move, by)


def note_not_entered(
    office: CampaignOffice, campaign_id: CampaignId, pan: MeterPAN, *, note: str, by: SignedIn
) -> CampaignMeter:
    """Note that the meter holds its old key, and take its set back: the next sale is under the old.

    Credit that was sold under the new key is given again, under the old, by a replacement.

    Raises:
        PermissionDeniedError: The operator may not.
        CampaignNotFoundError: There is no campaign of this id.
        CampaignMeterNotFoundError: The meter has no part in it.
        CampaignMeterStateError: No set is out for it.
        CampaignInvalidError: The note is empty or too long.
        MeterNotFoundError: The register has none of this number.
    """
    move = Move(target=MeterStep.WITHDRAWN, evidence=Evidence.CLERK, code=note)
    return _note(office, campaign_id, pan, move, by)


def _note(
    office: CampaignOffice, campaign_id: CampaignId, pan: MeterPAN, move: Move, by: SignedIn
) -> CampaignMeter:
    by.require(Permission.CAMPAIGNS_WRITE)
    require_text("note", move.code or "", NOTE_LENGTH_MAX)
    with office.database.unit_of_work() as uow:
        connection = uow.connection
        load_campaign(connection, campaign_id)
        meter = load_meter(connection, pan)
        member = repository.find_meter(connection, campaign_id, meter.id)
        if member is None:
            raise CampaignMeterNotFoundError(pan.iain)
        moved = apply_moves(
            connection, {(campaign_id, meter.id): move}, actor=by.actor, clock=office.clock
        )
        if not moved:
            raise CampaignMeterStateError(
                pan.iain, state=member.step.value, target=move.target.value
            )
        uow.commit()
    return moved[0]


def apply_moves(
    connection: Connection,
    found: Mapping[tuple[CampaignId, MeterId], Move],
    *,
    actor: Actor,
    clock: Clock,
) -> list[CampaignMeter]:
    """Take meters to their next step where the table has it, and let the register follow.

    Locks in one order everywhere: commands, meters, their places in campaigns.
    """
    now = clock.now()
    by_campaign: dict[CampaignId, list[MeterId]] = {}
    for campaign_id, meter_id in sorted(found):
        by_campaign.setdefault(campaign_id, []).append(meter_id)
    sets = {
        (campaign_id, meter_id): made
        for campaign_id, ids in by_campaign.items()
        for meter_id, (made, _) in repository.load_sets_of(connection, campaign_id, ids).items()
    }
    _hold_back(connection, found, sets, actor=actor, now=now)
    holdings = lock_holdings(connection, [meter_id for _, meter_id in found])
    moves: list[tuple[CampaignMeter, Move]] = []
    for campaign_id, ids in by_campaign.items():
        members = repository.lock_meters_of(connection, campaign_id, ids)
        moves += [
            (member, found[campaign_id, one])
            for one, member in members.items()
            if (campaign_id, one) in sets and _follows(member.step, found[campaign_id, one].target)
        ]
    entered = [
        sets[member.campaign_id, member.meter_id]
        for member, move in moves
        if move.target is MeterStep.ENTERED
    ]
    _change_register(connection, entered, holdings, moves, actor=actor, clock=clock)
    return take_steps(connection, moves, actor=actor, clock=clock, now=now)


def _follows(step: MeterStep, target: MeterStep) -> bool:
    """Return whether a meter goes there; one that is chased may give more reason for it."""
    return may_become(step, target) or step is target is MeterStep.NEEDS_CHASE


def _hold_back(
    connection: Connection,
    found: Mapping[tuple[CampaignId, MeterId], Move],
    sets: Mapping[tuple[CampaignId, MeterId], KeyChangeSet],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Keep sets that are entered or withdrawn from being taken to their meters again."""
    over = {MeterStep.ENTERED, MeterStep.WITHDRAWN}
    ids: list[KeyChangeSetId] = [
        made.id for place, made in sets.items() if found[place].target in over
    ]
    if ids:
        withdraw_sets(connection, ids, actor=str(actor), now=now)


def _change_register(
    connection: Connection,
    entered: Sequence[KeyChangeSet],
    holdings: Mapping[MeterId, MeterHolding],
    moves: Sequence[tuple[CampaignMeter, Move]],
    *,
    actor: Actor,
    clock: Clock,
) -> None:
    """Let the register have the new keys; one that was corrected to something else stays."""
    following = [made for made in entered if holds(holdings[made.meter_id], made.old)]
    record_keys(connection, {made.meter_id: (made.new, made.new_dkga) for made in following})
    evidence = {(member.campaign_id, member.meter_id): move.evidence for member, move in moves}
    is_followed = {made.id for made in following}
    events = [
        AuditEvent(
            actor,
            "meter.key_changed",
            f"meter:{made.pan.digits}",
            {
                "campaign": subject_of(made.campaign_id),
                "evidence": evidence[made.campaign_id, made.meter_id].value,
                "sgc": made.new.sgc.digits,
                "krn": made.new.krn,
                "ti": made.new.ti.digits,
                "base_date": int(made.new.base_date),
                "register": "followed" if made.id in is_followed else REGISTER_DIFFERS,
            },
        )
        for made in entered
    ]
    record(connection, events, clock)
