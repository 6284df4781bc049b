"""An attached module that is slow, dead, forgetful, late, noisy, repetitive or unwilling.

Both ends are real: the simulated module answers on a pseudo-terminal, ours asks through it.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import serial

from simulators.faults import Fault
from simulators.security_module import AnswerFrom, HoldBack, ModuleFault, RefuseWith
from tests.support.attached_module import NOW, SETTINGS, AttachedBench, attached_bench
from tests.support.vending_keys import DCTK_2014, DUTK_1993, DUTK_2014, DUTK_2035, register_of
from vending.errors import ErrorKind, Outcome, VendingError
from vending.keystore.errors import (
    KeyNotFoundError,
    ModuleAnswerLostError,
    ModuleError,
    ModuleUnavailableError,
)
from vending.keystore.module_errors import (
    STATUS_REFUSALS,
    ModuleRefusedError,
    ModuleRegisterMismatchError,
    ModuleWrongTokenError,
)
from vending.keystore.port import CreditTokenRequest, KeyChangeRequest, VerifyRequest
from vending.sts import module_messages as messages
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.module_messages import ModuleStatus
from vending.sts.pan import MeterPAN
from vending.sts.results import AuthenticationResult, Rejection
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import Resource

REGISTER = register_of(DUTK_2014)
NUMBER = next(one.number for one in SETTINGS if one.key == REGISTER)
OTHER_NUMBER = next(one.number for one in SETTINGS if one.key == register_of(DUTK_2035))
TOKEN = "70630503470028726114"
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
OTHER = replace(CREDIT, pan=MeterPAN("000001000000000082"))
"""The same TID and amount for another meter: nothing in its answer but the token differs."""


@pytest.fixture
def bench() -> Iterator[AttachedBench]:
    with attached_bench() as bench:
        bench.module.describe(REGISTER)
        bench.simulated.requests.clear()
        yield bench


@pytest.fixture
def other_token(bench: AttachedBench) -> str:
    """What the other meter's token is, asked for before anything goes wrong."""
    return bench.module.vend(REGISTER, OTHER)


def outcome_of(bench: AttachedBench, request: CreditTokenRequest = CREDIT) -> str:
    """The digits, or the code of the refusal."""
    try:
        return bench.module.vend(REGISTER, request)
    except VendingError as refusal:
        return refusal.code


# --- lost, late, twice, damaged -------------------------------------------------------------------
def test_lost_answer_is_unknown_and_the_repeat_gives_the_token(bench: AttachedBench) -> None:
    bench.plan(Fault.LOST_ANSWER)
    with pytest.raises(ModuleAnswerLostError) as lost:
        bench.module.vend(REGISTER, CREDIT)
    assert lost.value.outcome is Outcome.UNKNOWN
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


def test_lost_request_is_unknown_too_since_nobody_can_tell(bench: AttachedBench) -> None:
    bench.plan(Fault.DROP)
    assert outcome_of(bench) == "security_module_answer_lost"
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


def test_lost_answer_to_the_check_keeps_the_token_back(bench: AttachedBench) -> None:
    bench.plan(None, Fault.LOST_ANSWER)
    assert outcome_of(bench) == "security_module_answer_lost"
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


@pytest.mark.parametrize("exchange", [0, 1, 2], ids=["token", "check", "register"])
def test_late_answer_never_passes_for_the_next_one(
    bench: AttachedBench, other_token: str, exchange: int
) -> None:
    bench.plan(*[None] * exchange, Fault.LATE_ANSWER)
    assert outcome_of(bench) == "security_module_answer_lost"
    assert bench.module.vend(REGISTER, OTHER) == other_token
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


@pytest.mark.parametrize("exchange", [0, 1, 2], ids=["token", "check", "register"])
def test_answer_held_back_until_the_next_request_of_its_kind_never_passes_for_its_answer(
    bench: AttachedBench, other_token: str, exchange: int
) -> None:
    bench.plan(*[None] * exchange, HoldBack())
    assert outcome_of(bench) == "security_module_answer_lost"
    assert outcome_of(bench, OTHER) == other_token
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


@pytest.mark.parametrize("exchange", [0, 1, 2], ids=["token", "check", "register"])
def test_duplicate_answer_changes_nothing(
    bench: AttachedBench, other_token: str, exchange: int
) -> None:
    bench.plan(*[None] * exchange, Fault.DUPLICATE)
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN
    assert bench.module.vend(REGISTER, OTHER) == other_token


