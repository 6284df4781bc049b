"""Hands sets out: to meters through commands, and to customers with their next token.

While a set is out, nobody knows which of two keys the meter holds. A token is then made under the
new key and carries the set, to be entered first: entered in that order it works whichever key the
meter held (ADR 0015).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from vending.campaigns import repository
from vending.campaigns.model import (
    Evidence,
    KeyChangeSet,
    MeterStep,
    OpenedSet,
)
from vending.campaigns.repository import SealedSet
from vending.campaigns.service.office import Move, open_sections, take_steps
from vending.commands.model import CommandKind, NewCommand
from vending.commands.service import list_open_for_sets, queue_commands
from vending.keystore.sealing import Sealer
from vending.meters.model import Meter, MeterKey
from vending.meters.service import find_meters_by_id
from vending.sts.pan import MeterPAN
from vending.tokens.model import TokenOrder, TokenRecord
from vending.tokens.service.views import find_token, load_order
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import (
    KeyChangeSetId,
    MeterId,
    SaleId,
    TokenId,
    new_uuid7,
)

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


def with_key_in_use(connection: Connection, meter: Meter) -> Meter:
    """Return a locked meter as tokens are made for it now: a set that is out has the new key."""
    return with_keys_to_sell_under(connection, {meter.pan: meter})[meter.pan]


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
    needed = find_needed(connection, {(one.meter_id, one.key) for one in sold})
    opened = {
        one.sale_id: open_sections(needed[one.meter_id, one.key], sealer)
        for one in sold
        if (one.meter_id, one.key) in needed
    }
    for sale_id, handed in opened.items():
        _note_handed(connection, handed.set, Evidence.SALE, SELLER, clock=clock, sale_id=sale_id)
    return opened


def hand_out_with_order(
    connection: Connection, order: TokenOrder, by: Actor, *, sealer: Sealer, clock: Clock
) -> tuple[str, ...]:
    """Return the sections that must go before the token of an order, and keep that they went.

    None: the meter is known to hold the key of the token, or any meter reads it.

    Raises:
        SealBrokenError: A stored set was altered or moved.
    """
    sealed = _find_needed_by(connection, order)
    if sealed is None:
        return ()
    handed = open_sections(sealed, sealer)
    _note_handed(connection, handed.set, Evidence.TOKEN_ORDER, by, clock=clock)
    return handed.sections


def find_sections_before(
    connection: Connection, token: TokenRecord, *, sealer: Sealer
) -> tuple[str, ...]:
    """Return the sections that its meter still needs before a token, of a sale or of an order.

    None: the meter is known to hold the key of the token, or any meter reads it.

    Raises:
        SealBrokenError: A stored set was altered or moved.
    """
    if token.sale_id is not None:
        sealed = _find_needed_with_sale(connection, token.sale_id)
    else:
        assert token.order_id is not None, "a token is of a sale or of an order"
        sealed = _find_needed_by(connection, load_order(connection, token.order_id))
    return () if sealed is None else open_sections(sealed, sealer).sections


def _find_needed_with_sale(connection: Connection, sale_id: SaleId) -> SealedSet | None:
    sold_with = repository.find_sold_with(connection, [sale_id]).get(sale_id)
    if sold_with is None:
        return None
    campaign_id, meter_id = sold_with
    made, sealed = repository.load_sets_of(connection, campaign_id, [meter_id])[meter_id]
    registered = find_meters_by_id(connection, [meter_id])[meter_id]
    return None if registered.key == made.new else (made, sealed)


def find_needed(
    connection: Connection, wanted: Collection[tuple[MeterId, MeterKey]]
) -> dict[tuple[MeterId, MeterKey], SealedSet]:
    """Return the set that takes each meter to this key, where it is not known to hold it."""
    meter_ids = {meter_id for meter_id, _ in wanted}
    found = repository.list_sets_for_meters(connection, meter_ids)
    if not found:
        return {}
    registered = find_meters_by_id(connection, list(meter_ids))
    newest_last = {(made.meter_id, made.new): (made, sealed) for made, sealed in reversed(found)}
    return {
        place: newest_last[place]
        for place in wanted
        if place in newest_last and registered[place[0]].key != place[1]
    }


def _find_needed_by(connection: Connection, order: TokenOrder) -> SealedSet | None:
    if order.tid is None:
        return None  # a test of class 1: no key enters it
    place = (order.meter_id, order.key)
    return find_needed(connection, [place]).get(place)


def _note_handed(
    connection: Connection,
    made: KeyChangeSet,
    evidence: Evidence,
    by: Actor,
    *,
    clock: Clock,
    sale_id: SaleId | None = None,
) -> None:
    members = repository.lock_meters_of(connection, made.campaign_id, [made.meter_id])
    member = members[made.meter_id]
    target = MeterStep.DELIVERED if member.step is MeterStep.ISSUED else member.step
    move = Move(target=target, evidence=evidence, sale_id=sale_id)
    take_steps(connection, [(member, move)], actor=by, clock=clock, now=clock.now())


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
    sets = repository.load_sets_of(connection, campaign_id, [meter_id])
    return _orders_of_out(connection, [made for made, _ in sets.values()], clock)


def orders_before_token(
    connection: Connection, token_id: TokenId, *, clock: Clock
) -> list[NewCommand]:
    """Return the order that takes the set to its meter which a token outside a sale needs first.

    None: the token needs none, the set is in, or it is on its way already.
    """
    made = find_set_before_token(connection, token_id)
    return [] if made is None else _orders_of_out(connection, [made], clock)


def find_set_before_token(connection: Connection, token_id: TokenId) -> KeyChangeSet | None:
    """Return the set that a token of an order needs first; None: none, or no order made it."""
    token = find_token(connection, token_id)
    if token is None or token.order_id is None:
        return None
    sealed = _find_needed_by(connection, load_order(connection, token.order_id))
    return None if sealed is None else sealed[0]


def _orders_of_out(
    connection: Connection, sets: Sequence[KeyChangeSet], clock: Clock
) -> list[NewCommand]:
    out = repository.find_sets_out(connection, [made.meter_id for made in sets])
    is_out = {made.id for made in out.values()}
    return _orders(connection, [made for made in sets if made.id in is_out], clock)


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
