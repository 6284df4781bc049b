"""One exchange at a time with a meter, and the other end of it.

Laws:
- the client asks once, and every frame that cannot be the answer is passed over and counted: our
  own echo, an answer of another meter or to another question; more than `STALE_FRAMES_MAX` of
  them, or an answer that is malformed, end the exchange with an error;
- nothing is ever sent twice: a follow-on request is sent once for every sequence number;
- the client waits for no clock: its owner holds the deadline and calls `abandon` at its end;
- the server answers no frame of another address, and none that was sent to all.

Client:
    idle     send(request)            -> waiting, or idle if nobody replies to it
    waiting  frame of the answer      -> idle, `Answered`
    waiting  frame with more to come  -> waiting, `FollowOnNeeded`
    waiting  abandon()                -> idle
"""

from dataclasses import dataclass, replace
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlt645.frames import (
    DATA_SIZE_MAX,
    LEADER_COUNT,
    Address,
    Frame,
    FrameReader,
    Function,
)
from meter_drivers.protocols.dlt645.identifiers import IDENTIFIER_SIZE_BYTES
from meter_drivers.protocols.dlt645.messages import (
    Answer,
    DataRead,
    Refused,
    Request,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from meter_drivers.protocols.dlt645.prepaid import SecurityRequest
from meter_drivers.protocols.dlt645.refusals import PlainError, SecurityError
from meter_drivers.protocols.dlt645.requests import (
    ReadData,
    ReadMore,
    WriteAddress,
    encode_identifier,
)

STALE_FRAMES_MAX: Final = 16
"""More frames than this that are no answer mean that the line is out of step."""
SEQUENCE_MAX: Final = 255
ANSWER_DELAY_MIN_MS: Final = 20
ANSWER_DELAY_MAX_MS: Final = 500
BYTE_GAP_MAX_MS: Final = 500
"""Longest pause inside a frame; after it the owner calls `receive_silence`."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The exchange is over; `address` is the meter's own, also if it was asked by another."""

    answer: Answer
    address: Address


@dataclass(frozen=True, slots=True)
class FollowOnNeeded:
    """There is more: send these bytes and go on receiving."""

    octets: bytes


class ClientConnection:
    """The side that asks; see the module for its laws.

    `stale_frames` counts the frames of this exchange that were no answer.
    """

    def __init__(self, address: Address, *, leader_count: int = LEADER_COUNT) -> None:
        self.address = address
        self.leader_count = leader_count
        self.stale_frames = 0
        self._reader = FrameReader()
        self._asked: Request | None = None
        self._parts = bytearray()
        self._sequence = 0

    @property
    def is_waiting(self) -> bool:
        """Return whether an answer is awaited."""
        return self._asked is not None

    @property
    def dropped_bytes(self) -> int:
        """Return how many bytes belonged to no frame, ever."""
        return self._reader.dropped_bytes

    @property
    def last_fault(self) -> str | None:
        """Return why a frame was dropped last."""
        return self._reader.last_fault

    def send(self, request: Request) -> bytes:
        """Return the bytes of a request, and wait for its answer if there is to be one.

        Raises:
            LocalProtocolError: If an answer is awaited, or this request cannot be sent to this
                address.
        """
        if self.is_waiting:
            message = "the answer to the request before is still awaited"
            raise LocalProtocolError(message)
        octets = encode_request(self.address, request).to_bytes(leader_count=self.leader_count)
        self._reader.reset()
        self._parts.clear()
        self._sequence = 0
        self.stale_frames = 0
        self._asked = None if self.address.is_broadcast else request
        return octets

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions; call `next_event` until it returns `None`."""
        self._reader.receive_data(octets)

    def receive_silence(self) -> None:
        """Learn that the line was silent for longer than a frame allows; look for events."""
        self._reader.receive_silence()

    def abandon(self) -> None:
        """Give the exchange up, as at its deadline."""
        self._asked = None
        self._reader.reset()

    def next_event(self) -> Answered | FollowOnNeeded | None:
        """Return what came, or `None` until more bytes do.

        Raises:
            RemoteProtocolError: If the answer is malformed, or only other frames come; the
                exchange is over.
        """
        while (asked := self._asked) is not None and (frame := self._reader.next_frame()):
            try:
                if self._is_answer(asked, frame):
                    return self._take(frame)
            except RemoteProtocolError:
                self.abandon()
                raise
        return None

    def _is_answer(self, asked: Request, frame: Frame) -> bool:
        """Return whether a frame can be the answer; count it if not.

        Raises:
            RemoteProtocolError: If there were too many that are not.
        """
        awaited = Function.READ_MORE if self._sequence else asked.function
        is_from_meter = self.address.covers(frame.address) or (
            isinstance(asked, WriteAddress) and frame.address == asked.address
        )
        is_reply = frame.is_reply and frame.function is awaited and is_from_meter
        if is_reply and (frame.is_error or self._answers_question(asked, frame)):
            return True
        self.stale_frames += 1
        if self.stale_frames > STALE_FRAMES_MAX:
            reason = "only frames come that are no answer"
            raise RemoteProtocolError(reason, frame=frame.to_bytes())
        return False

    def _answers_question(self, asked: Request, frame: Frame) -> bool:
        if not isinstance(asked, ReadData | ReadMore | SecurityRequest):
            return True
        sequence = bytes([self._sequence]) if self._sequence else b""
        head = encode_identifier(asked.identifier)
        return frame.data.startswith(head) and frame.data.endswith(sequence)

    def _take(self, frame: Frame) -> Answered | FollowOnNeeded:
        answer = decode_answer(frame)
        if not isinstance(answer, DataRead):
            return self._finish(answer, frame)
        self._parts += answer.octets[:-1] if self._sequence else answer.octets
        if not frame.has_more:
            return self._finish(DataRead(answer.identifier, bytes(self._parts)), frame)
        if self._sequence == SEQUENCE_MAX:
            reason = "a read has no end"
            raise RemoteProtocolError(reason, frame=frame.data)
        self._sequence += 1
        more = ReadMore(answer.identifier, self._sequence)
        request = encode_request(self.address, more)
        return FollowOnNeeded(request.to_bytes(leader_count=self.leader_count))

    def _finish(self, answer: Answer, frame: Frame) -> Answered:
        self._asked = None
        return Answered(answer, frame.address)


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A request to this meter; `expects_reply` is false for one that was sent to all."""

    request: Request
    expects_reply: bool


@dataclass(frozen=True, slots=True)
class ReplyReady:
    """A frame that needs no decision was answered: send these bytes."""

    octets: bytes


class ServerConnection:
    """The side of a meter. Several on one line share a `FrameReader` and use `take_frame`."""

    def __init__(
        self,
        address: Address,
        *,
        leader_count: int = LEADER_COUNT,
        data_size_max: int = DATA_SIZE_MAX,
        security_error_size_bytes: int = 2,
    ) -> None:
        self.address = address
        """Its owner changes it when it takes another address."""
        self._leader_count = leader_count
        self._part_size = data_size_max - IDENTIFIER_SIZE_BYTES - 1
        self._security_error_size = security_error_size_bytes
        self._reader = FrameReader()
        self._asked: Request | None = None
        self._rest: tuple[int, tuple[bytes, ...]] = (0, ())

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions; call `next_event` until it returns `None`."""
        self._reader.receive_data(octets)

    def receive_silence(self) -> None:
        """Learn that the line was silent for longer than a frame allows; look for events."""
        self._reader.receive_silence()

    def next_event(self) -> RequestReceived | ReplyReady | None:
        """Return what came for this meter, or `None` until more bytes do."""
        while frame := self._reader.next_frame():
            if event := self.take_frame(frame):
                return event
        return None

    def take_frame(self, frame: Frame) -> RequestReceived | ReplyReady | None:
        """Return what a frame means to this meter; `None` if it is not for it."""
        if frame.is_reply or not frame.address.covers(self.address):
            return None
        expects_reply = not (
            frame.address.is_broadcast or frame.function is Function.BROADCAST_TIME
        )
        self._asked = None
        try:
            request = decode_request(frame)
        except RemoteProtocolError:
            return self._refuse_malformed(frame.function) if expects_reply else None
        if isinstance(request, ReadMore):
            return ReplyReady(self._encode_part(request)) if expects_reply else None
        self._rest = (0, ())
        self._asked = request if expects_reply else None
        return RequestReceived(request, expects_reply)

    def reply(self, answer: Answer) -> bytes:
        """Return the bytes of the answer to the request that came last.

        Raises:
            LocalProtocolError: If none awaits an answer, or a field does not fit.
        """
        if self._asked is None:
            message = "no request awaits an answer"
            raise LocalProtocolError(message)
        function, rest = self._asked.function, b""
        if isinstance(answer, DataRead):
            rest = answer.octets[self._part_size :]
            answer = DataRead(answer.identifier, answer.octets[: self._part_size])
            self._rest = (answer.identifier, self._split(rest))
        frame = encode_answer(self.address, function, answer)
        octets = self._to_bytes(replace(frame, has_more=bool(rest)))
        self._asked = None
        return octets

    def _split(self, octets: bytes) -> tuple[bytes, ...]:
        """Return the parts that follow-on frames carry.

        Raises:
            LocalProtocolError: If there are more than the sequence byte counts.
        """
        size = self._part_size
        parts = tuple(octets[place : place + size] for place in range(0, len(octets), size))
        if len(parts) > SEQUENCE_MAX:
            message = f"{len(octets)} bytes are too many for one read"
            raise LocalProtocolError(message)
        return parts

    def _encode_part(self, request: ReadMore) -> bytes:
        identifier, parts = self._rest
        if request.identifier != identifier or not 1 <= request.sequence <= len(parts):
            refusal = Refused(PlainError.NO_SUCH_DATA)
            return self._to_bytes(encode_answer(self.address, request.function, refusal))
        content = parts[request.sequence - 1] + bytes([request.sequence])
        frame = encode_answer(self.address, request.function, DataRead(identifier, content))
        return self._to_bytes(replace(frame, has_more=request.sequence < len(parts)))

    def _refuse_malformed(self, function: Function) -> ReplyReady:
        refusal = Refused(PlainError.OTHER)
        if function is Function.SECURITY:
            refusal = Refused(SecurityError.OTHER, self._security_error_size)
        return ReplyReady(self._to_bytes(encode_answer(self.address, function, refusal)))

    def _to_bytes(self, frame: Frame) -> bytes:
        return frame.to_bytes(leader_count=self._leader_count)
