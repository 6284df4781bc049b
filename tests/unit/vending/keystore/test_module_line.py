"""The line to an attached module that breaks, babbles, or belongs to another process."""

from collections import deque
from collections.abc import Callable

import pytest

from meter_drivers.errors import (
    ConnectionLostError,
    LineBusyError,
    LinkTimeoutError,
    TransportError,
)
from vending.keystore.errors import ModuleAnswerLostError, ModuleUnavailableError
from vending.keystore.module_errors import ModuleBusyError
from vending.keystore.module_line import LOCK_POLL_S, LineConfusedError, ModuleLine
from vending.sts.keys import SGC, KeyDerivation, KeyType
from vending.sts.module_messages import (
    IdentificationAnswer,
    IdentificationRequest,
    KeyAttributesAnswer,
    KeyAttributesRequest,
)
from vending.sts.security_module import encode_answer, encode_refusal
from vending.sts.tid import BaseDate

ASKED = IdentificationRequest()
NAME = IdentificationAnswer(identification="module")
ANSWER = encode_answer(NAME, ASKED)
ATTRIBUTES = encode_answer(
    KeyAttributesAnswer(
        sgc=SGC("201457"),
        kt=KeyType.DUTK,
        krn=1,
        ken=255,
        base_date=BaseDate.Y2014,
        dkga=KeyDerivation.DKGA02,
    ),
    KeyAttributesRequest(register=3),
)
TIMEOUT_S = 1.0

Step = bytes | TransportError


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def now_s(self) -> float:
        return self.now

    def wait(self, span_s: float) -> None:
        self.now += span_s


class ScriptedStream:
    """A line on which each write and each read ends as the script says; silence when it is over."""

    link = "scripted"

    def __init__(self) -> None:
        self.is_open = False
        self.openings: deque[TransportError | None] = deque()
        self.writings: deque[TransportError | None] = deque()
        self.waiting: deque[Step] = deque()
        self.answers: deque[list[Step]] = deque()
        self.written: list[bytes] = []
        self.time = Time()
        self.flood = b""
        self.flooded = 0

    def open(self) -> None:
        problem = self.openings.popleft() if self.openings else None
        if problem is not None:
            raise problem
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def write(self, data: bytes, *, timeout_s: float) -> None:
        assert timeout_s > 0
        problem = self.writings.popleft() if self.writings else None
        if problem is not None:
            raise problem
        self.written.append(data)
        if self.answers:
            self.waiting.extend(self.answers.popleft())

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        if self.flood:
            self.flooded += 1
            assert self.flooded < 10_000, "it reads on for ever"
            self.time.wait(0.001)
            return self.flood
        if not self.waiting:
            raise LinkTimeoutError("scripted", waited_s=timeout_s)
        step = self.waiting.popleft()
        if isinstance(step, TransportError):
            raise step
        assert len(step) <= size_max
        return step


def broken() -> ConnectionLostError:
    return ConnectionLostError("scripted", "unplugged")


@pytest.fixture
def stream() -> ScriptedStream:
    return ScriptedStream()


@pytest.fixture
def line(stream: ScriptedStream) -> ModuleLine:
    return ModuleLine(stream, probe_register=3, timeout_s=TIMEOUT_S, timer=stream.time)


@pytest.fixture
def begin(line: ModuleLine, stream: ScriptedStream) -> Callable[[], None]:
    """Start a turn on a line that the first question settles."""

    def settle_at_once() -> None:
        stream.answers.append([ANSWER])
        line.begin_turn()

    return settle_at_once


def test_first_turn_finds_the_module_back_and_the_next_does_not(
    line: ModuleLine, stream: ScriptedStream
) -> None:
    assert line.begin_turn()
    line.end_turn()
    assert not stream.is_open
    assert not line.begin_turn()


def test_answers_to_both_questions_are_waited_for_where_both_were_asked(
    line: ModuleLine, stream: ScriptedStream
) -> None:
    late = encode_answer(IdentificationAnswer(identification="of before"), ASKED)
    line.begin_turn()
    stream.answers.extend([[b"noise\r"], [late, ATTRIBUTES], [ANSWER]])
    assert line.exchange(ASKED) == NAME
    assert not stream.waiting


def test_line_that_another_process_has_is_waited_for(
    line: ModuleLine, stream: ScriptedStream
) -> None:
    stream.openings.extend([LineBusyError("scripted", "taken"), None])
    line.begin_turn()
    line.end_turn()
    stream.openings.extend([LineBusyError("scripted", "taken")] * 1000)
    with pytest.raises(ModuleBusyError):
        line.begin_turn()


