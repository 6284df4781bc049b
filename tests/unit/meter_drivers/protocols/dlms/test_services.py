import pytest

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import NULL, octet_string, unsigned
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method, Selection
from meter_drivers.protocols.dlms.requests import (
    LIST_MAX,
    ActionRequest,
    Block,
    GetListRequest,
    GetNextRequest,
    GetRequest,
    Request,
    SetBlockRequest,
    SetFirstBlockRequest,
    SetRequest,
    parse_request,
)
from meter_drivers.protocols.dlms.responses import (
    ActionResponse,
    ExceptionResponse,
    GetBlockResponse,
    GetListResponse,
    GetResponse,
    Response,
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

NAME = LogicalName.parse("1.0.99.1.0.255")
BUFFER, PERIOD = Attribute(7, NAME, 2), Attribute(7, NAME, -4)
PART = Selection(2, unsigned(9))
MIDDLE = Block(is_last=False, number=2, part=b"middle")
DENIED = DataAccessResult.READ_WRITE_DENIED
REQUESTS: list[Request] = [
    GetRequest(0xC1, BUFFER),
    GetRequest(0xC1, BUFFER, PART),
    GetNextRequest(0xC2, 0xFFFF_FFFF),
    GetListRequest(0xCF, ((BUFFER, PART), (PERIOD, None))),
    SetRequest(0x41, PERIOD, NULL),
    SetRequest(0x41, PERIOD, octet_string(bytes(300)), PART),
    SetFirstBlockRequest(0xC1, BUFFER, MIDDLE, PART),
    SetBlockRequest(0xC1, MIDDLE),
    ActionRequest(0xC1, Method(7, NAME, 1)),
    ActionRequest(0xC1, Method(7, NAME, 1), NULL),
]
RESPONSES: list[Response] = [
    GetResponse(0xC1, NULL),
    GetResponse(0xC1, DENIED),
    GetBlockResponse(0xC1, is_last=False, number=1, part=b"first"),
    GetBlockResponse(0xC1, is_last=True, number=2, part=DENIED),
    GetListResponse(0xC1, (NULL, DENIED)),
    SetResponse(0xC1, DENIED),
    SetBlockResponse(0xC1, 3),
    SetLastBlockResponse(0xC1, DENIED, 4),
    ActionResponse(0xC1, ActionResult.SUCCESS),
    ActionResponse(0xC1, ActionResult.SUCCESS, unsigned(1)),
    ActionResponse(0xC1, ActionResult.OTHER_REASON, DENIED),
    ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.OTHER_REASON),
    ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.INVOCATION_COUNTER_ERROR, 7),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_request_comes_back_whole_or_not_at_all(request_: Request) -> None:
    apdu = request_.to_bytes()
    assert parse_request(apdu) == request_
    for size_bytes in range(len(apdu)):
        with pytest.raises(RemoteProtocolError):
            parse_request(apdu[:size_bytes])


@pytest.mark.parametrize("response", RESPONSES)
def test_response_comes_back_whole_or_not_at_all(response: Response) -> None:
    apdu = response.to_bytes()
    assert parse_response(apdu) == response
    without_counter = len(apdu) - 4 if apdu[:3] == bytes.fromhex("D80106") else None
    for size_bytes in range(len(apdu)):
        if size_bytes != without_counter:
            with pytest.raises(RemoteProtocolError):
                parse_response(apdu[:size_bytes])


@pytest.mark.parametrize("apdu", ["C004C1", "C7C1", "D80203", "C003C100", "C003C1820101"])
def test_unknown_request_is_refused(apdu: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_request(bytes.fromhex(apdu))


@pytest.mark.parametrize(
    "apdu",
    ["C404C1", "C001C1", "C401C10200", "C401C10105", "C501C105", "C701C105", "D80301", "D80107"],
)
def test_unknown_response_is_refused(apdu: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_response(bytes.fromhex(apdu))


def test_longest_list_comes_back() -> None:
    longest = GetListRequest(0xC1, ((BUFFER, None),) * LIST_MAX)
    assert parse_request(longest.to_bytes()) == longest


def test_results_have_the_numbers_of_the_standard() -> None:
    assert [int(result) for result in DataAccessResult] == [
        0, 1, 2, 3, 4, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 250,
    ]  # fmt: skip
    assert [int(result) for result in ActionResult] == [
        0, 1, 2, 3, 4, 9, 11, 12, 13, 14, 15, 16, 250,
    ]  # fmt: skip