@pytest.mark.parametrize("exchange", [0, 1, 2], ids=["token", "check", "register"])
@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.TRUNCATE])
def test_damaged_answer_is_asked_for_again_or_unknown(
    bench: AttachedBench, fault: Fault, exchange: int
) -> None:
    for _ in range(5):
        bench.plan(*[None] * exchange, fault)
        assert outcome_of(bench) in {TOKEN, "security_module_answer_lost"}
        assert bench.module.vend(REGISTER, CREDIT) == TOKEN


def test_request_that_the_module_heard_damaged_is_repeated(bench: AttachedBench) -> None:
    bench.plan(RefuseWith(ModuleStatus.CHECKSUM.code))
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN
    bench.plan(
        *[RefuseWith("20"), None, None] * 2  # the line is settled and the register asked between
    )
    assert outcome_of(bench) == "module_checksum"


def test_silence_ends_when_its_time_is_up() -> None:
    with attached_bench(timeout_s=0.4) as bench:
        bench.plan(*[Fault.LOST_ANSWER] * 8)
        begun_s = time.monotonic()
        assert outcome_of(bench) in {"security_module_answer_lost", "security_module_unavailable"}
        assert time.monotonic() - begun_s >= 0.4


def test_slow_answer_is_waited_for(bench: AttachedBench) -> None:
    bench.plan(Fault.DELAY, Fault.DELAY)
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


def test_dead_module_takes_no_request_and_serves_when_it_is_back(bench: AttachedBench) -> None:
    bench.simulated.state.is_dead = True
    with pytest.raises(ModuleUnavailableError) as refused:
        bench.module.vend(REGISTER, CREDIT)
    assert refused.value.outcome is Outcome.NONE
    bench.simulated.state.is_dead = False
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


@pytest.mark.parametrize("junk", [b"SM!VC00P3\r", b"\xff\xfe\x00", b"\r\r\r", b"x" * 600])
def test_noise_on_the_line_is_dropped_before_a_request(bench: AttachedBench, junk: bytes) -> None:
    bench.blurt(junk)
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


# --- registers ------------------------------------------------------------------------------------
def test_register_that_holds_another_key_is_refused_and_nothing_is_minted() -> None:
    swapped = [
        replace(one, number=OTHER_NUMBER if one.number == NUMBER else NUMBER)
        if one.number in {NUMBER, OTHER_NUMBER}
        else one
        for one in SETTINGS
    ]
    with attached_bench(settings=swapped) as bench:
        with pytest.raises(ModuleRegisterMismatchError) as refused:
            bench.module.vend(REGISTER, CREDIT)
        assert refused.value.facts == {"register": "201457/1/DUTK", "number": OTHER_NUMBER}
        asked = {type(request) for request in bench.simulated.requests}
        assert messages.CreditTokenRequest not in asked
        assert bench.module.vend(register_of(DUTK_1993), replace(CREDIT, base_date=BaseDate.Y1993))


def test_register_of_another_base_date_is_refused() -> None:
    settings = [replace(one, base_year=2035) if one.key == REGISTER else one for one in SETTINGS]
    with attached_bench(settings=settings) as bench:
        assert outcome_of(bench) == "module_register_mismatch"


def test_key_that_no_register_is_named_for_is_not_found() -> None:
    others = [one for one in SETTINGS if one.key != REGISTER]
    with (
        attached_bench(settings=others) as bench,
        pytest.raises(KeyNotFoundError),
    ):
        bench.module.vend(REGISTER, CREDIT)


def test_token_from_another_register_is_kept_back(bench: AttachedBench) -> None:
    bench.plan(AnswerFrom(OTHER_NUMBER))
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN, "asked again, it was right"
    vend_settle_examine = [AnswerFrom(OTHER_NUMBER), None, None, None]
    bench.plan(*vend_settle_examine, *vend_settle_examine)
    with pytest.raises(ModuleWrongTokenError) as kept:
        bench.module.vend(REGISTER, CREDIT)
    assert kept.value.outcome is Outcome.UNKNOWN


def test_register_that_was_loaded_with_another_key_meanwhile_is_refused(
    bench: AttachedBench,
) -> None:
    registers = bench.simulated.state.registers
    registers[NUMBER] = registers[OTHER_NUMBER]
    assert outcome_of(bench) == "module_register_mismatch"


def test_late_verdict_on_another_token_never_passes_for_this_ones(bench: AttachedBench) -> None:
    whole = VerifyRequest(
        pan=CREDIT.pan, ti=CREDIT.ti, ea=CREDIT.ea, digits=bench.module.vend(REGISTER, CREDIT)
    )
    bench.plan(Fault.DUPLICATE)
    assert not isinstance(bench.module.verify(REGISTER, whole), Rejection)
    wrong = replace(whole, digits=f"{int(TOKEN) + 1:020}")
    assert bench.module.verify(REGISTER, wrong) == Rejection(AuthenticationResult.CRC_ERROR)


