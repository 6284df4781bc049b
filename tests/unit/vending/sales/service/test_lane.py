"""Requests that wait together run together, each caller with its own outcomes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import pytest

from vending.errors import ErrorKind, Outcome
from vending.sales.errors import LaneFullError
from vending.sales.service.lane import LANE_BATCH_MAX, LANE_QUEUE_MAX, Lane

WAIT_S = 100


BAD = 13


class Work:
    """Doubles numbers; its first batch waits until it is let go. It may fail on a bad one."""

    def __init__(self, *, fails: bool = False) -> None:
        self.begun, self.go = Event(), Event()
        self.batches: list[list[int]] = []
        self._fails = fails
        self._lock = Lock()

    def __call__(self, requests: Sequence[int]) -> list[int]:
        with self._lock:
            self.batches.append(list(requests))
            is_first = len(self.batches) == 1
        if is_first:
            self.begun.set()
            assert self.go.wait(WAIT_S)
        if self._fails and BAD in requests:
            raise RuntimeError
        return [2 * request for request in requests]


def test_caller_alone_has_a_batch_of_its_own() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    work.go.set()
    assert lane.run([1, 2], work) == [2, 4]
    assert lane.run([3], work) == [6]
    assert work.batches == [[1, 2], [3]]


def test_those_who_wait_share_the_next_batch_and_get_their_own_outcomes() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    first = lane.submit([0], work)
    assert work.begun.wait(WAIT_S)
    others = [lane.submit([n, 10 * n], work) for n in range(1, 6)]
    work.go.set()
    assert first.result(WAIT_S) == [0]
    assert [one.result(WAIT_S) for one in others] == [[2 * n, 20 * n] for n in range(1, 6)]
    assert [len(batch) for batch in work.batches] == [1, 10]


def test_threads_that_wait_share_a_batch_as_well() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(lane.run, [0], work)
        assert work.begun.wait(WAIT_S)
        others = [threads.submit(lane.run, [n], work) for n in range(1, 6)]
        work.go.set()
        assert first.result(WAIT_S) == [0]
        assert [one.result(WAIT_S) for one in others] == [[2 * n] for n in range(1, 6)]


def test_batch_is_bounded() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    half = list(range(LANE_BATCH_MAX // 2))
    first = lane.submit([0], work)
    assert work.begun.wait(WAIT_S)
    others = [lane.submit(half, work) for _ in range(3)]
    work.go.set()
    for one in (first, *others):
        one.result(WAIT_S)
    assert [len(batch) for batch in work.batches] == [1, LANE_BATCH_MAX, LANE_BATCH_MAX // 2]


def test_caller_with_more_than_a_batch_is_served_whole() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    work.go.set()
    assert len(lane.run(list(range(LANE_BATCH_MAX + 1)), work)) == LANE_BATCH_MAX + 1


def test_queue_is_bounded_and_takes_in_again_once_it_has_shrunk() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    first = lane.submit([0], work)
    assert work.begun.wait(WAIT_S)
    waiting = lane.submit(list(range(LANE_QUEUE_MAX)), work)
    with pytest.raises(LaneFullError) as caught:
        lane.submit([1], work)
    assert (caught.value.kind, caught.value.outcome) == (ErrorKind.UNAVAILABLE, Outcome.NONE)
    assert caught.value.retryable
    work.go.set()
    first.result(WAIT_S)
    assert len(waiting.result(WAIT_S)) == LANE_QUEUE_MAX
    assert lane.run([1], work) == [2]


def test_failed_batch_runs_again_one_by_one_and_each_gets_its_own_end() -> None:
    lane: Lane[int, int] = Lane()
    work = Work(fails=True)
    first = lane.submit([0], work)
    assert work.begun.wait(WAIT_S)
    others = [lane.submit([n], work) for n in (1, BAD, 2)]
    work.go.set()
    assert first.result(WAIT_S) == [0]
    assert isinstance(others[1].exception(WAIT_S), RuntimeError)
    assert [others[0].result(WAIT_S), others[2].result(WAIT_S)] == [[2], [4]]


def test_lane_goes_on_after_a_failure() -> None:
    lane: Lane[int, int] = Lane()
    work = Work(fails=True)
    work.go.set()
    with pytest.raises(RuntimeError):
        lane.run([1, BAD], work)
    assert lane.run([1], work) == [2]


def test_work_that_answers_too_little_fails_its_callers() -> None:
    lane: Lane[int, int] = Lane()
    with pytest.raises(AssertionError):
        lane.run([1, 2], lambda requests: list(requests[1:]))


def test_promise_given_up_in_the_queue_is_left_out_and_harms_no_other() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    first = lane.submit([0], work)
    assert work.begun.wait(WAIT_S)
    given_up, kept = lane.submit([1], work), lane.submit([2], work)
    assert given_up.cancel()
    assert not first.cancel()
    work.go.set()
    assert (first.result(WAIT_S), kept.result(WAIT_S)) == ([0], [4])
    assert work.batches == [[0], [2]]
