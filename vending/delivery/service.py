"""Carries due commands to their meters, and queues the delivery of a sale that was issued.

    transaction 1    lease: the command is `sent` before the first byte leaves
    none             the gateway speaks to the meters, several at once, one command a meter
    transaction 2    what each try ended in

A crash in between leaves `sent`. The stale job turns that into `unknown`, and the same token goes
out again: the meter takes it once, whatever was lost. No new token is ever made here, and the
digits exist only between the seal and the line.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from vending.campaigns.service.deliveries import orders_before_sale, orders_before_token
from vending.campaigns.service.evidence import note_commands
from vending.commands import service as commands
from vending.commands.model import (
    Command,
    CommandKind,
    CommandState,
    NewCommand,
    TryOutcome,
    TryResult,
)
from vending.delivery.errors import SaleMessageError, TokenMessageError
from vending.delivery.port import MeterAddress, MeterGateway, RelayPosition
from vending.keystore.errors import SealBrokenError
from vending.meters.service import find_meters_by_id, lock_meters
from vending.observability.logs import get_logger
from vending.observability.metrics import Metrics
from vending.observability.tracing import span
from vending.persistence.engine import Database
from vending.persistence.outbox import LeasedMessage
from vending.tokens.service.views import find_replacement
from vending.values.clock import Clock
from vending.values.identifiers import KeyChangeSetId, MeterId, SaleId, TokenId

THREAD_COUNT_MAX: Final = 8
"""Meters spoken to at once by one worker. As many are leased, so that none waits while `sent`."""

CODE_NO_LINK: Final = "no_link"
CODE_TOKEN_SEALED: Final = "token_seal_broken"  # noqa: S105 # a word for a fault, not a secret
REQUESTED_BY_SALE: Final = "sale"
REQUESTED_BY_ORDER: Final = "token order"

FindAddresses = Callable[[Connection, Collection[MeterId]], Mapping[MeterId, MeterAddress]]
"""Returns how each of these meters is reached; one without a link is left out."""
OpenDigits = Callable[[Connection, TokenId], str]
"""Returns the 20 digits of a token; raises `SealBrokenError` when its row was altered."""

OpenSections = Callable[[Connection, KeyChangeSetId], tuple[str, ...]]
"""Returns the sections of a key-change set in their order; raises as `OpenDigits` does."""

_RELAY_POSITIONS: Final[Mapping[CommandKind, RelayPosition]] = {
    CommandKind.DISCONNECT: RelayPosition.OPEN,
    CommandKind.RECONNECT: RelayPosition.CLOSED,
}
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What delivery works with."""

    database: Database
    clock: Clock
    gateway: MeterGateway
    find_addresses: FindAddresses
    open_digits: OpenDigits
    open_sections: OpenSections
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Order:
    """A leased command with all it takes to carry it out; no repr shows the digits."""

    command: Command
    address: MeterAddress
    digits: str | None = field(repr=False)
    sections: tuple[str, ...] = field(repr=False, default=())
    """Of a key-change set; empty for any other order."""


def deliver_due(delivery: Delivery, limit: int = THREAD_COUNT_MAX) -> int:
    """Try up to `limit` due commands, each of another meter; return how many were leased.

    A try that raises is a defect of ours: the others are recorded, its own command stays `sent`.

    Raises:
        BaseException: The first defect a try ended in.
    """
    assert 1 <= limit <= THREAD_COUNT_MAX, "a leased command does not wait for a thread"
    orders, hopeless = _lease(delivery, limit)
    _record(delivery, hopeless)
    defects: list[BaseException] = []
    if orders:
        with ThreadPoolExecutor(max_workers=len(orders), thread_name_prefix="delivery") as pool:
            pending = {pool.submit(_try, delivery.gateway, each): each for each in orders}
            while pending:
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                defects += _settle(delivery, {each: pending.pop(each) for each in done})
    if defects:
        raise defects[0]
    return len(orders) + len(hopeless)


def doubt_stale(delivery: Delivery) -> int:
    """Put in doubt what a dead worker took; return how many commands that were."""
    with delivery.database.unit_of_work() as uow:
        stale = commands.mark_stale(uow.connection, delivery.clock.now())
        note_commands(uow.connection, stale, delivery.clock)
        uow.commit()
    _tell(delivery, stale)
    return len(stale)


def handle_sale_issued(delivery: Delivery, message: LeasedMessage) -> None:
    """Queue the entry of a sale's token when its meter has a link; once, however often told.

    Raises:
        SaleMessageError: The message does not name a sale, a token and a meter.
    """
    sale_id, token_id, meter_id = _parse(message)
    new = NewCommand(
        kind=CommandKind.ENTER_TOKEN,
        meter_id=meter_id,
        sale_id=sale_id,
        token_id=token_id,
        dedupe_key=f"sale:{sale_id}",
        reason="sale",
        requested_by=REQUESTED_BY_SALE,
    )
    with delivery.database.unit_of_work() as uow:
        if _is_deliverable(delivery, uow.connection, meter_id, token_id):
            before = orders_before_sale(uow.connection, sale_id, clock=delivery.clock)
            commands.queue_commands(uow.connection, [*before, new], delivery.clock)
            uow.commit()


def handle_token_issued(delivery: Delivery, message: LeasedMessage) -> None:
    """Queue the entry of a token that no sale made when its meter has a link; once.

    Raises:
        TokenMessageError: The message does not name an order, a token and a meter.
    """
    order_id, token_id, meter_id = _parse_order(message)
    new = NewCommand(
        kind=CommandKind.ENTER_TOKEN,
        meter_id=meter_id,
        token_id=token_id,
        dedupe_key=f"token-order:{order_id}",
        reason="token order",
        requested_by=REQUESTED_BY_ORDER,
    )
    with delivery.database.unit_of_work() as uow:
        if _is_deliverable(delivery, uow.connection, meter_id, token_id):
            before = orders_before_token(uow.connection, token_id, clock=delivery.clock)
            commands.queue_commands(uow.connection, [*before, new], delivery.clock)
            uow.commit()


