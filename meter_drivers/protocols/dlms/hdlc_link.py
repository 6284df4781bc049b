"""HDLC as a link, both roles: connection, sequence numbers, segments (IEC 62056-46, 6).

Laws, for a window of one frame in each direction:
- `V(S)` is the number of the next I-frame sent, `V(R)` that of the next one awaited. An I-frame is
  taken once: one with another number is a repetition, and is not handed on.
- A long APDU leaves in segments; RR asks for each following one.
- A station answers only what is addressed to it, and speaks only when polled.
- The client never repeats an I-frame. `ask_again` polls with RR: a server that has answered
  repeats its answer, one that has not received the request says so.

    client   closed --SNRM--> opening --UA--> open --DISC--> closing --UA or DM--> closed
    server   closed --SNRM / UA--> open --DISC / UA--> closed;   closed: anything else / DM
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.hdlc import (
    SEQUENCE_COUNT,
    Control,
    Frame,
    FrameReader,
    HDLCAddress,
)
from meter_drivers.protocols.dlms.link import (
    AnswerPending,
    APDUReceived,
    LinkClosed,
    LinkEvent,
    LinkOpened,
    RequestNotReceived,
)
from meter_drivers.protocols.dlms.link_parameters import LinkParameters

LLC_COMMAND: Final = b"\xe6\xe6\x00"
LLC_RESPONSE: Final = b"\xe6\xe7\x00"
APDU_SIZE_MAX: Final = 0xFFFF
"""The largest APDU that an association can agree on; bounds what is put together of segments."""


class _State(Enum):
    CLOSED = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSING = auto()


class _Station:
    """Sequence numbers, segments and buffers: what client and server have in common."""

    def __init__(self, own: HDLCAddress, proposed: LinkParameters) -> None:
        self.own = own
        self.proposed = proposed
        self.agreed = LinkParameters()
        self.peer: HDLCAddress | None = None
        self.state = _State.CLOSED
        self.reader = FrameReader()
        self.events: deque[LinkEvent] = deque()
        self.outgoing = bytearray()
        self.ignored_frame_count = 0
        self.reset()

    def reset(self) -> None:
        """Begin at zero, with nothing sent and nothing half received."""
        self.next_sent = 0
        self.next_awaited = 0
        self.last_sent = b""
        self.segments: deque[bytes] = deque()
        self.assembled = bytearray()

    def emit(self, control: Control, *, information: bytes = b"", segmented: bool = False) -> None:
        assert self.peer is not None, "there is somebody to talk to"
        frame = Frame(
            destination=self.peer,
            source=self.own,
            control=control,
            send_sequence=self.next_sent if control is Control.INFORMATION else 0,
            receive_sequence=self.next_awaited
            if control in {Control.INFORMATION, Control.RR}
            else 0,
            segmented=segmented,
            information=information,
        ).to_bytes()
        self.outgoing += frame
        if control is Control.INFORMATION:
            self.last_sent = frame
            self.next_sent = (self.next_sent + 1) % SEQUENCE_COUNT

    def emit_segment(self) -> None:
        segment = self.segments.popleft()
        self.emit(Control.INFORMATION, information=segment, segmented=bool(self.segments))

    def send(self, octets: bytes) -> None:
        if self.state is not _State.OPEN:
            message = "the HDLC connection is not open"
            raise LocalProtocolError(message)
        if len(octets) > APDU_SIZE_MAX + len(LLC_COMMAND):
            message = f"an APDU has at most {APDU_SIZE_MAX} bytes"
            raise LocalProtocolError(message)
        size_bytes = self.agreed.transmit_size_bytes
        parts = range(0, len(octets), size_bytes)
        self.segments = deque(octets[start : start + size_bytes] for start in parts)
        self.emit_segment()

    def is_acknowledged(self, frame: Frame) -> bool:
        return frame.receive_sequence == self.next_sent

    def take_segment(self, frame: Frame, *, llc: bytes) -> bytes | None:
        """Return the APDU that the segment completes; `None` asks for the next one.

        Raises:
            RemoteProtocolError: If the segment or the APDU is too long, or without its header.
        """
        size_bytes = len(frame.information)
        if size_bytes > self.agreed.receive_size_bytes:
            reason = f"{size_bytes} bytes came in a frame, above the agreed size"
            raise RemoteProtocolError(reason)
        self.next_awaited = (self.next_awaited + 1) % SEQUENCE_COUNT
        self.assembled += frame.information
        if len(self.assembled) > APDU_SIZE_MAX + len(llc):
            self.assembled.clear()
            reason = f"the segments of an APDU exceed {APDU_SIZE_MAX} bytes"
            raise RemoteProtocolError(reason)
        if frame.segmented:
            if frame.poll_final:
                self.emit(Control.RR)
            return None
        whole = bytes(self.assembled)
        self.assembled.clear()
        if not whole.startswith(llc):
            reason = f"an APDU is not behind the LLC header {llc.hex(' ')}"
            raise RemoteProtocolError(reason, frame=whole[: len(llc)])
        return whole[len(llc) :]

    def drain(self) -> bytes:
        outgoing = bytes(self.outgoing)
        self.outgoing.clear()
        return outgoing

    def next_event(self, take_frame: Callable[[Frame], None]) -> LinkEvent | None:
        while not self.events:
            frame = self.reader.next_frame()
            if frame is None:
                return None
            take_frame(frame)
        return self.events.popleft()


class HDLCClient:
    """The station that polls: client SAP `client` (one byte) to one server address."""

    def __init__(
        self, *, client: int, server: HDLCAddress, parameters: LinkParameters | None = None
    ) -> None:
        self._station = _Station(HDLCAddress(client), parameters or LinkParameters())
        self._station.peer = server
        self._awaits_answer = False

    @property
    def parameters(self) -> LinkParameters:
        """Return what was agreed on; the defaults before."""
        return self._station.agreed

    @property
    def is_open(self) -> bool:
        """Return whether APDUs may be sent."""
        return self._station.state is _State.OPEN

    @property
    def dropped_bytes(self) -> int:
        """Return how many bytes belonged to no whole and undamaged frame."""
        return self._station.reader.dropped_bytes

    @property
    def ignored_frame_count(self) -> int:
        """Return how many frames were for others, repeated, or out of place."""
        return self._station.ignored_frame_count

    def connect(self) -> None:
        """Queue SNRM; `LinkOpened` follows, or `LinkClosed` if the server refuses.

        Raises:
            LocalProtocolError: If the connection is open or being closed.
        """
        station = self._station
        if station.state in {_State.OPEN, _State.CLOSING}:
            message = "the HDLC connection is open already"
            raise LocalProtocolError(message)
        station.reset()
        self._awaits_answer = False
        station.state = _State.OPENING
        is_default = station.proposed == LinkParameters()
        station.emit(Control.SNRM, information=b"" if is_default else station.proposed.to_bytes())

    def disconnect(self) -> None:
        """Queue DISC; `LinkClosed` follows."""
        self._station.state = _State.CLOSING
        self._station.emit(Control.DISC)

    def abort(self) -> None:
        """Forget the connection and what came of it, as when the line broke."""
        self._station.state = _State.CLOSED
        self._station.reset()
        self._station.reader.reset()
        self._station.events.clear()
        self._station.outgoing.clear()
        self._awaits_answer = False

    def ask_again(self) -> None:
        """Queue RR: an answer that got lost comes again, a lost request is told.

        Raises:
            LocalProtocolError: If no answer is awaited.
        """
        if not (self.is_open and self._awaits_answer):
            message = "no answer is awaited on this HDLC connection"
            raise LocalProtocolError(message)
        self._station.reader.reset()
        self._station.emit(Control.RR)

    def send(self, apdu: bytes) -> None:
        """Queue an APDU, or its first segment.

        Raises:
            LocalProtocolError: If the connection is not open, an answer is awaited, or the
                APDU is longer than 65,535 bytes.
        """
        if self._awaits_answer:
            message = "the answer to the last APDU is awaited"
            raise LocalProtocolError(message)
        self._station.send(LLC_COMMAND + apdu)
        self._awaits_answer = True

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions."""
        self._station.reader.receive_data(octets)

    def data_to_send(self) -> bytes:
        """Return, once, the bytes that are to leave now."""
        return self._station.drain()

    def next_event(self) -> LinkEvent | None:
        """Return the next event, or `None` until more bytes come.

        Raises:
            RemoteProtocolError: If the server breaks the rules of the connection.
        """
        return self._station.next_event(self._take_frame)

    def _take_frame(self, frame: Frame) -> None:
        station = self._station
        if frame.destination != station.own or frame.source != station.peer:
            station.ignored_frame_count += 1
            return
        match frame.control, station.state:
            case (Control.UA, _State.OPENING):
                station.agreed = station.proposed.agree(
                    LinkParameters.from_bytes(frame.information)
                )
                station.state = _State.OPEN
                station.events.append(LinkOpened())
            case (Control.UA, _State.CLOSING) | (Control.DM, _):
                self._close()
            case (Control.INFORMATION, _State.OPEN):
                self._take_information(frame)
            case (Control.RR, _State.OPEN):
                self._take_ready(frame)
            case (Control.FRMR, _State.OPEN):
                self._close()
                reason = "the server rejects a frame"
                raise RemoteProtocolError(reason, frame=frame.information)
            case _:
                station.ignored_frame_count += 1

    def _close(self) -> None:
        self._station.state = _State.CLOSED
        self._station.reset()
        self._awaits_answer = False
        self._station.events.append(LinkClosed())

    def _take_information(self, frame: Frame) -> None:
        station = self._station
        is_next = frame.send_sequence == station.next_awaited and station.is_acknowledged(frame)
        if not (self._awaits_answer and is_next):
            station.ignored_frame_count += 1
            return
        station.segments.clear()
        apdu = station.take_segment(frame, llc=LLC_RESPONSE)
        if apdu is not None:
            self._awaits_answer = False
            station.events.append(APDUReceived(station.own.upper, apdu))

    def _take_ready(self, frame: Frame) -> None:
        station = self._station
        if not station.is_acknowledged(frame):
            station.events.append(RequestNotReceived())
        elif station.segments:
            station.emit_segment()
        elif self._awaits_answer:
            station.events.append(AnswerPending())


