"""Selling around a security module that loses requests and answers, refuses, or takes its time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event

import pytest

from tests.support.books import count_rows, find_broken
from tests.support.faulty_driver import FaultyDriver, When, lost, past_commit
from tests.support.shop import Shop, code_of, document_of
from tests.support.slow_security_module import Fault, Hold, Refuse, SlowSecurityModule
from vending.errors import Outcome
from vending.keystore.errors import KeyExpiredError
from vending.keystore.model import KeyReference
from vending.keystore.module_errors import ModuleBusyError
from vending.keystore.port import CreditTokenRequest, VendOutcome
from vending.persistence.idempotency import Claim, claim
from vending.sales import repository
from vending.sales.model import Answer, Declined, Sale, SaleState
from vending.sales.service.desk import SalesDesk
from vending.sales.service.two_step import age_of_oldest_open, resolve_open_sales
from vending.sales.service.vend import vend
from vending.values.identifiers import IdempotencyKey

RESUME = timedelta(seconds=11)
WAIT_S = 100
FindSale = Callable[[str], Sale]


@pytest.fixture
def desk(shop: Shop, module: SlowSecurityModule) -> SalesDesk:
    return shop.using(module)


@pytest.fixture
def sale_of(shop: Shop) -> FindSale:
    def find(key: str) -> Sale:
        with shop.database.read() as connection:
            sale = repository.find_sale_by_key(connection, shop.partner.id, IdempotencyKey(key))
        assert sale is not None
        return sale

    return find


def test_sale_is_issued_and_repeated(shop: Shop, desk: SalesDesk) -> None:
    first = shop.sell(shop.request("k1"), desk)
    assert isinstance(first, Answer)
    assert shop.sell(shop.request("k1"), desk) == replace(first, replayed=True)
    assert find_broken(shop.database) == []


def test_both_ways_of_selling_give_the_same_document(shop: Shop, desk: SalesDesk) -> None:
    here = shop.issue("k1")
    shop.clock.advance(timedelta(minutes=1))
    there = document_of(shop.sell(shop.request("k2", meter=1), desk))
    varying = {"id", "receipt_number", "issued_at", "meter", "tokens", "receipt"}
    assert {k: v for k, v in here.items() if k not in varying} == {
        k: v for k, v in there.items() if k not in varying
    }


@pytest.mark.parametrize(
    ("fault", "served"),
    [(Fault.LOSE_REQUEST, 0), (Fault.LOSE_ANSWER, 1)],
    ids=["request", "answer"],
)
def test_lost_message_leaves_the_sale_unknown_and_a_repeat_gives_the_one_token(
    shop: Shop,
    desk: SalesDesk,
    module: SlowSecurityModule,
    sale_of: FindSale,
    fault: Fault,
    served: int,
) -> None:
    module.plan(fault)
    first = shop.sell(shop.request("k1"), desk)
    assert isinstance(first, Declined)
    assert (first.error.code, first.error.outcome) == ("sale_outcome_unknown", Outcome.UNKNOWN)
    assert len(module.served) == served
    assert sale_of("k1").state is SaleState.UNKNOWN
    fixed = sale_of("k1")
    digits = document_of(shop.sell(shop.request("k1"), desk))["tokens"][0]["digits"]
    read = shop.enter_token(digits)
    assert (read.tid.minutes, read.rnd) == (fixed.tid, fixed.rnd)
    assert digits == shop.desk.security_module.vend(fixed.register, fixed.credit_token_request())
    assert find_broken(shop.database) == []


def test_age_of_the_oldest_sale_without_a_token_is_told(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    def age() -> timedelta | None:
        with shop.database.read() as connection:
            return age_of_oldest_open(connection, shop.clock.now())

    shop.issue("k0")
    assert age() is None
    module.plan(Fault.LOSE_ANSWER)
    shop.sell(shop.request("k1"), desk)
    shop.clock.advance(timedelta(seconds=70))
    assert age() == timedelta(seconds=70)
    shop.sell(shop.request("k1"), desk)
    assert age() is None


def test_refusal_of_the_module_is_final_and_repeated(
    shop: Shop,
    desk: SalesDesk,
    module: SlowSecurityModule,
    sale_of: FindSale,
) -> None:
    module.plan(Refuse(KeyExpiredError("201457/1", ken=255)))
    first = shop.sell(shop.request("k1"), desk)
    assert isinstance(first, Declined)
    again = shop.sell(shop.request("k1"), desk)
    assert isinstance(again, Answer)
    assert (again.body, again.replayed) == (first.error.problem_bytes(), True)
    assert sale_of("k1").state is SaleState.DECLINED
    assert document_of(shop.sell(shop.request("k2"), desk))["lines"][2]["minor"] == 0
    assert find_broken(shop.database) == []


def test_sale_whose_turn_never_came_is_declined_and_frees_its_meter(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule, sale_of: FindSale
) -> None:
    module.plan(Refuse(ModuleBusyError()))
    first = shop.sell(shop.request("k1"), desk)
    assert isinstance(first, Declined)
    assert (first.error.code, first.error.outcome) == ("security_module_not_asked", Outcome.NONE)
    assert not first.error.retryable
    assert shop.refuse(shop.request("k1"), desk) == "security_module_not_asked"
    assert sale_of("k1").state is SaleState.DECLINED
    assert module.served == []
    assert document_of(shop.sell(shop.request("k2"), desk))
    assert find_broken(shop.database) == []


def test_sale_that_may_have_been_asked_for_is_never_declined_for_want_of_a_turn(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule, sale_of: FindSale
) -> None:
    module.plan(Fault.LOSE_ANSWER, Refuse(ModuleBusyError()), Refuse(ModuleBusyError()))
    for _ in range(2):
        assert shop.refuse(shop.request("k1"), desk) == "sale_outcome_unknown"
    shop.clock.advance(RESUME)
    assert resolve_open_sales(desk, limit=10) == 0
    assert sale_of("k1").state is SaleState.UNKNOWN
    assert document_of(shop.sell(shop.request("k1"), desk))
    assert find_broken(shop.database) == []


class OvertakenModule(SlowSecurityModule):
    """Has no turn for the first sale until a worker has asked for it and heard nothing."""

    worker: Callable[[], int] | None = None

    def vend_many(
        self, requests: Sequence[tuple[KeyReference, CreditTokenRequest]]
    ) -> list[VendOutcome]:
        worker, self.worker = self.worker, None
        if worker is None:
            return super().vend_many(requests)
        worker()
        return [ModuleBusyError() for _ in requests]


def test_sale_that_a_worker_asked_for_meanwhile_stays_unknown(
    shop: Shop, sale_of: FindSale
) -> None:
    module = OvertakenModule(shop.desk.security_module)
    desk = shop.using(module)

    def resume() -> int:
        shop.clock.advance(RESUME)
        module.plan(Fault.LOSE_ANSWER)
        return resolve_open_sales(desk, limit=10)

    module.worker = resume
    assert shop.refuse(shop.request("k1"), desk) == "sale_outcome_unknown"
    assert sale_of("k1").state is SaleState.UNKNOWN
    assert document_of(shop.sell(shop.request("k1"), desk))
    assert find_broken(shop.database) == []


def test_repeat_while_the_module_works_is_told_so(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    asked, release = Event(), Event()
    module.plan(Hold(asked, release))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(shop.sell, shop.request("k1"), desk)
        try:
            assert asked.wait(WAIT_S)
            assert shop.refuse(shop.request("k1"), desk) == "sale_in_flight"
            assert shop.refuse(shop.request("k1", minor=1), desk) == "idempotency_key_reused"
            assert shop.refuse(shop.request("k2"), desk) == "meter_busy"
            assert document_of(shop.sell(shop.request("k3", meter=1), desk))
        finally:
            release.set()
        assert document_of(first.result(WAIT_S))
    assert document_of(shop.sell(shop.request("k2"), desk)), "its key stayed free"
    assert find_broken(shop.database) == []


def test_repeat_after_a_while_asks_too_and_both_get_the_same_token(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    asked, release = Event(), Event()
    module.plan(Hold(asked, release))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(shop.sell, shop.request("k1"), desk)
        try:
            assert asked.wait(WAIT_S)
            shop.clock.advance(RESUME)
            second = document_of(shop.sell(shop.request("k1"), desk))
        finally:
            release.set()
        assert document_of(first.result(WAIT_S)) == second
    assert find_broken(shop.database) == []


def test_answer_that_comes_after_the_sale_was_declined_is_the_refusal(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    asked, release = Event(), Event()
    module.plan(Hold(asked, release), Refuse(KeyExpiredError("201457/1", ken=255)))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(shop.sell, shop.request("k1"), desk)
        try:
            assert asked.wait(WAIT_S)
            shop.clock.advance(RESUME)
            assert shop.refuse(shop.request("k1"), desk) == "key_expired"
        finally:
            release.set()
        assert code_of(first.result(WAIT_S)) == "key_expired"
    assert find_broken(shop.database) == []


class DyingModule(SlowSecurityModule):
    """Takes the process with it, after the module has made its tokens."""

    def vend_many(
        self, requests: Sequence[tuple[KeyReference, CreditTokenRequest]]
    ) -> list[VendOutcome]:
        super().vend_many(requests)
        raise KeyboardInterrupt


def test_death_between_the_module_and_the_books_loses_nothing(shop: Shop, desk: SalesDesk) -> None:
    dying = DyingModule(shop.desk.security_module)
    with pytest.raises(KeyboardInterrupt):
        shop.sell(shop.request("k1"), shop.using(dying))
    assert dying.served == ["vend"]
    assert find_broken(shop.database, open_allowed=True) == []
    shop.clock.advance(RESUME)
    assert document_of(shop.sell(shop.request("k1"), desk))
    assert find_broken(shop.database) == []


def test_worker_finishes_what_was_left_open(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    module.plan(*[Fault.LOSE_REQUEST] * 4)
    vend([shop.request("a"), shop.request("b", meter=1)], desk)
    assert resolve_open_sales(desk, limit=10) == 0, "they are too young"
    shop.clock.advance(RESUME)
    assert resolve_open_sales(desk, limit=10) == 0, "the module is still away"
    assert resolve_open_sales(desk, limit=10) == 0, "it was asked just now"
    shop.clock.advance(RESUME)
    assert resolve_open_sales(desk, limit=1) == 1
    assert resolve_open_sales(desk, limit=10) == 1
    assert resolve_open_sales(desk, limit=10) == 0
    answer = shop.sell(shop.request("a"), desk)
    assert isinstance(answer, Answer)
    assert answer.replayed
    assert find_broken(shop.database) == []


def test_open_sale_is_in_flight_while_the_database_cannot_tell_more(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    module.plan(Fault.LOSE_REQUEST)
    shop.sell(shop.request("k1"), desk)
    with FaultyDriver(shop.database).fail(at=past_commit, when=When.BEFORE, how=lost):
        assert shop.refuse(shop.request("k1"), desk) == "sale_in_flight"
    assert document_of(shop.sell(shop.request("k1"), desk))


def test_claim_without_a_sale_is_in_flight(shop: Shop, desk: SalesDesk) -> None:
    request = shop.request("k1")
    claimed = Claim(request.partner_id, request.key, request.fingerprint())
    with shop.database.unit_of_work() as uow:
        claim(uow.connection, [claimed], now=shop.clock.now())
        uow.commit()
    assert shop.refuse(request, desk) == "sale_in_flight"


def test_two_workers_finish_a_sale_once(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    module.plan(Fault.LOSE_ANSWER)
    shop.sell(shop.request("k1"), desk)
    shop.clock.advance(RESUME)
    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(resolve_open_sales, desk, limit=10) for _ in range(4)]
        assert all(one.result(WAIT_S) <= 1 for one in done)
    assert count_rows(shop.database)["issued_tokens"] == 1
    assert find_broken(shop.database) == []


def test_unknown_sale_keeps_its_meter_busy_until_it_is_finished(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    module.plan(Fault.LOSE_ANSWER)
    outcomes = vend([shop.request("a"), shop.request("b"), shop.request("c", meter=1)], desk)
    assert [code_of(one) for one in outcomes[:2]] == ["sale_outcome_unknown", "meter_busy"]
    assert document_of(outcomes[2])
    first, second = vend([shop.request("a"), shop.request("b")], desk)
    kept = document_of(first)["lines"][3]["minor"]
    assert document_of(second)["lines"][2]["minor"] == -kept < 0
    assert find_broken(shop.database) == []


def test_sale_left_open_is_finished_by_a_module_in_this_process(
    shop: Shop, desk: SalesDesk, module: SlowSecurityModule
) -> None:
    module.plan(Fault.LOSE_REQUEST)
    shop.sell(shop.request("k1"), desk)
    assert document_of(shop.sell(shop.request("k1")))
    assert find_broken(shop.database) == []
