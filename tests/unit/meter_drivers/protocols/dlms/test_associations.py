"""Client and server association against each other, APDU by APDU."""

from dataclasses import replace
from typing import Any

import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.acse import (
    AssociationRequest,
    AssociationResponse,
    AssociationResult,
    Context,
    Diagnostic,
    Mechanism,
)
from meter_drivers.protocols.dlms.axdr import Data, double_long, integer, octet_string
from meter_drivers.protocols.dlms.classes.account import AVAILABLE_CREDIT
from meter_drivers.protocols.dlms.classes.profile_generic import EntrySelection
from meter_drivers.protocols.dlms.classes.switching import REMOTE_DISCONNECT
from meter_drivers.protocols.dlms.client import (
    REPLY_TO_HLS,
)
from meter_drivers.protocols.dlms.client_events import (
    ActionDone,
    AnswerIgnored,
    Associated,
    AssociationRefused,
    AuthenticationFailed,
    ClientEvent,
    Continue,
    Got,
    GotList,
    Released,
    ServiceRefused,
    SetDone,
)
from meter_drivers.protocols.dlms.object_server import ActionOutcome
from meter_drivers.protocols.dlms.requests import (
    GetRequest,
)
from meter_drivers.protocols.dlms.responses import (
    ActionResponse,
    ExceptionResponse,
    parse_response,
)
from meter_drivers.protocols.dlms.results import (
    ActionResult,
    DataAccessResult,
    ServiceError,
    StateError,
)
from meter_drivers.protocols.dlms.security import (
    Ciphering,
    Password,
    SecurityContext,
    SecurityKeys,
)
from tests.support.dlms_meeting import (
    ABSENT,
    CREDIT,
    MEETINGS,
    PROFILE,
    TO_SERVER,
    WAYS,
    Meeting,
)
from tests.support.dlms_objects import CLIENT_TITLE


@pytest.mark.parametrize(("way", "ciphering"), MEETINGS)
def test_whole_round(way: str, ciphering: Ciphering) -> None:
    meeting = Meeting(way, ciphering=ciphering).associate()
    client, exchange = meeting.client, meeting.exchange
    assert exchange(client.get(AVAILABLE_CREDIT)) == Got(CREDIT)
    assert exchange(client.get(ABSENT)) == Got(DataAccessResult.OBJECT_UNDEFINED)
    both = [AVAILABLE_CREDIT, ABSENT]
    assert exchange(client.get_list(both)) == GotList((CREDIT, DataAccessResult.OBJECT_UNDEFINED))
    assert exchange(client.set(AVAILABLE_CREDIT, double_long(7))) == SetDone(
        DataAccessResult.SUCCESS
    )
    assert exchange(client.set(ABSENT, CREDIT)) == SetDone(DataAccessResult.READ_WRITE_DENIED)
    part = EntrySelection(1, 2).to_selection()
    exchange(client.get(PROFILE, part))
    assert meeting.objects.selections[-1] == part
    assert exchange(client.act(REMOTE_DISCONNECT, integer(0))) == ActionDone(
        ActionResult.SUCCESS, None
    )
    meeting.objects.action_outcome = ActionOutcome(ActionResult.TEMPORARY_FAILURE, CREDIT)
    assert exchange(client.act(REMOTE_DISCONNECT)) == ActionDone(
        ActionResult.TEMPORARY_FAILURE, CREDIT
    )
    assert meeting.objects.acts == [(REMOTE_DISCONNECT, integer(0)), (REMOTE_DISCONNECT, None)]
    assert exchange(client.release()) == Released()
    assert not meeting.server.is_ready
    assert isinstance(exchange(client.associate()), Associated)


def test_wrong_password_is_refused_without_saying_more() -> None:
    meeting = Meeting("low")
    meeting.client_settings = replace(meeting.client_settings, password=Password(b"12345679"))
    meeting.build()
    assert meeting.exchange(meeting.client.associate()) == AssociationRefused(
        AssociationResult.REJECTED_PERMANENT, Diagnostic.AUTHENTICATION_FAILURE
    )
    assert not meeting.server.is_ready
    answer = meeting.server.receive_apdu(GetRequest(0xC1, AVAILABLE_CREDIT).to_bytes())
    assert answer == bytes.fromhex("D80101")


@pytest.mark.parametrize(
    ("client", "server", "diagnostic"),
    [
        ("none", "low", Diagnostic.AUTHENTICATION_REQUIRED),
        ("low", "none", Diagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED),
        ("low", "high", Diagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED),
        ("none", "ciphered", Diagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED),
        ("high ciphered", "high", Diagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED),
    ],
)
def test_association_of_another_kind_is_refused(
    client: str, server: str, diagnostic: Diagnostic
) -> None:
    asking, asked = Meeting(client).build(), Meeting(server).build()
    asking.server = asked.server
    event = asking.exchange(asking.client.associate())
    assert event == AssociationRefused(AssociationResult.REJECTED_PERMANENT, diagnostic)
    assert not asked.server.is_ready


