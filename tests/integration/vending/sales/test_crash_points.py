"""Every statement of a sale fails once, before and after it takes effect; no sale is lost or made
twice.

The process dies, or the connection does; then the partner sends the same request again.
"""

from datetime import timedelta
from itertools import product

import pytest

from tests.support.books import count_rows, find_broken
from tests.support.faulty_driver import (
    COMMIT,
    Crash,
    FaultyDriver,
    MakeError,
    When,
    at_commit,
    crash,
    lost,
    past_commit,
)
from tests.support.shop import Shop, code_of, document_of
from tests.support.slow_security_module import SlowSecurityModule
from vending.errors import Outcome
from vending.sales.model import Answer, Declined
from vending.sales.service.desk import SalesDesk
from vending.sales.service.two_step import resolve_open_sales
from vending.sales.service.vend import vend

STATEMENTS_MAX = 48
RESUME = timedelta(seconds=11)


def _count_statements(shop: Shop, desk: SalesDesk) -> int:
    """What one sale sends; the first sale opens accounts and is not counted."""
    shop.sell(shop.request("first"), desk)
    shop.clock.advance(RESUME)  # the mark of the clock is raised as well
    with FaultyDriver(shop.database).watch() as driver:
        document_of(shop.sell(shop.request("counted"), desk))
    count = len(driver.sent)
    assert COMMIT in driver.sent
    assert count <= STATEMENTS_MAX
    return count


@pytest.mark.parametrize("how", [crash, lost])
def test_sale_in_one_transaction_survives_a_fault_at_every_statement(
    shop: Shop, how: MakeError
) -> None:
    for at, when in product(range(1, _count_statements(shop, shop.desk) + 1), When):
        request = shop.request(f"k-{at}-{when.name}")
        with FaultyDriver(shop.database).fail(at=at, when=when, how=how):
            try:
                first = shop.sell(request)
            except Crash:
                first = None
        again = document_of(shop.sell(request))
        if isinstance(first, Answer):
            assert document_of(first) == again
        shop.clock.advance(timedelta(minutes=1))
    assert find_broken(shop.database) == []


@pytest.mark.parametrize("how", [crash, lost])
def test_sale_in_two_transactions_survives_a_fault_at_every_statement(
    shop: Shop,
    module: SlowSecurityModule,
    how: MakeError,
) -> None:
    desk = shop.using(module)
    for at, when in product(range(1, _count_statements(shop, desk) + 1), When):
        request = shop.request(f"k-{at}-{when.name}")
        with FaultyDriver(shop.database).fail(at=at, when=when, how=how) as driver:
            try:
                first = shop.sell(request, desk)
            except Crash:
                first = None
        shop.clock.advance(RESUME)
        again = document_of(shop.sell(request, desk))
        if isinstance(first, Answer):
            assert document_of(first) == again
        if isinstance(first, Declined) and first.error.outcome is Outcome.NONE:
            assert COMMIT not in driver.sent[:at], "a begun sale is never told to be nothing"
        shop.clock.advance(timedelta(minutes=1))
    assert find_broken(shop.database) == []


def test_open_sale_is_finished_by_the_worker_after_a_crash(
    shop: Shop, module: SlowSecurityModule
) -> None:
    desk = shop.using(module)
    request = shop.request("k1")
    with (
        FaultyDriver(shop.database).fail(at=at_commit, when=When.AFTER, how=crash),
        pytest.raises(Crash),
    ):
        shop.sell(request, desk)
    assert shop.refuse(request, desk) == "sale_in_flight"
    assert resolve_open_sales(desk, limit=10) == 0
    shop.clock.advance(RESUME)
    assert resolve_open_sales(desk, limit=10) == 1
    answer = shop.sell(request, desk)
    assert isinstance(answer, Answer)
    assert answer.replayed
    assert find_broken(shop.database) == []


@pytest.mark.parametrize(("when", "replayed"), [(When.BEFORE, False), (When.AFTER, True)])
def test_lost_answer_of_commit_is_resolved_by_the_key(
    shop: Shop,
    when: When,
    replayed: bool,  # noqa: FBT001 # by case
) -> None:
    with FaultyDriver(shop.database).fail(at=at_commit, when=when, how=lost):
        answer = shop.sell(shop.request("k1"))
    assert isinstance(answer, Answer)
    assert answer.replayed is replayed
    assert count_rows(shop.database)["sales"] == 1
    assert find_broken(shop.database) == []


@pytest.mark.parametrize("when", When)
def test_commit_that_never_answers_is_unknown_and_then_told_by_the_key(
    shop: Shop, when: When
) -> None:
    request = shop.request("k1")
    with FaultyDriver(shop.database).fail(at=at_commit, when=when, how=lost, times=3):
        outcome = shop.sell(request)
    assert isinstance(outcome, Declined)
    assert outcome.error.code == "outcome_unknown"
    assert outcome.error.outcome is Outcome.UNKNOWN
    assert document_of(shop.sell(request))
    assert find_broken(shop.database) == []


def test_doubt_about_a_commit_outlives_the_loss_of_the_database(shop: Shop) -> None:
    request = shop.request("k1")
    with (
        FaultyDriver(shop.database).fail(at=at_commit, when=When.AFTER, how=lost),
        FaultyDriver(shop.database).fail(at=past_commit, when=When.BEFORE, how=lost),
    ):
        outcome = shop.sell(request)
    assert isinstance(outcome, Declined)
    assert outcome.error.outcome is Outcome.UNKNOWN
    assert document_of(shop.sell(request))
    assert find_broken(shop.database) == []


def test_failing_sale_does_not_hide_what_its_batch_has_sold(shop: Shop) -> None:
    with FaultyDriver(shop.database).fail(at=past_commit, when=When.BEFORE, how=lost):
        sold, failed = vend([shop.request("a"), shop.request("b")], shop.desk)
    assert document_of(sold)
    assert code_of(failed) == "database_unavailable"
    assert isinstance(failed, Declined)
    assert failed.error.outcome is Outcome.NONE
    assert document_of(shop.sell(shop.request("b")))


def test_fault_after_the_first_commit_of_two_is_never_told_as_nothing(
    shop: Shop, module: SlowSecurityModule
) -> None:
    desk = shop.using(module)
    with FaultyDriver(shop.database).fail(at=past_commit, when=When.BEFORE, how=lost):
        outcome = shop.sell(shop.request("k1"), desk)
    assert isinstance(outcome, Declined)
    assert outcome.error.code == "sale_outcome_unknown"
    assert outcome.error.outcome is Outcome.UNKNOWN
    shop.clock.advance(RESUME)
    assert resolve_open_sales(desk, limit=10) == 1
    assert find_broken(shop.database) == []