def test_line_is_left_free_between_turns_for_as_long_as_another_takes_to_ask(
    line: ModuleLine, stream: ScriptedStream
) -> None:
    """Else a process with many sales would keep it for ever."""
    line.begin_turn()
    line.end_turn()
    ended_s = stream.time.now
    line.begin_turn()
    assert stream.time.now - ended_s > LOCK_POLL_S
    line.end_turn()
    stream.time.wait(TIMEOUT_S)
    rested_s = stream.time.now
    line.begin_turn()
    assert stream.time.now == rested_s, "nobody waits without need"


def test_port_that_is_gone_is_unavailable_and_the_module_was_away(
    line: ModuleLine, stream: ScriptedStream
) -> None:
    line.begin_turn()
    line.end_turn()
    stream.openings.append(broken())
    with pytest.raises(ModuleUnavailableError):
        line.begin_turn()
    assert line.begin_turn()


def test_answer_comes_in_pieces(
    line: ModuleLine, stream: ScriptedStream, begin: Callable[[], None]
) -> None:
    begin()
    stream.answers.append([ANSWER[:4], ANSWER[4:]])
    assert line.exchange(ASKED) == NAME
    assert len(stream.written) == 2


def test_line_that_breaks_before_the_request_leaves_nothing_asked(
    line: ModuleLine, stream: ScriptedStream
) -> None:
    line.begin_turn()
    stream.writings.append(broken())
    with pytest.raises(ModuleUnavailableError):
        line.exchange(ASKED)
    assert not stream.is_open


@pytest.mark.parametrize("when", ["writing", "reading"])
def test_line_that_breaks_within_the_request_is_unknown(
    line: ModuleLine, stream: ScriptedStream, begin: Callable[[], None], when: str
) -> None:
    begin()
    if when == "writing":
        stream.writings.extend([None, broken()])
    else:
        stream.answers.append([broken()])
    with pytest.raises(ModuleAnswerLostError):
        line.exchange(ASKED)
    assert not stream.is_open
    line.end_turn()
    assert line.begin_turn(), "the module was away"


def test_line_that_breaks_while_nothing_is_asked_is_noticed_before_a_request(
    line: ModuleLine, stream: ScriptedStream, begin: Callable[[], None]
) -> None:
    begin()
    stream.answers.append([ANSWER])
    assert line.exchange(ASKED) == NAME
    stream.waiting.append(broken())
    stream.writings.append(broken())
    with pytest.raises(ModuleUnavailableError):
        line.exchange(ASKED)


def test_second_line_in_an_answer_makes_the_line_settle_again(
    line: ModuleLine, stream: ScriptedStream, begin: Callable[[], None]
) -> None:
    begin()
    stream.answers.append([ANSWER + ANSWER])
    assert line.exchange(ASKED) == NAME
    stream.answers.extend([[encode_refusal("28")], [ANSWER], [ANSWER]])
    assert line.exchange(ASKED) == NAME, "the 2nd question was asked, as the 1st was refused"
    assert len(stream.written) == 5


def test_line_without_end_is_confused(
    line: ModuleLine, stream: ScriptedStream, begin: Callable[[], None]
) -> None:
    begin()
    stream.answers.append([b"x" * 400, b"x" * 400])
    with pytest.raises(LineConfusedError):
        line.exchange(ASKED)


def test_module_that_talks_without_end_is_not_settled(
    line: ModuleLine, stream: ScriptedStream
) -> None:
    line.begin_turn()
    stream.waiting.extend([b"x" * 512, *[b"noise\r"] * 1000])
    with pytest.raises(ModuleUnavailableError):
        line.exchange(ASKED)
    stream.waiting.clear()
    stream.answers.extend([[b"x" * 512, b"x" * 512], [ANSWER], [ANSWER]])
    assert line.exchange(ASKED) == NAME


def test_module_that_sends_empty_lines_without_end_is_given_up(
    line: ModuleLine, stream: ScriptedStream, begin: Callable[[], None]
) -> None:
    begin()
    stream.flood = b"\r\r\r"
    with pytest.raises(ModuleUnavailableError):
        line.exchange(ASKED)


def test_refusal_under_its_own_header_settles_the_line(
    line: ModuleLine, stream: ScriptedStream
) -> None:
    refused = sealed(b"SM!DI98")
    line.begin_turn()
    stream.answers.extend([[refused], [ANSWER]])
    assert line.exchange(ASKED) == NAME


def sealed(covered: bytes) -> bytes:
    crc = 0
    for octet in covered:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return covered + f"{crc:04X}\r".encode()
