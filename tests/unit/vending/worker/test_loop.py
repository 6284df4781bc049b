"""The loop: what runs when, what a failure costs, and how it ends."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from vending.observability.metrics import Metrics
from vending.values.clock import FixedClock
from vending.worker.jobs import Attempt, Job
from vending.worker.loop import FAILURE_PAUSE_S_MAX, Loop, stopped_by_signals

POLL_S = 0.5


class DefectError(Exception):
    pass


@dataclass
class Bench:
    """A loop over jobs that do as told, and a count of their runs."""

    clock: FixedClock
    stop: threading.Event = field(default_factory=threading.Event)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    runs: list[str] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)

    def add(
        self, name: str, done: Callable[[Attempt], int] = lambda _: 0, *, interval_s: float = 0
    ) -> None:
        def run(attempt: Attempt) -> int:
            self.runs.append(name)
            return done(attempt)

        self.jobs.append(Job(name, interval_s, run))

    def start(self) -> Loop:
        return Loop(
            self.jobs,
            failures=Metrics(self.registry).job_failures,
            clock=self.clock,
            stop=self.stop,
            poll_s=POLL_S,
        )

    def failures_of(self, name: str) -> float | None:
        return self.registry.get_sample_value("vending_worker_failures_total", {"job": name})


@pytest.fixture
def bench(fixed_clock: FixedClock) -> Bench:
    return Bench(fixed_clock)


def fail(_: Attempt) -> int:
    raise DefectError


def test_round_runs_each_job_in_order_and_counts_what_they_did(bench: Bench) -> None:
    bench.add("first", lambda _: 3)
    bench.add("second", lambda _: 4)
    assert bench.start().run_round() == 7
    assert bench.runs == ["first", "second"]


def test_idle_job_pauses_for_its_interval_and_a_busy_one_does_not(bench: Bench) -> None:
    bench.add("idle", interval_s=10)
    bench.add("busy", lambda _: 1, interval_s=10)
    loop = bench.start()
    loop.run_round()
    loop.run_round()
    assert bench.runs == ["idle", "busy", "busy"]
    bench.clock.elapsed_s += 10
    loop.run_round()
    assert bench.runs[3:] == ["idle", "busy"]


def test_failing_job_is_counted_and_stops_no_other(bench: Bench) -> None:
    bench.add("broken", fail)
    bench.add("sound", lambda _: 1)
    assert bench.start().run_round() == 1
    assert bench.failures_of("broken") == 1


def test_failing_job_pauses_ever_longer_up_to_a_minute(bench: Bench) -> None:
    bench.add("broken", fail)
    loop = bench.start()
    waits = []
    for _ in range(12):
        before = len(bench.runs)
        loop.run_round()
        assert len(bench.runs) == before + 1
        waited_s = 0.0
        while len(bench.runs) == before + 1 and waited_s <= FAILURE_PAUSE_S_MAX:
            bench.clock.elapsed_s += POLL_S
            waited_s += POLL_S
            if bench.clock.elapsed_s >= loop._due_s["broken"]:
                break
        waits.append(waited_s)
    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits[-1] == FAILURE_PAUSE_S_MAX


def test_job_that_recovers_forgets_its_failures(bench: Bench) -> None:
    verdicts = iter([fail, lambda _: 0, fail])

    def alternate(attempt: Attempt) -> int:
        return next(verdicts)(attempt)

    bench.add("flaky", alternate)
    loop = bench.start()
    for _ in range(3):
        loop.run_round()
        bench.clock.elapsed_s += POLL_S
    assert loop._failed_count["flaky"] == 1


def test_attempt_returns_the_error_it_survived(bench: Bench) -> None:
    def break_down() -> None:
        raise DefectError

    loop = bench.start()
    assert isinstance(loop.attempt("x", break_down), DefectError)
    assert loop.attempt("x", lambda: None) is None
    assert bench.failures_of("x") == 1


def test_stop_ends_the_loop_after_the_running_job(bench: Bench) -> None:
    def stop(_: Attempt) -> int:
        bench.stop.set()
        return 1

    bench.add("last", stop)
    bench.add("never")
    bench.start().run()
    assert bench.runs == ["last"]


def test_idle_loop_waits_for_the_stop(bench: Bench) -> None:
    bench.add("idle")
    worker = threading.Thread(target=bench.start().run)
    worker.start()
    bench.stop.set()
    worker.join(timeout=100)
    assert not worker.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_sets_the_stop_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stopped_by_signals() as stop:
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) is before
