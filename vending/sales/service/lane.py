"""The lane: requests that wait at the same time share one transaction.

A commit and its statements cost nearly the same for one sale as for many. So while one thread
sells, the others queue; whoever comes next takes all that waits and sells it together. A thread
leads one batch and no more: it never works on while its own caller could have the answer.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

LANE_BATCH_MAX: Final = 64
"""Requests that share a transaction: beyond it the waiting grows and the saving does not."""

Request = TypeVar("Request")
Outcome = TypeVar("Outcome")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Request, Outcome]):
    """A caller in the queue."""

    requests: Sequence[Request]
    turn: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    outcomes: list[Outcome] | None = None


class Lane(Generic[Request, Outcome]):
    """One batch at a time; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[_Waiting[Request, Outcome]] = deque()
        self._is_led = False

    def run(
        self,
        requests: Sequence[Request],
        work: Callable[[Sequence[Request]], list[Outcome]],
    ) -> list[Outcome]:
        """Return what `work` gives for the requests, alone or among those of others.

        `work` is the same for all callers and gives one outcome a request. Where it raises, its
        leader gets the error, and the others run again, each alone.
        """
        mine: _Waiting[Request, Outcome] = _Waiting(requests)
        self._queue_up(mine)
        if mine.leads:
            self._lead(work)
        return work(requests) if mine.outcomes is None else mine.outcomes

    def _queue_up(self, mine: _Waiting[Request, Outcome]) -> None:
        """Return when it is our turn to lead, or when a leader has worked for us."""
        with self._lock:
            self._queue.append(mine)
            mine.leads = not self._is_led
            self._is_led = True
        if not mine.leads:
            mine.turn.wait()

    def _lead(self, work: Callable[[Sequence[Request]], list[Outcome]]) -> None:
        batch = self._take()
        try:
            outcomes = iter(work([request for one in batch for request in one.requests]))
            for one in batch:
                one.outcomes = [next(outcomes) for _ in one.requests]
        finally:
            self._hand_over()
            for one in batch:
                one.turn.set()

    def _take(self) -> list[_Waiting[Request, Outcome]]:
        """Take ourselves, first in the queue, and all that fits with us."""
        with self._lock:
            batch = [self._queue.popleft()]
            count = len(batch[0].requests)
            while self._queue and count + len(self._queue[0].requests) <= LANE_BATCH_MAX:
                batch.append(self._queue.popleft())
                count += len(batch[-1].requests)
        return batch

    def _hand_over(self) -> None:
        """Let the first in the queue lead, or leave the lane free."""
        with self._lock:
            if self._queue:
                self._queue[0].leads = True
                self._queue[0].turn.set()
            else:
                self._is_led = False
