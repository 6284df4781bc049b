"""Makes the token of an order, with the key in this process or around a module that takes its time.

With a local module everything happens in one transaction. With another one the first transaction
fixes all that enters the token and uses up the approval; the module is asked with none open; the
second stores what it made. An order left open is finished by a repeat of the same act or by the
worker, with the same identifier, so with the same digits: the meter takes them once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from vending.approvals.errors import ApprovalUsedError
from vending.custody.errors import CeilingReachedError
from vending.custody.service.limits import give_back, note_reached, require_open, require_room
from vending.errors import ErrorKind, Outcome, VendingError
from vending.keystore.model import KeyReference
from vending.ledger.service import post_entries
from vending.meters.errors import MeterNotFoundError
from vending.meters.model import Meter
from vending.meters.rules import parse_meter_number
from vending.meters.service import load_last_tids, lock_meters, store_last_tids
from vending.operators.model import SignedIn
from vending.persistence.audit import AuditEvent, record
from vending.persistence.outbox import Message, append
from vending.sts.tcdu import TokenDigits
from vending.tokens import repository
from vending.tokens.errors import TokenOrderRefusedError, TokenOrderUnknownError
from vending.tokens.model import (
    NewToken,
    OrderPurpose,
    OrderState,
    TokenKind,
    TokenOrder,
    TokenRecord,
)
from vending.tokens.rules import (
    choose_tid,
    credit_request,
    free_units_accounts,
    free_units_entry,
    key_use,
    management_request,
)
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.sealed import open_token_of_order, store_tokens
from vending.values.actor import Actor
from vending.values.identifiers import (
    ApprovalId,
    EntryId,
    OutboxId,
    SaleId,
    TokenId,
    TokenOrderId,
    new_uuid7,
)
from vending.values.money import Money

TOKEN_ISSUED: Final = "token.issued"  # noqa: S105 # a topic, not a secret
"""Topic of the message that tells the worker to deliver; payload: order_id, token_id, meter_id."""
RESUME_AFTER: Final = timedelta(seconds=10)
"""An open order younger than this is still in the hands of who opened it."""
WORKER: Final = Actor.system("token orders")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody orders, apart from what the meter and the clock add."""

    purpose: OrderPurpose
    kind: TokenKind
    value: int
    reason: str
    approval_id: ApprovalId | None = None
    worth: Money | None = None
    sale_id: SaleId | None = None
    replaces_token_id: TokenId | None = None


@dataclass(frozen=True, slots=True)
class IssuedOrder:
    """An order whose token is made."""

    order: TokenOrder
    token: NewToken
    enter_first: tuple[str, ...] = field(repr=False, default=())
    """The key-change set that the meter needs before the token, 1st section first."""


Fix = Callable[[Connection], TokenOrder]
"""Returns the order as it is to be made: a new one, still open, or the one made before."""


def carry_out(desk: TokenDesk, fix: Fix, by: Actor) -> IssuedOrder:
    """Return the token of the order that `fix` gives, making it unless it was made before.

    Whoever gets the digits has seen them: the view is recorded with the act.

    Raises:
        TokenOrderRefusedError: The security module refused for good after the order was kept.
        TokenOrderUnknownError: The module did not answer; the order stays open.
        CeilingReachedError: The key has issued enough of this class today.
        VendingError: The order is refused otherwise, and nothing is kept of it.
    """
    if not desk.security_module.is_local:
        desk.security_module.require_ready()
    try:
        with desk.database.unit_of_work() as uow:
            order = fix(uow.connection)
            issued = _issue_here(uow.connection, order, desk, by)
            uow.commit()
    except CeilingReachedError as refusal:
        note_reached(desk.database, [refusal], desk.clock, now=desk.clock.now())
        raise
    return finish_order(order, desk, by) if issued is None else issued


def finish_order(order: TokenOrder, desk: TokenDesk, by: Actor) -> IssuedOrder:
    """Ask the module for the token of an open order and store it; no transaction is open here.

    Raises:
        TokenOrderRefusedError: The security module refused for good.
        TokenOrderUnknownError: The module did not answer; the order stays open.
    """
    try:
        with desk.database.read() as connection:
            require_open(connection, order.register)
        digits: TokenDigits | VendingError = _make(order, desk)
    except VendingError as refusal:
        digits = refusal
    with desk.database.unit_of_work() as uow:
        outcome = _write_outcome(uow.connection, order, digits, desk, by)
        uow.commit()
    if isinstance(outcome, VendingError):
        raise outcome
    return outcome


