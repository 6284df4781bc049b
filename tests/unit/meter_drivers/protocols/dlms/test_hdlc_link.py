import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.hdlc import Control, Frame, FrameReader, HDLCAddress
from meter_drivers.protocols.dlms.hdlc_link import APDU_SIZE_MAX, HDLCClient, HDLCServer
from meter_drivers.protocols.dlms.link import (
    AnswerPending,
    APDUReceived,
    LinkClosed,
    LinkEvent,
    LinkOpened,
    RequestNotReceived,
)
from meter_drivers.protocols.dlms.link_parameters import LinkParameters

ADDRESS = HDLCAddress.of_server(1, 17)


class Pair:
    """A client and a server on one line."""

    def __init__(self, parameters: LinkParameters | None = None) -> None:
        self.client = HDLCClient(client=16, server=ADDRESS, parameters=parameters)
        self.server = HDLCServer(server=ADDRESS, parameters=parameters)

    def to_server(self, *, lost: bool = False) -> list[LinkEvent]:
        octets = self.client.data_to_send()
        self.server.receive_data(b"" if lost else octets)
        return list(iter(self.server.next_event, None))

    def to_client(self, *, lost: bool = False) -> list[LinkEvent]:
        octets = self.server.data_to_send()
        self.client.receive_data(b"" if lost else octets)
        return list(iter(self.client.next_event, None))

    def run(self) -> list[LinkEvent]:
        events: list[LinkEvent] = []
        while more := self.client.data_to_send():
            self.server.receive_data(more)
            events += iter(self.server.next_event, None)
            events += self.to_client()
        return events

    def open(self) -> "Pair":
        self.client.connect()
        assert self.run() == [LinkOpened(), LinkOpened()]
        return self


def from_server(control: Control, **fields: object) -> bytes:
    frame = Frame(destination=HDLCAddress(16), source=ADDRESS, control=control)
    return replaced(frame, fields)


def from_client(control: Control, *, client: int = 16, **fields: object) -> bytes:
    frame = Frame(destination=ADDRESS, source=HDLCAddress(client), control=control)
    return replaced(frame, fields)


def replaced(frame: Frame, fields: dict[str, object]) -> bytes:
    for name, value in fields.items():
        object.__setattr__(frame, name, value)
    return frame.to_bytes()


def frames_in(octets: bytes) -> list[Frame]:
    reader = FrameReader()
    reader.receive_data(octets)
    return list(iter(reader.next_frame, None))


@pytest.mark.parametrize("size_bytes", [1, 125, 126, 1000, 5000])
def test_apdus_of_any_size_go_both_ways_many_times(size_bytes: int) -> None:
    pair = Pair().open()
    for turn in range(20):
        asked, answered = bytes([turn]) * size_bytes, bytes([turn + 1]) * size_bytes
        pair.client.send(asked)
        assert pair.run() == [APDUReceived(16, asked)]
        pair.server.send(answered)
        events = pair.to_client() + pair.run()
        assert events == [APDUReceived(16, answered)]
    pair.client.disconnect()
    assert pair.run() == [LinkClosed(), LinkClosed()]
    assert not pair.client.is_open
    assert not pair.server.is_open


def test_sizes_are_agreed_on_and_kept() -> None:
    pair = Pair(LinkParameters(500, 300)).open()
    assert pair.client.parameters == LinkParameters(300, 300)
    pair.client.send(bytes(700))
    assert [len(frame.information) for frame in frames_in(pair.client.data_to_send())] == [300]


def test_snrm_of_defaults_carries_no_parameters() -> None:
    client = HDLCClient(client=16, server=ADDRESS)
    client.connect()
    assert client.data_to_send().hex() == "7ea00802232193bd647e"