# --- refusals -------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", sorted(STATUS_REFUSALS))
def test_status_has_a_refusal_of_its_own_that_ends_the_request(
    bench: AttachedBench, status: str
) -> None:
    bench.plan(RefuseWith(status))
    with pytest.raises(STATUS_REFUSALS[status]) as refused:
        bench.module.vend(REGISTER, CREDIT)
    assert refused.value.facts == {"status": status}
    assert (refused.value.kind, refused.value.outcome) == (ErrorKind.REFUSED, Outcome.NONE)
    assert not refused.value.retryable
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


def test_every_status_of_the_standard_has_a_meaning_here() -> None:
    assert {status.code for status in ModuleStatus} == set(STATUS_REFUSALS) | {"20"}


@pytest.mark.parametrize("status", ["EE", "77", "00"])
def test_status_that_nobody_explains_is_unknown(bench: AttachedBench, status: str) -> None:
    bench.plan(RefuseWith(status))
    with pytest.raises(ModuleError) as refused:
        bench.module.vend(REGISTER, CREDIT)
    assert refused.value.code == "module_status_unknown"
    assert refused.value.outcome is Outcome.UNKNOWN
    assert refused.value.retryable


def cause(bench: AttachedBench, status: ModuleStatus) -> CreditTokenRequest:
    # Brings the module into the state in which it gives this status; returns what to ask then.
    state = bench.simulated.state
    register = state.registers[NUMBER]
    match status:
        case ModuleStatus.KEK_NOT_FOUND:
            state.has_kek = False
        case ModuleStatus.REGISTER_NOT_FOUND:
            del state.registers[NUMBER]
        case ModuleStatus.KEY_LOAD | ModuleStatus.KEY_LOAD_AUTHENTICATION:
            register.load_fault = status
        case ModuleStatus.VENDING_INHIBITED:
            register.is_inhibited = True
        case ModuleStatus.TID_OUTSIDE_WINDOW:
            state.window_min = 60
        case ModuleStatus.LIMIT_EXCEEDED:
            register.units_left = 10
            return replace(CREDIT, units=11)
        case ModuleStatus.CLOCK_NOT_SET:
            state.has_clock = False
        case ModuleStatus.PERMISSION:
            state.allowed = state.allowed - {"VC"}
        case _:
            raise AssertionError(status)
    return CREDIT


@pytest.mark.parametrize(
    "status",
    [
        ModuleStatus.KEK_NOT_FOUND,
        ModuleStatus.REGISTER_NOT_FOUND,
        ModuleStatus.KEY_LOAD,
        ModuleStatus.KEY_LOAD_AUTHENTICATION,
        ModuleStatus.VENDING_INHIBITED,
        ModuleStatus.TID_OUTSIDE_WINDOW,
        ModuleStatus.LIMIT_EXCEEDED,
        ModuleStatus.CLOCK_NOT_SET,
        ModuleStatus.PERMISSION,
    ],
)
def test_state_of_the_module_is_told_by_name(bench: AttachedBench, status: ModuleStatus) -> None:
    request = cause(bench, status)
    with pytest.raises(ModuleRefusedError) as refused:
        bench.module.vend(REGISTER, request)
    assert refused.value.status is status


def test_vending_counter_runs_down(bench: AttachedBench) -> None:
    bench.simulated.state.registers[NUMBER].units_left = 10
    assert bench.module.vend(REGISTER, replace(CREDIT, units=6))
    assert outcome_of(bench, replace(CREDIT, units=6)) == "module_limit_exceeded"
    assert bench.module.vend(REGISTER, replace(CREDIT, units=4))


def test_window_follows_the_clock_of_the_module(bench: AttachedBench) -> None:
    bench.simulated.state.window_min = 60
    inside = TokenIdentifier.at(NOW, BaseDate.Y2014)
    assert bench.module.vend(REGISTER, replace(CREDIT, tid=inside))
    outside = TokenIdentifier(inside.minutes + 61)
    assert outcome_of(bench, replace(CREDIT, tid=outside)) == "module_tid_window"


def test_refused_register_serves_once_it_is_loaded(bench: AttachedBench) -> None:
    registers = bench.simulated.state.registers
    kept = registers.pop(NUMBER)
    assert outcome_of(bench) == "module_register_empty"
    registers[NUMBER] = kept
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


# --- key changes ----------------------------------------------------------------------------------
CHANGE = KeyChangeRequest(pan=CREDIT.pan, ti=TI("01"), new_ti=TI("02"), ea=CREDIT.ea, issued_at=NOW)
CHANGE_TOKENS = ("65413070543688156280", "27469374567476953413")


