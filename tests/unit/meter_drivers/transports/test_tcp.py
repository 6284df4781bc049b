import socket

import pytest

from meter_drivers.errors import ConnectionLostError, LinkTimeoutError
from meter_drivers.transports.tcp import TCPStream


def test_port_where_nobody_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    stream = TCPStream("127.0.0.1", port, connect_timeout_s=5)
    with pytest.raises(ConnectionLostError, match="connection refused; is the gateway running"):
        stream.open()
    assert not stream.is_open


def test_other_side_that_takes_nothing_ends_in_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = TCPStream("127.0.0.1", listener.getsockname()[1], connect_timeout_s=5)
        stream.open()
        connection, _ = listener.accept()
        with connection, pytest.raises(LinkTimeoutError):
            stream.write(bytes(50_000_000), timeout_s=0.05)
        stream.close()


def test_closed_connection_opens_anew() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = TCPStream("127.0.0.1", listener.getsockname()[1], connect_timeout_s=5)
        for text in (b"one", b"two"):
            stream.open()
            connection, _ = listener.accept()
            with connection:
                connection.sendall(text)
                assert stream.read(3, timeout_s=5) == text
            stream.close()
