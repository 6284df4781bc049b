"""Modbus frames, master side: a request as bytes, and the answer to it out of bytes.

Modbus Application Protocol V1.1b3 (functions 0x03, 0x04, 0x06, 0x10); RTU framing by Modbus over
Serial Line V1.02, 2.5; TCP framing by Modbus Messaging on TCP/IP V1.0b.

    RTU   unit | function | data ... | CRC low | CRC high
    TCP   transaction (2) | protocol 0 (2) | length (2) | unit | function | data ...

pymodbus builds and checks frames and PDUs here, through its framer and decoder classes, which do
no I/O. Its clients are not used: they repeat a write on a timeout, and they take a late RTU
answer for the next one, since they compare unit and function code only. What an answer must be
follows from its request, so a receiver is made for one request and also compares the byte count,
the echoed address and count of a write, and the transaction.

Damage survived: bytes in any portions; up to `LEADING_NOISE_MAX` bytes 0x00 or 0xFF before an RTU
answer (a transceiver that switches; no unit has these addresses); bytes after it; late TCP
answers to earlier transactions. Everything else is refused with `RemoteProtocolError`.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.modbus.blocks import READ_REGISTERS_MAX, WRITE_REGISTERS_MAX
from meter_drivers.registers import WORD_MAX, RegisterTable, WriteRule

UNIT_MIN: Final = 1
UNIT_MAX: Final = 247
UNIT_OF_GATEWAY: Final = 255
"""What a meter with its own TCP port is addressed by, where it has no unit."""
EXCEPTION_FLAG: Final = 0x80
LEADING_NOISE_MAX: Final = 4
STALE_FRAMES_MAX: Final = 16
"""More late answers than this before the awaited one mean that the stream is out of step."""

_NOISE: Final = b"\x00\xff"
_RTU_FRAME_SIZE: Final = 3
"""Unit and CRC around a PDU."""
_EXCEPTION_PDU_SIZE: Final = 2
_WRITE_PDU_SIZE: Final = 5
_MBAP_SIZE: Final = 6
_MBAP_LENGTH_MIN: Final = 3
_MBAP_LENGTH_MAX: Final = 254
_TRANSACTION_COUNT: Final = 0x10000
_READ_FUNCTIONS: Final = {RegisterTable.HOLDING: 0x03, RegisterTable.INPUT: 0x04}
_WRITE_FUNCTIONS: Final = {WriteRule.FC06: 0x06, WriteRule.FC16: 0x10}


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request for `count` registers from `address`."""

    unit: int
    table: RegisterTable
    address: int
    count: int

    def __post_init__(self) -> None:
        _check_unit(self.unit)
        _check_span(self.address, self.count, READ_REGISTERS_MAX)

    @property
    def function(self) -> int:
        """Return the function code."""
        return _READ_FUNCTIONS[self.table]


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """An order to set registers from `address` on."""

    unit: int
    address: int
    words: tuple[int, ...]
    rule: WriteRule

    def __post_init__(self) -> None:
        _check_unit(self.unit)
        words_max = 1 if self.rule is WriteRule.FC06 else WRITE_REGISTERS_MAX
        _check_span(self.address, len(self.words), words_max)
        if not all(0 <= word <= WORD_MAX for word in self.words):
            message = "a register holds 16 bits"
            raise LocalProtocolError(message)

    @property
    def function(self) -> int:
        """Return the function code."""
        return _WRITE_FUNCTIONS[self.rule]


Request = ReadRequest | WriteRequest


@dataclass(frozen=True, slots=True)
class RegistersRead:
    """The registers that were asked for."""

    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RegistersWritten:
    """The meter confirms the write."""


@dataclass(frozen=True, slots=True)
class ExceptionAnswer:
    """The meter, or a gateway before it, answers with an exception code."""

    code: int


Answer = RegistersRead | RegistersWritten | ExceptionAnswer


class AnswerReceiver(Protocol):
    """Takes bytes as they come, until they are the answer to one request."""

    def receive_data(self, data: bytes) -> None:
        """Take more bytes."""

    def next_answer(self) -> Answer | None:
        """Return the answer, or `None` while bytes are missing.

        Raises:
            RemoteProtocolError: If the bytes cannot become the answer to this request.
        """


