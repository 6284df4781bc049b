"""Vend: from requests to answers, each request with its own outcome, exactly once.

With the key in this process everything happens in one transaction: the claim of the idempotency
key, the token identifier under the lock of its meter, the token, the postings, the stored answer
and the message for the worker. `vending.sales.service.two_step` does the same around a security
module that takes its time.

A refusal that will not change is an answer too: it is stored under the key and repeated. One
that may pass leaves nothing behind, and the key free.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from vending.custody.errors import CeilingReachedError
from vending.custody.service.limits import charge, note_reached
from vending.errors import VendingError
from vending.meters.rules import parse_meter_number
from vending.meters.service import store_last_tids
from vending.observability.logs import get_logger
from vending.sales import repository
from vending.sales.model import Declined, Sale, SaleState, VendOutcome, VendRequest
from vending.sales.rules import Draft, draft_sale
from vending.sales.service.attempts import attempt
from vending.sales.service.books import answer_refusals, new_issued, post_issued
from vending.sales.service.claims import claim_keys
from vending.sales.service.credit_lines import refuse_beyond_lines
from vending.sales.service.decisions import (
    PassingRefusals,
    decide_all,
    is_passing,
    load_situation,
)
from vending.sales.service.desk import BATCH_MAX, SalesDesk
from vending.sales.service.two_step import answer_open, finish_sales, mint
from vending.sts import MeterPAN
from vending.values.identifiers import SaleId, new_uuid7

_logger = get_logger(__name__)
_Refusals = dict[int, VendingError]
_Wave = dict[int, tuple[VendRequest, MeterPAN]]


def vend(requests: Sequence[VendRequest], desk: SalesDesk) -> list[VendOutcome]:
    """Return one outcome per request, in their order; no refusal or failure hides the others.

    Callers that come at the same time share transactions, except around a module that takes its
    time: nobody waits for it on behalf of others.

    Raises:
        LaneFullError: More requests wait than can be answered soon; nothing happened.
    """
    if desk.security_module.is_local:
        return vend_soon(requests, desk).result()
    assert 1 <= len(requests) <= BATCH_MAX, "a batch is bounded"
    return _vend_together(requests, desk)


def vend_soon(requests: Sequence[VendRequest], desk: SalesDesk) -> Future[list[VendOutcome]]:
    """Return the promise of what `vend` returns, for callers that must not block.

    The security module is one of this process. The requests are worked on whatever becomes of
    the promise.

    Raises:
        LaneFullError: More requests wait than can be answered soon; nothing happened.
    """
    assert 1 <= len(requests) <= BATCH_MAX, "a batch is bounded"
    assert desk.security_module.is_local, "nobody waits in the lane for another machine"
    return desk.lane.submit(requests, partial(_vend_together, desk=desk))


def _vend_together(requests: Sequence[VendRequest], desk: SalesDesk) -> list[VendOutcome]:
    outcomes: dict[int, VendOutcome] = {}
    waves: list[_Wave] = []
    for index, request in enumerate(requests):
        try:
            _add_to_wave(waves, index, request, parse_meter_number(request.meter))
        except VendingError as refusal:
            outcomes[index] = Declined(refusal)
    for wave in waves:
        outcomes |= _sell_wave(wave, desk)
    return [outcomes[index] for index in range(len(requests))]


def _add_to_wave(waves: list[_Wave], index: int, request: VendRequest, pan: MeterPAN) -> None:
    """Put the request into the first wave without its meter, so that credit is counted once."""
    for wave in waves:
        if all(pan != other for _, other in wave.values()):
            wave[index] = (request, pan)
            return
    waves.append({index: (request, pan)})


def _sell_wave(wave: _Wave, desk: SalesDesk) -> dict[int, VendOutcome]:
    """Sell to different meters, again without those whose refusal leaves nothing behind."""
    outcomes: dict[int, VendOutcome] = {}
    waiting = wave
    while waiting:
        try:
            begun = attempt(partial(_run_wave, waiting, desk))
        except PassingRefusals as passing:
            _note_reached(passing, desk)
            outcomes |= {index: Declined(refusal) for index, refusal in passing.errors.items()}
            waiting = {index: one for index, one in waiting.items() if index not in passing.errors}
        except VendingError as failure:
            _logger.warning("vend_failed", code=failure.code, outcome=failure.outcome.value)
            return outcomes | {index: Declined(failure) for index in waiting}
        else:
            return outcomes | _finish(begun, desk)
    return outcomes


def _note_reached(passing: PassingRefusals, desk: SalesDesk) -> None:
    """Raise the alarm of a reached ceiling; where that fails, the refusals stand all the same."""
    reached = [one for one in passing.errors.values() if isinstance(one, CeilingReachedError)]
    if not reached:
        return
    try:
        note_reached(desk.database, reached, desk.clock, now=desk.clock.now())
    except VendingError as failure:
        _logger.warning("ceiling_alarm_not_raised", code=failure.code)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a wave's transaction committed."""

    outcomes: dict[int, VendOutcome]
    opened: dict[int, Sale]
    """Sales whose token is to be asked for now."""
    left: dict[int, VendRequest]
    """Requests whose key was claimed before and has no answer."""


def _run_wave(wave: _Wave, desk: SalesDesk) -> _Begun:
    requests = {index: request for index, (request, _) in wave.items()}
    pans = {index: pan for index, (_, pan) in wave.items()}
    with desk.database.unit_of_work() as uow:
        claimed = claim_keys(uow.connection, requests, desk.answer_sealer, now=desk.clock.now())
        begun = _Begun(claimed.outcomes, {}, claimed.open)
        if claimed.fresh:
            _sell_fresh(uow.connection, claimed.fresh, pans, begun, desk)
        uow.commit()
    return begun