def test_client_with_another_key_gets_no_association() -> None:
    for way in ("ciphered", "high ciphered"):
        meeting = Meeting(way)
        meeting.client_security = SecurityContext(
            SecurityKeys(bytes(16), bytes(16)), title=CLIENT_TITLE
        )
        meeting.build()
        assert isinstance(meeting.exchange(meeting.client.associate()), AssociationRefused)
    meeting = Meeting("high")
    meeting.client_security = SecurityContext(
        SecurityKeys(bytes(16), bytes(16)), title=CLIENT_TITLE
    )
    meeting.build()
    event = meeting.exchange(meeting.client.associate())
    assert event == AuthenticationFailed("the server refuses the proof of this client")
    assert meeting.server.refused_proof_count == 1
    assert not meeting.server.is_ready


def forge(meeting: Meeting, returned: Data | None) -> ClientEvent:
    answer = meeting.server.receive_apdu(meeting.client.associate())
    assert answer is not None
    event = meeting.client.receive_apdu(answer)
    assert isinstance(event, Continue)
    return meeting.client.receive_apdu(
        ActionResponse(0xC1, ActionResult.SUCCESS, returned).to_bytes()
    )


@pytest.mark.parametrize("returned", [None, integer(1), octet_string(bytes(17)), octet_string(b"")])
def test_server_that_does_not_prove_itself_gets_no_association(returned: Data | None) -> None:
    meeting = Meeting("high").build()
    assert isinstance(forge(meeting, returned), AuthenticationFailed)
    assert not meeting.client.is_ready


@pytest.mark.parametrize(
    "changed",
    [
        {"mechanism": Mechanism.NONE},
        {"authentication_value": None},
        {"authentication_value": b"short"},
        {"authentication_value": TO_SERVER},
    ],
)
def test_server_that_lowers_the_security_gets_no_association(changed: dict[str, Any]) -> None:
    meeting = Meeting("high").build()
    answer = meeting.server.receive_apdu(meeting.client.associate())
    assert answer is not None
    forged = replace(AssociationResponse.from_bytes(answer), **changed)
    event = meeting.client.receive_apdu(forged.to_bytes())
    assert isinstance(event, AuthenticationFailed)
    assert not meeting.client.is_ready


def test_server_answers_nothing_but_the_proof_before_it() -> None:
    meeting = Meeting("high").build()
    meeting.server.receive_apdu(meeting.client.associate())
    answer = meeting.server.receive_apdu(GetRequest(0xC1, AVAILABLE_CREDIT).to_bytes())
    assert answer == bytes.fromhex("D80101")
    assert meeting.objects.selections == []


def test_reply_to_hls_after_the_association_is_denied() -> None:
    meeting = Meeting("high").associate()
    event = meeting.exchange(meeting.client.act(REPLY_TO_HLS, octet_string(bytes(17))))
    assert event == ActionDone(ActionResult.READ_WRITE_DENIED, None)
    assert meeting.objects.acts == []