@pytest.mark.parametrize("exchange", [0, 1, 2], ids=["set", "1st check", "2nd check"])
@pytest.mark.parametrize(
    "fault", [Fault.LOST_ANSWER, Fault.LATE_ANSWER, Fault.DUPLICATE, Fault.CORRUPT], ids=str
)
def test_key_change_is_whole_or_unknown(
    bench: AttachedBench, fault: ModuleFault, exchange: int
) -> None:
    new = register_of(DUTK_2035)
    bench.plan(*[None] * exchange, fault)
    (first,) = bench.module.change_key_many([(REGISTER, new, CHANGE)])
    is_unknown = isinstance(first, VendingError) and first.outcome is Outcome.UNKNOWN
    assert first == CHANGE_TOKENS or is_unknown
    assert bench.module.change_key(REGISTER, new, CHANGE) == CHANGE_TOKENS


def test_key_change_to_another_register_than_asked_is_kept_back(bench: AttachedBench) -> None:
    other = next(one.number for one in SETTINGS if one.key == register_of(DUTK_1993))
    bench.plan(AnswerFrom(other))
    new = register_of(DUTK_2035)
    assert bench.module.change_key(REGISTER, new, CHANGE) == CHANGE_TOKENS


def test_key_change_rule_of_the_module_is_told(bench: AttachedBench) -> None:
    bench.plan(RefuseWith(ModuleStatus.KEY_CHANGE_RULE.code))
    with pytest.raises(ModuleError) as refused:
        bench.module.change_key(REGISTER, register_of(DUTK_2035), CHANGE)
    assert refused.value.code == "module_key_change_rule"


# --- lines ----------------------------------------------------------------------------------------
def test_module_on_a_tcp_port_serves_alike() -> None:
    with attached_bench(over_tcp=True) as bench:
        assert bench.module.vend(REGISTER, CREDIT) == TOKEN
        assert bench.module.vend(REGISTER, CREDIT) == TOKEN, "it connects again"
        assert bench.module.identify() == "simulated security module"


def test_registers_are_asked_again_when_the_line_comes_back(bench: AttachedBench) -> None:
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN
    bench.simulated.state.is_dead = True
    assert outcome_of(bench) == "security_module_unavailable"
    bench.simulated.state.is_dead = False
    bench.simulated.requests.clear()
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN
    asked = [
        one for one in bench.simulated.requests if isinstance(one, messages.KeyAttributesRequest)
    ]
    assert {one.register for one in asked} >= {one.number for one in SETTINGS}


def test_two_processes_share_one_module_a_turn_each(bench: AttachedBench) -> None:
    other = bench.attach_another()
    for _ in range(3):
        assert bench.module.vend(REGISTER, CREDIT) == TOKEN
        assert other.vend(REGISTER, CREDIT) == TOKEN


def test_answer_that_another_process_did_not_wait_for_passes_for_nothing(
    bench: AttachedBench, other_token: str
) -> None:
    impatient = bench.attach_another()
    assert impatient.vend(REGISTER, OTHER) == other_token
    bench.plan(Fault.LATE_ANSWER)
    with pytest.raises(ModuleAnswerLostError):
        impatient.vend(REGISTER, OTHER)
    # On a slow machine what is left over trickles in; it may cost an attempt, never the token.
    outcomes = [outcome_of(bench) for _ in range(6)]
    lost = {"security_module_unavailable", "security_module_answer_lost"}
    assert set(outcomes) <= {TOKEN, *lost}
    assert outcomes[-1] == TOKEN


def test_line_that_another_process_keeps_is_busy(bench: AttachedBench) -> None:
    with serial.Serial(bench.address, exclusive=True):
        assert outcome_of(bench) == "security_module_busy"
    assert bench.module.vend(REGISTER, CREDIT) == TOKEN


def test_line_that_is_not_there_is_unavailable() -> None:
    with attached_bench() as bench:
        module = bench.module
        assert module.vend(REGISTER, CREDIT) == TOKEN
    with pytest.raises(ModuleUnavailableError):
        module.vend(REGISTER, CREDIT)


def test_registers_are_told_one_by_one(bench: AttachedBench) -> None:
    del bench.simulated.state.registers[OTHER_NUMBER]
    found = bench.module.check_registers()
    lacking = [one.number for one, held in found.items() if isinstance(held, ModuleError)]
    assert lacking == [OTHER_NUMBER]
    assert len(found) == len(SETTINGS)
    assert register_of(DCTK_2014) in {one.key for one in found}
