"""The client of `dlms-cosem` against our server, and each side's reading of the other's bytes."""

from collections.abc import Callable
from typing import Any

import pytest
from dlms_cosem import cosem, dlms_data, enumerations
from dlms_cosem.clients.dlms_client import DlmsClient
from dlms_cosem.clients.hdlc_transport import SerialHdlcTransport
from dlms_cosem.crc import CRCCCITT
from dlms_cosem.hdlc import frames as peer_frames
from dlms_cosem.hdlc.address import HdlcAddress
from dlms_cosem.protocol import acse as peer_acse
from dlms_cosem.protocol import xdlms as peer_xdlms
from dlms_cosem.protocol.wrappers import WrapperProtocolDataUnit

from meter_drivers.protocols.dlms.acse import (
    AARQ,
    AssociationRequest,
    AssociationResponse,
    AssociationResult,
    Context,
    Mechanism,
    Release,
)
from meter_drivers.protocols.dlms.axdr import Data, double_long, integer, octet_string
from meter_drivers.protocols.dlms.classes.switching import REMOTE_DISCONNECT
from meter_drivers.protocols.dlms.client import ClientAssociation, ClientSettings
from meter_drivers.protocols.dlms.connection import DLMSServer
from meter_drivers.protocols.dlms.hdlc import (
    Control,
    Frame,
    FrameReader,
    HDLCAddress,
    compute_check_sequence,
)
from meter_drivers.protocols.dlms.hdlc_link import HDLCServer
from meter_drivers.protocols.dlms.initiate import OURS, Conformance, InitiateRequest
from meter_drivers.protocols.dlms.link import ServerLink
from meter_drivers.protocols.dlms.names import Attribute, LogicalName
from meter_drivers.protocols.dlms.requests import GetRequest, parse_request
from meter_drivers.protocols.dlms.responses import GetResponse, parse_response
from meter_drivers.protocols.dlms.security import Password, SecurityContext, SecurityKeys
from meter_drivers.protocols.dlms.server import ServerAssociation, ServerSettings
from meter_drivers.protocols.dlms.wrapper import WrapperPDU
from meter_drivers.protocols.dlms.wrapper_link import WrapperServer
from tests.support.dlms_objects import CLIENT_TITLE, KEYS, SERVER_TITLE, RecordingObjects

EK, AK = KEYS.encryption, KEYS.authentication
CREDIT = Attribute(1, LogicalName.parse("0.0.19.0.0.255"), 5)
PEER_CREDIT = cosem.CosemAttribute(
    enumerations.CosemInterface.DATA, cosem.Obis.from_bytes(CREDIT.name.octets), 5
)
LONG = Attribute(1, LogicalName.parse("0.0.96.1.0.255"), 2)
PEER_LONG = cosem.CosemAttribute(
    enumerations.CosemInterface.DATA, cosem.Obis.from_bytes(LONG.name.octets), 2
)
SWITCH = cosem.CosemMethod(
    enumerations.CosemInterface.DISCONNECT_CONTROL,
    cosem.Obis.from_bytes(REMOTE_DISCONNECT.name.octets),
    1,
)


class WrapperWire:
    """Carries the peer's APDUs to our server in wrappers, made and read by the peer."""

    def __init__(self, server: DLMSServer) -> None:
        self.server = server

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def send(self, apdu: bytes) -> bytes:
        self.server.receive_data(WrapperPDU(16, 1, bytes(apdu)).to_bytes())
        answer = WrapperProtocolDataUnit.from_bytes(self.server.data_to_send())
        return bytes(answer.data)


class FakeSerial:
    """The serial port of the peer's HDLC transport, with our server behind it."""

    def __init__(self, server: DLMSServer) -> None:
        self.server = server
        self.incoming = bytearray()

    def write(self, octets: bytes) -> None:
        self.server.receive_data(bytes(octets))
        self.incoming += self.server.data_to_send()

    def read_until(self, flag: bytes) -> bytes:
        end = self.incoming.index(flag) + 1
        found = bytes(self.incoming[:end])
        del self.incoming[:end]
        return found


def over_wrapper(association: ServerAssociation) -> WrapperWire:
    return WrapperWire(DLMSServer(WrapperServer(server=1), lambda _: association))