class Framing(Protocol):
    """How requests and answers are framed on one kind of line."""

    def encode(self, request: Request, *, transaction: int) -> bytes:
        """Return the frame of a request."""

    def receiver(self, request: Request, *, transaction: int) -> AnswerReceiver:
        """Return the receiver for the answer to this request, and no other."""


class RTUFraming:
    """Frames with a CRC and no transaction number."""

    def encode(self, request: Request, *, transaction: int) -> bytes:
        """Return the frame of a request; RTU has no place for the transaction."""
        del transaction
        return FramerRTU(_DECODER).buildFrame(_to_pdu(request))

    def receiver(self, request: Request, *, transaction: int) -> AnswerReceiver:
        """Return the receiver for the answer to this request."""
        del transaction
        return _RTUReceiver(request)


class TCPFraming:
    """Frames with a transaction number and no CRC."""

    def encode(self, request: Request, *, transaction: int) -> bytes:
        """Return the frame of a request."""
        pdu = _to_pdu(request)
        pdu.transaction_id = transaction
        return FramerSocket(_DECODER).buildFrame(pdu)

    def receiver(self, request: Request, *, transaction: int) -> AnswerReceiver:
        """Return the receiver for the answer to this request in this transaction."""
        return _TCPReceiver(request, transaction)


class _RTUReceiver:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._buffer = bytearray()
        self._noise_count = 0

    def receive_data(self, data: bytes) -> None:
        self._buffer += data

    def next_answer(self) -> Answer | None:
        self._drop_leading_noise()
        size = self._find_size()
        if size is None or len(self._buffer) < size:
            return None
        frame = bytes(self._buffer[:size])
        _, _, _, pdu = FramerRTU(_DECODER).decode(frame)
        if not pdu:
            reason = "the CRC of the answer is wrong"
            raise RemoteProtocolError(reason, frame=frame)
        return _decode_answer(self._request, pdu, frame=frame)

    def _drop_leading_noise(self) -> None:
        while self._buffer and self._buffer[0] in _NOISE and self._noise_count < LEADING_NOISE_MAX:
            del self._buffer[0]
            self._noise_count += 1

    def _find_size(self) -> int | None:
        """Return the size the answer must have, once its head tells.

        Raises:
            RemoteProtocolError: If the head is that of another answer.
        """
        frame = bytes(self._buffer)
        if frame and frame[0] != self._request.unit:
            reason = f"unit {frame[0]} answers for unit {self._request.unit}"
            raise RemoteProtocolError(reason, frame=frame)
        if len(frame) < _RTU_FRAME_SIZE + _EXCEPTION_PDU_SIZE:
            return None
        if frame[1] == self._request.function | EXCEPTION_FLAG:
            return _RTU_FRAME_SIZE + _EXCEPTION_PDU_SIZE
        _check_head(self._request, frame[1:], frame=frame)
        return _RTU_FRAME_SIZE + _size_of_answer(self._request)


class _TCPReceiver:
    def __init__(self, request: Request, transaction: int) -> None:
        self._request = request
        self._transaction = transaction
        self._buffer = bytearray()
        self._stale_count = 0

    def receive_data(self, data: bytes) -> None:
        self._buffer += data

    def next_answer(self) -> Answer | None:
        while (frame := self._take_frame()) is not None:
            _, unit, transaction, pdu = FramerSocket(_DECODER).decode(frame)
            if transaction != self._transaction:
                self._count_stale(frame)
                continue
            if unit != self._request.unit:
                reason = f"unit {unit} answers for unit {self._request.unit}"
                raise RemoteProtocolError(reason, frame=frame)
            return _decode_answer(self._request, pdu, frame=frame)
        return None

    def _take_frame(self) -> bytes | None:
        """Return the next whole frame out of the buffer.

        Raises:
            RemoteProtocolError: If the head is not one of Modbus TCP.
        """
        if len(self._buffer) < _MBAP_SIZE:
            return None
        protocol = int.from_bytes(self._buffer[2:4], "big")
        length = int.from_bytes(self._buffer[4:6], "big")
        if protocol != 0 or not _MBAP_LENGTH_MIN <= length <= _MBAP_LENGTH_MAX:
            reason = "the head of the answer is not one of Modbus TCP"
            raise RemoteProtocolError(reason, frame=bytes(self._buffer))
        size = _MBAP_SIZE + length
        if len(self._buffer) < size:
            return None
        frame = bytes(self._buffer[:size])
        del self._buffer[:size]
        return frame

    def _count_stale(self, frame: bytes) -> None:
        """Pass over a late answer.

        Raises:
            RemoteProtocolError: If there are too many.
        """
        self._stale_count += 1
        if self._stale_count > STALE_FRAMES_MAX:
            reason = "only answers to other transactions come"
            raise RemoteProtocolError(reason, frame=frame)