def test_every_flipped_bit_of_a_ciphered_request_is_refused_and_does_nothing() -> None:
    for ciphering in Ciphering:
        meeting = Meeting("high ciphered", ciphering=ciphering).associate()
        order = meeting.client.act(REMOTE_DISCONNECT, integer(0))
        for bit in range(len(order) * 8):
            flipped = bytearray(order)
            flipped[bit // 8] ^= 1 << bit % 8
            answer = meeting.server.receive_apdu(bytes(flipped))
            assert answer is not None
            if flipped[0] not in {0x60, 0x62}:
                response = parse_response(answer)
                assert isinstance(response, ExceptionResponse)
        assert meeting.objects.acts == []


def test_every_flipped_bit_of_a_ciphered_answer_is_refused() -> None:
    for ciphering in Ciphering:
        meeting = Meeting("high ciphered", ciphering=ciphering).associate()
        answer = meeting.server.receive_apdu(meeting.client.get(AVAILABLE_CREDIT))
        assert answer is not None
        for bit in range(len(answer) * 8):
            flipped = bytearray(answer)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(RemoteProtocolError):
                meeting.client.receive_apdu(bytes(flipped))
        assert meeting.client.receive_apdu(answer) == Got(CREDIT)


def test_replayed_order_is_refused_with_the_counter_and_does_nothing() -> None:
    meeting = Meeting("high ciphered").associate()
    order = meeting.client.act(REMOTE_DISCONNECT, integer(0))
    answer = meeting.server.receive_apdu(order)
    again = meeting.server.receive_apdu(order)
    assert answer is not None
    assert again is not None
    assert parse_response(again) == ExceptionResponse(
        StateError.SERVICE_NOT_ALLOWED, ServiceError.INVOCATION_COUNTER_ERROR, 4
    )
    assert len(meeting.objects.acts) == 1
    assert meeting.client.receive_apdu(answer) == ActionDone(ActionResult.SUCCESS, None)


def test_replayed_answer_is_refused() -> None:
    meeting = Meeting("high ciphered").associate()
    first = meeting.server.receive_apdu(meeting.client.get(AVAILABLE_CREDIT))
    assert first is not None
    meeting.client.receive_apdu(first)
    second = meeting.server.receive_apdu(meeting.client.get(AVAILABLE_CREDIT))
    assert second is not None
    with pytest.raises(RemoteProtocolError, match="came again"):
        meeting.client.receive_apdu(first)
    assert meeting.client.receive_apdu(second) == Got(CREDIT)


def test_replayed_association_is_refused() -> None:
    meeting = Meeting("ciphered").build()
    aarq = meeting.client.associate()
    meeting.exchange(aarq)
    answer = meeting.server.receive_apdu(aarq)
    assert answer is not None
    assert AssociationResponse.from_bytes(answer).result is AssociationResult.REJECTED_PERMANENT


def test_plain_exception_in_a_ciphered_association_proves_nothing() -> None:
    meeting = Meeting("ciphered").associate()
    meeting.client.act(REMOTE_DISCONNECT)
    event = meeting.client.receive_apdu(bytes.fromhex("D80101"))
    assert isinstance(event, ServiceRefused)
    assert not event.is_authentic
    assert meeting.client.is_ready


@pytest.mark.parametrize("ciphering", Ciphering)
def test_request_that_nobody_knows_gets_an_exception(ciphering: Ciphering) -> None:
    meeting = Meeting("ciphered", ciphering=ciphering).associate()
    assert meeting.client_security is not None
    meeting.client.get(AVAILABLE_CREDIT)
    answer = meeting.server.receive_apdu(meeting.client_security.protect(bytes.fromhex("C004C1")))
    assert answer is not None
    event = meeting.client.receive_apdu(answer)
    assert isinstance(event, ServiceRefused)
    assert event.is_authentic == (ciphering is Ciphering.GENERAL)
    assert event.service is ServiceError.SERVICE_NOT_SUPPORTED


def test_lost_answer_is_not_asked_for_again_and_a_late_one_is_ignored() -> None:
    meeting = Meeting().associate()
    late = meeting.server.receive_apdu(meeting.client.act(REMOTE_DISCONNECT, integer(0)))
    assert late is not None
    with pytest.raises(LocalProtocolError, match="awaited"):
        meeting.client.act(REMOTE_DISCONNECT, integer(0))
    meeting.client.abandon()
    assert isinstance(meeting.client.receive_apdu(late), AnswerIgnored)
    asked = meeting.client.get(AVAILABLE_CREDIT)
    assert isinstance(meeting.client.receive_apdu(late), AnswerIgnored)
    assert meeting.exchange(asked) == Got(CREDIT)
    assert len(meeting.objects.acts) == 1


def test_abandoned_association_is_none() -> None:
    meeting = Meeting().build()
    meeting.client.associate()
    meeting.client.abandon()
    assert isinstance(meeting.exchange(meeting.client.associate()), Associated)


@pytest.mark.parametrize("apdu", ["", "60", "6000", "60028000", "62", "6200", "C0", "D8", "DB"])
@pytest.mark.parametrize("way", WAYS)
def test_server_answers_whatever_comes(way: str, apdu: str) -> None:
    for meeting in (Meeting(way).build(), Meeting(way).associate()):
        answer = meeting.server.receive_apdu(bytes.fromhex(apdu))
        assert answer is not None
        assert answer[0] in {0x61, 0x63, 0xD8, 0xDB}


def test_proof_of_a_server_with_an_old_counter_is_refused() -> None:
    meeting = Meeting("high").build()
    assert meeting.client_security is not None
    meeting.client_security.last_received = 1000
    event = meeting.exchange(meeting.client.associate())
    assert isinstance(event, AuthenticationFailed)
    assert "came again" in event.why


def test_failed_proof_ends_in_no_association_on_both_sides() -> None:
    meeting = Meeting("high").build()
    assert meeting.server_security is not None
    meeting.server_security.last_received = 1000
    event = meeting.exchange(meeting.client.associate())
    assert isinstance(event, AuthenticationFailed)
    assert not meeting.client.is_ready
    assert not meeting.server.is_ready


@pytest.mark.parametrize("size_bytes", [0, 7, 65])
def test_challenge_of_another_size_is_refused_by_the_server(size_bytes: int) -> None:
    meeting = Meeting("high").build()
    meeting.client.associate()
    aarq = AssociationRequest(
        context=Context.PLAIN,
        mechanism=Mechanism.HIGH_GMAC,
        system_title=CLIENT_TITLE,
        authentication_value=bytes(size_bytes),
    )
    assert meeting.exchange(aarq.to_bytes()) == AssociationRefused(
        AssociationResult.REJECTED_PERMANENT, Diagnostic.AUTHENTICATION_FAILURE
    )
