"""The line to an attached security module: one request, one answer, and nothing left over.

Answers carry no number, so an answer that comes late would be taken for the next one's. The line
is therefore *settled* at the start of a turn, and whenever an exchange did not end cleanly: a
question that issues nothing is asked, and everything is dropped until its answer comes. A serial
line keeps its order, so behind that answer nothing older can follow. Two such questions
alternate, so that a late answer to one is not taken for the other's.

What a request may come to:

    ModuleUnavailableError   it was not sent; nothing was issued
    ModuleAnswerLostError    it was sent, and no answer came: unknown
    LineConfusedError        an answer came, damaged or to something else: unknown
    sts.ModuleRefusedError   the module said no
"""

from collections import deque
from typing import Final

from meter_drivers.errors import LineBusyError, LinkTimeoutError, TransportError
from meter_drivers.transports.port import ByteStream, Timer
from vending.keystore.errors import ModuleAnswerLostError, ModuleUnavailableError
from vending.keystore.module_errors import ModuleBusyError
from vending.sts.errors import ModuleFrameError, ModuleRefusedError
from vending.sts.module_messages import (
    REQUESTS_BY_RECORD,
    Answer,
    IdentificationRequest,
    KeyAttributesRequest,
    Request,
)
from vending.sts.security_module import LineBuffer, decode_answer, encode_request

TURN_ANSWERS: Final = 3
"""One turn, of several exchanges, lasts at most as long as so many answers may take."""
_READ_SIZE_BYTES: Final = 512
LOCK_POLL_S: Final = 0.01
_REST_S: Final = 3 * LOCK_POLL_S
"""Left free after a turn, so that another process that polls for the line gets it."""
_LINES_DROPPED_MAX: Final = 64
"""A module that talks without end is not settled by listening on."""


class LineConfusedError(Exception):
    """What came is damaged, or answers something else."""


class ModuleLine:
    """One module on one line; its caller lets one thread at a time in."""

    def __init__(
        self, stream: ByteStream, *, probe_register: int, timeout_s: float, timer: Timer
    ) -> None:
        self._stream = stream
        self._timeout_s = timeout_s
        self._timer = timer
        self._ends_s = 0.0
        self._rests_until_s = 0.0
        self._probes: list[Request] = [
            IdentificationRequest(),
            KeyAttributesRequest(register=probe_register),
        ]
        self._buffer = LineBuffer()
        self._lines: deque[bytes] = deque()
        self._is_settled = False
        self._was_away = True

    @property
    def link(self) -> str:
        """Return what messages call the line."""
        return self._stream.link

    def begin_turn(self) -> bool:
        """Have the line for one turn; return whether the module was away since the last.

        Service, worker and command line share one module: each opens the line for a turn, locks
        it while it lasts, and trusts nothing that another may have left on it.

        Raises:
            ModuleBusyError: Another process had it all the time.
            ModuleUnavailableError: Nothing is at the other end.
        """
        if (rest_s := self._rests_until_s - self._timer.now_s()) > 0:
            self._timer.wait(rest_s)
        begun_s = self._timer.now_s()
        while not self._is_opened():
            if self._timer.now_s() - begun_s >= self._timeout_s:
                raise ModuleBusyError
            self._timer.wait(LOCK_POLL_S)
        self._ends_s = self._timer.now_s() + TURN_ANSWERS * self._timeout_s
        self._is_settled = False
        was_away, self._was_away = self._was_away, False
        return was_away

    def end_turn(self) -> None:
        """Let others have the line."""
        self._stream.close()
        self._rests_until_s = self._timer.now_s() + _REST_S

    def _is_opened(self) -> bool:
        try:
            self._stream.open()
        except LineBusyError:
            return False
        except TransportError as error:
            self._was_away = True
            raise ModuleUnavailableError from error
        return True

    def exchange(self, request: Request) -> Answer:
        """Ask, and return the answer.

        Raises:
            ModuleUnavailableError: It was not asked.
            ModuleAnswerLostError: It was asked, and no answer came.
            LineConfusedError: An answer came that is damaged, or another one's.
            ModuleRefusedError: The module said no.
        """
        self._settle()
        self._is_settled = False
        try:
            self._send(request)
            line = self._next_line()
        except TransportError as error:
            raise ModuleAnswerLostError from error
        try:
            answer = decode_answer(line, request)
        except ModuleFrameError as error:
            raise LineConfusedError(str(error)) from error
        except ModuleRefusedError:
            self._is_settled = not self._lines
            raise
        self._is_settled = not self._lines
        return answer

    def distrust(self) -> None:
        """Settle the line before the next request, however well the last one went."""
        self._is_settled = False

    def _settle(self) -> None:
        """Ask a question that issues nothing, and drop everything that comes before its answer.

        What comes instead may have begun as noise on either side, or be its refusal, which names
        no command: then the other question is asked as well, and its answer is waited for, since
        that of the first may come before it and leave it behind.

        Raises:
            ModuleUnavailableError: It was not answered.
        """
        if self._is_settled and self._is_quiet():
            return
        first, second = self._probes
        self._probes.reverse()
        try:
            self._drop_what_waits()
            self._send(first)
            for count in range(_LINES_DROPPED_MAX):
                if self._comes_answer_to(second if count else first):
                    self._is_settled = True
                    return
                if count == 0:
                    self._send(second)
        except TransportError as error:
            self._was_away = True
            raise ModuleUnavailableError from error
        self._was_away = True
        raise ModuleUnavailableError

    def _comes_answer_to(self, probe: Request) -> bool:
        try:
            return _answers(self._next_line(), probe)
        except LineConfusedError:
            return False

    def _drop_what_waits(self) -> None:
        self._buffer, self._lines = LineBuffer(), deque()
        for _ in range(_LINES_DROPPED_MAX):
            if self._is_quiet():
                return

    def _is_quiet(self) -> bool:
        """Return whether nothing waits to be read; a broken line is closed on the way."""
        if self._lines:
            return False
        try:
            self._stream.read(_READ_SIZE_BYTES, timeout_s=0)
        except LinkTimeoutError:
            return True
        except TransportError:
            self._lose()
        self._is_settled = False
        return False

    def _lose(self) -> None:
        self._stream.close()
        self._was_away = True

    def _send(self, request: Request) -> None:
        try:
            self._stream.write(encode_request(request), timeout_s=self._timeout_s)
        except TransportError:
            self._lose()
            raise

    def _next_line(self) -> bytes:
        while not self._lines:
            left_s = min(self._timeout_s, self._ends_s - self._timer.now_s())
            try:
                octets = self._stream.read(_READ_SIZE_BYTES, timeout_s=max(left_s, 0))
            except LinkTimeoutError:
                raise
            except TransportError:
                self._lose()
                raise
            try:
                self._lines.extend(line for line in self._buffer.receive(octets) if line)
            except ModuleFrameError as error:
                raise LineConfusedError(str(error)) from error
            if not self._lines and self._timer.now_s() >= self._ends_s:
                # What sends empty lines, or a byte now and then, does not have the line for ever.
                raise LinkTimeoutError(self.link, waited_s=self._timeout_s)
        return self._lines.popleft()


def _answers(line: bytes, probe: Request) -> bool:
    """Return whether a line answers this question and no other, be it with a refusal."""
    try:
        decode_answer(line, probe)
    except ModuleFrameError:
        return False
    except ModuleRefusedError:
        return line.startswith(f"SM!{REQUESTS_BY_RECORD[type(probe)].letters}".encode())
    return True
