"""The one owner of a Modbus line: pacing, retries of reads, quarantine after a silence.

Its laws:
- one exchange at a time; between two, the line is silent for 3.5 characters and as long as the
  meter needs, longer when the meter changes (Modbus over Serial Line V1.02, 2.5.1.1);
- **a write leaves at most once**. Whatever goes wrong after its first byte ends as `Unknown`: a
  timeout, a broken line, a garbled answer, an answer of another meter, and the exceptions with
  which a gateway or a busy meter leaves it open (`UNDECIDED_EXCEPTIONS`);
- a read is asked at most `READ_ATTEMPTS_MAX` times, and only where that can help;
- after anything but a clean answer the line is in quarantine: before the next request leaves,
  what still comes is read and thrown away, until the slowest late answer has passed. On TCP the
  connection is closed as well, so that a gateway forgets what it still owes.

An RTU answer carries no number of its request. So a late one could be taken for the next; the
quarantine is what prevents it, and the byte count that `protocols.modbus.frames` compares.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from meter_drivers.bus.turns import Turns, Urgency
from meter_drivers.capabilities import Done, Refused, Unknown
from meter_drivers.errors import (
    ConnectionLostError,
    DriverError,
    LinkTimeoutError,
    MeterRefusedError,
    RemoteProtocolError,
    TransportError,
)
from meter_drivers.protocols.modbus.frames import (
    Answer,
    ExceptionAnswer,
    Framing,
    ReadRequest,
    RegistersRead,
    RegistersWritten,
    Request,
    WriteRequest,
    next_transaction,
)
from meter_drivers.transports.port import ByteStream, Timer

READ_ATTEMPTS_MAX: Final = 3
"""The first, and two more: a glitch and a collision."""
TURN_TIMEOUT_S: Final = 60.0
FRAME_SIZE_MAX: Final = 260
DRAIN_SIZE_MAX: Final = 4096
"""A line that still brings bytes after so many is not a meter's."""

EXCEPTIONS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        0x01: ("illegal_function", "the meter does not know this function"),
        0x02: ("illegal_address", "the meter has no such register"),
        0x03: ("illegal_value", "the meter does not take this value"),
        0x04: ("device_failure", "the meter failed while it carried out the request"),
        0x05: ("acknowledge", "the meter began and needs longer"),
        0x06: ("device_busy", "the meter is busy with something else"),
        0x08: ("memory_parity", "the meter found its memory damaged"),
        0x0A: ("gateway_path", "the gateway has no path to the meter"),
        0x0B: ("gateway_no_answer", "the gateway got no answer from the meter"),
    }
)
"""Exception codes (Modbus Application Protocol V1.1b3, 7)."""

UNDECIDED_EXCEPTIONS: Final = frozenset({0x04, 0x05, 0x08, 0x0A, 0x0B})
"""After these a write may have happened: gateways send 0x0A and 0x0B although the meter heard."""
PASSING_EXCEPTIONS: Final = frozenset({0x05, 0x06, 0x0A, 0x0B})
"""After these a read may be asked again."""

_LOG: Final = logging.getLogger(__name__)

WriteResult = Done[None] | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Pacing:
    """The times of a line, in seconds."""

    gap_s: float
    """3.5 characters; 0 where frames are not told apart by silence."""
    answer_s: float
    """How long an answer may take to be complete, besides what the meter needs to begin it."""
    strips_echo: bool = False
    """The adapter hears what it sends."""


@dataclass(frozen=True, slots=True)
class MeterTiming:
    """What one meter needs, in seconds."""

    turnaround_s: float
    switch_s: float
    answer_s: float


