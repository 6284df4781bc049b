import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.link import APDUReceived, LinkClosed, LinkOpened
from meter_drivers.protocols.dlms.wrapper import WrapperPDU, WrapperReader
from meter_drivers.protocols.dlms.wrapper_link import WrapperClient, WrapperServer

PDU = WrapperPDU(16, 1, bytes.fromhex("C001C1006F0000130000FF0500"))


def test_pdu_has_the_header_of_the_standard() -> None:
    assert PDU.to_bytes()[:8] == bytes.fromhex("000100100001000D")


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(1, 400))
def test_pdus_come_back_in_any_portions(apdus: list[bytes], portion: int) -> None:
    stream = b"".join(WrapperPDU(1, 16, apdu).to_bytes() for apdu in apdus)
    reader = WrapperReader()
    found = []
    for start in range(0, len(stream), portion):
        reader.receive_data(stream[start : start + portion])
        found += [pdu.apdu for pdu in iter(reader.next_pdu, None)]
    assert found == apdus


@pytest.mark.parametrize("stream", ["00", "0001", "000100100001", "000100100001000DC001"])
def test_part_of_a_pdu_is_none(stream: str) -> None:
    reader = WrapperReader()
    reader.receive_data(bytes.fromhex(stream))
    assert reader.next_pdu() is None


@pytest.mark.parametrize("stream", ["01", "0002", "7EA0", "0001001000010000"])
def test_stream_out_of_step_is_refused_for_good(stream: str) -> None:
    reader = WrapperReader()
    reader.receive_data(bytes.fromhex(stream))
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            reader.next_pdu()
        reader.receive_data(PDU.to_bytes())


@pytest.mark.parametrize(
    "pdu",
    [
        WrapperPDU(1, 1, b""),
        WrapperPDU(1, 1, bytes(65536)),
        WrapperPDU(-1, 1, b"x"),
        WrapperPDU(1, 65536, b"x"),
    ],
)
def test_pdu_that_does_not_fit_is_refused(pdu: WrapperPDU) -> None:
    with pytest.raises(LocalProtocolError):
        pdu.to_bytes()


def test_client_and_server_talk_and_drop_what_is_for_others() -> None:
    client, server = WrapperClient(client=16, server=1), WrapperServer(server=1)
    client.connect()
    assert client.next_event() == LinkOpened()
    client.send(b"ask")
    server.receive_data(WrapperPDU(16, 2, b"other").to_bytes() + client.data_to_send())
    assert server.next_event() == APDUReceived(16, b"ask")
    assert server.next_event() is None
    server.send(b"answer")
    client.receive_data(WrapperPDU(2, 16, b"other").to_bytes() + server.data_to_send())
    assert client.next_event() == APDUReceived(16, b"answer")
    assert client.next_event() is None
    assert (client.ignored_pdu_count, server.ignored_pdu_count) == (1, 1)
    client.disconnect()
    assert client.next_event() == LinkClosed()


def test_wrapper_cannot_ask_again_nor_answer_nobody() -> None:
    with pytest.raises(LocalProtocolError, match="cannot ask"):
        WrapperClient(client=16, server=1).ask_again()
    with pytest.raises(LocalProtocolError, match="no client"):
        WrapperServer(server=1).send(b"x")