def next_transaction(transaction: int) -> int:
    """Return the transaction number after this one; they run around, and 0 is left out."""
    return (transaction + 1) % _TRANSACTION_COUNT or 1


def _check_head(request: Request, pdu: bytes, *, frame: bytes) -> None:
    """Refuse function codes and byte counts that this request cannot be answered with.

    Raises:
        RemoteProtocolError: If they are others.
    """
    if pdu[0] != request.function:
        reason = f"the answer has function 0x{pdu[0]:02X}, not 0x{request.function:02X}"
        raise RemoteProtocolError(reason, frame=frame)
    if isinstance(request, ReadRequest) and pdu[1] != 2 * request.count:
        reason = f"the answer brings {pdu[1]} bytes, not {2 * request.count}"
        raise RemoteProtocolError(reason, frame=frame)


def _decode_answer(request: Request, pdu: bytes, *, frame: bytes) -> Answer:
    """Return the answer in a PDU whose frame was whole.

    Raises:
        RemoteProtocolError: If it is not one to this request.
    """
    is_exception = pdu[0] == request.function | EXCEPTION_FLAG
    if not is_exception:
        _check_head(request, pdu, frame=frame)
    size = _EXCEPTION_PDU_SIZE if is_exception else _size_of_answer(request)
    if len(pdu) != size:
        reason = f"the answer is {len(pdu)} bytes long, not {size}"
        raise RemoteProtocolError(reason, frame=frame)
    if is_exception:
        return ExceptionAnswer(pdu[1])
    decoded = _DECODER.decode(pdu)
    assert decoded is not None, "a known function in its full length decodes"
    if isinstance(request, ReadRequest):
        return RegistersRead(tuple(decoded.registers))
    return _check_written(request, decoded, frame)


def _size_of_answer(request: Request) -> int:
    return 2 + 2 * request.count if isinstance(request, ReadRequest) else _WRITE_PDU_SIZE


def _check_written(request: WriteRequest, decoded: ModbusPDU, frame: bytes) -> RegistersWritten:
    asked = (
        (request.address, *request.words)
        if request.rule is WriteRule.FC06
        else (request.address, len(request.words))
    )
    told = (
        (decoded.address, *decoded.registers)
        if request.rule is WriteRule.FC06
        else (decoded.address, decoded.count)
    )
    if asked != told:
        reason = f"the meter confirms another write ({told}, not {asked})"
        raise RemoteProtocolError(reason, frame=frame)
    return RegistersWritten()


def _to_pdu(request: Request) -> ModbusPDU:
    match request:
        case ReadRequest(table=RegisterTable.HOLDING):
            return ReadHoldingRegistersRequest(
                dev_id=request.unit, address=request.address, count=request.count
            )
        case ReadRequest():
            return ReadInputRegistersRequest(
                dev_id=request.unit, address=request.address, count=request.count
            )
        case WriteRequest(rule=WriteRule.FC06):
            return WriteSingleRegisterRequest(
                dev_id=request.unit, address=request.address, registers=list(request.words)
            )
        case WriteRequest():
            return WriteMultipleRegistersRequest(
                dev_id=request.unit, address=request.address, registers=list(request.words)
            )


def _check_unit(unit: int) -> None:
    """Refuse addresses no single meter has; 0 would be a broadcast.

    Raises:
        LocalProtocolError: If it is not 1 to 247, or 255.
    """
    if not UNIT_MIN <= unit <= UNIT_MAX and unit != UNIT_OF_GATEWAY:
        message = f"unit {unit} is no meter's address; use {UNIT_MIN} to {UNIT_MAX}"
        raise LocalProtocolError(message)


def _check_span(address: int, count: int, count_max: int) -> None:
    """Refuse spans that no frame carries.

    Raises:
        LocalProtocolError: If the span is empty, too long or past the end.
    """
    if not 1 <= count <= count_max or not 0 <= address <= WORD_MAX + 1 - count:
        message = f"{count} registers from 0x{address:04X} do not fit one frame"
        raise LocalProtocolError(message)


_DECODER: Final = DecodePDU(is_server=False)
