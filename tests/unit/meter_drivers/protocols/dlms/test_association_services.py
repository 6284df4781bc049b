"""Client and server association against each other: services, blocks, limits."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.acse import (
    AssociationRequest,
    AssociationResponse,
    AssociationResult,
    Context,
    Mechanism,
    Release,
)
from meter_drivers.protocols.dlms.axdr import octet_string
from meter_drivers.protocols.dlms.classes.account import AVAILABLE_CREDIT
from meter_drivers.protocols.dlms.classes.profile_generic import EntrySelection
from meter_drivers.protocols.dlms.classes.switching import REMOTE_DISCONNECT
from meter_drivers.protocols.dlms.client import (
    ClientAssociation,
    ClientSettings,
)
from meter_drivers.protocols.dlms.client_events import (
    ActionDone,
    AssociationRefused,
    ClientEvent,
    Continue,
    Got,
    GotList,
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
from meter_drivers.protocols.dlms.names import Selection
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
    GetBlockResponse,
    GetResponse,
    SetBlockResponse,
    SetLastBlockResponse,
    SetResponse,
)
from meter_drivers.protocols.dlms.results import (
    ActionResult,
    DataAccessResult,
)
from meter_drivers.protocols.dlms.security import (
    Ciphering,
    Password,
    Protection,
    SecurityContext,
)
from meter_drivers.protocols.dlms.server import ServerAssociation, ServerSettings
from tests.support.dlms_meeting import (
    ABSENT,
    CREDIT,
    LONG,
    MEETINGS,
    PROFILE,
    Meeting,
)
from tests.support.dlms_objects import CLIENT_TITLE, KEYS, RecordingObjects


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
