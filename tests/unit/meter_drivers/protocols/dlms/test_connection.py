"""Client and server whole, over either link, bytes in and bytes out."""

from collections.abc import Callable

import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.acse import Context, Mechanism
from meter_drivers.protocols.dlms.axdr import double_long, integer, octet_string
from meter_drivers.protocols.dlms.classes.account import AVAILABLE_CREDIT
from meter_drivers.protocols.dlms.classes.switching import REMOTE_DISCONNECT
from meter_drivers.protocols.dlms.client import ClientAssociation, ClientSettings
from meter_drivers.protocols.dlms.client_events import (
    ActionDone,
    AnswerIgnored,
    Associated,
    Got,
    GotList,
    Released,
    SetDone,
)
from meter_drivers.protocols.dlms.connection import DLMSClient, DLMSEvent, DLMSServer
from meter_drivers.protocols.dlms.hdlc import Control, Frame, HDLCAddress
from meter_drivers.protocols.dlms.hdlc_link import HDLCClient, HDLCServer
from meter_drivers.protocols.dlms.link import LinkClosed, LinkOpened, RequestNotReceived
from meter_drivers.protocols.dlms.names import Attribute, LogicalName
from meter_drivers.protocols.dlms.results import ActionResult, DataAccessResult
from meter_drivers.protocols.dlms.security import SecurityContext
from meter_drivers.protocols.dlms.server import ServerAssociation, ServerSettings
from meter_drivers.protocols.dlms.wrapper import WrapperPDU
from meter_drivers.protocols.dlms.wrapper_link import WrapperClient, WrapperServer
from tests.support.dlms_objects import CLIENT_TITLE, KEYS, SERVER_TITLE, RecordingObjects

ADDRESS = HDLCAddress.of_server(1, 17)
PROFILE = Attribute(7, LogicalName.parse("1.0.99.1.0.255"), 2)
LONG = octet_string(bytes(range(256)) * 4)


class Line:
    """A client and a server on one line; bytes go over one at a time."""

    def __init__(self, *, over_hdlc: bool = True) -> None:
        self.objects = RecordingObjects({AVAILABLE_CREDIT: double_long(-500), PROFILE: LONG})
        client = ClientSettings(
            context=Context.CIPHERED,
            mechanism=Mechanism.HIGH_GMAC,
            new_challenge=lambda: b"C" * 16,
            receive_size_bytes=200,
        )
        server = ServerSettings(
            context=Context.CIPHERED,
            mechanism=Mechanism.HIGH_GMAC,
            new_challenge=lambda: b"S" * 16,
            receive_size_bytes=200,
        )
        self.association = ServerAssociation(
            server, self.objects, SecurityContext(KEYS, title=SERVER_TITLE)
        )
        asking = ClientAssociation(client, SecurityContext(KEYS, title=CLIENT_TITLE))
        if over_hdlc:
            self.client = DLMSClient(HDLCClient(client=16, server=ADDRESS), asking)
            self.server = DLMSServer(HDLCServer(server=ADDRESS), self.find)
        else:
            self.client = DLMSClient(WrapperClient(client=16, server=1), asking)
            self.server = DLMSServer(WrapperServer(server=1), self.find)

    def find(self, client: int) -> ServerAssociation | None:
        return self.association if client == 16 else None

    def run(self) -> list[DLMSEvent]:
        events: list[DLMSEvent] = list(iter(self.client.next_event, None))
        while octets := self.client.data_to_send():
            for octet in octets:
                self.server.receive_data(bytes([octet]))
            for octet in self.server.data_to_send():
                self.client.receive_data(bytes([octet]))
                events += iter(self.client.next_event, None)
        return events

    def associate(self) -> "Line":
        self.client.connect()
        assert self.run() == [LinkOpened()]
        self.client.associate()
        (event,) = self.run()
        assert isinstance(event, Associated)
        assert self.client.is_ready
        return self


@pytest.mark.parametrize("over_hdlc", [True, False])
def test_whole_session(*, over_hdlc: bool) -> None:
    line = Line(over_hdlc=over_hdlc).associate()
    client = line.client
    steps: list[tuple[Callable[[], None], DLMSEvent]] = [
        (lambda: client.get(AVAILABLE_CREDIT), Got(double_long(-500))),
        (lambda: client.get(PROFILE), Got(LONG)),
        (lambda: client.get_list([PROFILE, PROFILE]), GotList((LONG, LONG))),
        (lambda: client.set(PROFILE, octet_string(bytes(600))), SetDone(DataAccessResult.SUCCESS)),
        (
            lambda: client.act(REMOTE_DISCONNECT, integer(0)),
            ActionDone(ActionResult.SUCCESS, None),
        ),
        (client.release, Released()),
        (client.disconnect, LinkClosed()),
    ]
    for ask, expected in steps:
        ask()
        assert line.run() == [expected]
    assert line.objects.acts == [(REMOTE_DISCONNECT, integer(0))]
    assert line.server.refused == []