def test_lost_answer_comes_again_and_the_request_is_taken_once() -> None:
    pair = Pair().open()
    pair.client.send(b"order")
    assert pair.to_server() == [APDUReceived(16, b"order")]
    pair.server.send(b"done")
    assert pair.to_client(lost=True) == []
    pair.client.ask_again()
    assert pair.to_server() == []
    assert pair.to_client() == [APDUReceived(16, b"done")]
    pair.client.send(b"next")
    assert pair.run() == [APDUReceived(16, b"next")]


def test_lost_request_is_told_and_not_repeated() -> None:
    pair = Pair().open()
    pair.client.send(b"order")
    assert pair.to_server(lost=True) == []
    pair.client.ask_again()
    assert pair.to_server() == []
    assert pair.to_client() == [RequestNotReceived()]
    assert pair.client.data_to_send() == b""


def test_request_in_work_is_told() -> None:
    pair = Pair().open()
    pair.client.send(b"order")
    pair.to_server()
    pair.client.ask_again()
    assert pair.to_server() == []
    assert pair.to_client() == [AnswerPending()]


def test_repeated_request_frame_is_answered_but_not_taken_again() -> None:
    pair = Pair().open()
    pair.client.send(b"order")
    order = pair.client.data_to_send()
    pair.server.receive_data(order + order)
    assert list(iter(pair.server.next_event, None)) == [APDUReceived(16, b"order")]
    assert [frame.control for frame in frames_in(pair.server.data_to_send())] == [Control.RR]
    pair.server.send(b"done")
    first = pair.server.data_to_send()
    pair.server.receive_data(order)
    assert list(iter(pair.server.next_event, None)) == []
    assert pair.server.data_to_send() == first


def test_repeated_answer_is_taken_once() -> None:
    pair = Pair().open()
    pair.client.send(b"order")
    pair.to_server()
    pair.server.send(b"done")
    answer = pair.server.data_to_send()
    pair.client.receive_data(answer * 2)
    assert list(iter(pair.client.next_event, None)) == [APDUReceived(16, b"done")]
    assert pair.client.ignored_frame_count == 1


def test_segments_without_poll_are_taken_in_silence() -> None:
    pair = Pair().open()
    pair.client.send(b"order")
    pair.to_server()
    llc = bytes.fromhex("E6E700")
    one = from_server(
        Control.INFORMATION,
        receive_sequence=1,
        information=llc + b"a",
        segmented=True,
        poll_final=False,
    )
    two = from_server(Control.INFORMATION, receive_sequence=1, send_sequence=1, information=b"b")
    pair.client.receive_data(one)
    assert pair.client.next_event() is None
    assert pair.client.data_to_send() == b""
    pair.client.receive_data(two)
    assert pair.client.next_event() == APDUReceived(16, b"ab")


def test_frames_for_others_are_ignored() -> None:
    pair = Pair().open()
    other = HDLCAddress.of_server(1, 18)
    foreign = Frame(destination=other, source=HDLCAddress(16), control=Control.DISC).to_bytes()
    pair.server.receive_data(foreign)
    assert pair.server.next_event() is None
    assert pair.server.data_to_send() == b""
    assert pair.server.is_open
    pair.client.receive_data(
        Frame(destination=HDLCAddress(16), source=other, control=Control.DM).to_bytes()
    )
    assert pair.client.next_event() is None
    assert pair.client.is_open
    assert (pair.server.ignored_frame_count, pair.client.ignored_frame_count) == (1, 1)


@pytest.mark.parametrize("control", [Control.SNRM, Control.DISC, Control.INFORMATION, Control.RR])
def test_second_client_gets_dm_and_the_first_stays(control: Control) -> None:
    pair = Pair().open()
    pair.server.receive_data(from_client(control, client=1))
    assert pair.server.next_event() is None
    (answer,) = frames_in(pair.server.data_to_send())
    assert (answer.control, answer.destination) == (Control.DM, HDLCAddress(1))
    pair.client.send(b"order")
    assert pair.run() == [APDUReceived(16, b"order")]


def test_closed_server_says_so() -> None:
    pair = Pair().open()
    pair.server.abort()
    pair.client.send(b"order")
    assert pair.run() == [LinkClosed()]
    assert not pair.client.is_open


