"""Writes what a batch ended in: sales, tokens, postings, answers and the worker's messages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.campaigns.service.deliveries import Sold, hand_out
from vending.customers.service import find_customers
from vending.errors import VendingError, canonical_json
from vending.ledger.service import post_entries
from vending.meters.model import MeterKey
from vending.partners.service import find_names, load_lines
from vending.persistence.audit import AuditEvent, record
from vending.persistence.idempotency import Answer as StoredAnswer
from vending.persistence.idempotency import store_answers
from vending.persistence.outbox import Message, append
from vending.sales import repository
from vending.sales.model import Answer, Declined, IssuedSale, Sale, VendRequest
from vending.sales.receipt import Holder, sale_document
from vending.sales.rules import accounts_of, entry_of
from vending.sales.service.claims import seal_answer
from vending.sales.service.desk import SalesDesk
from vending.tariffs.model import Tariff
from vending.tokens.model import NewToken, TokenKind, TokenRecord
from vending.tokens.service.sealed import store_tokens
from vending.values.actor import Actor, ActorKind
from vending.values.identifiers import (
    CustomerId,
    EntryId,
    OutboxId,
    SaleId,
    TariffId,
    TokenId,
    new_uuid7,
)

CREATED: Final = 201
SALE_ISSUED: Final = "sale.issued"
"""Topic of the message that tells the worker to deliver; payload: sale_id, token_id, meter_id."""


def post_issued(
    connection: Connection,
    issued: Sequence[IssuedSale],
    tariffs: Mapping[TariffId, Tariff],
    desk: SalesDesk,
    *,
    now: datetime,
) -> dict[SaleId, Answer]:
    """Write the token, the postings, the answer and the message of each sale; return the answers.

    Balances are posted last but for the answers, so that their rows are locked shortly.
    """
    if not issued:
        return {}
    holders = _load_holders(connection, issued)
    handed = hand_out(
        connection, [_sold(one.sale) for one in issued], desk.token_sealer, clock=desk.clock
    )
    bodies = {
        one.sale.id: canonical_json(
            sale_document(
                one,
                tariffs[one.sale.quote.tariff_id],
                holders.get(one.sale.customer_id) if one.sale.customer_id else None,
                desk.letterhead,
                handed[one.sale.id].sections if one.sale.id in handed else (),
            )
        )
        for one in issued
    }
    store_tokens(connection, [_new_token(one, now) for one in issued], desk.token_sealer)
    append(connection, [_message(one, desk, now) for one in issued])
    _store(connection, [_seal(one.sale, bodies[one.sale.id], desk) for one in issued], now)
    names = find_names(connection, {one.sale.partner_id for one in issued})
    record(connection, [_event(one, names[one.sale.partner_id]) for one in issued], desk.clock)
    lines = load_lines(connection, {one.sale.partner_id for one in issued})
    entries = [
        entry_of(one.sale, EntryId(new_uuid7(desk.clock)), lines.get(one.sale.partner_id))
        for one in issued
    ]
    accounts = {
        account.code: account
        for one in issued
        for account in accounts_of(one.sale, lines.get(one.sale.partner_id))
    }
    post_entries(connection, entries, list(accounts.values()))
    return {sale_id: Answer(CREATED, body) for sale_id, body in bodies.items()}


def _event(one: IssuedSale, partner_name: str) -> AuditEvent:
    """Return what the audit log keeps of a sale: no digits, nobody's name but the partner's."""
    sale, quote = one.sale, one.sale.quote
    return AuditEvent(
        Actor(ActorKind.PARTNER, partner_name, sale.partner_id),
        SALE_ISSUED,
        f"sale:{sale.id}",
        {
            "receipt_number": sale.receipt_number,
            "token_id": str(one.token_id),
            "meter_id": str(sale.meter_id),
            "register": str(sale.register),
            "tid": sale.tid,
            "base_date": sale.base_date.value,
            "currency": quote.tender.currency.code,
            "tender_minor": quote.tender.minor,
            "net_minor": quote.net.minor,
            "vat_minor": quote.vat.minor,
            "carried_forward_minor": quote.carried_forward.minor,
            "units_on_token": quote.units_on_token,
            "tariff": f"{quote.tariff_code}/{quote.tariff_version}",
        },
    )


def answer_refusals(
    connection: Connection,
    refusals: Sequence[tuple[VendRequest, VendingError]],
    desk: SalesDesk,
    *,
    now: datetime,
) -> list[Declined]:
    """Store final refusals as the answers of their keys."""
    answers = [
        seal_answer(
            request.partner_id,
            request.key,
            status=error.http_status,
            body=error.problem_bytes(),
            sealer=desk.answer_sealer,
        )
        for request, error in refusals
    ]
    _store(connection, answers, now)
    rows = [(new_uuid7(desk.clock), request, error.code) for request, error in refusals]
    repository.insert_declined(connection, rows, now=now)
    return [Declined(error) for _, error in refusals]


def answer_refused_sale(
    connection: Connection, sale: Sale, error: VendingError, desk: SalesDesk, *, now: datetime
) -> None:
    """Store the refusal of a sale that a security module would not make."""
    answer = seal_answer(
        sale.partner_id,
        sale.key,
        status=error.http_status,
        body=error.problem_bytes(),
        sealer=desk.answer_sealer,
    )
    _store(connection, [answer], now)


def _sold(sale: Sale) -> Sold:
    register = sale.register
    key = MeterKey(
        sgc=register.sgc, krn=register.krn, kt=register.kt, ti=sale.ti, base_date=sale.base_date
    )
    return Sold(sale.id, sale.meter_id, key)


def _store(connection: Connection, answers: Sequence[StoredAnswer], now: datetime) -> None:
    if answers:
        store_answers(connection, answers, now=now)


def _seal(sale: Sale, body: bytes, desk: SalesDesk) -> StoredAnswer:
    return seal_answer(
        sale.partner_id, sale.key, status=CREATED, body=body, sealer=desk.answer_sealer
    )


def _load_holders(connection: Connection, issued: Sequence[IssuedSale]) -> dict[CustomerId, Holder]:
    ids = {one.sale.customer_id for one in issued if one.sale.customer_id is not None}
    if not ids:
        return {}
    return {
        customer_id: Holder(customer.masked_name(), customer.language.value)
        for customer_id, customer in find_customers(connection, ids).items()
    }


def _new_token(one: IssuedSale, now: datetime) -> NewToken:
    sale = one.sale
    record = TokenRecord(
        id=one.token_id,
        sale_id=sale.id,
        meter_id=sale.meter_id,
        meter_pan=sale.meter_pan,
        base_date=sale.base_date,
        tid=sale.tid,
        rnd=sale.rnd,
        kind=TokenKind.TRANSFER_CREDIT,
        units=sale.quote.units_on_token,
        sgc=sale.register.sgc,
        krn=sale.register.krn,
        last_four=one.digits[-4:],
        issued_at=now,
    )
    return NewToken(record, one.digits)


def _message(one: IssuedSale, desk: SalesDesk, now: datetime) -> Message:
    return Message(
        id=OutboxId(new_uuid7(desk.clock)),
        topic=SALE_ISSUED,
        payload={
            "sale_id": str(one.sale.id),
            "token_id": str(one.token_id),
            "meter_id": str(one.sale.meter_id),
        },
        created_at=now,
    )


def new_issued(sale: Sale, digits: str, desk: SalesDesk) -> IssuedSale:
    """Return the sale with its token, under an identifier of its own."""
    return IssuedSale(sale, TokenId(new_uuid7(desk.clock)), digits)
