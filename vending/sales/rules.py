"""Pure decisions of a sale: what a request becomes, what it posts, whether time can be trusted."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from vending.approvals.model import Act, UseCase
from vending.keystore.model import KeyReference
from vending.ledger.model import (
    Account,
    AccountCode,
    AccountKind,
    JournalEntry,
    Posting,
    account_code,
)
from vending.meters.model import Meter
from vending.meters.rules import require_vendable
from vending.partners.rules import partner_account
from vending.sales.errors import (
    MeterBusyError,
    QuoteChangedError,
    QuoteExpiredError,
)
from vending.sales.model import (
    Refund,
    RefundDestination,
    RefundRequest,
    ReplacementReason,
    Sale,
    SaleState,
    StoredQuote,
    VendRequest,
)
from vending.sts import MeterPAN, TokenIdentifier
from vending.tariffs.model import Quote, Tariff
from vending.tariffs.rules import compute_quote
from vending.tokens.model import TokenRecord
from vending.tokens.rules import choose_tid, key_facts
from vending.values.identifiers import EntryId, SaleId
from vending.values.money import Currency, Money, divide_half_up

RECEIPT_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, so that a receipt number survives a telephone."""
RECEIPT_LENGTH: Final = 12
SALE_ENTRY: Final = "sale"
REFUND_ENTRY: Final = "refund"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a meter stands when its next sale is decided."""

    meter: Meter
    tariff: Tariff
    credit: Money
    """Carried credit of the meter."""
    last_tid: int | None
    is_busy: bool
    """Another sale of this meter waits for the security module."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An accepted request: priced, and dated by its token identifier."""

    request: VendRequest
    meter: Meter
    tariff: Tariff
    quote: Quote
    tid: TokenIdentifier


def decide(
    request: VendRequest,
    standing: Standing,
    stored: StoredQuote | None,
    *,
    now: datetime,
    tid_ahead_limit_min: int,
) -> Draft:
    """Return what the request becomes.

    Raises:
        MeterNotVendableError: The meter's state takes no sale.
        MeterBusyError: Another sale of the meter is open.
        AmountTooLowError: It buys less than 0.1 kWh.
        AmountTooHighError: It buys more than one token carries.
        WrongCurrencyError: The tender is in another currency.
        QuoteExpiredError: The quote's time is over.
        QuoteChangedError: The quote cannot be kept to the cent.
        TooManyTokensError: The meter's identifiers run ahead of the clock.
        BaseDateExhaustedError: The base date has run out.
        BaseDateNotStartedError: The base date lies in the future.
    """
    meter = require_vendable(standing.meter.pan, standing.meter)
    if standing.is_busy:
        raise MeterBusyError
    quote = compute_quote(request.tender, standing.credit, standing.tariff)
    if stored is not None:
        _require_quote_kept(stored, quote, standing, now)
    tid = choose_tid(
        now, meter.base_date, last=standing.last_tid, ahead_limit_min=tid_ahead_limit_min
    )
    return Draft(request, meter, standing.tariff, quote, tid)


def _require_quote_kept(
    stored: StoredQuote, quote: Quote, standing: Standing, now: datetime
) -> None:
    if now >= stored.expires_at:
        raise QuoteExpiredError(stored.id, stored.expires_at)
    if stored.meter_id != standing.meter.id:
        raise QuoteChangedError(stored.id, "meter")
    if stored.quote.tender != quote.tender:
        raise QuoteChangedError(stored.id, "amount")
    if stored.quote.tariff_id != quote.tariff_id:
        raise QuoteChangedError(stored.id, "tariff")
    if stored.quote != quote:
        raise QuoteChangedError(stored.id, "carried credit")


def draft_sale(draft: Draft, sale_id: SaleId, state: SaleState, *, rnd: int, now: datetime) -> Sale:
    """Return the sale that records the draft."""
    request = draft.request
    return Sale(
        id=sale_id,
        partner_id=request.partner_id,
        key=request.key,
        state=state,
        meter_id=draft.meter.id,
        meter_pan=draft.meter.pan,
        customer_id=draft.meter.customer_id,
        receipt_number=receipt_number(sale_id),
        quote=draft.quote,
        quote_id=request.quote_id,
        base_date=draft.meter.base_date,
        tid=draft.tid.minutes,
        rnd=rnd,
        register=KeyReference(draft.meter.sgc, draft.meter.krn, draft.meter.kt),
        ti=draft.meter.ti,
        ea=draft.meter.ea,
        resource=draft.meter.resource,
        terminal=request.terminal,
        operator=request.operator,
        outlet=request.outlet,
        created_at=now,
    )


def receipt_number(sale_id: SaleId) -> str:
    """Return the number printed on the receipt: the sale's 60 last random bits, in base 32."""
    bits = uuid.UUID(int=sale_id.int).int & ((1 << 5 * RECEIPT_LENGTH) - 1)
    text = "".join(
        RECEIPT_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(RECEIPT_LENGTH))
    )
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def meter_credit_code(pan: MeterPAN, currency: Currency) -> AccountCode:
    """Return the account of the credit that a meter carries from sale to sale."""
    return account_code("meter-credit", pan.digits, currency)


def accounts_of(sale: Sale, line_minor: int | None = None) -> list[Account]:
    """Return the accounts a sale posts to; the meter's credit may never fall below zero.

    `line_minor` is the partner's credit line; None: it owes without limit.
    """
    currency = sale.quote.tender.currency
    return [
        partner_account(sale.partner_id, currency, line_minor),
        *_open_ended_accounts(currency),
        meter_credit_account(sale.meter_pan, currency),
    ]


