"""The lane: requests that wait at the same time share one transaction.

A commit and its statements cost nearly the same for one sale as for many. So one thread a process
writes the sales: while it works on a batch, others queue; then it takes all that waits and sells
that together. Whoever asks holds a future, a thread by `run`, the event loop by awaiting it, so
no request needs a thread of its own.

The queue is bounded: beyond it a request is refused at once, before anything happened. What was
taken in is worked on, whether its caller still listens or not, and the process does not end
before the queue is empty.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from opentelemetry.trace import Link

from vending.observability.tracing import link_here, span
from vending.sales.errors import LaneFullError

LANE_BATCH_MAX: Final = 64
"""Requests that share a transaction: beyond it the waiting grows and the saving does not."""
LANE_QUEUE_MAX: Final = 1024
"""Requests that wait: a few seconds of work; who would wait longer is better told so."""

Request = TypeVar("Request")
Outcome = TypeVar("Outcome")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Request, Outcome]):
    """What one caller asked for, and the promise that was given."""

    requests: Sequence[Request]
    outcomes: Future[list[Outcome]] = field(default_factory=Future)
    caller: Link | None = field(default_factory=link_here)
    """The span of who asked, to which that of the batch is linked."""


class Lane(Generic[Request, Outcome]):
    """One batch at a time; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[_Waiting[Request, Outcome]] = deque()
        self._queued_count = 0
        # Its thread starts with the first request, and ends with the lane or the process.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lane")

    def run(
        self,
        requests: Sequence[Request],
        work: Callable[[Sequence[Request]], list[Outcome]],
    ) -> list[Outcome]:
        """Return what `work` gives for the requests; see `submit`.

        Raises:
            LaneFullError: Too many wait already.
        """
        return self.submit(requests, work).result()

    def submit(
        self,
        requests: Sequence[Request],
        work: Callable[[Sequence[Request]], list[Outcome]],
    ) -> Future[list[Outcome]]:
        """Queue the requests; return the promise of what `work` gives for them.

        `work` is the same for all callers and gives one outcome a request. Where it raises, each
        caller's requests run again alone, and only those that raise again end in the error.

        Raises:
            LaneFullError: Too many wait already; nothing was queued.
        """
        mine: _Waiting[Request, Outcome] = _Waiting(requests)
        with self._lock:
            if self._queued_count + len(requests) > LANE_QUEUE_MAX:
                raise LaneFullError(self._queued_count)
            self._queue.append(mine)
            self._queued_count += len(requests)
        self._writer.submit(self._run_next, work)
        return mine.outcomes

    def _run_next(self, work: Callable[[Sequence[Request]], list[Outcome]]) -> None:
        """Work on all that waits; there is one call a submission, so many find nothing left."""
        batch = [one for one in self._take() if one.outcomes.set_running_or_notify_cancel()]
        if batch:
            _run(batch, work)

    def _take(self) -> list[_Waiting[Request, Outcome]]:
        """Take the first in the queue and all that fits with it."""
        batch: list[_Waiting[Request, Outcome]] = []
        count = 0
        with self._lock:
            while self._queue:
                count += len(self._queue[0].requests)
                if batch and count > LANE_BATCH_MAX:
                    break
                batch.append(self._queue.popleft())
                self._queued_count -= len(batch[-1].requests)
        return batch


def _run(
    batch: Sequence[_Waiting[Request, Outcome]],
    work: Callable[[Sequence[Request]], list[Outcome]],
) -> None:
    requests = [request for one in batch for request in one.requests]
    links = [one.caller for one in batch if one.caller is not None]
    try:
        with span("sales batch", {"vending.batch_size": len(requests)}, links=links):
            outcomes = work(requests)
        assert len(outcomes) == len(requests), "every request has its outcome"
    except BaseException as error:  # noqa: BLE001 # every caller is told; none may wait for ever
        if len(batch) == 1:
            batch[0].outcomes.set_exception(error)
            return
        for one in batch:
            _run([one], work)
        return
    remaining = iter(outcomes)
    for one in batch:
        one.outcomes.set_result([next(remaining) for _ in one.requests])