def finish_open_orders(desk: TokenDesk, *, limit: int) -> int:
    """Finish orders that were left open, the oldest first; return how many are open no more."""
    with desk.database.read() as connection:
        left = repository.list_open_orders(
            connection, before=desk.clock.now() - RESUME_AFTER, limit=limit
        )
    return sum(_is_ended(order, desk) for order in left)


def lock_meter(connection: Connection, number: str, desk: TokenDesk) -> Meter:
    """Return the meter under its lock, as its next token is made: identifiers go one by one.

    Raises:
        MeterNumberInvalidError: The number is no DRN and no MeterPAN.
        MeterCheckDigitError: Its check digit is wrong.
        MeterNotFoundError: The register has none of this number.
    """
    pan = parse_meter_number(number)
    meter = lock_meters(connection, [pan]).get(pan)
    if meter is None:
        raise MeterNotFoundError(pan.iain)
    return desk.key_changes.find_key_in_use(connection, meter)


def find_made(connection: Connection, meter: Meter, wanted: Wanted) -> TokenOrder | None:
    """Return the order that used the approval up before, when it is this one; None: none did.

    Raises:
        ApprovalUsedError: The approval was used up by another order.
    """
    if wanted.approval_id is None:
        return None
    made = repository.find_order_by_approval(connection, wanted.approval_id)
    if made is None:
        return None
    asked = (wanted.purpose, wanted.kind, wanted.value, meter.id, wanted.replaces_token_id)
    if (made.purpose, made.kind, made.value, made.meter_id, made.replaces_token_id) != asked:
        raise ApprovalUsedError(wanted.approval_id)
    return made


def open_order(
    connection: Connection, meter: Meter, wanted: Wanted, desk: TokenDesk, *, by: SignedIn
) -> TokenOrder:
    """Store the order of a token for a locked meter, everything that enters the token fixed.

    Raises:
        ClockJumpedError: The clock cannot be trusted.
        TooManyTokensError: The meter's identifiers run ahead of the clock.
        BaseDateExhaustedError: The base date has run out.
        BaseDateNotStartedError: The base date lies in the future.
        IssuingStoppedError: A switch stands on stop.
        CeilingReachedError: The key has issued enough of this class today.
    """
    register = KeyReference(meter.sgc, meter.krn, meter.kt)
    require_open(connection, register)
    carries_tid = wanted.kind is not TokenKind.INITIATE_METER_TEST
    order = TokenOrder(
        id=TokenOrderId(new_uuid7(desk.clock)),
        purpose=wanted.purpose,
        kind=wanted.kind,
        value=wanted.value,
        meter_id=meter.id,
        meter_pan=meter.pan,
        base_date=meter.base_date,
        tid=_reserve_tid(connection, meter, desk) if carries_tid else None,
        rnd=desk.draw_rnd() if carries_tid else None,
        register=register,
        ti=meter.ti,
        ea=meter.ea,
        resource=meter.resource,
        approval_id=wanted.approval_id,
        sale_id=wanted.sale_id,
        replaces_token_id=wanted.replaces_token_id,
        worth=wanted.worth,
        reason=wanted.reason,
        ordered_by=by.operator_id,
        state=OrderState.OPEN,
        created_at=desk.clock.now(),
    )
    repository.insert_order(connection, order)
    require_room(connection, key_use(order), desk.clock, now=order.created_at)
    return order


def _reserve_tid(connection: Connection, meter: Meter, desk: TokenDesk) -> int:
    """Return the next identifier of a locked meter, used up from now on."""
    now = desk.require_trusted(connection)
    key = (meter.pan, meter.base_date)
    last = load_last_tids(connection, [key]).get(key)
    tid = choose_tid(
        now, meter.base_date, last=last, ahead_limit_min=desk.limits.tid_ahead_limit_min
    )
    store_last_tids(connection, {key: tid.minutes})
    return tid.minutes


def _issue_here(
    connection: Connection, order: TokenOrder, desk: TokenDesk, by: Actor
) -> IssuedOrder | None:
    """Return the token where it is there, or can be made in this transaction; None: it cannot."""
    if order.state is not OrderState.OPEN:
        return _stored_outcome(connection, order, desk, by)
    if not desk.security_module.is_local:
        return None
    return _store_token(connection, order, _make(order, desk), desk, by)


def _make(order: TokenOrder, desk: TokenDesk) -> TokenDigits:
    if order.kind is TokenKind.TRANSFER_CREDIT:
        return desk.security_module.vend(order.register, credit_request(order))
    return desk.security_module.manage(order.register, management_request(order))


