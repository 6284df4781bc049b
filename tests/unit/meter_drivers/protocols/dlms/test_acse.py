from dataclasses import replace

import pytest

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.acse import (
    AssociationRequest,
    AssociationResponse,
    AssociationResult,
    Context,
    Diagnostic,
    Mechanism,
    Release,
    ReleaseReason,
)
from meter_drivers.protocols.dlms.initiate import (
    OURS,
    Conformance,
    InitiateError,
    InitiateRequest,
    InitiateResponse,
    encode_initiate_error,
    parse_initiate_error,
)

# The association of the green book's example without security (DLMS UA 1000-2, annex), which
# many public captures repeat.
AARQ = bytes.fromhex("601DA109060760857405080101BE10040E01000000065F1F0400001E1DFFFF")
LOW_AARQ = bytes.fromhex(
    "6036A1090607608574050801018A0207808B0760857405080201AC0A80083132333435363738"
    "BE10040E01000000065F1F0400001E1DFFFF"
)
AARE = bytes.fromhex(
    "6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F0400001E1D04C80007"
)
REQUEST = AssociationRequest(
    context=Context.CIPHERED,
    mechanism=Mechanism.HIGH_GMAC,
    system_title=b"CLIENT01",
    authentication_value=b"challenge",
    user_information=b"\x21\x00",
)
RESPONSE = AssociationResponse(
    context=Context.CIPHERED,
    result=AssociationResult.ACCEPTED,
    diagnostic=Diagnostic.AUTHENTICATION_REQUIRED,
    mechanism=Mechanism.HIGH_GMAC,
    system_title=b"SERVER01",
    authentication_value=b"challenge",
    user_information=b"\x28\x00",
)


def test_printed_requests_are_read_and_written() -> None:
    request = AssociationRequest.from_bytes(AARQ)
    assert (request.context, request.mechanism) == (Context.PLAIN, Mechanism.NONE)
    assert request.to_bytes() == AARQ
    low = AssociationRequest.from_bytes(LOW_AARQ)
    assert (low.mechanism, low.authentication_value) == (Mechanism.LOW, b"12345678")
    assert low.to_bytes() == LOW_AARQ
    assert "12345678" not in repr(low)


def test_printed_response_is_read_and_written() -> None:
    response = AssociationResponse.from_bytes(AARE)
    assert response.result is AssociationResult.ACCEPTED
    assert InitiateResponse.from_bytes(response.user_information).receive_size_bytes == 1224
    assert response.to_bytes() == AARE


def test_request_and_response_come_back_with_all_fields_and_with_none() -> None:
    bare = AssociationRequest(context=Context.PLAIN)
    for request in (REQUEST, bare):
        assert AssociationRequest.from_bytes(request.to_bytes()) == request
    refused = AssociationResponse(
        context=Context.PLAIN, result=AssociationResult.REJECTED_TRANSIENT
    )
    for response in (RESPONSE, refused):
        assert AssociationResponse.from_bytes(response.to_bytes()) == response


@pytest.mark.parametrize("reason", [None, *ReleaseReason])
def test_release_comes_back(reason: ReleaseReason | None) -> None:
    for release in (Release(0x62, reason), Release(0x63, reason, b"\x28\x00")):
        assert Release.from_bytes(release.to_bytes(), tag=release.tag) == release


def test_every_part_is_refused() -> None:
    for size_bytes in range(len(LOW_AARQ)):
        with pytest.raises(RemoteProtocolError):
            AssociationRequest.from_bytes(LOW_AARQ[:size_bytes])
    for size_bytes in range(len(AARE)):
        with pytest.raises(RemoteProtocolError):
            AssociationResponse.from_bytes(AARE[:size_bytes])


def framed(tag: int, fields: str) -> bytes:
    octets = bytes.fromhex(fields)
    return bytes([tag, len(octets)]) + octets


NAMED = "A109060760857405080101"


@pytest.mark.parametrize(
    "fields",
    [
        "",  # no context
        NAMED + NAMED,  # one field twice
        "A109060760857405080102",  # short names
        "A109060760857405090101",  # another arc
        "A1080606608574050801",  # too short
        "A10B0607608574050801010500",  # more behind the name
        NAMED + "8B0760857405080209",  # unknown mechanism
        NAMED + "A6020500",  # title that is no octet string
        NAMED + "".join(f"{tag:02X}00" for tag in range(0xC0, 0xE0)),  # too many fields
    ],
)
def test_malformed_request_is_refused(fields: str) -> None:
    with pytest.raises(RemoteProtocolError):
        AssociationRequest.from_bytes(framed(0x60, fields))


def test_unknown_fields_are_passed_over() -> None:
    assert AssociationRequest.from_bytes(framed(0x60, NAMED + "A2020500BD00")).mechanism is (
        Mechanism.NONE
    )


@pytest.mark.parametrize(
    ("field", "diagnostic"),
    [
        ("A305A103020101", Diagnostic.NO_REASON_GIVEN),
        ("A305A10302010D", Diagnostic.AUTHENTICATION_FAILURE),
        ("A305A103020163", Diagnostic.NO_REASON_GIVEN),  # one that we do not know
        ("A305A203020100", Diagnostic.NULL),
        ("A305A203020102", Diagnostic.NO_REASON_GIVEN),  # of the provider
        ("", Diagnostic.NULL),
    ],
)
def test_diagnostic_is_read(field: str, diagnostic: Diagnostic) -> None:
    apdu = framed(0x61, NAMED + "A203020101" + field)
    assert AssociationResponse.from_bytes(apdu).diagnostic is diagnostic


@pytest.mark.parametrize(
    "fields",
    [NAMED, NAMED + "A203020109", NAMED + "A20402020000", NAMED + "A203020100A305A10402020000"],
)
def test_malformed_response_is_refused(fields: str) -> None:
    with pytest.raises(RemoteProtocolError):
        AssociationResponse.from_bytes(framed(0x61, fields))


def test_initiate_apdus_come_back_with_optional_fields() -> None:
    request = InitiateRequest(
        OURS, 500, dedicated_key=bytes(16), response_allowed=False, quality_of_service=-1
    )
    assert InitiateRequest.from_bytes(request.to_bytes()) == request
    assert InitiateRequest.from_bytes(replace(request, dedicated_key=None).to_bytes()) != request
    response = InitiateResponse(Conformance.GET, 100, quality_of_service=3)
    assert InitiateResponse.from_bytes(response.to_bytes()) == response


@pytest.mark.parametrize(
    "apdu",
    ["0100000006", "01000000065F0404001E1DFFFF00", "08000600", "01000000065F1F0400001E1DFFFF00"],
)
def test_malformed_initiate_request_is_refused(apdu: str) -> None:
    with pytest.raises(RemoteProtocolError):
        InitiateRequest.from_bytes(bytes.fromhex(apdu))


def test_response_for_short_names_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="logical names"):
        InitiateResponse.from_bytes(bytes.fromhex("0800065F1F0400001E1D04C8FA00"))


def test_initiate_error_comes_back() -> None:
    for error in InitiateError:
        assert parse_initiate_error(encode_initiate_error(error)) is error
    for apdu in ("0E010505", "0E010609", "0E", "0E01060100"):
        with pytest.raises(RemoteProtocolError):
            parse_initiate_error(bytes.fromhex(apdu))
