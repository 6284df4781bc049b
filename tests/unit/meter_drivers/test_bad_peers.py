"""A token on its way while the other side dies, hangs, dawdles or talks nonsense.

On real sockets. Whatever happens, the write is on the wire once for each time it was asked for,
the outcome is never a refusal that was not given, and the same token again ends every doubt.
"""

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from meter_drivers import BusPool, Done, Refused, Unknown, open_meter
from meter_drivers.protocols.modbus.token_entry import TokenOutcome
from tests.support.modbus_meter import PrepayMeter, tcp

TOKEN = "09123456789012345678"
TIMEOUT_S = 0.15
GARBAGE = bytes((7 * index + 13) % 256 for index in range(300))

Misdeed = Callable[[socket.socket, bytes], None]
"""What the other side does instead of sending its answer."""


def hang(_connection: socket.socket, _answer: bytes) -> None:
    """Send nothing, and leave the connection open."""


def close_before_answer(connection: socket.socket, _answer: bytes) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def close_within_answer(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer[:9])
    connection.shutdown(socket.SHUT_RDWR)


def die(connection: socket.socket, _answer: bytes) -> None:
    """Reset the connection, as the kernel does for a process that was killed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def talk_nonsense(connection: socket.socket, _answer: bytes) -> None:
    connection.sendall(GARBAGE)


def dawdle(connection: socket.socket, answer: bytes) -> None:
    """Send half an answer, and keep the rest."""
    connection.sendall(answer[:6])


def answer_for_another_unit(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer[:6] + bytes([answer[6] + 1]) + answer[7:])


def answer_another_request(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(bytes([answer[0] ^ 0x55]) + answer[1:])


def give_up(connection: socket.socket, answer: bytes) -> None:
    """Say as a gateway that the meter did not answer, although it did."""
    (transaction,) = struct.unpack(">H", answer[:2])
    connection.sendall(tcp(transaction, answer[6], b"\x90\x0b"))


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
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._serve)

    @property
    def link(self) -> str:
        return f"modbus-tcp://127.0.0.1:{self.listener.getsockname()[1]}/1"

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
        if pdu[0] != 0x10:
            connection.sendall(tcp(transaction, 1, self.meter.answer_pdu(pdu)))
            return
        self.write_count += 1
        misdeed, self.misdeed = self.misdeed, None
        answered = self.meter.answer_pdu(pdu) if misdeed is None or self.applies else pdu[:5]
        answer = tcp(transaction, 1, answered)
        if misdeed is None:
            connection.sendall(answer)
        else:
            misdeed(connection, answer)


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
    with open_meter(
        peer.link, profile="reference_prepay", timeout_s=TIMEOUT_S, pool=BusPool()
    ) as meter:
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
    with open_meter(
        peer.link, profile="reference_prepay", timeout_s=TIMEOUT_S, pool=BusPool()
    ) as meter:
        assert isinstance(meter.enter_token(TOKEN), Unknown)
        assert peer.write_count == 1
        assert isinstance(meter.enter_token(TOKEN), Done)
    assert peer.write_count == 2
