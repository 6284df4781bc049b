"""A sale around a security module that takes its time: two transactions, the module between.

The first claims the key and fixes everything that enters the token. Whatever happens then, a lost
answer or a crash, the sale stays open, and asking again gives the same digits: the meter credits
them once. The second writes the books. An open sale is finished by the request that opened it,
by a repeat of it, or by the worker; whoever comes second finds it finished.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from vending.custody.errors import IssuingStoppedError
from vending.custody.model import Stops
from vending.custody.service.limits import give_back, load_stops
from vending.errors import Outcome, VendingError
from vending.keystore.module_errors import ModuleBusyError
from vending.keystore.port import VendOutcome as MintOutcome
from vending.observability.logs import get_logger
from vending.observability.tracing import span
from vending.persistence.idempotency import Replay, find_answer
from vending.sales import repository
from vending.sales.errors import SaleInFlightError, SaleNotAskedError, SaleUnknownError
from vending.sales.model import Declined, Sale, SaleState, VendOutcome, VendRequest
from vending.sales.service.attempts import attempt
from vending.sales.service.books import answer_refused_sale, new_issued, post_issued
from vending.sales.service.claims import open_answer
from vending.sales.service.decisions import is_passing
from vending.sales.service.desk import RESUME_AFTER, SalesDesk
from vending.tariffs.model import Tariff
from vending.tariffs.service import list_versions
from vending.values.identifiers import TariffId

_logger = get_logger(__name__)


def finish_sales(
    sales: Sequence[Sale], desk: SalesDesk, *, are_new: bool = False
) -> list[VendOutcome]:
    """Ask the module for the token of each open sale, and write the books of those it made.

    New sales were never asked for: one whose turn does not come is declined, as nothing was sent.
    """
    if not sales:
        return []
    minted = _mint_unless_stopped(sales, desk)
    if are_new:
        minted = [SaleNotAskedError() if isinstance(m, ModuleBusyError) else m for m in minted]
    return [_finish_one(sale, made, desk) for sale, made in zip(sales, minted, strict=True)]


def mint(sales: Sequence[Sale], desk: SalesDesk) -> list[MintOutcome]:
    """Ask the security module for the token of each sale."""
    with span("security module", {"vending.batch_size": len(sales)}):
        return desk.security_module.vend_many(
            [(sale.register, sale.credit_token_request()) for sale in sales]
        )


def _mint_unless_stopped(sales: Sequence[Sale], desk: SalesDesk) -> list[MintOutcome]:
    """Ask for the tokens that no kill switch forbids by now; the other sales stay open.

    All of them where the switches cannot be read: the sales are stored, and nothing is declined.
    """
    try:
        with desk.database.read() as connection:
            stops = load_stops(connection)
    except VendingError as failure:
        return [failure for _ in sales]
    stopped = {sale.id: refusal for sale in sales if (refusal := _find_stop(sale, stops))}
    allowed = [sale for sale in sales if sale.id not in stopped]
    minted = dict(zip([sale.id for sale in allowed], mint(allowed, desk), strict=True))
    return [stopped.get(sale.id) or minted[sale.id] for sale in sales]


def _find_stop(sale: Sale, stops: Stops) -> IssuingStoppedError | None:
    try:
        stops.require_open(sale.register, partner_id=sale.partner_id, outlet=sale.outlet)
    except IssuingStoppedError as refusal:
        return refusal
    return None


def answer_open(request: VendRequest, desk: SalesDesk) -> VendOutcome:
    """Return the outcome of a request whose key was claimed before and has no answer yet.

    A sale that somebody else still works on is left to them; one that was left open is finished.
    """
    try:
        with desk.database.read() as connection:
            sale = repository.find_sale_by_key(connection, request.partner_id, request.key)
            changed_at = repository.find_changed_at(connection, sale.id) if sale else None
    except VendingError:
        return Declined(SaleInFlightError())
    if sale is None or changed_at is None:
        return Declined(SaleInFlightError())
    is_in_other_hands = desk.clock.now() - changed_at < RESUME_AFTER
    if sale.state is SaleState.MINTING and is_in_other_hands:
        return Declined(SaleInFlightError())
    return finish_sales([sale], desk)[0]


def resolve_open_sales(desk: SalesDesk, *, limit: int) -> int:
    """Finish sales that were left open, the oldest first; return how many are no longer open.

    The worker's job: an unknown outcome always has an owner.
    """
    with desk.database.read() as connection:
        left = repository.list_open_sales(
            connection, before=desk.clock.now() - RESUME_AFTER, limit=limit
        )
    outcomes = finish_sales(left, desk)
    return sum(not _is_unknown(outcome) for outcome in outcomes)


def age_of_oldest_open(connection: Connection, now: datetime) -> timedelta | None:
    """Return for how long the oldest sale has waited for its token; None: none waits."""
    begun = repository.find_oldest_open(connection)
    return None if begun is None else now - begun


def _finish_one(sale: Sale, made: MintOutcome, desk: SalesDesk) -> VendOutcome:
    """Write the books of one sale; whatever stops that leaves the sale open, never declined."""
    try:
        return attempt(partial(_write_books, sale, made, desk))
    except VendingError as failure:
        _logger.warning("sale_left_open", code=failure.code, sale_id=str(sale.id))
        return Declined(SaleUnknownError(sale.id))


def _write_books(sale: Sale, made: MintOutcome, desk: SalesDesk) -> VendOutcome:
    with desk.database.unit_of_work() as uow:
        now = desk.clock.now()
        still_open = repository.lock_open_sale(uow.connection, sale.id)
        if still_open is None:
            return _stored_outcome(uow.connection, sale, desk)
        outcome = _write(uow.connection, still_open, made, desk, now=now)
        uow.commit()
    return outcome


def _write(
    connection: Connection, sale: Sale, made: MintOutcome, desk: SalesDesk, *, now: datetime
) -> VendOutcome:
    if not isinstance(made, VendingError):
        repository.move_sale(connection, sale.id, SaleState.RELEASED, now=now)
        tariffs = _load_tariff(connection, sale)
        answers = post_issued(connection, [new_issued(sale, made, desk)], tariffs, desk, now=now)
        return answers[sale.id]
    if _stays_open(sale, made):
        repository.move_sale(connection, sale.id, SaleState.UNKNOWN, now=now, reason_code=made.code)
        return Declined(SaleUnknownError(sale.id))
    repository.move_sale(connection, sale.id, SaleState.DECLINED, now=now, reason_code=made.code)
    answer_refused_sale(connection, sale, made, desk, now=now)
    give_back(connection, sale.key_use(), charged_at=sale.created_at)
    return Declined(made)


def _stays_open(sale: Sale, made: VendingError) -> bool:
    if isinstance(made, SaleNotAskedError):
        return sale.state is SaleState.UNKNOWN  # somebody else has asked meanwhile
    return is_passing(made) or made.outcome is Outcome.UNKNOWN


def _stored_outcome(connection: Connection, sale: Sale, desk: SalesDesk) -> VendOutcome:
    found = find_answer(connection, sale.partner_id, sale.key)
    assert isinstance(found, Replay), "a sale and its answer are finished in one transaction"
    return open_answer(found, sale.partner_id, sale.key, desk.answer_sealer)


def _load_tariff(connection: Connection, sale: Sale) -> Mapping[TariffId, Tariff]:
    versions = list_versions(connection, sale.quote.tariff_code)
    return {version.id: version for version in versions if version.id == sale.quote.tariff_id}


def _is_unknown(outcome: VendOutcome) -> bool:
    return isinstance(outcome, Declined) and isinstance(outcome.error, SaleUnknownError)
