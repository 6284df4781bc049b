"""Runs the jobs one after the other until told to stop; a job that fails does not stop the others.

Blocking, with one thread beside it that seals the audit log. More than one worker may run, on one
or on several machines, and the database hands each piece of work to one of them. The only
`except Exception` of the worker is `Loop.attempt`.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from prometheus_client import Counter

from vending.bootstrap import Container
from vending.observability.logs import get_logger
from vending.values.clock import Clock
from vending.worker.context import make_context
from vending.worker.jobs import Job, make_jobs
from vending.worker.sealing import make_sealing_jobs

FAILURE_PAUSE_S_MAX: Final = 60
_DOUBLINGS_MAX: Final = 10
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_log = get_logger(__name__)


class Loop:
    """The jobs, when each is due next, and how often each has failed in a row."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        failures: Counter,
        clock: Clock,
        stop: threading.Event,
        poll_s: float,
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._stop = stop
        self._poll_s = poll_s
        self._failures = failures
        self._due_s = {job.name: clock.monotonic_s() for job in jobs}
        self._failed_count = dict.fromkeys(self._due_s, 0)

    def run(self) -> None:
        """Run rounds until told to stop; pause where a round found nothing to do."""
        while not self._stop.is_set():
            if self.run_round() == 0:
                self._stop.wait(self._poll_s)

    def run_round(self) -> int:
        """Run each due job once; return how much they did."""
        return sum(self._run_when_due(job) for job in self._jobs if not self._stop.is_set())

    def attempt(self, name: str, action: Callable[[], None]) -> Exception | None:
        """Run the action; return the error it ended in, logged and counted."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 # the one place of the worker that survives a defect
            self._failures.labels(name).inc()
            _log.exception("job_failed", job=name)
            return error
        return None

    def _run_when_due(self, job: Job) -> int:
        now_s = self._clock.monotonic_s()
        if self._due_s[job.name] > now_s:
            return 0
        done: list[int] = []
        error = self.attempt(job.name, lambda: done.append(job.run(self.attempt)))
        if error is not None:
            self._failed_count[job.name] += 1
            self._due_s[job.name] = now_s + self._failure_pause_s(job)
            return 0
        self._failed_count[job.name] = 0
        self._due_s[job.name] = now_s if done[0] else now_s + job.interval_s
        return done[0]

    def _failure_pause_s(self, job: Job) -> float:
        doublings = min(self._failed_count[job.name] - 1, _DOUBLINGS_MAX)
        return min(max(job.interval_s, self._poll_s) * (1 << doublings), FAILURE_PAUSE_S_MAX)


def run_worker(container: Container, stop: threading.Event | None = None) -> None:
    """Run the worker until `stop` is set, or until SIGTERM or SIGINT when none is given.

    The running step is finished first; whatever it leaves is picked up by the next worker.
    """
    if stop is None:
        with stopped_by_signals() as stop_signal:
            run_worker(container, stop_signal)
        return
    context = make_context(container)
    jobs = make_jobs(context)
    loop = Loop(
        jobs,
        failures=context.metrics.job_failures,
        clock=container.clock,
        stop=stop,
        poll_s=container.settings.worker_poll_ms / 1000,
    )
    _log.info("worker_started", jobs=[job.name for job in jobs])
    with _sealing_beside(container, stop):
        loop.run()
    _log.info("worker_stopped")


@contextmanager
def _sealing_beside(container: Container, stop: threading.Event) -> Iterator[None]:
    """Seal the audit log in a thread of its own: it may not wait for a slow meter."""
    loop = Loop(
        make_sealing_jobs(container),
        failures=container.metrics.job_failures,
        clock=container.clock,
        stop=stop,
        poll_s=container.settings.worker_poll_ms / 1000,
    )
    thread = threading.Thread(target=loop.run, name="audit-sealing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set; in the main thread only."""
    stop = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    before = {each: signal.signal(each, note) for each in _STOP_SIGNALS}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
