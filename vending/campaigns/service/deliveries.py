"""Hands sets out: to meters through commands, and to customers with their next sale.

While a set is out, nobody knows which of two keys the meter holds. A sale is then made under the
new key and carries the set, to be entered first: entered in that order the credit works whichever
key the meter held (ADR 0015).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.model import (
    OUTSTANDING_STEPS,
    Evidence,
    KeyChangeSet,
    MeterStep,
    OpenedSet,
)
from vending.campaigns.service.office import Move, open_sections, take_steps
from vending.commands.model import CommandKind, NewCommand
from vending.commands.service import list_open_for_sets, queue_commands
from vending.keystore.sealing import Sealer
from vending.meters.model import Meter, MeterKey
from vending.meters.service import find_meters_by_id
from vending.sts.pan import MeterPAN
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import KeyChangeSetId, MeterId, SaleId, new_uuid7

REQUESTED_BY: Final = "campaigns"
SELLER: Final = Actor.system("sales")


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale, the meter it is for, and the key its token was made under."""

    sale_id: SaleId
    meter_id: MeterId
    key: MeterKey


def with_keys_to_sell_under(
    connection: Connection, meters: Mapping[MeterPAN, Meter]
) -> Mapping[MeterPAN, Meter]:
    """Return the meters as credit is to be made for them: under the new key where a set is out.

    The caller has locked the meters, so that no set goes out or comes in meanwhile.
    """
    if not meters:
        return meters
    out = repository.find_sets_out(connection, [meter.id for meter in meters.values()])
    if not out:
        return meters
    return {
        pan: _under(meter, out[meter.id]) if meter.id in out else meter
        for pan, meter in meters.items()
    }


def _under(meter: Meter, made: KeyChangeSet) -> Meter:
    if meter.key != made.old:
        return meter  # the register was corrected since: what it says counts
    key = made.new
    return replace(
        meter,
        sgc=key.sgc,
        krn=key.krn,
        kt=key.kt,
        ti=key.ti,
        base_date=key.base_date,
        dkga=made.new_dkga,
    )


def hand_out(
    connection: Connection, sold: Sequence[Sold], sealer: Sealer, *, clock: Clock
) -> dict[SaleId, OpenedSet]:
    """Return the set that must go with each of these sales, and keep that it went.

    A sale whose token was made under a key that its meter is known to hold has none.

    Raises:
        SealBrokenError: A stored set was altered or moved.
    """
    found = repository.list_sets_for_meters(connection, [one.meter_id for one in sold])
    if not found:
        return {}
    registered = find_meters_by_id(connection, [one.meter_id for one in sold])
    wanted = {
        one.sale_id: next(
            (each for each in found if (each[0].meter_id, each[0].new) == (one.meter_id, one.key)),
            None,
        )
        for one in sold
        if registered[one.meter_id].key != one.key
    }
    opened = {
        sale_id: open_sections(sealed, sealer)
        for sale_id, sealed in wanted.items()
        if sealed is not None
    }
    _note_sold(connection, opened, clock)
    return opened


def _note_sold(connection: Connection, opened: Mapping[SaleId, OpenedSet], clock: Clock) -> None:
    now = clock.now()
    for sale_id, handed in opened.items():
        made = handed.set
        members = repository.lock_meters_of(connection, made.campaign_id, [made.meter_id])
        member = members[made.meter_id]
        target = MeterStep.DELIVERED if member.step is MeterStep.ISSUED else member.step
        move = Move(target=target, evidence=Evidence.SALE, sale_id=sale_id)
        take_steps(connection, [(member, move)], actor=SELLER, clock=clock, now=now)


def queue_sets(connection: Connection, sets: Sequence[KeyChangeSet], *, clock: Clock) -> None:
    """Queue the entry of sets at their meters, except of those that are on their way already."""
    queue_commands(connection, _orders(connection, sets, clock), clock)


def orders_before_sale(
    connection: Connection, sale_id: SaleId, *, clock: Clock
) -> list[NewCommand]:
    """Return the order that takes the set of a sale to its meter, to be queued before its token.

    None: no set went with the sale, it is in, or it is on its way already.
    """
    sold_with = repository.find_sold_with(connection, [sale_id]).get(sale_id)
    if sold_with is None:
        return []
    campaign_id, meter_id = sold_with
    member = repository.find_meter(connection, campaign_id, meter_id)
    if member is None or member.step not in OUTSTANDING_STEPS:
        return []
    sets = repository.load_sets_of(connection, campaign_id, [meter_id])
    return _orders(connection, [made for made, _ in sets.values()], clock)


def _orders(connection: Connection, sets: Sequence[KeyChangeSet], clock: Clock) -> list[NewCommand]:
    if not sets:
        return []
    busy = {each.key_change_set_id for each in list_open_for_sets(connection, [s.id for s in sets])}
    return [
        NewCommand(
            kind=CommandKind.ENTER_KEY_CHANGE,
            meter_id=made.meter_id,
            key_change_set_id=made.id,
            # A set may be sent again after its command ended, as the campaign goes on.
            dedupe_key=f"key-change:{made.id}:{new_uuid7(clock)}",
            reason="key change",
            requested_by=REQUESTED_BY,
        )
        for made in sets
        if made.id not in busy
    ]


def open_set(connection: Connection, set_id: KeyChangeSetId, sealer: Sealer) -> tuple[str, ...]:
    """Return the sections of a set, 1st section first; for the line and nothing else.

    Raises:
        SealBrokenError: The row was altered or moved.
    """
    return open_sections(repository.load_sets(connection, [set_id])[set_id], sealer).sections


def find_outstanding(
    connection: Connection, meter_ids: Collection[MeterId]
) -> dict[MeterId, KeyChangeSet]:
    """Return the set that is out for each of these meters: both of its keys are valid now."""
    return repository.find_sets_out(connection, meter_ids)