def test_lost_answer_to_an_order_is_recovered_and_the_order_done_once() -> None:
    line = Line().associate()
    line.client.act(REMOTE_DISCONNECT, integer(0))
    line.server.receive_data(line.client.data_to_send())
    assert line.server.data_to_send() != b""  # lost
    line.client.ask_again()
    assert line.run() == [ActionDone(ActionResult.SUCCESS, None)]
    assert len(line.objects.acts) == 1


def test_lost_order_is_told_and_never_sent_by_itself() -> None:
    line = Line().associate()
    line.client.act(REMOTE_DISCONNECT, integer(0))
    line.client.data_to_send()  # lost
    line.client.ask_again()
    assert line.run() == [RequestNotReceived()]
    line.client.abandon()
    assert line.run() == []
    assert line.objects.acts == []


@pytest.mark.parametrize("over_hdlc", [True, False])
def test_line_that_broke_is_begun_anew(*, over_hdlc: bool) -> None:
    line = Line(over_hdlc=over_hdlc).associate()
    line.client.act(REMOTE_DISCONNECT, integer(0))
    line.client.data_to_send()  # lost
    line.client.abort()
    assert line.run() == []
    line.associate()
    assert line.objects.acts == []


def test_late_answer_over_the_wrapper_is_ignored() -> None:
    line = Line(over_hdlc=False).associate()
    line.client.act(REMOTE_DISCONNECT, integer(0))
    line.client.abandon()
    line.client.get(AVAILABLE_CREDIT)
    ignored, got = line.run()
    assert isinstance(ignored, AnswerIgnored)
    assert got == Got(double_long(-500))


def test_request_that_the_link_does_not_take_is_none() -> None:
    line = Line()
    with pytest.raises(LocalProtocolError, match="not open"):
        line.client.associate()
    line.associate()
    line.client.act(REMOTE_DISCONNECT, integer(0))
    line.client.abandon()
    with pytest.raises(LocalProtocolError, match="awaited"):
        line.client.get(AVAILABLE_CREDIT)
    assert line.client.is_ready


def test_order_cannot_be_given_while_an_answer_is_awaited() -> None:
    for over_hdlc in (True, False):
        line = Line(over_hdlc=over_hdlc).associate()
        line.client.act(REMOTE_DISCONNECT)
        with pytest.raises(LocalProtocolError, match="awaited"):
            line.client.act(REMOTE_DISCONNECT)


def test_link_that_closes_ends_the_association_on_both_sides() -> None:
    line = Line().associate()
    line.client.disconnect()
    assert line.run() == [LinkClosed()]
    assert not line.client.is_ready
    assert not line.association.is_ready


def test_address_without_an_association_gets_no_answer() -> None:
    line = Line(over_hdlc=False)
    line.server.receive_data(WrapperPDU(99, 1, b"\x60\x00").to_bytes())
    assert line.server.data_to_send() == b""


def test_server_goes_on_after_a_fault_on_hdlc_and_not_on_a_wrapper() -> None:
    line = Line().associate()
    broken = Frame(
        destination=ADDRESS,
        source=HDLCAddress(16),
        control=Control.INFORMATION,
        send_sequence=2,
        receive_sequence=2,
        information=b"\x00\x00\x00x",
    )
    line.server.receive_data(broken.to_bytes() * 40)
    assert len(line.server.refused) == 1
    assert "LLC" in line.server.refused[0]
    with pytest.raises(RemoteProtocolError, match="out of step"):
        Line(over_hdlc=False).server.receive_data(b"\x7e\xa0")


def test_server_says_nothing_to_an_unconfirmed_request() -> None:
    settings = ServerSettings()
    association = ServerAssociation(settings, RecordingObjects({}))
    server = DLMSServer(WrapperServer(server=1), lambda _: association)
    client = ClientAssociation(ClientSettings())
    server.receive_data(WrapperPDU(16, 1, client.associate()).to_bytes())
    assert server.data_to_send() != b""
    unconfirmed = bytes.fromhex("c3018100460000 60030aff0100")
    server.receive_data(WrapperPDU(16, 1, unconfirmed).to_bytes())
    assert server.data_to_send() == b""