def meter_credit_account(pan: MeterPAN, currency: Currency) -> Account:
    """Return the account of the credit that a meter carries; it may never fall below zero."""
    return Account(
        code=meter_credit_code(pan, currency),
        kind=AccountKind.LIABILITY,
        currency=currency,
        floor_minor=0,
    )


@lru_cache(maxsize=64)
def _open_ended_accounts(currency: Currency) -> tuple[Account, ...]:
    """Return the accounts that all sales share, without a floor."""
    kinds = {
        account_code("revenue", "energy", currency): AccountKind.INCOME,
        account_code("tax", "vat", currency): AccountKind.LIABILITY,
        account_code("expense", "sts-rounding", currency): AccountKind.EXPENSE,
    }
    return tuple(Account(code=code, kind=kind, currency=currency) for code, kind in kinds.items())


def entry_of(sale: Sale, entry_id: EntryId, line_minor: int | None = None) -> JournalEntry:
    """Return the journal entry of a sale: debits positive, credits negative, together zero.

    What the partner owes for the tender, and the credit used up, are debits; energy, VAT and the
    credit kept are credits. Energy that STS coding gives away is revenue and expense alike.
    """
    owed, revenue, vat, rounding, credit = (
        account.code for account in accounts_of(sale, line_minor)
    )
    quote = sale.quote
    amounts = {
        owed: quote.tender.minor,
        revenue: -(quote.net.minor + quote.rounding_expense.minor),
        vat: -quote.vat.minor,
        rounding: quote.rounding_expense.minor,
        credit: quote.brought_forward.minor - quote.carried_forward.minor,
    }
    return JournalEntry(
        id=entry_id,
        at=sale.created_at,
        kind=SALE_ENTRY,
        reference=str(sale.id),
        currency=quote.tender.currency,
        postings=tuple(Posting(code, minor) for code, minor in amounts.items() if minor),
    )


def split_refund(quote: Quote, *, before_minor: int, amount_minor: int) -> tuple[Money, Money]:
    """Return a refund's net and VAT, so that all refunds of a sale sum to its own split.

    `before_minor` went back earlier. VAT goes back in proportion, rounded half up over the sum.
    """
    gross = quote.gross.minor
    vat_minor = divide_half_up((before_minor + amount_minor) * quote.vat.minor, gross)
    vat_minor -= divide_half_up(before_minor * quote.vat.minor, gross)
    currency = quote.tender.currency
    return Money(amount_minor - vat_minor, currency), Money(vat_minor, currency)


def refund_accounts(
    sale: Sale, destination: RefundDestination, line_minor: int | None
) -> list[Account]:
    """Return the accounts a refund posts to: revenue, VAT, and who gets the money."""
    currency = sale.quote.tender.currency
    revenue, vat, _ = _open_ended_accounts(currency)
    receiver = (
        partner_account(sale.partner_id, currency, line_minor)
        if destination is RefundDestination.PARTNER
        else meter_credit_account(sale.meter_pan, currency)
    )
    return [revenue, vat, receiver]


def refund_entry(refund: Refund, accounts: list[Account]) -> JournalEntry:
    """Return the journal entry of a refund: revenue and VAT shrink, the receiver is owed more."""
    revenue, vat, receiver = (account.code for account in accounts)
    amounts = {
        revenue: refund.net.minor,
        vat: refund.vat.minor,
        receiver: -refund.gross.minor,
    }
    return JournalEntry(
        id=refund.entry_id,
        at=refund.refunded_at,
        kind=REFUND_ENTRY,
        reference=str(refund.sale_id),
        currency=refund.net.currency,
        postings=tuple(Posting(code, minor) for code, minor in amounts.items() if minor),
    )


def refund_act(sale: Sale, request: RefundRequest, before_minor: int) -> Act:
    """Return what two people agree to: this much of this sale, after what went back before."""
    return Act(
        UseCase.REFUND,
        f"sale:{sale.id}",
        {
            "amount_minor": request.amount_minor,
            "currency": sale.quote.tender.currency.code,
            "gross_minor": sale.quote.gross.minor,
            "refunded_before_minor": before_minor,
            "destination": request.destination.value,
            "reason": request.reason.value,
            "key": request.key,
        },
    )


def replacement_act(token: TokenRecord, meter: Meter, reason: ReplacementReason) -> Act:
    """Return what two people agree to: the units of this token again, under this key."""
    return Act(
        UseCase.REPLACEMENT,
        f"meter:{meter.pan.digits}",
        {
            "token": str(token.id),
            "from_meter": token.meter_pan.digits,
            "units": token.units,
            "reason": reason.value,
            **key_facts(meter),
        },
    )


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The wall clock, and the time that passed since the process started, at one moment."""

    now: datetime
    elapsed_s: int


@dataclass(frozen=True, slots=True)
class ClockLimits:
    """How far the clock may be from where it should be."""

    backward_s: int
    forward_s: int


def is_clock_trusted(
    reading: ClockReading, anchor: ClockReading, seen_at: datetime | None, limits: ClockLimits
) -> bool:
    """Return whether a token may be dated by this reading.

    `seen_at` is the last committed time; `anchor` is a reading of this process that was trusted.
    A jump is a wall clock that moved otherwise than the time that passed, or lies further from
    the last committed time than the limits allow.
    """
    passed = timedelta(seconds=reading.elapsed_s - anchor.elapsed_s)
    if abs(reading.now - anchor.now - passed) > timedelta(seconds=limits.backward_s):
        return False
    if seen_at is None:
        return True
    drift = reading.now - seen_at
    return -timedelta(seconds=limits.backward_s) <= drift <= timedelta(seconds=limits.forward_s)