def over_hdlc(association: ServerAssociation) -> SerialHdlcTransport:
    link: ServerLink = HDLCServer(server=HDLCAddress.of_server(1, 17))
    wire = FakeSerial(DLMSServer(link, lambda _: association))
    return SerialHdlcTransport(
        client_logical_address=16,
        server_logical_address=1,
        server_physical_address=17,
        serial_port="none",
        serial=wire,
    )


def keep_challenge() -> bytes:
    return bytes(range(32))


PUBLIC = ServerSettings()
LOW = ServerSettings(mechanism=Mechanism.LOW, password=Password(b"00000001"))
HIGH = ServerSettings(
    context=Context.CIPHERED, mechanism=Mechanism.HIGH_GMAC, new_challenge=keep_challenge
)
PEER_LOW = {
    "authentication_method": enumerations.AuthenticationMechanism.LLS,
    "password": b"00000001",
}
PEER_HIGH = {
    "authentication_method": enumerations.AuthenticationMechanism.HLS_GMAC,
    "encryption_key": EK,
    "authentication_key": AK,
    "client_system_title": CLIENT_TITLE,
}
WAYS = [
    pytest.param(PUBLIC, {}, id="none"),
    pytest.param(LOW, PEER_LOW, id="low"),
    pytest.param(HIGH, PEER_HIGH, id="hls5"),
]


def make_security(settings: ServerSettings) -> SecurityContext | None:
    return SecurityContext(KEYS, title=SERVER_TITLE) if settings is HIGH else None


@pytest.mark.parametrize("wire", [over_wrapper, over_hdlc])
@pytest.mark.parametrize(("settings", "peer_settings"), WAYS)
def test_peer_client_does_its_round_with_our_server(
    settings: ServerSettings,
    peer_settings: dict[str, Any],
    wire: Callable[[ServerAssociation], Any],
) -> None:
    objects = RecordingObjects({CREDIT: double_long(-500), LONG: octet_string(b"x" * 100)})
    association = ServerAssociation(settings, objects, make_security(settings))
    client = DlmsClient(16, 1, wire(association), **peer_settings)
    client.connect()
    client.associate()
    assert client.get(PEER_CREDIT) == double_long(-500).to_bytes()
    assert client.get(PEER_LONG) == octet_string(b"x" * 100).to_bytes()
    client.set(PEER_LONG, dlms_data.OctetStringData(b"new").to_bytes())
    client.action(SWITCH, integer(0).to_bytes())
    assert association.is_ready
    # The link is left open: the peer cannot read a UA without information, the answer to DISC.
    client.release_association()
    assert objects.values[LONG] == octet_string(b"new")
    assert objects.acts == [(REMOTE_DISCONNECT, integer(0))]
    assert not association.is_ready


def test_peer_client_with_another_key_is_refused() -> None:
    association = ServerAssociation(HIGH, RecordingObjects({}), make_security(HIGH))
    client = DlmsClient(
        16, 1, over_wrapper(association), **{**PEER_HIGH, "encryption_key": bytes(16)}
    )
    with pytest.raises(Exception, match="Unable to perform Association"), client.session():
        pytest.fail("it must not come to a session")
    assert not association.is_ready


def test_peer_client_gets_a_long_answer_in_blocks() -> None:
    value = octet_string(bytes(range(256)) * 4)
    association = ServerAssociation(PUBLIC, RecordingObjects({LONG: value}))
    client = DlmsClient(16, 1, over_wrapper(association), max_pdu_size=200)
    with client.session() as session:
        assert session.get(PEER_LONG) == value.to_bytes()


def test_peer_reads_our_hdlc_frames_and_we_read_its() -> None:
    ours = Frame(
        destination=HDLCAddress(16),
        source=HDLCAddress.of_server(1, 17),
        control=Control.INFORMATION,
        send_sequence=3,
        receive_sequence=5,
        segmented=True,
        information=bytes.fromhex("E6E700C401C100"),
    )
    read = peer_frames.InformationFrame.from_bytes(ours.to_bytes())
    assert (read.send_sequence_number, read.receive_sequence_number) == (3, 5)
    assert (read.segmented, read.payload) == (True, ours.information)
    theirs = peer_frames.InformationFrame(
        destination_address=HdlcAddress(1, 17, "server"),
        source_address=HdlcAddress(16, None, "client"),
        payload=b"payload",
        send_sequence_number=6,
        receive_sequence_number=7,
    )
    reader = FrameReader()
    reader.receive_data(theirs.to_bytes())
    found = reader.next_frame()
    assert found is not None
    assert (found.send_sequence, found.receive_sequence, found.information) == (6, 7, b"payload")
    assert (found.destination, found.source) == (HDLCAddress.of_server(1, 17), HDLCAddress(16))


