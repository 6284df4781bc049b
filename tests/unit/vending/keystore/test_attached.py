"""A module that lies, and vouches for its lies: what shows without a key is looked at here."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from meter_drivers.errors import LinkTimeoutError
from tests.support.attached_module import NOW, SETTINGS, simulated_module
from tests.support.vending_keys import DUTK_2014, DUTK_2035, register_of
from vending.keystore.attached import AttachedSecurityModule
from vending.keystore.module_errors import ModuleWrongTokenError
from vending.keystore.module_line import ModuleLine
from vending.keystore.port import CreditTokenRequest, KeyChangeRequest
from vending.sts import module_messages as messages
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.module_messages import Answer, KeyChangeAnswer, Request, TokenAnswer
from vending.sts.pan import MeterPAN
from vending.sts.security_module import (
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from vending.sts.tcdu import TokenDigits
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import Resource
from vending.values.clock import FixedClock

REGISTER, NEXT = register_of(DUTK_2014), register_of(DUTK_2035)
PAN, TI_1, STA = MeterPAN("600727000000000009"), TI("01"), EncryptionAlgorithm.STA
CREDIT = CreditTokenRequest(
    pan=PAN, ti=TI_1, ea=STA, base_date=BaseDate.Y2014, resource=Resource.ELECTRICITY, units=1,
    tid=TokenIdentifier(85_740), rnd=5,
)  # fmt: skip
CHANGE = KeyChangeRequest(pan=PAN, ti=TI_1, new_ti=TI("02"), ea=STA, issued_at=NOW)
TEST_TOKEN = TokenDigits("56493153725450313471")
"""Of class 1: no key enters it, and any meter takes it."""

Lie = Callable[[Answer], Answer]


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def now_s(self) -> float:
        return self.now

    def wait(self, span_s: float) -> None:
        self.now += span_s


class LyingStream:
    """The line to a module whose tokens are others, and which reads them as what was wanted."""

    link = "lying"
    is_open = True

    def __init__(self, lie: Lie) -> None:
        self._module = simulated_module()
        self._lie = lie
        self._true: list[TokenDigits] = []
        self._waiting = b""

    def open(self) -> None:
        self._waiting = b""

    def close(self) -> None:
        self._waiting = b""

    def write(self, data: bytes, *, timeout_s: float) -> None:
        assert timeout_s > 0
        for line in data.split(b"\r")[:-1]:
            self._waiting += self._answer(line, decode_request(line))

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        if not self._waiting:
            raise LinkTimeoutError(self.link, waited_s=timeout_s)
        answer, self._waiting = self._waiting[:size_max], self._waiting[size_max:]
        return answer

    def _answer(self, line: bytes, request: Request) -> bytes:
        if isinstance(request, messages.CreditTokenRequest | messages.KeyChangeRequest):
            answer = decode_answer(self._module.answer(line), request)
            assert isinstance(answer, TokenAnswer | KeyChangeAnswer)
            self._true = list(answer.tokens)
            return encode_answer(self._lie(answer), request)
        if isinstance(request, messages.VerifyRequest) and self._true:
            true = replace(request, token=self._true.pop(0))
            return self._module.answer(encode_request(true).removesuffix(b"\r"))
        return self._module.answer(line)


def module_that(lie: Lie) -> AttachedSecurityModule:
    line = ModuleLine(
        LyingStream(lie), probe_register=SETTINGS[0].number, timeout_s=1.0, timer=Time()
    )
    return AttachedSecurityModule(line, SETTINGS, demo_allowed=False, clock=FixedClock(NOW))


def give_a_test_token(answer: Answer) -> Answer:
    assert isinstance(answer, TokenAnswer)
    return replace(answer, tokens=(TEST_TOKEN,))


def give_one_section_twice(answer: Answer) -> Answer:
    assert isinstance(answer, KeyChangeAnswer)
    return replace(answer, tokens=answer.tokens[:1] * len(answer.tokens))


def test_honest_module_serves() -> None:
    module = module_that(lambda answer: answer)
    assert module.vend(REGISTER, CREDIT) == "70630503470028726114"
    assert len(module.change_key(REGISTER, NEXT, CHANGE)) == 2


def test_token_that_shows_another_class_is_kept_back_whatever_the_module_reads() -> None:
    with pytest.raises(ModuleWrongTokenError):
        module_that(give_a_test_token).vend(REGISTER, CREDIT)


def test_set_with_one_section_twice_is_kept_back_whatever_the_module_reads() -> None:
    with pytest.raises(ModuleWrongTokenError):
        module_that(give_one_section_twice).change_key(REGISTER, NEXT, CHANGE)
