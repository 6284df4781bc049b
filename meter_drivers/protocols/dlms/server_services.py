"""How a server carries services out on its objects, and cuts long answers into blocks.

IEC 62056-53 (DLMS UA 1000-2, 9.3.6 to 9.3.8). One transfer in blocks at a time and direction: any
other request ends it. Nothing is written before the last block of a value has come.
"""

from collections import deque
from typing import Final

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlms.axdr import Data
from meter_drivers.protocols.dlms.initiate import Conformance
from meter_drivers.protocols.dlms.names import Selection
from meter_drivers.protocols.dlms.object_server import ObjectServer
from meter_drivers.protocols.dlms.requests import (
    ActionRequest,
    Block,
    GetListRequest,
    GetNextRequest,
    GetRequest,
    Request,
    SetBlockRequest,
    SetFirstBlockRequest,
    SetRequest,
)
from meter_drivers.protocols.dlms.responses import (
    ActionResponse,
    GetBlockResponse,
    GetListResponse,
    GetResponse,
    Outcome,
    Response,
    SetBlockResponse,
    SetLastBlockResponse,
    SetResponse,
    encode_outcomes,
)
from meter_drivers.protocols.dlms.results import ActionResult, DataAccessResult

WRITE_SIZE_MAX: Final = 1 << 18
"""What the blocks of one write may amount to; the longest is an activity calendar, 10 KiB."""
BLOCK_HEAD_SIZE: Final = 16
"""Head of a GET response with a block, rounded up."""


class ServiceDesk:
    """Answers the requests of one association that stands."""

    def __init__(
        self, objects: ObjectServer, conformance: Conformance, *, answer_size_max: int
    ) -> None:
        self._objects = objects
        self._conformance = conformance
        self._answer_size_max = answer_size_max
        self._parts: deque[bytes] = deque()
        self._sent_number = 0
        self._write: SetFirstBlockRequest | None = None
        self._written = bytearray()
        self._taken_number = 0

    def answer(self, request: Request) -> Response | None:
        """Return the answer; `None` for a service that was not agreed on."""
        if not isinstance(request, GetNextRequest):
            self._parts.clear()
        if not isinstance(request, SetBlockRequest):
            self._write = None
        match request:
            case GetRequest() if self._allows(Conformance.GET, request.selection):
                return self._get(request)
            case GetNextRequest() if self._allows(Conformance.BLOCK_TRANSFER_WITH_GET):
                return self._get_next(request)
            case GetListRequest() if self._allows(
                Conformance.GET | Conformance.MULTIPLE_REFERENCES
            ):
                return self._get_list(request)
            case SetRequest() if self._allows(Conformance.SET, request.selection):
                result = self._objects.set(request.attribute, request.value, request.selection)
                return SetResponse(request.invoke, result)
            case SetFirstBlockRequest() if self._allows(Conformance.BLOCK_TRANSFER_WITH_SET):
                self._write, self._taken_number = request, 0
                self._written.clear()
                return self._take_block(request.invoke, request.block)
            case SetBlockRequest() if self._allows(Conformance.BLOCK_TRANSFER_WITH_SET):
                return self._take_block(request.invoke, request.block)
            case ActionRequest() if self._allows(Conformance.ACTION):
                return self._act(request)
            case _:
                return None

    def _allows(self, services: Conformance, selection: Selection | None = None) -> bool:
        if selection is not None:
            services |= Conformance.SELECTIVE_ACCESS
        return services in self._conformance

    def _get(self, request: GetRequest) -> Response:
        outcome = self._objects.get(request.attribute, request.selection)
        whole = GetResponse(request.invoke, outcome)
        if len(whole.to_bytes()) <= self._answer_size_max or not isinstance(outcome, Data):
            return whole
        return self._begin(request.invoke, outcome.to_bytes()) or GetResponse(
            request.invoke, DataAccessResult.OTHER_REASON
        )

    def _get_list(self, request: GetListRequest) -> Response:
        outcomes = tuple(self._objects.get(*item) for item in request.items)
        whole = GetListResponse(request.invoke, outcomes)
        if len(whole.to_bytes()) <= self._answer_size_max:
            return whole
        denied: Outcome = DataAccessResult.OTHER_REASON
        return self._begin(request.invoke, encode_outcomes(outcomes)) or GetListResponse(
            request.invoke, (denied,) * len(outcomes)
        )

    def _begin(self, invoke: int, octets: bytes) -> GetBlockResponse | None:
        """Return the first block; `None` if no blocks were agreed on."""
        if Conformance.BLOCK_TRANSFER_WITH_GET not in self._conformance:
            return None
        size_bytes = max(self._answer_size_max - BLOCK_HEAD_SIZE, 1)
        starts = range(0, len(octets), size_bytes)
        self._parts = deque(octets[start : start + size_bytes] for start in starts)
        self._sent_number = 0
        return self._next_block(invoke)

    def _next_block(self, invoke: int) -> GetBlockResponse:
        self._sent_number += 1
        part = self._parts.popleft()
        return GetBlockResponse(invoke, not self._parts, self._sent_number, part)

    def _get_next(self, request: GetNextRequest) -> GetBlockResponse:
        if not self._parts:
            result = DataAccessResult.NO_LONG_GET_IN_PROGRESS
            return GetBlockResponse(
                request.invoke, is_last=True, number=request.number, part=result
            )
        if request.number != self._sent_number:
            self._parts.clear()
            result = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
            return GetBlockResponse(
                request.invoke, is_last=True, number=request.number, part=result
            )
        return self._next_block(request.invoke)

    def _take_block(self, invoke: int, block: Block) -> Response:
        write = self._write
        if write is None:
            result = DataAccessResult.NO_LONG_SET_IN_PROGRESS
            return SetLastBlockResponse(invoke, result, block.number)
        self._taken_number += 1
        self._written += block.part
        if block.number != self._taken_number:
            result = DataAccessResult.DATA_BLOCK_NUMBER_INVALID
        elif len(self._written) > WRITE_SIZE_MAX:
            result = DataAccessResult.LONG_SET_ABORTED
        elif not block.is_last:
            return SetBlockResponse(invoke, block.number)
        else:
            result = self._finish_write(write)
        self._write = None
        return SetLastBlockResponse(invoke, result, block.number)

    def _finish_write(self, write: SetFirstBlockRequest) -> DataAccessResult:
        try:
            value = Data.from_bytes(bytes(self._written))
        except RemoteProtocolError:
            return DataAccessResult.TYPE_UNMATCHED
        return self._objects.set(write.attribute, value, write.selection)

    def _act(self, request: ActionRequest) -> ActionResponse:
        outcome = self._objects.act(request.method, request.parameter)
        whole = ActionResponse(request.invoke, outcome.result, outcome.returned)
        if len(whole.to_bytes()) <= self._answer_size_max:
            return whole
        denied = DataAccessResult.OTHER_REASON
        is_done = outcome.result is ActionResult.SUCCESS
        return ActionResponse(request.invoke, outcome.result, denied if is_done else None)
