"""What a sale is, the states it passes through, and what the vend use case takes and gives."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from vending.custody.model import Use, UseClass
from vending.errors import VendingError, canonical_json
from vending.keystore.model import KeyReference
from vending.keystore.port import CreditTokenRequest
from vending.sts import TI, BaseDate, EncryptionAlgorithm, MeterPAN, Resource, TokenIdentifier
from vending.tariffs.model import Quote
from vending.values.identifiers import (
    ApprovalId,
    CustomerId,
    EntryId,
    IdempotencyKey,
    MeterId,
    OperatorId,
    PartnerId,
    QuoteId,
    RefundId,
    SaleId,
    TokenId,
)
from vending.values.money import Money


class SaleState(StrEnum):
    """Where a sale stands; `SALE_TRANSITIONS` says what may follow."""

    QUOTED = "quoted"
    """Priced, nothing held."""
    RESERVED = "reserved"
    """The key is claimed and the token identifier fixed; the security module was not asked yet."""
    MINTING = "minting"
    """The security module was asked."""
    ISSUED = "issued"
    """The token is stored and the journal posted; no answer has carried the token yet."""
    RELEASED = "released"
    """The stored answer with the token is open to the partner."""
    CONFIRMED = "confirmed"
    """The partner says that the customer has it."""
    DECLINED = "declined"
    """Refused before a token was made."""
    UNKNOWN = "unknown"
    """The security module did not answer; asking again for the same token identifier is safe."""
    REVERSED = "reversed"
    """Undone while the token provably could not be used."""
    WRITTEN_OFF = "written-off"
    """Given up by a person."""
    SUSPECT = "suspect"
    """Released and never confirmed; in the exception queue."""


_S = SaleState
SALE_TRANSITIONS: Final[Mapping[SaleState, frozenset[SaleState]]] = MappingProxyType(
    {
        _S.QUOTED: frozenset({_S.RESERVED, _S.DECLINED}),
        _S.RESERVED: frozenset({_S.MINTING, _S.RELEASED, _S.DECLINED}),
        _S.MINTING: frozenset({_S.ISSUED, _S.RELEASED, _S.DECLINED, _S.UNKNOWN}),
        _S.UNKNOWN: frozenset({_S.UNKNOWN, _S.ISSUED, _S.RELEASED, _S.DECLINED, _S.WRITTEN_OFF}),
        _S.ISSUED: frozenset({_S.RELEASED, _S.REVERSED}),
        _S.RELEASED: frozenset({_S.CONFIRMED, _S.SUSPECT, _S.REVERSED}),
        _S.SUSPECT: frozenset({_S.CONFIRMED, _S.REVERSED, _S.WRITTEN_OFF}),
        _S.CONFIRMED: frozenset(),
        _S.DECLINED: frozenset(),
        _S.REVERSED: frozenset(),
        _S.WRITTEN_OFF: frozenset(),
    }
)
"""Sections 2.5 of the vending notes as a table; `docs/reference/sale.md` shows it as a diagram."""

OPEN_SALE_STATES: Final = frozenset({_S.RESERVED, _S.MINTING, _S.UNKNOWN})
"""A sale that has fixed its token identifier and has no token yet."""


@dataclass(frozen=True, slots=True)
class VendRequest:
    """A partner's wish to sell, under the key that makes it happen at most once."""

    partner_id: PartnerId
    key: IdempotencyKey
    meter: str
    """DRN or MeterPAN as the partner wrote it; digits only."""
    tender: Money
    quote_id: QuoteId | None = None
    terminal: str | None = None
    operator: str | None = None
    outlet: str | None = None
    """Of the partner, as the partner names it; a kill switch may stand for one."""

    def fingerprint(self) -> bytes:
        """Return what identifies the body: the same key with another one is refused."""
        body: tuple[str | int | None, ...] = (
            self.meter,
            self.tender.minor,
            self.tender.currency.code,
            None if self.quote_id is None else str(self.quote_id),
            self.terminal,
            self.operator,
        )
        if self.outlet is not None:  # so that bodies of before there were outlets stay the same
            body = (*body, self.outlet)
        return hashlib.sha256(canonical_json(body)).digest()