def _is_deliverable(
    delivery: Delivery, connection: Connection, meter_id: MeterId, token_id: TokenId
) -> bool:
    """Return whether the token is still to be entered at a meter that has a link.

    The meter is locked, as a replacement locks it: a token is replaced or on its way, never both.
    """
    if meter_id not in delivery.find_addresses(connection, [meter_id]):
        return False
    meter = find_meters_by_id(connection, [meter_id])[meter_id]
    lock_meters(connection, [meter.pan])
    return find_replacement(connection, token_id) is None


def _parse_order(message: LeasedMessage) -> tuple[uuid.UUID, TokenId, MeterId]:
    match message.payload:
        case {"order_id": str(order_id), "token_id": str(token_id), "meter_id": str(meter_id)}:
            try:
                return (
                    uuid.UUID(order_id),
                    TokenId(uuid.UUID(token_id)),
                    MeterId(uuid.UUID(meter_id)),
                )
            except ValueError as error:
                raise TokenMessageError(message.id) from error
        case _:
            raise TokenMessageError(message.id)


def _parse(message: LeasedMessage) -> tuple[SaleId, TokenId, MeterId]:
    match message.payload:
        case {"sale_id": str(sale_id), "token_id": str(token_id), "meter_id": str(meter_id)}:
            try:
                return (
                    SaleId(uuid.UUID(sale_id)),
                    TokenId(uuid.UUID(token_id)),
                    MeterId(uuid.UUID(meter_id)),
                )
            except ValueError as error:
                raise SaleMessageError(message.id) from error
        case _:
            raise SaleMessageError(message.id)


def _lease(delivery: Delivery, limit: int) -> tuple[list[Order], list[tuple[Command, TryResult]]]:
    """Return what can be tried, and what cannot with the reason; both are `sent` by now."""
    orders: list[Order] = []
    hopeless: list[tuple[Command, TryResult]] = []
    with delivery.database.unit_of_work() as uow:
        leased = commands.lease_due(uow.connection, delivery.clock.now(), limit)
        meter_ids = [command.meter_id for command in leased]
        addresses = delivery.find_addresses(uow.connection, meter_ids) if leased else {}
        for command in leased:
            order = _prepare(delivery, uow.connection, command, addresses)
            if isinstance(order, Order):
                orders.append(order)
            else:
                hopeless.append((command, order))
        uow.commit()
    return orders, hopeless


def _prepare(
    delivery: Delivery,
    connection: Connection,
    command: Command,
    addresses: Mapping[MeterId, MeterAddress],
) -> Order | TryResult:
    address = addresses.get(command.meter_id)
    if address is None:
        return TryResult(TryOutcome.NOT_REACHED, CODE_NO_LINK)
    if command.token_id is None and command.key_change_set_id is None:
        return Order(command, address, None)
    try:
        if command.key_change_set_id is not None:
            sections = delivery.open_sections(connection, command.key_change_set_id)
            return Order(command, address, None, sections)
        assert command.token_id is not None, "a token is entered, else a set"
        digits = delivery.open_digits(connection, command.token_id)
    except SealBrokenError:
        return TryResult(TryOutcome.NOT_REACHED, CODE_TOKEN_SEALED)
    return Order(command, address, digits)


def _try(gateway: MeterGateway, order: Order) -> TryResult:
    with span("meter", {"vending.command_kind": order.command.kind.value}) as traced:
        result = _ask(gateway, order)
        traced.set_attribute("vending.outcome", result.outcome.value)
    return result


def _ask(gateway: MeterGateway, order: Order) -> TryResult:
    if order.sections:
        return gateway.deliver_key_change(order.address, order.sections)
    if order.digits is not None:
        return gateway.deliver_token(order.address, order.digits)
    wanted = _RELAY_POSITIONS[order.command.kind]
    if order.command.doubtful:
        # The order may be in force already; if not, a direct command may be repeated safely.
        seen = gateway.read_relay(order.address)
        if isinstance(seen, TryResult):
            return seen
        if seen is wanted:
            return TryResult(TryOutcome.APPLIED_BEFORE, seen.value)
    return gateway.switch_relay(order.address, wanted)


def _settle(delivery: Delivery, done: Mapping[Future[TryResult], Order]) -> list[BaseException]:
    """Record the tries that ended in a result; return the defects of the others."""
    defects = [error for future in done if (error := future.exception()) is not None]
    results = [
        (order.command, future.result())
        for future, order in done.items()
        if future.exception() is None
    ]
    _record(delivery, results)
    return defects


def _record(delivery: Delivery, results: list[tuple[Command, TryResult]]) -> None:
    if not results:
        return
    reports = [commands.TryReport(command, result) for command, result in results]
    with delivery.database.unit_of_work() as uow:
        changed = commands.record_results(uow.connection, reports, delivery.clock.now())
        note_commands(uow.connection, changed, delivery.clock)
        uow.commit()
    if len(changed) < len(results):
        _log.warning("results_too_late", count=len(results) - len(changed))
    _tell(delivery, changed)


def _tell(delivery: Delivery, changed: list[Command]) -> None:
    for command in changed:
        delivery.metrics.commands.labels(command.kind.value, command.state.value).inc()
        log = _log.warning if command.state is CommandState.NEEDS_HUMAN else _log.info
        log(
            "command_tried",
            command_id=str(command.id),
            meter_id=str(command.meter_id),
            kind=command.kind.value,
            state=command.state.value,
            result=command.result_code,
            attempts=command.attempts,
        )
