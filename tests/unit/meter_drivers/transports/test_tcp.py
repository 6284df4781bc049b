import socket
import struct
from collections.abc import Iterator

import pytest

from meter_drivers.errors import ConnectionLostError, LinkTimeoutError
from meter_drivers.transports import tcp
from meter_drivers.transports.tcp import TCPStream


def test_port_where_nobody_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    stream = TCPStream("127.0.0.1", port, connect_timeout_s=60)
    with pytest.raises(ConnectionLostError, match="connection refused; is the gateway running"):
        stream.open()
    assert not stream.is_open


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_name_that_can_be_no_host_is_said(host: str) -> None:
    with pytest.raises(ConnectionLostError, match="no host name"):
        TCPStream(host, 502, connect_timeout_s=60).open()


def test_other_side_that_takes_nothing_ends_in_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = TCPStream("127.0.0.1", listener.getsockname()[1], connect_timeout_s=60)
        stream.open()
        connection, _ = listener.accept()
        with connection, pytest.raises(LinkTimeoutError):
            stream.write(bytes(50_000_000), timeout_s=0.05)
        stream.close()


def test_closed_connection_opens_anew() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = TCPStream("127.0.0.1", listener.getsockname()[1], connect_timeout_s=60)
        for text in (b"one", b"two"):
            stream.open()
            connection, _ = listener.accept()
            with connection:
                connection.sendall(text)
                assert stream.read(3, timeout_s=60) == text
            stream.close()


@pytest.fixture
def reset() -> Iterator[TCPStream]:
    """A connection that the other side has torn down."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = TCPStream("127.0.0.1", listener.getsockname()[1], connect_timeout_s=60)
        stream.open()
        connection, _ = listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        yield stream
        stream.close()


def test_connection_torn_down_is_lost_when_read(reset: TCPStream) -> None:
    with pytest.raises(ConnectionLostError, match="reset"):
        reset.read(1, timeout_s=60)
    assert not reset.is_open


def test_connection_torn_down_is_lost_when_written(reset: TCPStream) -> None:
    with pytest.raises(ConnectionLostError):
        reset.write(b"x", timeout_s=60)
    assert not reset.is_open


def test_connect_that_times_out_is_said_in_words() -> None:
    assert tcp._explain(TimeoutError()).startswith("nobody answered in time")