def _sell_fresh(
    connection: Connection,
    fresh: Mapping[int, VendRequest],
    pans: Mapping[int, MeterPAN],
    begun: _Begun,
    desk: SalesDesk,
) -> None:
    """Sell to requests whose keys are ours; what becomes of each is added to `begun`."""
    situation = load_situation(connection, fresh, pans, desk)
    now = situation.now
    decided = decide_all(fresh, pans, situation, desk)
    drafts = {i: one for i, one in decided.items() if not isinstance(one, VendingError)}
    refused = {i: one for i, one in decided.items() if isinstance(one, VendingError)}
    over = refuse_beyond_lines(connection, drafts, situation.lines)
    refused |= over
    drafts = {i: one for i, one in drafts.items() if i not in over}
    if desk.security_module.is_local:
        sales = _issue(connection, drafts, refused, begun, desk, now=now)
    else:
        sales = _open_sales(connection, drafts, refused, desk, now=now)
        begun.opened.update(sales)
    begun.outcomes.update(_store_refusals(connection, fresh, refused, desk, now=now))
    _charge(connection, sales, desk, now=now)


def _finish(begun: _Begun, desk: SalesDesk) -> dict[int, VendOutcome]:
    """Do what follows the commit of a wave, outside any transaction."""
    finished = finish_sales(list(begun.opened.values()), desk, are_new=True)
    return (
        begun.outcomes
        | dict(zip(begun.opened, finished, strict=True))
        | {index: answer_open(request, desk) for index, request in begun.left.items()}
    )


def _issue(
    connection: Connection,
    drafts: Mapping[int, Draft],
    refused: _Refusals,
    begun: _Begun,
    desk: SalesDesk,
    *,
    now: datetime,
) -> dict[int, Sale]:
    """Make the tokens and write the books; return the sales that have their token.

    What the keys refuse is added to `refused`, the answers to `begun`.
    """
    sales = _draft_sales(drafts, SaleState.RELEASED, desk, now)
    minted = dict(zip(sales, mint(list(sales.values()), desk), strict=True))
    refused |= {i: made for i, made in minted.items() if isinstance(made, VendingError)}
    _require_none_passing(refused)
    issued = {
        index: new_issued(sales[index], made, desk)
        for index, made in minted.items()
        if not isinstance(made, VendingError)
    }
    _store_sales(connection, [one.sale for one in issued.values()])
    tariffs = {draft.tariff.id: draft.tariff for draft in drafts.values()}
    answers = post_issued(connection, list(issued.values()), tariffs, desk, now=now)
    begun.outcomes.update({index: answers[one.sale.id] for index, one in issued.items()})
    return {index: one.sale for index, one in issued.items()}


def _charge(
    connection: Connection, sales: Mapping[int, Sale], desk: SalesDesk, *, now: datetime
) -> None:
    """Count the sales against the ceilings of their keys, last: their rows are the hottest.

    Raises:
        PassingRefusals: Some do not fit; the others go on without them.
    """
    uses = [sale.key_use() for sale in sales.values()]
    charged = charge(connection, uses, desk.clock, now=now)
    over = {i: refusal for i, refusal in zip(sales, charged, strict=True) if refusal is not None}
    if over:
        raise PassingRefusals(over)


def _open_sales(
    connection: Connection,
    drafts: Mapping[int, Draft],
    refused: _Refusals,
    desk: SalesDesk,
    *,
    now: datetime,
) -> dict[int, Sale]:
    """Store the sales as open, each with its token identifier fixed."""
    _require_ready(drafts, desk)
    _require_none_passing(refused)
    sales = _draft_sales(drafts, SaleState.MINTING, desk, now)
    _store_sales(connection, list(sales.values()))
    return sales


def _require_ready(drafts: Mapping[int, Draft], desk: SalesDesk) -> None:
    """Open no sale for a module that would refuse it at once: no key, no TID is used up.

    Raises:
        PassingRefusals: The module is known not to answer, or too many wait for it.
    """
    try:
        desk.security_module.require_ready()
    except VendingError as refusal:
        if drafts:
            raise PassingRefusals(dict.fromkeys(drafts, refusal)) from refusal


def _draft_sales(
    drafts: Mapping[int, Draft], state: SaleState, desk: SalesDesk, now: datetime
) -> dict[int, Sale]:
    return {
        index: draft_sale(draft, SaleId(new_uuid7(desk.clock)), state, rnd=desk.draw_rnd(), now=now)
        for index, draft in drafts.items()
    }


def _store_sales(connection: Connection, sales: Sequence[Sale]) -> None:
    repository.insert_sales(connection, sales)
    if sales:
        store_last_tids(connection, {(one.meter_pan, one.base_date): one.tid for one in sales})


def _store_refusals(
    connection: Connection,
    fresh: Mapping[int, VendRequest],
    refused: _Refusals,
    desk: SalesDesk,
    *,
    now: datetime,
) -> dict[int, VendOutcome]:
    pairs = [(fresh[index], refusal) for index, refusal in refused.items()]
    return dict(zip(refused, answer_refusals(connection, pairs, desk, now=now), strict=True))


def _require_none_passing(refused: _Refusals) -> None:
    passing = {index: refusal for index, refusal in refused.items() if is_passing(refusal)}
    if passing:
        raise PassingRefusals(passing)