class HDLCServer:
    """The station that is polled: one server address, one client at a time."""

    def __init__(self, *, server: HDLCAddress, parameters: LinkParameters | None = None) -> None:
        self._station = _Station(server, parameters or LinkParameters())

    @property
    def survives_faults(self) -> bool:
        """Return true: frames are found anew."""
        return True

    @property
    def is_open(self) -> bool:
        """Return whether a client is connected."""
        return self._station.state is _State.OPEN

    @property
    def ignored_frame_count(self) -> int:
        """Return how many frames were for others, or out of place."""
        return self._station.ignored_frame_count

    def abort(self) -> None:
        """Forget the connection, as a meter does after its inactivity time."""
        self._station.state = _State.CLOSED
        self._station.reset()
        self._station.peer = None

    def send(self, apdu: bytes) -> None:
        """Queue an APDU, or its first segment.

        Raises:
            LocalProtocolError: If the connection is not open, or the APDU is too long.
        """
        self._station.send(LLC_RESPONSE + apdu)

    def receive_data(self, octets: bytes) -> None:
        """Take bytes in, in any portions."""
        self._station.reader.receive_data(octets)

    def data_to_send(self) -> bytes:
        """Return, once, the bytes that are to leave now."""
        return self._station.drain()

    def next_event(self) -> LinkEvent | None:
        """Return the next event, or `None` until more bytes come.

        Raises:
            RemoteProtocolError: If the client breaks the rules of the connection.
        """
        return self._station.next_event(self._take_frame)

    def _take_frame(self, frame: Frame) -> None:
        station = self._station
        if frame.destination != station.own:
            station.ignored_frame_count += 1
            return
        is_peer = station.state is _State.OPEN and frame.source == station.peer
        match frame.control:
            case Control.SNRM if is_peer or station.state is _State.CLOSED:
                self._open(frame)
            case Control.INFORMATION if is_peer:
                self._take_information(frame)
            case Control.RR if is_peer:
                self._take_ready(frame)
            case Control.DISC if is_peer:
                station.emit(Control.UA)
                self.abort()
                station.events.append(LinkClosed())
            case Control.SNRM | Control.DISC | Control.INFORMATION | Control.RR:
                self._refuse(frame.source)
            case _:
                station.ignored_frame_count += 1

    def _open(self, frame: Frame) -> None:
        station = self._station
        proposed = LinkParameters.from_bytes(frame.information)
        station.reset()
        station.peer = frame.source
        station.agreed = station.proposed.agree(proposed)
        station.state = _State.OPEN
        station.emit(Control.UA, information=station.agreed.to_bytes())
        station.events.append(LinkOpened())

    def _refuse(self, client: HDLCAddress) -> None:
        station = self._station
        connected, station.peer = station.peer, client
        station.emit(Control.DM)
        station.peer = connected

    def _take_information(self, frame: Frame) -> None:
        station = self._station
        if frame.send_sequence != station.next_awaited:
            self._repeat()
            return
        station.segments.clear()
        station.last_sent = b""
        apdu = station.take_segment(frame, llc=LLC_COMMAND)
        if apdu is not None:
            station.events.append(APDUReceived(frame.source.upper, apdu))

    def _take_ready(self, frame: Frame) -> None:
        station = self._station
        if not station.is_acknowledged(frame):
            self._repeat()
        elif station.segments:
            station.emit_segment()
        else:
            station.emit(Control.RR)

    def _repeat(self) -> None:
        if self._station.last_sent:
            self._station.outgoing += self._station.last_sent
        else:
            self._station.emit(Control.RR)
