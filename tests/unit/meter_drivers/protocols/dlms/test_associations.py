"""Client and server association against each other, APDU by APDU."""

from collections.abc import Callable
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
    Release,
)
from meter_drivers.protocols.dlms.axdr import Data, double_long, integer, octet_string
from meter_drivers.protocols.dlms.classes.account import AVAILABLE_CREDIT
from meter_drivers.protocols.dlms.classes.profile_generic import EntrySelection
from meter_drivers.protocols.dlms.classes.switching import REMOTE_DISCONNECT
from meter_drivers.protocols.dlms.client import (
    REPLY_TO_HLS,
    ClientAssociation,
    ClientSettings,
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
from meter_drivers.protocols.dlms.initiate import (
    OURS,
    Conformance,
    InitiateError,
    InitiateRequest,
    InitiateResponse,
)
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Selection
from meter_drivers.protocols.dlms.object_server import ActionOutcome
from meter_drivers.protocols.dlms.requests import (
    ActionRequest,
    Block,
    GetNextRequest,
    GetRequest,
    SetBlockRequest,
    SetFirstBlockRequest,
)
from meter_drivers.protocols.dlms.responses import (
    ActionResponse,
    ExceptionResponse,
    GetBlockResponse,
    GetResponse,
    SetBlockResponse,
    SetLastBlockResponse,
    SetResponse,
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
    Protection,
    SecurityContext,
    SecurityKeys,
)
from meter_drivers.protocols.dlms.server import ServerAssociation, ServerSettings
from tests.support.dlms_objects import CLIENT_TITLE, KEYS, SERVER_TITLE, RecordingObjects

PROFILE = Attribute(7, LogicalName.parse("1.0.99.1.0.255"), 2)
ABSENT = Attribute(1, LogicalName.parse("0.0.96.1.9.255"), 2)
CREDIT = double_long(-500)
LONG = octet_string(bytes(range(256)) * 3)
TO_SERVER, TO_CLIENT = b"C" * 16, b"S" * 16


class Meeting:
    """A client and a server association, with all that either needs for one way of meeting."""

    def __init__(self, way: str = "none", *, ciphering: Ciphering = Ciphering.GENERAL) -> None:
        self.objects = RecordingObjects({AVAILABLE_CREDIT: CREDIT, PROFILE: LONG})
        self.client_security: SecurityContext | None = None
        self.server_security: SecurityContext | None = None
        client, server = ClientSettings(), ServerSettings()
        if way == "low":
            client = replace(client, mechanism=Mechanism.LOW, password=Password(b"12345678"))
            server = replace(server, mechanism=Mechanism.LOW, password=Password(b"12345678"))
        if way.startswith("high"):
            high = Mechanism.HIGH_GMAC
            client = replace(client, mechanism=high, new_challenge=lambda: TO_SERVER)
            server = replace(server, mechanism=high, new_challenge=lambda: TO_CLIENT)
        if way.endswith("ciphered"):
            client = replace(client, context=Context.CIPHERED)
            server = replace(server, context=Context.CIPHERED)
        if way not in {"none", "low"}:
            self.client_security = SecurityContext(KEYS, title=CLIENT_TITLE, ciphering=ciphering)
            self.server_security = SecurityContext(KEYS, title=SERVER_TITLE, next_counter=100)
        self.client_settings, self.server_settings = client, server

    def build(self) -> "Meeting":
        self.client = ClientAssociation(self.client_settings, self.client_security)
        self.server = ServerAssociation(self.server_settings, self.objects, self.server_security)
        return self

    def exchange(self, apdu: bytes) -> ClientEvent:
        for _ in range(100):
            answer = self.server.receive_apdu(apdu)
            assert answer is not None
            event = self.client.receive_apdu(answer)
            if not isinstance(event, Continue):
                return event
            apdu = event.apdu
        raise AssertionError("it does not end")

    def associate(self) -> "Meeting":
        self.build()
        event = self.exchange(self.client.associate())
        assert isinstance(event, Associated)
        assert self.client.is_ready
        assert self.server.is_ready
        return self


WAYS = ["none", "low", "ciphered", "high", "high ciphered"]


MEETINGS = [
    *((way, Ciphering.GENERAL) for way in WAYS),
    ("ciphered", Ciphering.PER_SERVICE),
    ("high ciphered", Ciphering.PER_SERVICE),
]


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


@pytest.mark.parametrize(("way", "ciphering"), MEETINGS)
@pytest.mark.parametrize("size_bytes", [100, 150, 256])
def test_long_values_go_in_blocks(way: str, ciphering: Ciphering, size_bytes: int) -> None:
    meeting = Meeting(way, ciphering=ciphering)
    meeting.client_settings = replace(meeting.client_settings, receive_size_bytes=size_bytes)
    meeting.server_settings = replace(meeting.server_settings, receive_size_bytes=256)
    meeting.associate()
    assert meeting.exchange(meeting.client.get(PROFILE)) == Got(LONG)
    assert meeting.exchange(meeting.client.get_list([PROFILE, ABSENT, AVAILABLE_CREDIT])) == (
        GotList((LONG, DataAccessResult.OBJECT_UNDEFINED, CREDIT))
    )
    new = octet_string(bytes(1000))
    assert meeting.exchange(meeting.client.set(PROFILE, new)) == SetDone(DataAccessResult.SUCCESS)
    assert meeting.objects.values[PROFILE] == new


@pytest.mark.parametrize(("way", "ciphering"), MEETINGS)
@pytest.mark.parametrize("size_bytes", [100, 150])
def test_no_apdu_exceeds_what_the_other_side_takes(
    way: str, ciphering: Ciphering, size_bytes: int
) -> None:
    meeting = Meeting(way, ciphering=ciphering)
    meeting.client_settings = replace(meeting.client_settings, receive_size_bytes=size_bytes)
    meeting.server_settings = replace(meeting.server_settings, receive_size_bytes=160)
    meeting.associate()
    asks: list[Callable[[], bytes]] = [
        lambda: meeting.client.get(PROFILE),
        lambda: meeting.client.set(PROFILE, octet_string(bytes(999))),
    ]
    for ask in asks:
        event: ClientEvent = Continue(ask())
        while isinstance(event, Continue):
            assert len(event.apdu) <= 160
            answer = meeting.server.receive_apdu(event.apdu)
            assert answer is not None
            assert len(answer) <= size_bytes
            event = meeting.client.receive_apdu(answer)


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


def test_answer_of_another_kind_is_refused_and_the_right_one_still_taken() -> None:
    meeting = Meeting().associate()
    asked = meeting.client.get(AVAILABLE_CREDIT)
    with pytest.raises(RemoteProtocolError, match="SetResponse came for GetRequest"):
        meeting.client.receive_apdu(SetResponse(0xC1, DataAccessResult.SUCCESS).to_bytes())
    assert meeting.exchange(asked) == Got(CREDIT)


def test_services_not_agreed_on_are_refused_on_both_sides() -> None:
    meeting = Meeting()
    meeting.server_settings = replace(meeting.server_settings, conformance=Conformance.GET)
    meeting.associate()
    client = meeting.client
    asks: list[Callable[[], bytes]] = [
        lambda: client.act(REMOTE_DISCONNECT),
        lambda: client.set(PROFILE, CREDIT),
        lambda: client.get_list([PROFILE]),
        lambda: client.get(PROFILE, EntrySelection(1).to_selection()),
    ]
    for ask in asks:
        with pytest.raises(LocalProtocolError, match="has not agreed"):
            ask()
    selected = GetRequest(0xC1, PROFILE, EntrySelection(1).to_selection())
    for request in (ActionRequest(0xC1, REMOTE_DISCONNECT), selected):
        assert meeting.server.receive_apdu(request.to_bytes()) == bytes.fromhex("D80202")
    assert meeting.objects.acts == []


def test_long_answers_without_blocks_are_refused() -> None:
    meeting = Meeting()
    without = OURS & ~(Conformance.BLOCK_TRANSFER_WITH_GET | Conformance.BLOCK_TRANSFER_WITH_SET)
    meeting.client_settings = ClientSettings(conformance=without, receive_size_bytes=100)
    meeting.server_settings = ServerSettings(receive_size_bytes=100)
    meeting.associate()
    denied = DataAccessResult.OTHER_REASON
    assert meeting.exchange(meeting.client.get(PROFILE)) == Got(denied)
    assert meeting.exchange(meeting.client.get_list([PROFILE] * 2)) == GotList((denied,) * 2)
    meeting.objects.action_outcome = ActionOutcome(ActionResult.SUCCESS, LONG)
    assert meeting.exchange(meeting.client.act(REMOTE_DISCONNECT)) == ActionDone(
        ActionResult.SUCCESS, denied
    )
    meeting.objects.action_outcome = ActionOutcome(ActionResult.OTHER_REASON, LONG)
    assert meeting.exchange(meeting.client.act(REMOTE_DISCONNECT)) == ActionDone(
        ActionResult.OTHER_REASON, None
    )
    with pytest.raises(LocalProtocolError, match="has not agreed"):
        meeting.client.set(PROFILE, LONG)
    with pytest.raises(LocalProtocolError, match="at most"):
        meeting.client.act(REMOTE_DISCONNECT, LONG)
    too_long = ActionRequest(0xC1, REMOTE_DISCONNECT, LONG).to_bytes()
    assert meeting.server.receive_apdu(too_long) == bytes.fromhex("D80104")


def test_blocks_out_of_order_end_the_transfer() -> None:
    meeting = Meeting()
    meeting.client_settings = replace(meeting.client_settings, receive_size_bytes=100)
    server = meeting.associate().server
    invalid = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
    none = DataAccessResult.NO_LONG_GET_IN_PROGRESS
    server.receive_apdu(GetRequest(0xC1, PROFILE).to_bytes())
    for number, result in ((7, invalid), (1, none)):
        answer = server.receive_apdu(GetNextRequest(0xC1, number).to_bytes())
        expected = GetBlockResponse(0xC1, is_last=True, number=number, part=result)
        assert answer == expected.to_bytes()
    block = SetBlockRequest(0xC1, Block(False, 2, b"x"))  # noqa: FBT003 # last flag
    alone = SetLastBlockResponse(0xC1, DataAccessResult.NO_LONG_SET_IN_PROGRESS, 2)
    assert server.receive_apdu(block.to_bytes()) == alone.to_bytes()
    first = SetFirstBlockRequest(0xC1, PROFILE, Block(False, 1, b"x"))  # noqa: FBT003 # last flag
    assert server.receive_apdu(first.to_bytes()) == SetBlockResponse(0xC1, 1).to_bytes()
    skipped = SetBlockRequest(0xC1, Block(True, 3, b"x"))  # noqa: FBT003 # last flag
    refused = SetLastBlockResponse(0xC1, invalid, 3)
    assert server.receive_apdu(skipped.to_bytes()) == refused.to_bytes()
    whole = SetFirstBlockRequest(0xC1, PROFILE, Block(True, 1, b"x"))  # noqa: FBT003 # last flag
    malformed = SetLastBlockResponse(0xC1, DataAccessResult.TYPE_UNMATCHED, 1)
    assert server.receive_apdu(whole.to_bytes()) == malformed.to_bytes()
    assert meeting.objects.values[PROFILE] == LONG


def test_written_blocks_are_bounded() -> None:
    meeting = Meeting().associate()
    part = bytes(60_000)
    first = SetFirstBlockRequest(0xC1, PROFILE, Block(False, 1, part))  # noqa: FBT003 # last flag
    answer = meeting.server.receive_apdu(first.to_bytes())
    number = 1
    while answer == SetBlockResponse(0xC1, number).to_bytes():
        number += 1
        block = Block(False, number, part)  # noqa: FBT003 # last flag
        answer = meeting.server.receive_apdu(SetBlockRequest(0xC1, block).to_bytes())
    aborted = SetLastBlockResponse(0xC1, DataAccessResult.LONG_SET_ABORTED, number)
    assert answer == aborted.to_bytes()
    assert number == 5


def test_client_refuses_blocks_that_do_not_fit() -> None:
    meeting = Meeting().associate()
    asked = meeting.client.get(PROFILE)
    wrong = GetBlockResponse(0xC1, is_last=True, number=2, part=b"\x00")
    with pytest.raises(RemoteProtocolError, match="block 2 came instead of 1"):
        meeting.client.receive_apdu(wrong.to_bytes())
    aborted = GetBlockResponse(
        0xC1, is_last=True, number=1, part=DataAccessResult.LONG_GET_ABORTED
    ).to_bytes()
    assert meeting.client.receive_apdu(aborted) == Got(DataAccessResult.LONG_GET_ABORTED)
    assert asked
    meeting.client.get_list([PROFILE, PROFILE])
    listed = replace(GetBlockResponse(0xC2, True, 1, DataAccessResult.LONG_GET_ABORTED))  # noqa: FBT003 # last flag
    assert meeting.client.receive_apdu(listed.to_bytes()) == GotList(
        (DataAccessResult.LONG_GET_ABORTED,) * 2
    )


def test_client_bounds_an_answer_in_blocks() -> None:
    meeting = Meeting().associate()
    meeting.client.get(PROFILE)
    for number in range(1, 17):
        block = GetBlockResponse(0xC1, is_last=False, number=number, part=bytes(65_000))
        assert isinstance(meeting.client.receive_apdu(block.to_bytes()), Continue)
    last = GetBlockResponse(0xC1, is_last=False, number=17, part=bytes(65_000))
    with pytest.raises(RemoteProtocolError, match="exceeds"):
        meeting.client.receive_apdu(last.to_bytes())


def test_list_of_another_length_is_refused() -> None:
    meeting = Meeting().associate()
    meeting.client.get_list([PROFILE, PROFILE])
    with pytest.raises(RemoteProtocolError, match="1 answers came to 2 questions"):
        meeting.client.receive_apdu(bytes.fromhex("C403C1010104"))


def test_acknowledged_block_of_another_number_is_refused() -> None:
    meeting = Meeting()
    meeting.server_settings = replace(meeting.server_settings, receive_size_bytes=100)
    meeting.associate()
    meeting.client.set(PROFILE, LONG)
    with pytest.raises(RemoteProtocolError, match="took block 5 instead of 1"):
        meeting.client.receive_apdu(SetBlockResponse(0xC1, 5).to_bytes())


def test_unconfirmed_request_gets_no_answer_and_does_nothing() -> None:
    meeting = Meeting().associate()
    assert meeting.server.receive_apdu(ActionRequest(0x81, REMOTE_DISCONNECT).to_bytes()) is None
    assert meeting.objects.acts == []


@pytest.mark.parametrize(
    ("initiate", "error"),
    [
        (InitiateRequest(version=5), InitiateError.DLMS_VERSION_TOO_LOW),
        (InitiateRequest(Conformance(0)), InitiateError.INCOMPATIBLE_CONFORMANCE),
        (InitiateRequest(receive_size_bytes=10), InitiateError.PDU_SIZE_TOO_SHORT),
    ],
)
def test_server_says_what_it_cannot_agree_on(
    initiate: InitiateRequest, error: InitiateError
) -> None:
    meeting = Meeting().build()
    meeting.client.associate()
    aarq = AssociationRequest(context=Context.PLAIN, user_information=initiate.to_bytes())
    event = meeting.exchange(aarq.to_bytes())
    assert isinstance(event, AssociationRefused)
    assert event.error is error


def test_size_of_0_sets_no_limit() -> None:
    meeting = Meeting()
    meeting.client_settings = replace(meeting.client_settings, receive_size_bytes=0)
    assert meeting.associate().exchange(meeting.client.get(PROFILE)) == Got(LONG)


@pytest.mark.parametrize("apdu", ["", "60", "6000", "60028000", "62", "6200", "C0", "D8", "DB"])
@pytest.mark.parametrize("way", WAYS)
def test_server_answers_whatever_comes(way: str, apdu: str) -> None:
    for meeting in (Meeting(way).build(), Meeting(way).associate()):
        answer = meeting.server.receive_apdu(bytes.fromhex(apdu))
        assert answer is not None
        assert answer[0] in {0x61, 0x63, 0xD8, 0xDB}


def test_release_that_is_not_ciphered_as_agreed_ends_nothing() -> None:
    meeting = Meeting("ciphered").associate()
    meeting.server.receive_apdu(Release(0x62).to_bytes())
    assert meeting.server.is_ready


def test_server_of_an_older_version_or_another_context_is_refused() -> None:
    meeting = Meeting().build()
    meeting.client.associate()
    user = InitiateResponse(OURS, version=5).to_bytes()
    accepted = AssociationResponse(
        context=Context.PLAIN, result=AssociationResult.ACCEPTED, user_information=user
    )
    with pytest.raises(RemoteProtocolError, match="version 5"):
        meeting.client.receive_apdu(accepted.to_bytes())
    with pytest.raises(RemoteProtocolError, match="another context"):
        meeting.client.receive_apdu(replace(accepted, context=Context.CIPHERED).to_bytes())
    exception = meeting.client.receive_apdu(bytes.fromhex("D80101"))
    assert isinstance(exception, ServiceRefused)


@pytest.mark.parametrize(
    "settings",
    [
        ClientSettings(mechanism=Mechanism.HIGH_MD5),
        ClientSettings(mechanism=Mechanism.LOW),
        ClientSettings(password=Password(b"x")),
        ClientSettings(context=Context.CIPHERED),
    ],
)
def test_client_settings_that_do_not_fit_are_refused(settings: ClientSettings) -> None:
    with pytest.raises(LocalProtocolError):
        ClientAssociation(settings)


def test_client_without_a_challenge_and_server_without_a_source_are_refused() -> None:
    security = SecurityContext(KEYS, title=CLIENT_TITLE, protection=Protection.AUTHENTICATED)
    with pytest.raises(LocalProtocolError, match="takes challenges"):
        ClientAssociation(ClientSettings(mechanism=Mechanism.HIGH_GMAC), security)
    short = ClientSettings(mechanism=Mechanism.HIGH_GMAC, new_challenge=lambda: b"short")
    with pytest.raises(LocalProtocolError, match="8 to 64 bytes"):
        ClientAssociation(short, security).associate()
    with pytest.raises(LocalProtocolError, match="fit together"):
        ServerAssociation(
            ServerSettings(mechanism=Mechanism.HIGH_GMAC), RecordingObjects({}), security
        )


def test_list_must_have_items() -> None:
    with pytest.raises(LocalProtocolError, match="1 to 256"):
        Meeting().associate().client.get_list([])


def test_no_event_or_request_shows_a_challenge_value_or_token() -> None:
    request = ActionRequest(0xC1, REMOTE_DISCONNECT, octet_string(b"12345678901234567890"))
    settings = ClientSettings(password=Password(b"secret"))
    aarq = AssociationRequest(context=Context.PLAIN, authentication_value=b"secret")
    for shown in (repr(request), repr(settings), repr(aarq), repr(Continue(b"secret"))):
        assert "secret" not in shown
        assert "1234567890" not in shown
    assert GetResponse(0xC1, CREDIT).outcome == CREDIT


def test_selection_that_leaves_no_room_for_a_block_is_refused() -> None:
    meeting = Meeting()
    meeting.server_settings = replace(meeting.server_settings, receive_size_bytes=64)
    meeting.associate()
    with pytest.raises(LocalProtocolError, match="no room"):
        meeting.client.set(PROFILE, LONG, Selection(1, octet_string(bytes(60))))


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
