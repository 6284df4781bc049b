"""The stand-in for an attached module fails exactly as it is told to."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.support.slow_security_module import Fault, Hold, Refuse, SlowSecurityModule
from tests.support.vending_keys import DUTK_2014, register_of, store_in_memory
from vending.keystore.errors import (
    KeyExpiredError,
    ModuleAnswerLostError,
    ModuleUnavailableError,
)
from vending.keystore.port import CreditTokenRequest
from vending.keystore.software import SoftwareSecurityModule
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.pan import MeterPAN
from vending.sts.tcdu import TokenDigits
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import Resource

REGISTER = register_of(DUTK_2014)
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


@pytest.fixture
def slow(tmp_path: Path) -> SlowSecurityModule:
    return SlowSecurityModule(SoftwareSecurityModule(store_in_memory(tmp_path), demo_allowed=False))


@pytest.fixture
def vend(slow: SlowSecurityModule) -> Callable[[], TokenDigits]:
    return lambda: slow.vend(REGISTER, CREDIT)


def test_lost_answer_was_issued_and_the_repeat_gives_the_same_digits(
    slow: SlowSecurityModule, vend: Callable[[], TokenDigits]
) -> None:
    slow.plan(Fault.LOSE_ANSWER)
    with pytest.raises(ModuleAnswerLostError):
        vend()
    assert slow.served == ["vend"]
    assert vend() == TOKEN


def test_lost_request_was_not_issued(
    slow: SlowSecurityModule, vend: Callable[[], TokenDigits]
) -> None:
    slow.plan(Fault.LOSE_REQUEST)
    with pytest.raises(ModuleUnavailableError):
        vend()
    assert slow.served == []


def test_refusal_is_the_one_planned(
    slow: SlowSecurityModule, vend: Callable[[], TokenDigits]
) -> None:
    slow.plan(None, Refuse(KeyExpiredError("201457/1/DUTK", ken=255)))
    assert vend() == TOKEN
    with pytest.raises(KeyExpiredError):
        vend()
    assert slow.served == ["vend"]


def test_held_request_answers_when_it_is_released(
    slow: SlowSecurityModule, vend: Callable[[], TokenDigits]
) -> None:
    hold = Hold(asked=Event(), release=Event())
    slow.plan(hold)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(vend)
        assert hold.asked.wait(100)
        assert not answer.done()
        hold.release.set()
        assert answer.result(10) == TOKEN


def test_many_requests_take_one_plan_each(slow: SlowSecurityModule) -> None:
    slow.plan(None, Fault.LOSE_ANSWER, Fault.LOSE_REQUEST)
    outcomes = slow.vend_many([(REGISTER, CREDIT)] * 4)
    assert [type(outcome) for outcome in outcomes] == [
        str,
        ModuleAnswerLostError,
        ModuleUnavailableError,
        str,
    ]
    assert slow.served == ["vend", "vend", "vend"]
