"""Finishes or repeats what waits for a person, so that campaigns learn of it with the command.

What a person found at a meter is somebody's word, and kept as the weak evidence it is.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.errors import CampaignMeterStateError
from vending.campaigns.model import OUTSTANDING_STEPS, Evidence, MeterStep
from vending.campaigns.service.evidence import apply_moves, find_places_shown
from vending.campaigns.service.office import Move, take_steps
from vending.commands.model import Command, CommandKind, Verdict
from vending.commands.service import settle, try_again
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import CommandId

_MOVES: Final[Mapping[Verdict, Move]] = {
    Verdict.APPLIED: Move(target=MeterStep.ENTERED, evidence=Evidence.CUSTOMER_SAID),
    Verdict.NOT_APPLIED: Move(target=MeterStep.NEEDS_CHASE, evidence=Evidence.CLERK),
}


def settle_command(
    connection: Connection,
    command_id: CommandId,
    verdict: Verdict,
    *,
    by: Actor,
    clock: Clock,
) -> Command:
    """Finish a command that waits for a person, and let its campaign know what was found.

    A set that was not applied stays out and is chased: somebody may still enter it, and
    `note-not-entered` takes it back.

    Raises:
        CommandNotFoundError: There is none of this id.
        CommandStateError: It does not wait for a person.
    """
    command = settle(connection, command_id, verdict, by=by, clock=clock)
    told = _MOVES[verdict]
    move = Move(target=told.target, evidence=told.evidence, code=command.result_code)
    if command.key_change_set_id is not None:
        made, _ = repository.load_sets(connection, [command.key_change_set_id])[
            command.key_change_set_id
        ]
        places = [(made.campaign_id, made.meter_id)]
    elif command.kind is CommandKind.ENTER_TOKEN and verdict is Verdict.APPLIED:
        places = find_places_shown(connection, [command])
    else:
        places = []
    if places:
        apply_moves(connection, dict.fromkeys(places, move), actor=by, clock=clock)
    return command


def retry_command(
    connection: Connection, command_id: CommandId, *, by: Actor, clock: Clock
) -> Command:
    """Give a command that waits for a person fresh tries; a set only while it is out.

    Raises:
        CommandNotFoundError: There is none of this id.
        CommandStateError: It does not wait for a person.
        CampaignMeterStateError: Its set was entered or withdrawn meanwhile.
    """
    command = try_again(connection, command_id, by=by, clock=clock)
    if command.key_change_set_id is None:
        return command
    set_id = command.key_change_set_id
    made, _ = repository.load_sets(connection, [set_id])[set_id]
    members = repository.lock_meters_of(connection, made.campaign_id, [made.meter_id])
    member = members[made.meter_id]
    if member.step not in OUTSTANDING_STEPS:
        raise CampaignMeterStateError(
            made.pan.iain, state=member.step.value, target=MeterStep.DELIVERED.value
        )
    move = Move(target=member.step, evidence=Evidence.RETRIED, code=command.result_code)
    take_steps(connection, [(member, move)], actor=by, clock=clock, now=clock.now())
    return command
