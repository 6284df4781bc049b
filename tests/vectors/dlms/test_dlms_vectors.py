import json
from pathlib import Path

import pytest
from dlms_cosem import enumerations
from dlms_cosem import security as peer_security
from dlms_cosem.hdlc import frames as peer_frames
from dlms_cosem.hdlc.address import HdlcAddress
from dlms_cosem.protocol import acse as peer_acse

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.acse import AssociationRequest, AssociationResponse
from meter_drivers.protocols.dlms.axdr import double_long, octet_string
from meter_drivers.protocols.dlms.classes.account import AVAILABLE_CREDIT
from meter_drivers.protocols.dlms.classes.credit import CreditMethod, credit_method
from meter_drivers.protocols.dlms.classes.switching import (
    REMOTE_DISCONNECT,
    REMOTE_RECONNECT,
    SWITCH_PARAMETER,
)
from meter_drivers.protocols.dlms.classes.token_gateway import ENTER, encode_token
from meter_drivers.protocols.dlms.hdlc import Control, Frame, FrameReader, HDLCAddress
from meter_drivers.protocols.dlms.initiate import Conformance, InitiateRequest
from meter_drivers.protocols.dlms.requests import (
    ActionRequest,
    GetRequest,
    Request,
    parse_request,
)
from meter_drivers.protocols.dlms.security import (
    Ciphering,
    Protection,
    SecurityContext,
    SecurityKeys,
    seal,
    unseal,
)

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text("utf-8"))
BYTES = {
    each["id"]: bytes.fromhex(each["bytes"]) for each in [*GOLDEN["requests"], *GOLDEN["frames"]]
}
REQUESTS: dict[str, Request] = {
    "C1": ActionRequest(0xC1, REMOTE_DISCONNECT, SWITCH_PARAMETER),
    "C2": ActionRequest(0xC1, REMOTE_RECONNECT, SWITCH_PARAMETER),
    "C3": ActionRequest(0xC1, ENTER, encode_token("12345678901234567890")),
    "C4": ActionRequest(0xC1, credit_method(CreditMethod.UPDATE_AMOUNT), double_long(500)),
    "C5": GetRequest(0xC1, AVAILABLE_CREDIT),
}
SNRM = Frame(destination=HDLCAddress.of_server(1, 17), source=HDLCAddress(16), control=Control.SNRM)
C7 = GOLDEN["ciphering"]
OWN = {name: value for name, value in GOLDEN["own"].items() if name != "source"}
GET = BYTES["C5"]
KEYS = SecurityKeys(bytes.fromhex(C7["encryption_key"]), bytes.fromhex(C7["authentication_key"]))
TITLE = bytes.fromhex(C7["system_title"])
COUNTER = int(C7["counter"], 16)
PLAIN = bytes.fromhex(C7["plain"])
SEALED = bytes.fromhex(C7["security_control"] + C7["counter"] + C7["payload"])


@pytest.mark.parametrize("name", REQUESTS)
def test_request_is_the_vector_both_ways(name: str) -> None:
    assert REQUESTS[name].to_bytes() == BYTES[name]
    assert parse_request(BYTES[name]) == REQUESTS[name]


@pytest.mark.parametrize("name", REQUESTS)
def test_every_part_of_a_request_is_refused(name: str) -> None:
    for size_bytes in range(len(BYTES[name])):
        with pytest.raises(RemoteProtocolError):
            parse_request(BYTES[name][:size_bytes])
    with pytest.raises(RemoteProtocolError, match="follow"):
        parse_request(BYTES[name] + b"\x00")


def test_snrm_is_the_vector_both_ways() -> None:
    assert SNRM.to_bytes() == BYTES["C6"]
    reader = FrameReader()
    reader.receive_data(BYTES["C6"])
    assert reader.next_frame() == SNRM


def test_ciphering_is_the_vector_both_ways() -> None:
    protection = Protection(int(C7["security_control"], 16))
    assert seal(KEYS, protection, PLAIN, title=TITLE, counter=COUNTER) == SEALED
    opened = unseal(KEYS, protection, SEALED, title=TITLE)
    assert (opened.apdu, opened.counter) == (PLAIN, COUNTER)


