"""The queue and the breaker before a module that is slow or dead."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import NoReturn

import pytest

from tests.support.slow_security_module import Fault, Hold, Refuse, SlowSecurityModule
from tests.support.vending_keys import DUTK_2014, register_of, store_in_memory
from vending.errors import VendingError
from vending.keystore.errors import KeyExpiredError, ModuleUnavailableError
from vending.keystore.guarded import BreakerState, GuardedSecurityModule, GuardLimits
from vending.keystore.module_errors import ModuleBusyError
from vending.keystore.port import CreditTokenRequest
from vending.keystore.software import SoftwareSecurityModule
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import Resource

REGISTER = register_of(DUTK_2014)
WAIT_S = 100
LIMITS = GuardLimits(
    queue_length_max=3, wait_s=WAIT_S, failures_max=2, back_off_s=1, back_off_s_max=4
)
CREDIT = CreditTokenRequest(
    pan=MeterPAN("600727000000000009"),
    ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    base_date=BaseDate.Y2014,
    resource=Resource.ELECTRICITY,
    units=1,
    tid=TokenIdentifier(85_740),
    rnd=5,
)


@dataclass
class Seen:
    """Everything a watch was told."""

    lengths: list[int] = field(default_factory=list)
    states: list[BreakerState] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)

    def queue_is(self, length: int) -> None:
        self.lengths.append(length)

    def breaker_is(self, state: BreakerState) -> None:
        self.states.append(state)

    def answered(self, outcome: str, span_s: float) -> None:
        assert span_s >= 0
        self.outcomes.append(outcome)


@dataclass
class Time:
    """Seconds that a test lets pass."""

    now_s: float = 0.0

    def read(self) -> float:
        return self.now_s


@dataclass
class Bench:
    slow: SlowSecurityModule
    guarded: GuardedSecurityModule
    seen: Seen
    time: Time

    def vend(self) -> str:
        try:
            return self.guarded.vend(REGISTER, CREDIT)
        except VendingError as refusal:
            return refusal.code


MakeBench = Callable[[GuardLimits], Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> MakeBench:
    def make(limits: GuardLimits) -> Bench:
        inner = SoftwareSecurityModule(store_in_memory(tmp_path), demo_allowed=False)
        slow, seen = SlowSecurityModule(inner), Seen()
        time = Time()
        guarded = GuardedSecurityModule(slow, now_s=time.read, limits=limits, watch=seen)
        return Bench(slow, guarded, seen, time)

    return make


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench(LIMITS)


def test_failures_in_a_row_open_the_breaker_and_then_nothing_is_asked(bench: Bench) -> None:
    bench.slow.plan(Fault.LOSE_REQUEST, Fault.LOSE_ANSWER)
    assert bench.vend() == "security_module_unavailable"
    assert bench.vend() == "security_module_answer_lost"
    assert bench.seen.states == [BreakerState.CLOSED, BreakerState.OPEN]
    assert bench.vend() == "security_module_unavailable"
    assert len(bench.slow.served) == 1
    with pytest.raises(ModuleUnavailableError):
        bench.guarded.require_ready()


def test_refusal_of_the_module_is_an_answer(bench: Bench) -> None:
    refusal = Refuse(KeyExpiredError("201457/1/DUTK", ken=255))
    bench.slow.plan(Fault.LOSE_REQUEST, refusal, Fault.LOSE_REQUEST)
    codes = [bench.vend() for _ in range(3)]
    assert codes == ["security_module_unavailable", "key_expired", "security_module_unavailable"]
    assert bench.guarded.breaker is BreakerState.CLOSED


def test_one_request_tries_after_the_back_off_and_closes_the_breaker(bench: Bench) -> None:
    bench.slow.plan(Fault.LOSE_REQUEST, Fault.LOSE_REQUEST)
    bench.vend()
    bench.vend()
    bench.time.now_s = 1.0
    assert bench.vend() == "70630503470028726114"
    assert bench.guarded.breaker is BreakerState.CLOSED
    assert bench.seen.states == [
        BreakerState.CLOSED,
        BreakerState.OPEN,
        BreakerState.HALF_OPEN,
        BreakerState.CLOSED,
    ]


def test_back_off_doubles_up_to_its_bound_and_starts_anew_after_an_answer(bench: Bench) -> None:
    bench.slow.plan(*[Fault.LOSE_REQUEST] * 6)
    bench.vend()
    bench.vend()
    for wait_s in (1, 2, 4, 4):
        bench.time.now_s += wait_s - 0.5
        served_before = len(bench.slow._plans)
        assert bench.vend() == "security_module_unavailable"
        assert len(bench.slow._plans) == served_before, "too early: nothing was asked"
        bench.time.now_s += 0.5
        assert bench.vend() == "security_module_unavailable"
        assert len(bench.slow._plans) == served_before - 1
    bench.time.now_s += 4
    assert bench.vend() == "70630503470028726114"
    bench.slow.plan(Fault.LOSE_REQUEST, Fault.LOSE_REQUEST)
    bench.vend()
    bench.vend()
    bench.time.now_s += 1
    assert bench.vend() == "70630503470028726114"


def test_only_one_request_tries_and_the_others_are_refused_meanwhile(bench: Bench) -> None:
    asked, release = Event(), Event()
    bench.slow.plan(Fault.LOSE_REQUEST, Fault.LOSE_REQUEST, Hold(asked, release))
    bench.vend()
    bench.vend()
    bench.time.now_s = 1.0
    with ThreadPoolExecutor(1) as threads:
        probe = threads.submit(bench.vend)
        try:
            assert asked.wait(WAIT_S)
            assert bench.vend() == "security_module_unavailable"
        finally:
            release.set()
        assert probe.result(WAIT_S) == "70630503470028726114"


def test_full_queue_refuses_at_once(bench: Bench) -> None:
    asked, release = Event(), Event()
    bench.slow.plan(Hold(asked, release))
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(bench.vend)
        try:
            assert asked.wait(WAIT_S)
            others = [threads.submit(bench.vend) for _ in range(2)]
            while bench.guarded.queue_length < 3:
                pass
            assert bench.vend() == "security_module_busy"
            with pytest.raises(ModuleBusyError):
                bench.guarded.require_ready()
        finally:
            release.set()
        tokens = {one.result(WAIT_S) for one in (first, *others)}
        assert tokens == {"70630503470028726114"}
    assert bench.guarded.queue_length == 0
    assert max(bench.seen.lengths) == 3


def test_request_waits_no_longer_than_its_deadline(make_bench: MakeBench) -> None:
    bench = make_bench(GuardLimits(wait_s=0.05))
    asked, release = Event(), Event()
    bench.slow.plan(Hold(asked, release))
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(bench.vend)
        try:
            assert asked.wait(WAIT_S)
            assert bench.vend() == "security_module_busy"
        finally:
            release.set()
        assert first.result(WAIT_S) == "70630503470028726114"


def test_those_who_wait_are_refused_when_the_breaker_opens(make_bench: MakeBench) -> None:
    bench = make_bench(GuardLimits(wait_s=WAIT_S, failures_max=1))
    asked, release = Event(), Event()
    bench.slow.plan(Hold(asked, release), Fault.LOSE_REQUEST)
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(bench.vend)
        try:
            assert asked.wait(WAIT_S)
            others = [threads.submit(bench.vend) for _ in range(5)]
            while bench.guarded.queue_length < 6:
                pass
        finally:
            release.set()
        assert first.result(WAIT_S) == "70630503470028726114"
        codes = [one.result(WAIT_S) for one in others]
    assert set(codes) == {"security_module_unavailable"}
    assert len(bench.slow._plans) == 0
    assert bench.seen.outcomes.count("security_module_unavailable") == 5


def test_error_that_is_no_refusal_opens_the_breaker_too(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(GuardLimits(failures_max=1))

    def break_down(_register: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.slow, "describe", break_down)
    with pytest.raises(ZeroDivisionError):
        bench.guarded.describe(REGISTER)
    assert bench.guarded.breaker is BreakerState.OPEN
    assert bench.guarded.queue_length == 0


def test_bulk_goes_on_after_a_refusal(bench: Bench) -> None:
    bench.slow.plan(Fault.LOSE_REQUEST)
    outcomes = bench.guarded.vend_many([(REGISTER, CREDIT)] * 2)
    assert isinstance(outcomes[0], ModuleUnavailableError)
    assert outcomes[1] == "70630503470028726114"
    assert repr(bench.guarded).startswith("GuardedSecurityModule(")
