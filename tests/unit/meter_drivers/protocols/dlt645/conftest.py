from collections.abc import Callable

import pytest

from meter_drivers.protocols.dlt645.connection import (
    Answered,
    ClientConnection,
    FollowOnNeeded,
    ReplyReady,
    RequestReceived,
    ServerConnection,
)
from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.messages import Answer, Request

Exchange = Callable[[Request, Answer], tuple[Request, Answer]]


@pytest.fixture
def address() -> Address:
    return Address.parse("151230011061")


@pytest.fixture
def client(address: Address) -> ClientConnection:
    return ClientConnection(address)


@pytest.fixture
def server(address: Address) -> ServerConnection:
    return ServerConnection(address)


@pytest.fixture
def exchange(client: ClientConnection, server: ServerConnection) -> Exchange:
    """Ask and answer; return what the meter was asked and what the client was answered."""

    def run(request: Request, answer: Answer) -> tuple[Request, Answer]:
        server.receive_data(client.send(request))
        event = server.next_event()
        assert isinstance(event, RequestReceived)
        assert event.expects_reply
        client.receive_data(server.reply(answer))
        while isinstance(reply := client.next_event(), FollowOnNeeded):
            server.receive_data(reply.octets)
            more = server.next_event()
            assert isinstance(more, ReplyReady)
            client.receive_data(more.octets)
        assert isinstance(reply, Answered)
        return event.request, reply.answer

    return run
