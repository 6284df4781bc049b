"""A clock that jumps stops new sales until an operator has looked; answers are still given."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.books import count_rows, find_broken
from tests.support.shop import Shop, document_of
from vending.sales import repository
from vending.sales.errors import ClockJumpedError
from vending.sales.model import Answer
from vending.sales.rules import ClockLimits
from vending.sales.service.clock_guard import ClockGuard, check_clock, confirm_clock
from vending.sales.service.desk import SalesDesk
from vending.values.clock import FixedClock

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
LIMITS = ClockLimits(backward_s=300, forward_s=86_400)


@pytest.fixture
def other_clock(shop: Shop) -> FixedClock:
    """The clock of another machine, which started elsewhere and says the same time."""
    return FixedClock(shop.clock.now(), elapsed_s=1_000.0)


@pytest.fixture
def other(shop: Shop, other_clock: FixedClock) -> SalesDesk:
    """Another process over the same database."""
    return replace(shop.desk, clock=other_clock, clock_guard=ClockGuard(other_clock, LIMITS))


@pytest.mark.parametrize("jump", [-HOUR / 2, HOUR, YEAR], ids=str)
def test_jump_stops_new_sales_and_leaves_their_keys_free(shop: Shop, jump: timedelta) -> None:
    for _ in range(3):  # the tariff began at the start
        shop.clock.advance(HOUR * 12)
        shop.desk.clock_guard.beat(shop.database)
    sold = shop.sell(shop.request("old"))
    shop.clock.jump_to(shop.clock.now() + jump)
    before = count_rows(shop.database)
    request = shop.request("k1")
    assert shop.refuse(request) == "clock_jumped"
    assert count_rows(shop.database) == before
    assert isinstance(sold, Answer)
    assert shop.sell(shop.request("old")) == replace(sold, replayed=True)
    confirm_clock(shop.database, shop.clock)
    assert document_of(shop.sell(request))


def test_clock_set_back_within_the_limit_keeps_identifiers_rising(shop: Shop) -> None:
    shop.clock.advance(HOUR)
    first = shop.enter_token(shop.issue("k1")["tokens"][0]["digits"])
    shop.clock.jump_to(shop.clock.now() - timedelta(seconds=299))
    second = shop.enter_token(shop.issue("k2")["tokens"][0]["digits"])
    assert second.tid.minutes == first.tid.minutes + 1


def test_identifiers_still_rise_after_a_confirmed_step_back(shop: Shop) -> None:
    shop.clock.advance(HOUR)
    first = shop.enter_token(shop.issue("k1")["tokens"][0]["digits"])
    shop.clock.jump_to(shop.clock.now() - timedelta(minutes=30))
    confirm_clock(shop.database, shop.clock)
    second = shop.enter_token(shop.issue("k2")["tokens"][0]["digits"])
    assert second.tid.minutes == first.tid.minutes + 1


def test_new_process_sees_a_jump_that_happened_while_none_ran(shop: Shop) -> None:
    shop.issue("k1")
    wrong = FixedClock(shop.clock.now() + YEAR)
    desk = replace(shop.desk, clock=wrong, clock_guard=ClockGuard(wrong, LIMITS))
    assert shop.refuse(shop.request("k2"), desk) == "clock_jumped"


def test_time_that_passes_is_no_jump(shop: Shop) -> None:
    shop.issue("k1")
    shop.clock.advance(DAY)
    assert shop.issue("k2")


def test_idle_month_needs_the_beat_or_a_confirmation(shop: Shop) -> None:
    shop.issue("k1")
    for _ in range(3):
        shop.clock.advance(DAY)
        shop.desk.clock_guard.beat(shop.database)
    assert shop.issue("k2")
    shop.clock.advance(DAY + timedelta(seconds=1))
    assert shop.refuse(shop.request("k3")) == "clock_jumped"
    with pytest.raises(ClockJumpedError):
        shop.desk.clock_guard.beat(shop.database)
    with pytest.raises(ClockJumpedError):
        check_clock(shop.desk.clock_guard, shop.database)
    confirm_clock(shop.database, shop.clock)
    check_clock(shop.desk.clock_guard, shop.database)
    assert document_of(shop.sell(shop.request("k3")))
    assert find_broken(shop.database) == []


def test_confirmation_reaches_every_process(
    shop: Shop, other: SalesDesk, other_clock: FixedClock
) -> None:
    shop.issue("k1")
    for clock in (shop.clock, other_clock):
        clock.jump_to(clock.now() + YEAR)
    assert shop.refuse(shop.request("k2")) == "clock_jumped"
    assert shop.refuse(shop.request("k2"), other) == "clock_jumped"
    confirm_clock(shop.database, shop.clock)
    assert document_of(shop.sell(shop.request("k2")))
    assert document_of(shop.sell(shop.request("k3"), other))


def test_process_whose_clock_differs_from_the_others_is_stopped(
    shop: Shop, other: SalesDesk, other_clock: FixedClock
) -> None:
    shop.issue("k1")
    assert document_of(shop.sell(shop.request("k2"), other))
    other_clock.jump_to(other_clock.now() - HOUR)
    assert shop.refuse(shop.request("k3"), other) == "clock_jumped"
    assert shop.issue("k3")


def test_mark_is_raised_at_most_every_ten_seconds_and_never_falls(shop: Shop) -> None:
    shop.issue("k1")
    start = shop.clock.now()
    marks = []
    for number in range(4):
        shop.clock.advance(timedelta(seconds=6))
        shop.issue(f"n{number}")
        with shop.database.read() as connection:
            mark = repository.read_clock_mark(connection)
        assert mark is not None
        marks.append((mark[0] - start).seconds)
    assert marks == [0, 12, 12, 24]
    with shop.database.unit_of_work() as uow:
        repository.raise_clock_mark(uow.connection, start)
        assert repository.read_clock_mark(uow.connection) == (start + timedelta(seconds=24), 0)


def test_mark_that_somebody_else_raises_is_not_waited_for(shop: Shop) -> None:
    if shop.database.writer_lock is not None:
        return  # SQLite has one writer: nobody else can be at it
    shop.issue("k1")
    shop.clock.advance(timedelta(seconds=11))
    with shop.database.unit_of_work() as uow:
        repository.raise_clock_mark(uow.connection, shop.clock.now())
        assert shop.issue("k2")