def _write_outcome(
    connection: Connection,
    order: TokenOrder,
    made: TokenDigits | VendingError,
    desk: TokenDesk,
    by: Actor,
) -> IssuedOrder | VendingError:
    now = desk.clock.now()
    if repository.lock_open_order(connection, order.id) is None:
        current = repository.find_order(connection, order.id)
        assert current is not None, "orders are never deleted"
        return _stored_outcome(connection, current, desk, by)
    if not isinstance(made, VendingError):
        return _store_token(connection, order, made, desk, by)
    if made.retryable or made.kind is ErrorKind.UNAVAILABLE or made.outcome is Outcome.UNKNOWN:
        repository.touch_order(connection, order.id, now=now, result_code=made.code)
        return TokenOrderUnknownError(order.id)
    repository.end_order(connection, order.id, OrderState.REFUSED, now=now, result_code=made.code)
    give_back(connection, key_use(order), charged_at=order.created_at)
    record(connection, [_event(by, "token.refused", order, {"code": made.code})], desk.clock)
    return TokenOrderRefusedError(order.id, made.code)


def _store_token(
    connection: Connection, order: TokenOrder, digits: TokenDigits, desk: TokenDesk, by: Actor
) -> IssuedOrder:
    now = desk.clock.now()
    token = NewToken(_record_of(order, digits, desk), digits)
    store_tokens(connection, [token], desk.token_sealer)
    repository.end_order(connection, order.id, OrderState.ISSUED, now=now)
    entry = free_units_entry(order, EntryId(new_uuid7(desk.clock)))
    if entry is not None:
        post_entries(connection, [entry], free_units_accounts(entry.currency))
    append(connection, [_message(order, token, desk)])
    event = _event(by, "token.issued", order, {"token": str(token.record.id)})
    return _show(connection, IssuedOrder(order, token), desk, by, [event])


def _stored_outcome(
    connection: Connection, order: TokenOrder, desk: TokenDesk, by: Actor
) -> IssuedOrder:
    if order.state is OrderState.REFUSED:
        raise TokenOrderRefusedError(order.id, order.result_code or "")
    token = open_token_of_order(connection, order.id, desk.token_sealer)
    assert token is not None, "an order and its token are stored in one transaction"
    return _show(connection, IssuedOrder(order, token), desk, by, [])


def _show(
    connection: Connection,
    issued: IssuedOrder,
    desk: TokenDesk,
    by: Actor,
    events: Sequence[AuditEvent],
) -> IssuedOrder:
    """Record what happened; return the token with what goes before it, and who saw it."""
    if by == WORKER:
        record(connection, events, desk.clock)
        return issued
    viewed = _view_event(by, issued.token, issued.order)
    record(connection, [*events, viewed], desk.clock)
    return replace(issued, enter_first=desk.key_changes.hand_out(connection, issued.order, by))


def _is_ended(order: TokenOrder, desk: TokenDesk) -> bool:
    try:
        finish_order(order, desk, WORKER)
    except TokenOrderUnknownError:
        return False
    except TokenOrderRefusedError:
        return True
    return True


def _record_of(order: TokenOrder, digits: TokenDigits, desk: TokenDesk) -> TokenRecord:
    return TokenRecord(
        id=TokenId(new_uuid7(desk.clock)),
        sale_id=None,
        order_id=order.id,
        meter_id=order.meter_id,
        meter_pan=order.meter_pan,
        base_date=order.base_date,
        tid=order.tid,
        rnd=order.rnd,
        kind=order.kind,
        units=order.value if order.kind is TokenKind.TRANSFER_CREDIT else 0,
        sgc=order.register.sgc,
        krn=order.register.krn,
        last_four=digits[-4:],
        issued_at=desk.clock.now(),
    )


def _message(order: TokenOrder, token: NewToken, desk: TokenDesk) -> Message:
    return Message(
        id=OutboxId(new_uuid7(desk.clock)),
        topic=TOKEN_ISSUED,
        payload={
            "order_id": str(order.id),
            "token_id": str(token.record.id),
            "meter_id": str(order.meter_id),
        },
        created_at=desk.clock.now(),
    )


def _event(by: Actor, action: str, order: TokenOrder, more: dict[str, str]) -> AuditEvent:
    approval = None if order.approval_id is None else str(order.approval_id)
    return AuditEvent(
        by,
        action,
        f"meter:{order.meter_pan.digits}",
        {
            "order": str(order.id),
            "purpose": order.purpose.value,
            "kind": order.kind.value,
            "value": order.value,
            "tid": order.tid,
            "sgc": order.register.sgc.digits,
            "krn": order.register.krn,
            "approval": approval,
            **more,
        },
    )


def _view_event(by: Actor, token: NewToken, order: TokenOrder) -> AuditEvent:
    details = {"token": str(token.record.id), "purpose": f"order:{order.purpose.value}"}
    return AuditEvent(by, "token.viewed", f"meter:{order.meter_pan.digits}", details)
