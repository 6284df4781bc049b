"""Requests that wait together run together, each caller with its own outcomes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import pytest

from vending.sales.service.lane import LANE_BATCH_MAX, Lane

WAIT_S = 20


class Work:
    """Doubles numbers; its first batch waits until it is let go."""

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
        if self._fails and len(requests) > 1:
            raise RuntimeError
        return [2 * request for request in requests]


def _queued(lane: Lane[int, int], count: int) -> bool:
    pause = Event()
    return any(len(lane._queue) == count or pause.wait(0.01) for _ in range(1000))


def test_caller_alone_does_its_own_work() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    work.go.set()
    assert lane.run([1, 2], work) == [2, 4]
    assert lane.run([3], work) == [6]
    assert work.batches == [[1, 2], [3]]


def test_those_who_wait_share_the_next_batch_and_get_their_own_outcomes() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(lane.run, [0], work)
        assert work.begun.wait(WAIT_S)
        others = [threads.submit(lane.run, [n, 10 * n], work) for n in range(1, 6)]
        assert _queued(lane, 5)
        work.go.set()
        assert first.result(WAIT_S) == [0]
        assert [one.result(WAIT_S) for one in others] == [[2 * n, 20 * n] for n in range(1, 6)]
    assert [len(batch) for batch in work.batches] == [1, 10]


def test_batch_is_bounded() -> None:
    lane: Lane[int, int] = Lane()
    work = Work()
    half = list(range(LANE_BATCH_MAX // 2))
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(lane.run, [0], work)
        assert work.begun.wait(WAIT_S)
        others = [threads.submit(lane.run, half, work) for _ in range(3)]
        assert _queued(lane, 3)
        work.go.set()
        for one in (first, *others):
            one.result(WAIT_S)
    assert [len(batch) for batch in work.batches] == [1, LANE_BATCH_MAX, LANE_BATCH_MAX // 2]


def test_failed_batch_fails_its_leader_and_the_others_run_alone() -> None:
    lane: Lane[int, int] = Lane()
    work = Work(fails=True)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(lane.run, [0], work)
        assert work.begun.wait(WAIT_S)
        others = [threads.submit(lane.run, [n], work) for n in range(1, 5)]
        assert _queued(lane, 4)
        work.go.set()
        first.result(WAIT_S)
        errors = [one.exception(WAIT_S) for one in others]
    assert sum(isinstance(error, RuntimeError) for error in errors) == 1
    results = [one.result() for one, error in zip(others, errors, strict=True) if error is None]
    assert len(results) == 3


def test_lane_goes_on_after_a_failure() -> None:
    lane: Lane[int, int] = Lane()
    work = Work(fails=True)
    work.go.set()
    with pytest.raises(RuntimeError):
        lane.run([1, 2], work)
    assert lane.run([1], work) == [2]