class ModbusBus:
    """Sends requests to the meters of one line, for any number of threads."""

    def __init__(
        self,
        stream: ByteStream,
        framing: Framing,
        *,
        pacing: Pacing,
        timer: Timer,
        reopens_after_silence: bool,
    ) -> None:
        self._stream = stream
        self._framing = framing
        self._pacing = pacing
        self._timer = timer
        self._reopens_after_silence = reopens_after_silence
        self._turns = Turns(stream.link)
        self._transaction = 0
        self._last_unit: int | None = None
        self._silent_since_s = timer.now_s()
        self._quarantine_ends_s: float | None = None
        self._is_lost = False

    @property
    def link(self) -> str:
        """Return what messages call this line."""
        return self._stream.link

    @property
    def timer(self) -> Timer:
        """Return the timer of this line."""
        return self._timer

    def read(self, request: ReadRequest, timing: MeterTiming) -> tuple[int, ...]:
        """Return the registers of a read, asked again where that can help.

        Raises:
            DriverError: If no attempt brings them.
        """
        attempt = 1
        while True:
            with self._turns.take(Urgency.READ, timeout_s=TURN_TIMEOUT_S):
                self._prepare(request, timing)
                try:
                    return self._read_once(request, timing)
                except DriverError as error:
                    if not error.retryable or attempt == READ_ATTEMPTS_MAX:
                        raise
            attempt += 1

    def write(self, request: WriteRequest, timing: MeterTiming, urgency: Urgency) -> WriteResult:
        """Send a write once, and return what is known of it.

        Raises:
            DriverError: If not one byte of it left.
        """
        with self._turns.take(urgency, timeout_s=TURN_TIMEOUT_S):
            self._prepare(request, timing)
            try:
                answer = self._exchange(request, timing)
            except DriverError as error:
                return Unknown(str(error))
        if isinstance(answer, ExceptionAnswer):
            reason, meaning = _explain(answer.code)
            if answer.code in UNDECIDED_EXCEPTIONS:
                return Unknown(f"{meaning} ({reason})")
            return Refused(reason, meaning)
        assert isinstance(answer, RegistersWritten), "a receiver gives answers to its request"
        return Done(None)

    def rest(self) -> None:
        """Close the line until it is used again; only for a bus that nobody uses now."""
        self._stream.close()

    def _read_once(self, request: ReadRequest, timing: MeterTiming) -> tuple[int, ...]:
        answer = self._exchange(request, timing)
        if isinstance(answer, ExceptionAnswer):
            reason, meaning = _explain(answer.code)
            if answer.code in PASSING_EXCEPTIONS:
                message = f"{meaning} ({reason})"
                raise RemoteProtocolError(message)
            raise MeterRefusedError(reason, meaning)
        assert isinstance(answer, RegistersRead), "a receiver gives answers to its request"
        return answer.words

    def _prepare(self, request: Request, timing: MeterTiming) -> None:
        """Bring the line to where the request may leave; nothing has left when this raises."""
        is_other = self._last_unit is not None and self._last_unit != request.unit
        pause_s = max(self._pacing.gap_s, timing.switch_s if is_other else timing.turnaround_s)
        self._open()
        try:
            self._drain(pause_s)
        except ConnectionLostError:
            # The other side closed an idle connection; nothing was asked on it yet.
            self._open()
            self._timer.wait(self._silent_since_s + pause_s - self._timer.now_s())
        self._quarantine_ends_s = None
        self._last_unit = request.unit

    def _open(self) -> None:
        try:
            self._stream.open()
        except TransportError:
            self._note_lost()
            raise

    def _exchange(self, request: Request, timing: MeterTiming) -> Answer:
        """Send a request and return its answer.

        Raises:
            DriverError: If no clean answer comes; the line is in quarantine then.
        """
        self._transaction = next_transaction(self._transaction)
        frame = self._framing.encode(request, transaction=self._transaction)
        wait_s = timing.answer_s + self._pacing.answer_s
        # Set before the first byte leaves, so that an interrupted exchange leaves it behind.
        self._quarantine_ends_s = self._timer.now_s() + 2 * wait_s
        try:
            self._stream.write(frame, timeout_s=wait_s)
            answer = self._receive(request, frame, wait_s)
        except DriverError:
            self._begin_quarantine(wait_s)
            self._note_lost()
            raise
        self._silent_since_s = self._timer.now_s()
        self._quarantine_ends_s = None
        if isinstance(answer, ExceptionAnswer) and answer.code in PASSING_EXCEPTIONS:
            # The meter itself may still answer, after its gateway gave up on it.
            self._begin_quarantine(wait_s)
        self._note_back()
        return answer

    def _receive(self, request: Request, frame: bytes, wait_s: float) -> Answer:
        ends_s = self._timer.now_s() + wait_s
        receiver = self._framing.receiver(request, transaction=self._transaction)
        echo = frame if self._pacing.strips_echo else b""
        received = b""
        while True:
            left_s = ends_s - self._timer.now_s()
            if left_s <= 0:
                raise LinkTimeoutError(self.link, waited_s=wait_s, received=received)
            try:
                data = self._stream.read(FRAME_SIZE_MAX, timeout_s=left_s)
            except LinkTimeoutError as error:
                raise LinkTimeoutError(self.link, waited_s=wait_s, received=received) from error
            received += data
            echo, data = _strip_echo(echo, data)
            receiver.receive_data(data)
            answer = receiver.next_answer()
            if answer is not None:
                return answer

    # --- quarantine -----------------------------------------------------------------------------
    def _begin_quarantine(self, span_s: float) -> None:
        """Distrust the line for as long as the slowest answer takes, from now on."""
        self._quarantine_ends_s = self._timer.now_s() + span_s
        if self._reopens_after_silence:
            self._stream.close()
            self._quarantine_ends_s = None

    def _drain(self, pause_s: float) -> None:
        """Read and throw away what comes, until the quarantine and the pause have passed.

        The pause is spent reading, since an answer that came twice shows up just then; every
        byte begins it anew.

        Raises:
            RemoteProtocolError: If bytes come without end.
        """
        drained_count = 0
        while drained_count < DRAIN_SIZE_MAX:
            ends_s = max(self._quarantine_ends_s or 0.0, self._silent_since_s + pause_s)
            left_s = max(0.0, ends_s - self._timer.now_s())
            try:
                drained_count += len(self._stream.read(FRAME_SIZE_MAX, timeout_s=left_s))
            except LinkTimeoutError:
                return
            self._silent_since_s = self._timer.now_s()
        reason = "the line brings bytes that nobody asked for, without end"
        raise RemoteProtocolError(reason)

    # --- log ------------------------------------------------------------------------------------
    def _note_lost(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            _LOG.warning("line lost: %s", self.link)

    def _note_back(self) -> None:
        if self._is_lost:
            self._is_lost = False
            _LOG.info("line back: %s", self.link)


def _strip_echo(echo: bytes, data: bytes) -> tuple[bytes, bytes]:
    """Return the echo still awaited, and the data without the echo that stood at its head.

    Raises:
        RemoteProtocolError: If the adapter heard something else than was sent.
    """
    count = min(len(echo), len(data))
    if echo[:count] != data[:count]:
        reason = "the echo differs from what was sent: a collision, or the adapter has no echo"
        raise RemoteProtocolError(reason, frame=data)
    return echo[count:], data[count:]


def _explain(code: int) -> tuple[str, str]:
    return EXCEPTIONS.get(code, (f"exception_{code:02x}", f"exception 0x{code:02X}"))