@pytest.mark.parametrize("control", [Control.UI, Control.UA, Control.DM, Control.RNR])
def test_server_ignores_what_only_a_server_says(control: Control) -> None:
    pair = Pair().open()
    pair.server.receive_data(from_client(control))
    assert pair.server.next_event() is None
    assert pair.server.data_to_send() == b""


@pytest.mark.parametrize("control", [Control.UA, Control.UI, Control.RNR, Control.SNRM])
def test_client_ignores_what_is_out_of_place(control: Control) -> None:
    pair = Pair().open()
    pair.client.receive_data(from_server(control))
    assert pair.client.next_event() is None
    assert pair.client.is_open


def test_client_hears_a_frame_reject_as_the_end() -> None:
    pair = Pair().open()
    pair.client.receive_data(from_server(Control.FRMR, information=b"\x01\x02\x03"))
    with pytest.raises(RemoteProtocolError, match="rejects"):
        pair.client.next_event()
    assert not pair.client.is_open


def test_apdu_behind_another_header_is_refused_on_both_sides() -> None:
    pair = Pair().open()
    pair.server.receive_data(from_client(Control.INFORMATION, information=b"\xe6\xe7\x00x"))
    with pytest.raises(RemoteProtocolError, match="LLC"):
        pair.server.next_event()
    pair = Pair().open()
    pair.client.send(b"order")
    pair.to_server()
    pair.client.receive_data(
        from_server(Control.INFORMATION, receive_sequence=1, information=b"\xe6\xe6\x00x")
    )
    with pytest.raises(RemoteProtocolError, match="LLC"):
        pair.client.next_event()


def test_frame_above_the_agreed_size_is_refused() -> None:
    pair = Pair().open()
    pair.server.receive_data(from_client(Control.INFORMATION, information=bytes(129)))
    with pytest.raises(RemoteProtocolError, match="above the agreed size"):
        pair.server.next_event()


def test_segments_are_bounded() -> None:
    pair = Pair(LinkParameters(2000, 2000)).open()
    faults = []
    for turn in range(33):
        pair.server.receive_data(
            from_client(
                Control.INFORMATION,
                send_sequence=turn % 8,
                information=bytes(2000),
                segmented=True,
            )
        )
        try:
            assert pair.server.next_event() is None
        except RemoteProtocolError as error:
            faults.append(error.reason)
    assert faults == ["the segments of an APDU exceed 65535 bytes"]


def test_early_answer_ends_the_request_s_segments() -> None:
    pair = Pair().open()
    pair.client.send(bytes(500))
    pair.to_server()
    pair.server.data_to_send()
    pair.client.receive_data(
        from_server(Control.INFORMATION, receive_sequence=1, information=b"\xe6\xe7\x00no")
    )
    assert pair.client.next_event() == APDUReceived(16, b"no")
    assert pair.client.data_to_send() == b""


def test_misuse_is_refused() -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError, match="not open"):
        pair.client.send(b"x")
    with pytest.raises(LocalProtocolError, match="not open"):
        pair.server.send(b"x")
    with pytest.raises(LocalProtocolError, match="no answer"):
        pair.client.ask_again()
    pair.open()
    with pytest.raises(LocalProtocolError, match="open already"):
        pair.client.connect()
    with pytest.raises(LocalProtocolError, match="at most"):
        pair.client.send(bytes(APDU_SIZE_MAX + 1))
    pair.client.send(b"x")
    with pytest.raises(LocalProtocolError, match="awaited"):
        pair.client.send(b"y")
    pair.client.abort()
    assert not pair.client.is_open
    assert pair.client.data_to_send() == b""
    assert pair.client.dropped_bytes == 0


def test_ready_without_a_question_means_nothing() -> None:
    pair = Pair().open()
    pair.client.receive_data(from_server(Control.RR))
    assert pair.client.next_event() is None
