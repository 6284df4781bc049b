"""A token on its way while the other side dies, hangs, dawdles or talks nonsense.

On real sockets. Whatever happens, the write is on the wire once for each time it was asked for,
the outcome is never a refusal that was not given, and the same token again ends every doubt.
"""

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from enum import Enum, auto

import pytest

from meter_drivers import BusPool, Done, Refused, Unknown, open_meter
from meter_drivers.protocols.modbus.token_entry import TokenOutcome
from simulators.faults import Transmission
from tests.support.hushed_meters import Heard, hush
from tests.support.modbus_meter import PrepayMeter, tcp

TOKEN = "09123456789012345678"
GARBAGE = bytes((7 * index + 13) % 256 for index in range(300))


class End(Enum):
    """What becomes of the connection."""

    OPEN = auto()
    SHUT = auto()
    RESET = auto()
    """As the kernel does for a process that was killed."""


Misdeed = Callable[[bytes], tuple[bytes, End]]
"""What the other side sends instead of its answer, and then does to the connection."""


def hang(_answer: bytes) -> tuple[bytes, End]:
    return b"", End.OPEN


def close_before_answer(_answer: bytes) -> tuple[bytes, End]:
    return b"", End.SHUT


def close_within_answer(answer: bytes) -> tuple[bytes, End]:
    return answer[:9], End.SHUT


def die(_answer: bytes) -> tuple[bytes, End]:
    return b"", End.RESET


def talk_nonsense(_answer: bytes) -> tuple[bytes, End]:
    return GARBAGE, End.OPEN


def dawdle(answer: bytes) -> tuple[bytes, End]:
    """Send half an answer, and keep the rest."""
    return answer[:6], End.OPEN


def answer_for_another_unit(answer: bytes) -> tuple[bytes, End]:
    return answer[:6] + bytes([answer[6] + 1]) + answer[7:], End.OPEN


def answer_another_request(answer: bytes) -> tuple[bytes, End]:
    return bytes([answer[0] ^ 0x55]) + answer[1:], End.OPEN


def give_up(answer: bytes) -> tuple[bytes, End]:
    """Say as a gateway that the meter did not answer, although it did."""
    (transaction,) = struct.unpack(">H", answer[:2])
    return tcp(transaction, answer[6], b"\x90\x0b"), End.OPEN


MISDEEDS: tuple[Misdeed, ...] = (
    hang,
    close_before_answer,
    close_within_answer,
    die,
    talk_nonsense,
    dawdle,
    answer_for_another_unit,
    answer_another_request,
    give_up,
)


class BadPeer:
    """A gateway that answers reads, and does its misdeed to the first write."""

    def __init__(self, meter: PrepayMeter, misdeed: Misdeed, *, applies: bool) -> None:
        self.meter = meter
        self.misdeed: Misdeed | None = misdeed
        self.applies = applies
        self.write_count = 0
        self.heard = Heard()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._serve)

    @property
    def link(self) -> str:
        return f"modbus-tcp://127.0.0.1:{self.listener.getsockname()[1]}/1"

    @property
    def pool(self) -> BusPool:
        return BusPool(adapt=lambda _spec, stream, _timer: hush(stream, self.heard))

    def _serve(self) -> None:
        while not self.stopped.is_set():
            if select.select([self.listener], [], [], 0.02)[0]:
                connection, _ = self.listener.accept()
                with connection:
                    self._serve_one(connection)

    def _serve_one(self, connection: socket.socket) -> None:
        buffer = b""
        while not self.stopped.is_set() and connection.fileno() >= 0:
            if not select.select([connection], [], [], 0.02)[0]:
                continue
            try:
                data = connection.recv(512)
            except OSError:
                return
            if not data:
                return
            buffer += data
            while len(buffer) >= 6 and len(buffer) >= 6 + struct.unpack(">H", buffer[4:6])[0]:
                size = 6 + struct.unpack(">H", buffer[4:6])[0]
                self._answer(connection, buffer[:size])
                buffer = buffer[size:]

    def _answer(self, connection: socket.socket, frame: bytes) -> None:
        (transaction,), pdu = struct.unpack(">H", frame[:2]), frame[7:]
        misdeed = None
        if pdu[0] == 0x10:
            self.write_count += 1
            misdeed, self.misdeed = self.misdeed, None
        answered = self.meter.answer_pdu(pdu) if misdeed is None or self.applies else pdu[:5]
        sent, end = tcp(transaction, 1, answered), End.OPEN
        if misdeed is not None:
            sent, end = misdeed(sent)
        self.heard.note((Transmission(sent),))
        connection.sendall(sent)
        if end is End.SHUT:
            connection.shutdown(socket.SHUT_RDWR)
        elif end is End.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


@pytest.fixture
def serve(prepay_meter: PrepayMeter) -> Iterator[Callable[..., BadPeer]]:
    prepay_meter.outcomes[TOKEN] = TokenOutcome.ACCEPT
    peers: list[BadPeer] = []

    def start(misdeed: Misdeed, *, applies: bool) -> BadPeer:
        peer = BadPeer(prepay_meter, misdeed, applies=applies)
        peer.thread.start()
        peers.append(peer)
        return peer

    yield start
    for peer in peers:
        peer.stopped.set()
        peer.thread.join()
        peer.listener.close()


@pytest.mark.parametrize("misdeed", MISDEEDS, ids=lambda misdeed: misdeed.__name__)
def test_token_that_was_taken_is_found_taken_after_one_write(
    serve: Callable[..., BadPeer], misdeed: Misdeed
) -> None:
    peer = serve(misdeed, applies=True)
    with open_meter(peer.link, profile="reference_prepay", pool=peer.pool) as meter:
        assert isinstance(meter.enter_token(TOKEN), Done)
        assert peer.write_count == 1
        again = meter.enter_token(TOKEN)
    assert isinstance(again, Refused)
    assert again.reason == "used_error"
    assert peer.write_count == 2


@pytest.mark.parametrize("misdeed", [hang, die, talk_nonsense], ids=lambda each: each.__name__)
def test_token_that_was_lost_is_unknown_after_one_write_and_taken_the_second_time(
    serve: Callable[..., BadPeer], misdeed: Misdeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meter_drivers.drivers.modbus_orders.TOKEN_POLL_S", 0.01)
    peer = serve(misdeed, applies=False)
    with open_meter(peer.link, profile="reference_prepay", pool=peer.pool) as meter:
        assert isinstance(meter.enter_token(TOKEN), Unknown)
        assert peer.write_count == 1
        assert isinstance(meter.enter_token(TOKEN), Done)
    assert peer.write_count == 2