@pytest.mark.parametrize("octets", [b"", b"\x00", b"123456789", bytes(range(256))])
def test_check_sequence_is_the_peer_s(octets: bytes) -> None:
    assert compute_check_sequence(octets) == CRCCCITT().calculate_for(octets)


def test_peer_reads_our_aarq_and_we_read_its() -> None:
    # The peer drops the first byte of a conformance that it reads, so ours has none there.
    ours = AssociationRequest(
        context=Context.PLAIN,
        mechanism=Mechanism.LOW,
        authentication_value=b"12345678",
        user_information=InitiateRequest(OURS & ~Conformance.GENERAL_PROTECTION).to_bytes(),
    )
    read = peer_acse.ApplicationAssociationRequest.from_bytes(ours.to_bytes())
    assert read.authentication == enumerations.AuthenticationMechanism.LLS
    assert read.authentication_value == b"12345678"
    assert read.user_information.content.client_max_receive_pdu_size == 0xFFFF
    assert AssociationRequest.from_bytes(bytes(read.to_bytes())) == ours
    assert read.to_bytes() == ours.to_bytes()


def test_peer_reads_our_aare() -> None:
    association = ServerAssociation(HIGH, RecordingObjects({}), make_security(HIGH))
    client = ClientAssociation(
        ClientSettings(
            context=Context.CIPHERED, mechanism=Mechanism.HIGH_GMAC, new_challenge=keep_challenge
        ),
        SecurityContext(KEYS, title=CLIENT_TITLE),
    )
    answer = association.receive_apdu(client.associate())
    assert answer is not None
    read = peer_acse.ApplicationAssociationResponse.from_bytes(answer)
    assert read.result == enumerations.AssociationResult.ACCEPTED
    assert read.system_title == SERVER_TITLE
    assert read.authentication_value == keep_challenge()
    ours = AssociationResponse.from_bytes(answer)
    assert ours.result is AssociationResult.ACCEPTED
    # The peer writes its own AARE with the same fields; we read it alike.
    assert AssociationResponse.from_bytes(bytes(read.to_bytes())) == ours


def test_peer_deciphers_our_general_glo_get_and_we_its() -> None:
    attribute = Attribute(1, LogicalName.parse("0.0.96.1.0.255"), 2)
    plain = GetRequest(0xC1, attribute).to_bytes()
    ours = SecurityContext(KEYS, title=CLIENT_TITLE, next_counter=7)
    theirs = peer_xdlms.GeneralGlobalCipher.from_bytes(ours.protect(plain))
    assert theirs.invocation_counter == 7
    assert theirs.to_plain_apdu(EK, AK) == plain
    server = SecurityContext(KEYS, title=SERVER_TITLE)
    server.meet(CLIENT_TITLE)
    assert parse_request(server.unprotect(theirs.to_bytes())) == GetRequest(0xC1, attribute)


def test_services_are_the_peer_s_bytes() -> None:
    get = peer_xdlms.GetRequestNormal(cosem_attribute=PEER_LONG)
    assert parse_request(bytes(get.to_bytes())) == GetRequest(0xC1, LONG)
    answer = GetResponse(0xC1, double_long(5)).to_bytes()
    assert peer_xdlms.GetResponseNormal.from_bytes(answer).data == double_long(5).to_bytes()
    assert parse_response(answer) == GetResponse(0xC1, double_long(5))
    release = peer_acse.ReleaseRequest(reason=enumerations.ReleaseRequestReason.NORMAL)
    assert Release.from_bytes(bytes(release.to_bytes()), tag=0x62).user_information == b""


def test_values_are_the_peer_s_bytes() -> None:
    pairs: list[tuple[Data, Any]] = [
        (double_long(-500), dlms_data.DoubleLongData(-500)),
        (octet_string(b"1" * 100), dlms_data.OctetStringData(b"1" * 100)),
        (integer(-3), dlms_data.IntegerData(-3)),
    ]
    for ours, theirs in pairs:
        assert ours.to_bytes() == bytes(theirs.to_bytes())
    assert AARQ == peer_acse.ApplicationAssociationRequest.TAG
    assert isinstance(KEYS, SecurityKeys)
