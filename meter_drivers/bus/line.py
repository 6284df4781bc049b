"""The one owner of a line, whatever protocol it carries: turns, pauses, echo, quarantine.

Its laws:
- one exchange at a time; between two, the line is silent for 3.5 characters and as long as the
  meter needs, longer when the meter changes (Modbus over Serial Line V1.02, 2.5.1.1);
- nothing is sent twice from here: what to ask again is the business of the protocol's bus;
- after anything but a clean answer the line is in quarantine: before the next request leaves,
  what still comes is read and thrown away, until the slowest late answer has passed. On TCP the
  connection is closed as well, so that a gateway forgets what it still owes.

An answer on a serial line carries no number of its request. So a late one could be taken for the
next; the quarantine is what prevents it, and what each protocol compares besides.
"""

import logging
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from meter_drivers.bus.breaker import SilenceBreaker
from meter_drivers.bus.trace import Direction, FrameTrace
from meter_drivers.bus.turns import Turns, Urgency
from meter_drivers.errors import (
    ConnectionLostError,
    DriverError,
    LinkTimeoutError,
    RemoteProtocolError,
    TransportError,
)
from meter_drivers.transports.port import ByteStream, Timer

TURN_TIMEOUT_S: Final = 60.0
READ_SIZE_MAX: Final = 512
DRAIN_SIZE_MAX: Final = 4096
"""A line that still brings bytes after so many is not a meter's."""

_LOG: Final = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")
_Answer_co = TypeVar("_Answer_co", covariant=True)


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


class Receiver(Protocol[_Answer_co]):
    """Finds the answer to one request in what comes."""

    def receive_data(self, data: bytes) -> None:
        """Take what came, in any portions.

        Raises:
            RemoteProtocolError: If it can be no answer to the request.
        """

    def next_answer(self) -> _Answer_co | None:
        """Return the answer if it is whole.

        Raises:
            RemoteProtocolError: If it can be no answer to the request.
        """


@dataclass(frozen=True, slots=True)
class Sending(Generic[_Answer]):
    """A frame to send, and what finds its answer."""

    frame: bytes
    receiver: Receiver[_Answer]
    shown_size: int | None = None
    """How many bytes of the frame and of its answer a trace may show; `None`: all of them."""


class LineOwner:
    """Owns a line for any number of threads; the protocol's bus says what to send on it."""

    def __init__(
        self,
        stream: ByteStream,
        *,
        pacing: Pacing,
        timer: Timer,
        reopens_after_silence: bool,
        trace: FrameTrace | None = None,
    ) -> None:
        self._stream = stream
        self._pacing = pacing
        self._timer = timer
        self._reopens_after_silence = reopens_after_silence
        self._turns = Turns(stream.link)
        self._last_station: Hashable = None
        self._silent_since_s = timer.now_s()
        self._quarantine_ends_s: float | None = None
        self._is_lost = False
        self._breaker = SilenceBreaker(stream.link, timer)
        self.trace = trace or FrameTrace(timer)
        """The latest frames both ways, with secrets hidden."""

    @property
    def link(self) -> str:
        """Return what messages call this line."""
        return self._stream.link

    @property
    def timer(self) -> Timer:
        """Return the timer of this line."""
        return self._timer

    def rest(self) -> None:
        """Close the line until it is used again; only for one that nobody uses now."""
        self._stream.close()

    @contextmanager
    def turn(self, urgency: Urgency, station: Hashable, timing: MeterTiming) -> Iterator[None]:
        """Hold the line for one meter, ready for its first request.

        Raises:
            LineBusyError: If it does not come free in time.
            MeterSilentError: If a poll is for a meter that is left alone.
            DriverError: If it cannot be made ready; nothing has left then.
        """
        if urgency is Urgency.POLL:
            self._breaker.require_heard(station)
        with self._turns.take(urgency, timeout_s=TURN_TIMEOUT_S):
            self._prepare(station, timing)
            yield

    def exchange(self, sending: Sending[_Answer], timing: MeterTiming) -> _Answer:
        """Send a request and return its answer; only within a turn.

        Raises:
            DriverError: If no clean answer comes; the line is in quarantine then.
        """
        wait_s = self._wait_s(timing)
        # Set before the first byte leaves, so that an interrupted exchange leaves it behind.
        self._quarantine_ends_s = self._timer.now_s() + 2 * wait_s
        try:
            self.trace.note(Direction.SENT, sending.frame, shown_size=sending.shown_size)
            self._stream.write(sending.frame, timeout_s=wait_s)
            answer = self._receive(sending, wait_s)
        except DriverError as error:
            self.trace.note_end(error.code)
            if isinstance(error, LinkTimeoutError):
                self._breaker.note_silence(self._last_station)
            self._begin_quarantine(wait_s)
            self._note_lost()
            raise
        self._silent_since_s = self._timer.now_s()
        self._quarantine_ends_s = None
        self._breaker.note_answer(self._last_station)
        self._note_back()
        return answer

    def silent_stations(self) -> tuple[Hashable, ...]:
        """Return the meters that did not answer lately."""
        return self._breaker.silent_stations()

    def distrust(self, timing: MeterTiming) -> None:
        """Begin a quarantine after an answer that another may follow."""
        self._begin_quarantine(self._wait_s(timing))

    # --- an exchange ----------------------------------------------------------------------------
    def _wait_s(self, timing: MeterTiming) -> float:
        return timing.answer_s + self._pacing.answer_s

    def _prepare(self, station: Hashable, timing: MeterTiming) -> None:
        """Bring the line to where a request may leave; nothing has left when this raises."""
        is_other = self._last_station is not None and self._last_station != station
        pause_s = max(self._pacing.gap_s, timing.switch_s if is_other else timing.turnaround_s)
        self._open()
        try:
            self._drain(pause_s)
        except ConnectionLostError:
            # The other side closed an idle connection; nothing was asked on it yet.
            self._open()
            self._timer.wait(self._silent_since_s + pause_s - self._timer.now_s())
        self._quarantine_ends_s = None
        self._last_station = station

    def _open(self) -> None:
        try:
            self._stream.open()
        except TransportError:
            self._note_lost()
            raise

    def _receive(self, sending: Sending[_Answer], wait_s: float) -> _Answer:
        ends_s = self._timer.now_s() + wait_s
        echo = sending.frame if self._pacing.strips_echo else b""
        received = b""
        while True:
            left_s = ends_s - self._timer.now_s()
            if left_s <= 0:
                raise LinkTimeoutError(self.link, waited_s=wait_s, received=received)
            try:
                data = self._stream.read(READ_SIZE_MAX, timeout_s=left_s)
            except LinkTimeoutError as error:
                raise LinkTimeoutError(self.link, waited_s=wait_s, received=received) from error
            shown_size = sending.shown_size
            if shown_size is not None:
                shown_size = max(0, shown_size - len(received))
            self.trace.note(Direction.RECEIVED, data, shown_size=shown_size)
            received += data
            echo, data = _strip_echo(echo, data)
            sending.receiver.receive_data(data)
            answer = sending.receiver.next_answer()
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
                drained = self._stream.read(READ_SIZE_MAX, timeout_s=left_s)
            except LinkTimeoutError:
                return
            self.trace.note(Direction.DRAINED, drained, shown_size=0)
            drained_count += len(drained)
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