def test_context_sends_the_vector_as_glo_initiate_request() -> None:
    context = SecurityContext(KEYS, title=TITLE, next_counter=COUNTER)
    assert context.protect_initiate(PLAIN) == bytes([0x21, len(SEALED)]) + SEALED
    assert context.next_counter == COUNTER + 1


def test_plain_text_of_the_vector_is_an_initiate_request_both_ways() -> None:
    request = InitiateRequest.from_bytes(PLAIN)
    assert request.dedicated_key == bytes.fromhex("00112233445566778899AABBCCDDEEFF")
    assert request.receive_size_bytes == 1200
    assert Conformance.GET | Conformance.ACTION in request.conformance
    assert "11" not in repr(request)
    # Bits of short-name services are not kept: 007E1F has 001C00 and more of them.
    assert InitiateRequest.from_bytes(request.to_bytes()) == request


def test_every_flipped_bit_of_the_vector_is_refused() -> None:
    for bit in range(len(SEALED) * 8):
        flipped = bytearray(SEALED)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RemoteProtocolError):
            unseal(KEYS, Protection.AUTHENTICATED_ENCRYPTED, bytes(flipped), title=TITLE)


def test_token_of_the_vector_is_20_digits_in_an_octet_string() -> None:
    assert encode_token("12345678901234567890") == octet_string(b"12345678901234567890")


@pytest.mark.parametrize(
    ("name", "ciphering"),
    [("general_glo_get", Ciphering.GENERAL), ("glo_get", Ciphering.PER_SERVICE)],
)
def test_ciphered_get_is_the_vector_both_ways_and_the_peer_s(
    name: str, ciphering: Ciphering
) -> None:
    expected, counter = bytes.fromhex(OWN[name]), int(OWN["counter"], 16)
    client = SecurityContext(KEYS, title=TITLE, ciphering=ciphering, next_counter=counter)
    assert client.protect(GET) == expected
    server = SecurityContext(KEYS, title=b"SERVER01")
    server.meet(TITLE)
    assert server.unprotect(expected) == GET
    control = peer_security.SecurityControlField(0, authenticated=True, encrypted=True)
    theirs = peer_security.encrypt(
        control, TITLE, counter, KEYS.encryption, GET, KEYS.authentication
    )
    assert expected.endswith(control.to_bytes() + counter.to_bytes(4, "big") + theirs)


def test_own_frames_are_the_vectors_both_ways_and_the_peer_s() -> None:
    information = Frame(
        destination=SNRM.destination,
        source=SNRM.source,
        control=Control.INFORMATION,
        information=bytes.fromhex("E6E600") + GET,
    )
    ready = Frame(
        destination=SNRM.source,
        source=SNRM.destination,
        control=Control.RR,
        receive_sequence=1,
    )
    for name, frame in (("information_frame", information), ("receive_ready_frame", ready)):
        assert frame.to_bytes().hex() == OWN[name]
        reader = FrameReader()
        reader.receive_data(bytes.fromhex(OWN[name]))
        assert reader.next_frame() == frame
    theirs = peer_frames.InformationFrame(
        destination_address=HdlcAddress(1, 17, "server"),
        source_address=HdlcAddress(16, None, "client"),
        payload=information.information,
    )
    assert theirs.to_bytes() == information.to_bytes()
    read = peer_frames.ReceiveReadyFrame.from_bytes(ready.to_bytes())
    assert read.receive_sequence_number == 1


@pytest.mark.parametrize("name", ["aarq", "aarq_low"])
def test_aarq_is_the_vector_both_ways_and_the_peer_s(name: str) -> None:
    printed = bytes.fromhex(OWN[name])
    assert AssociationRequest.from_bytes(printed).to_bytes() == printed
    assert peer_acse.ApplicationAssociationRequest.from_bytes(printed).to_bytes() == printed


def test_aare_is_the_vector_both_ways_and_the_peer_reads_it() -> None:
    printed = bytes.fromhex(OWN["aare"])
    assert AssociationResponse.from_bytes(printed).to_bytes() == printed
    read = peer_acse.ApplicationAssociationResponse.from_bytes(printed)
    assert read.result == enumerations.AssociationResult.ACCEPTED