@dataclass(frozen=True, slots=True)
class Sale:
    """One sale as it is stored: the sum on the receipt, and all that its token is made from.

    Everything that enters the token is fixed before a security module is asked, so that asking
    again gives the same digits.
    """

    id: SaleId
    partner_id: PartnerId
    key: IdempotencyKey
    state: SaleState
    meter_id: MeterId
    meter_pan: MeterPAN
    customer_id: CustomerId | None
    receipt_number: str
    quote: Quote
    quote_id: QuoteId | None
    base_date: BaseDate
    tid: int
    rnd: int
    register: KeyReference
    ti: TI
    ea: EncryptionAlgorithm
    resource: Resource
    terminal: str | None
    operator: str | None
    outlet: str | None
    created_at: datetime

    def key_use(self) -> Use:
        """Return what the sale counts for against the ceilings of its key."""
        return Use(
            register=self.register,
            use_class=UseClass.CREDIT,
            energy_wh=self.quote.energy_on_token.wh,
            money=self.quote.tender,
        )

    def credit_token_request(self) -> CreditTokenRequest:
        """Return what the security module is asked, the same every time."""
        return CreditTokenRequest(
            pan=self.meter_pan,
            ti=self.ti,
            ea=self.ea,
            base_date=self.base_date,
            resource=self.resource,
            units=self.quote.units,
            tid=TokenIdentifier(self.tid),
            rnd=self.rnd,
        )


@dataclass(frozen=True, slots=True)
class StoredQuote:
    """A quote a partner may sell under until it expires, to the cent."""

    id: QuoteId
    partner_id: PartnerId
    meter_id: MeterId
    meter_pan: MeterPAN
    quote: Quote
    created_at: datetime
    expires_at: datetime


class RefundReason(StrEnum):
    """Why money goes back; the token may have been used all the same."""

    WRONG_METER = "wrong-meter"
    PAID_TWICE = "paid-twice"
    TOKEN_NOT_RECEIVED = "token-not-received"  # noqa: S105 # a word for a fault, not a secret
    TOKEN_REJECTED = "token-rejected"  # noqa: S105 # a word for a fault, not a secret
    METER_REMOVED = "meter-removed"
    GOODWILL = "goodwill"


class RefundDestination(StrEnum):
    """Where the money goes."""

    PARTNER = "partner"
    """The partner hands it out, and owes so much less."""
    METER_CREDIT = "meter-credit"
    """The meter carries it to its next sale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """Money that somebody wants to give back for a sale, energy and VAT together."""

    sale_id: SaleId
    amount_minor: int
    destination: RefundDestination
    reason: RefundReason
    note: str
    key: str
    """Makes it happen once: the same key with the same request is the same refund."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money that was given back for a sale."""

    id: RefundId
    sale_id: SaleId
    net: Money
    vat: Money
    destination: RefundDestination
    reason: RefundReason
    note: str
    approval_id: ApprovalId | None
    key: str
    entry_id: EntryId
    refunded_by: OperatorId
    refunded_at: datetime

    @property
    def gross(self) -> Money:
        """Return what was given back altogether."""
        return self.net + self.vat


class ReplacementReason(StrEnum):
    """Why a token is made again under another identifier."""

    TOKEN_REJECTED = "token-rejected"  # noqa: S105 # a word for a fault, not a secret
    METER_REPLACED = "meter-replaced"
    KEY_CHANGED = "key-changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementRequest:
    """A credit token that somebody wants another one for, with the same units."""

    token_id: TokenId
    reason: ReplacementReason
    meter: str | None = None
    """The customer's other meter, where the old one was replaced; None: the same meter."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the partner is sent, byte for byte, now and at every repeat."""

    status: int
    body: bytes = field(repr=False)
    """Holds the token: it goes to the partner and nowhere else."""
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Declined:
    """The request ended without a token; `error.outcome` tells whether it may still get one."""

    error: VendingError


VendOutcome = Answer | Declined


@dataclass(frozen=True, slots=True)
class IssuedSale:
    """A sale with the token that was made for it, ready to be posted and answered."""

    sale: Sale
    token_id: TokenId
    digits: str

    def __repr__(self) -> str:
        return f"IssuedSale(sale={self.sale.id}, token=…{self.digits[-4:]})"
