"""The client's side of an association: APDUs out, APDUs in, events (IEC 62056-53, 9.3).

    idle --AARQ--> associating --AARE--> ready                        none, low level security
                               --AARE--> proving --ACTION--> ready    HLS-5
    ready --RLRQ--> releasing --RLRE--> idle

Laws:
- One request at a time. Nothing is ever sent twice: a request whose answer is lost ends with
  `abandon`, and what became of it is for the caller to find out.
- An answer belongs to the request with its invoke id; a late one is ignored by that, and where
  APDUs are ciphered, a replayed one by its counter.
- Where ciphered APDUs are agreed on, a plain one is refused; an exception alone may come plain,
  and says so.
- `RemoteProtocolError` out of `receive_apdu` leaves all as it was: the awaited answer may yet come.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.acse import (
    RLRE,
    RLRQ,
    AssociationRequest,
    AssociationResponse,
    AssociationResult,
    Context,
    Mechanism,
    Release,
)
from meter_drivers.protocols.dlms.axdr import Data, octet_string
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
    DLMS_VERSION,
    OURS,
    SERVICE_ERROR,
    SIZE_MAX,
    Conformance,
    InitiateRequest,
    InitiateResponse,
    parse_initiate_error,
)
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method, Selection
from meter_drivers.protocols.dlms.octets import Cursor
from meter_drivers.protocols.dlms.requests import (
    CONFIRMED,
    HIGH_PRIORITY,
    INVOKE_ID_MAX,
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
)
from meter_drivers.protocols.dlms.responses import (
    EXCEPTION_RESPONSE,
    ActionResponse,
    ExceptionResponse,
    GetBlockResponse,
    GetListResponse,
    GetResponse,
    Outcome,
    Response,
    SetBlockResponse,
    SetLastBlockResponse,
    SetResponse,
    parse_response,
    take_outcomes,
)
from meter_drivers.protocols.dlms.results import ActionResult, DataAccessResult
from meter_drivers.protocols.dlms.security import (
    CHALLENGE_SIZE_MAX,
    CHALLENGE_SIZE_MIN,
    OVERHEAD_MAX,
    Password,
    SecurityContext,
)

REPLY_TO_HLS: Final = Method(15, LogicalName.parse("0.0.40.0.0.255"), 1)
"""reply_to_HLS_authentication of the current association."""
ANSWER_SIZE_MAX: Final = 1 << 20
"""What the blocks of one answer may amount to: a load profile of a year in quarter hours."""
BLOCK_OVERHEAD: Final = 32
"""Head of a SET request with its first block, its selection not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How the client associates; `new_challenge` gives 8 to 64 fresh random bytes, for HLS-5."""

    context: Context = Context.PLAIN
    mechanism: Mechanism = Mechanism.NONE
    password: Password | None = None
    new_challenge: Callable[[], bytes] | None = None
    conformance: Conformance = OURS
    receive_size_bytes: int = SIZE_MAX


class _State(Enum):
    IDLE = auto()
    ASSOCIATING = auto()
    PROVING = auto()
    READY = auto()
    RELEASING = auto()


@dataclass(slots=True)
class _Pending:
    """The request that an answer is awaited for, and what came or is to leave of it in blocks."""

    request: Request
    assembled: bytearray = field(default_factory=bytearray)
    block_number: int = 1
    parts: deque[bytes] = field(default_factory=deque)


class ClientAssociation:
    """One association with one logical device; `security` for ciphered APDUs and for HLS-5."""

    def __init__(self, settings: ClientSettings, security: SecurityContext | None = None) -> None:
        self._settings = settings
        self._security = security
        self._check()
        self._state = _State.IDLE
        self._pending: _Pending | None = None
        self._invoke_id = 0
        self._conformance = Conformance(0)
        self._send_size_bytes = SIZE_MAX
        self._challenge = b""

    @property
    def is_ready(self) -> bool:
        """Return whether requests may be made."""
        return self._state is _State.READY and self._pending is None

    def associate(self) -> bytes:
        """Return the AARQ.

        Raises:
            LocalProtocolError: If an association stands or is being made, the challenge is too
                short or too long, or the counter is used up.
        """
        self._want(_State.IDLE)
        settings = self._settings
        value = None if settings.password is None else settings.password.octets
        if settings.new_challenge is not None:
            value = self._challenge = settings.new_challenge()
            if not _is_challenge(value):
                message = f"a challenge has {CHALLENGE_SIZE_MIN} to {CHALLENGE_SIZE_MAX} bytes"
                raise LocalProtocolError(message)
        user = self._protect_initiate(self._initiate_request())
        self._state = _State.ASSOCIATING
        return AssociationRequest(
            context=settings.context,
            mechanism=settings.mechanism,
            system_title=None if self._security is None else self._security.title,
            authentication_value=value,
            user_information=user,
        ).to_bytes()

    def release(self) -> bytes:
        """Return the RLRQ.

        Raises:
            LocalProtocolError: If no association stands, or an answer is awaited.
        """
        self._want(_State.READY)
        user = self._protect_initiate(self._initiate_request()) if self._is_ciphered else b""
        self._state = _State.RELEASING
        return Release(RLRQ, user_information=user).to_bytes()

    def get(self, attribute: Attribute, selection: Selection | None = None) -> bytes:
        """Return the request for an attribute, or a part of it.

        Raises:
            LocalProtocolError: If the association is not ready or agreed on no such service.
        """
        self._need(Conformance.GET)
        if selection is not None:
            self._need(Conformance.SELECTIVE_ACCESS)
        return self._ask(GetRequest(self._next_invoke(), attribute, selection))

    def get_list(self, items: Sequence[Attribute]) -> bytes:
        """Return the request for several attributes.

        Raises:
            LocalProtocolError: If the association is not ready or agreed on no such service, or
                the list is empty or too long.
        """
        self._need(Conformance.GET | Conformance.MULTIPLE_REFERENCES)
        if not 1 <= len(items) <= LIST_MAX:
            message = f"a list has 1 to {LIST_MAX} attributes"
            raise LocalProtocolError(message)
        named = tuple((attribute, None) for attribute in items)
        return self._ask(GetListRequest(self._next_invoke(), named))

    def set(self, attribute: Attribute, value: Data, selection: Selection | None = None) -> bytes:
        """Return the request that writes an attribute, or its first block.

        Raises:
            LocalProtocolError: If the association is not ready or agreed on no such service, or
                the value is not of its type, or too long without blocks.
        """
        self._need(Conformance.SET)
        whole = SetRequest(self._next_invoke(), attribute, value, selection)
        if len(whole.to_bytes()) <= self._room:
            return self._ask(whole)
        self._need(Conformance.BLOCK_TRANSFER_WITH_SET)
        selected = 0 if selection is None else len(selection.to_bytes())
        size_bytes = self._room - BLOCK_OVERHEAD - selected
        if size_bytes < 1:
            message = "the selection leaves no room for a block"
            raise LocalProtocolError(message)
        octets = value.to_bytes()
        starts = range(0, len(octets), size_bytes)
        parts = deque(octets[start : start + size_bytes] for start in starts)
        block = Block(len(parts) == 1, 1, parts.popleft())
        first = SetFirstBlockRequest(whole.invoke, attribute, block, selection)
        return self._ask(first, parts=parts)

    def act(self, method: Method, parameter: Data | None = None) -> bytes:
        """Return the request that invokes a method.

        Raises:
            LocalProtocolError: If the association is not ready or agreed on no such service, or
                the parameter is not of its type, or too long.
        """
        self._need(Conformance.ACTION)
        return self._ask(ActionRequest(self._next_invoke(), method, parameter))

    def abandon(self) -> None:
        """Wait no longer for the answer to the last request; nothing is repeated.

        What became of the request is unknown. An association that was being made or ended is
        taken for none.
        """
        self._pending = None
        if self._state is not _State.READY:
            self.reset()

    def reset(self) -> None:
        """Forget the association, as when the link closed under it."""
        self._state = _State.IDLE
        self._pending = None

    def receive_apdu(self, apdu: bytes) -> ClientEvent:
        """Return what an APDU means.

        Raises:
            RemoteProtocolError: If it is malformed, not protected as agreed, a replay, or not an
                answer to what was asked.
        """
        match self._state:
            case _State.ASSOCIATING if apdu[:1] != bytes([EXCEPTION_RESPONSE]):
                return self._take_association(AssociationResponse.from_bytes(apdu))
            case _State.RELEASING if apdu[:1] != bytes([EXCEPTION_RESPONSE]):
                return self._take_release(Release.from_bytes(apdu, tag=RLRE))
            case _:
                return self._take_response(apdu)

    @property
    def _is_ciphered(self) -> bool:
        return self._settings.context is Context.CIPHERED

    @property
    def _room(self) -> int:
        """Return how long a plain APDU may be so that the server takes it."""
        return self._send_size_bytes - (OVERHEAD_MAX if self._is_ciphered else 0)

    def _check(self) -> None:
        settings = self._settings
        needs_keys = self._is_ciphered or settings.mechanism is Mechanism.HIGH_GMAC
        problem = None
        if settings.mechanism not in {Mechanism.NONE, Mechanism.LOW, Mechanism.HIGH_GMAC}:
            problem = f"mechanism {settings.mechanism.name} is not carried out here"
        elif (settings.mechanism is Mechanism.LOW) != (settings.password is not None):
            problem = "low level security, and it alone, takes a password"
        elif needs_keys != (self._security is not None):
            problem = "ciphering and HLS-5, and they alone, take keys"
        elif (settings.mechanism is Mechanism.HIGH_GMAC) != (settings.new_challenge is not None):
            problem = "HLS-5, and it alone, takes challenges"
        if problem is not None:
            raise LocalProtocolError(problem)

    def _want(self, state: _State) -> None:
        if self._state is not state or self._pending is not None:
            message = f"the association is {self._state.name}, an answer may be awaited"
            raise LocalProtocolError(message)

    def _need(self, services: Conformance) -> None:
        self._want(_State.READY)
        if services not in self._conformance:
            message = f"the association has not agreed on {services!r}"
            raise LocalProtocolError(message)

    def _next_invoke(self) -> int:
        self._invoke_id = self._invoke_id % INVOKE_ID_MAX + 1
        return HIGH_PRIORITY | CONFIRMED | self._invoke_id

    def _ask(self, request: Request, *, parts: deque[bytes] | None = None) -> bytes:
        apdu = request.to_bytes()
        if len(apdu) > self._room:
            message = f"the server takes APDUs of {self._send_size_bytes} bytes at most"
            raise LocalProtocolError(message)
        protected = self._protect(apdu)
        self._pending = _Pending(request, parts=parts or deque())
        return protected

    def _protect(self, apdu: bytes) -> bytes:
        if self._security is None or not self._is_ciphered:
            return apdu
        return self._security.protect(apdu)

    def _protect_initiate(self, apdu: bytes) -> bytes:
        if self._security is None or not self._is_ciphered:
            return apdu
        return self._security.protect_initiate(apdu)

    def _initiate_request(self) -> bytes:
        settings = self._settings
        return InitiateRequest(settings.conformance, settings.receive_size_bytes).to_bytes()

    def _take_association(self, response: AssociationResponse) -> ClientEvent:
        if response.result is not AssociationResult.ACCEPTED:
            self.reset()
            user = response.user_information
            error = parse_initiate_error(user) if user[:1] == bytes([SERVICE_ERROR]) else None
            return AssociationRefused(response.result, response.diagnostic, error)
        if response.context is not self._settings.context:
            reason = "the server accepts another context than the one asked for"
            raise RemoteProtocolError(reason)
        if self._security is not None:
            self._security.meet(response.system_title or b"")
        self._agree(response.user_information)
        if self._settings.mechanism is Mechanism.HIGH_GMAC:
            return self._reply_to_challenge(response)
        self._state = _State.READY
        return Associated(self._conformance, self._send_size_bytes)

    def _agree(self, user: bytes) -> None:
        if self._security is not None and self._is_ciphered:
            user = self._security.unprotect(user)
        agreed = InitiateResponse.from_bytes(user)
        if agreed.version < DLMS_VERSION:
            reason = f"the server speaks version {agreed.version} of DLMS"
            raise RemoteProtocolError(reason)
        self._conformance = agreed.conformance & self._settings.conformance
        self._send_size_bytes = agreed.receive_size_bytes or SIZE_MAX

    def _reply_to_challenge(self, response: AssociationResponse) -> ClientEvent:
        assert self._security is not None, "settings were checked"
        challenge = response.authentication_value or b""
        is_ours = challenge == self._challenge
        if response.mechanism is not Mechanism.HIGH_GMAC or is_ours or not _is_challenge(challenge):
            self.reset()
            return AuthenticationFailed("the server sends no challenge of HLS-5, or ours")
        proof = octet_string(self._security.prove(challenge))
        self._state = _State.PROVING
        return Continue(self._ask(ActionRequest(self._next_invoke(), REPLY_TO_HLS, proof)))

    def _take_release(self, release: Release) -> Released:
        if self._security is not None and self._is_ciphered and release.user_information:
            self._security.unprotect(release.user_information)
        self.reset()
        return Released()

    def _take_response(self, apdu: bytes) -> ClientEvent:
        is_plain_exception = apdu[:1] == bytes([EXCEPTION_RESPONSE])
        floor = None if self._security is None else self._security.last_received
        if self._security is not None and self._is_ciphered and not is_plain_exception:
            apdu = self._security.unprotect(apdu)
        response = parse_response(apdu)
        if isinstance(response, ExceptionResponse):
            return self._take_exception(response, is_authentic=not is_plain_exception)
        pending = self._pending
        if pending is None or response.invoke & INVOKE_ID_MAX != self._invoke_id:
            return AnswerIgnored(response.invoke & INVOKE_ID_MAX)
        if self._state is _State.PROVING:
            return self._take_proof(response, floor)
        return self._take_answer(pending, response)

    def _take_exception(self, response: ExceptionResponse, *, is_authentic: bool) -> ServiceRefused:
        self.abandon()
        return ServiceRefused(
            response.state,
            response.service,
            response.counter,
            is_authentic or not self._is_ciphered,
        )

    def _take_proof(self, response: Response, floor: int | None) -> ClientEvent:
        assert self._security is not None, "settings were checked"
        self.reset()
        is_success = (
            isinstance(response, ActionResponse) and response.result is ActionResult.SUCCESS
        )
        if not (isinstance(response, ActionResponse) and is_success):
            return AuthenticationFailed("the server refuses the proof of this client")
        try:
            if not isinstance(response.returned, Data):
                return AuthenticationFailed("the server returns no proof of its own")
            proof = response.returned.as_octets()
            self._security.check_proof(self._challenge, proof, above=floor)
        except RemoteProtocolError as error:
            return AuthenticationFailed(f"the server has not proved itself: {error.reason}")
        self._state = _State.READY
        return Associated(self._conformance, self._send_size_bytes)

    def _take_answer(self, pending: _Pending, response: Response) -> ClientEvent:
        event: ClientEvent
        match pending.request, response:
            case (GetRequest(), GetResponse()):
                event = Got(response.outcome)
            case (GetListRequest(), GetListResponse()):
                event = _got_list(pending.request, response.outcomes)
            case (GetRequest() | GetListRequest(), GetBlockResponse()):
                return self._take_block(pending, response)
            case (SetRequest(), SetResponse()):
                event = SetDone(response.result)
            case (SetFirstBlockRequest(), SetBlockResponse()) if pending.parts:
                return self._send_block(pending, response)
            case (SetFirstBlockRequest(), SetLastBlockResponse() | SetResponse()):
                event = SetDone(response.result)
            case (ActionRequest(), ActionResponse()):
                event = ActionDone(response.result, response.returned)
            case _:
                reason = f"{type(response).__name__} came for {type(pending.request).__name__}"
                raise RemoteProtocolError(reason)
        self._pending = None
        return event

    def _take_block(self, pending: _Pending, response: GetBlockResponse) -> ClientEvent:
        is_list = isinstance(pending.request, GetListRequest)
        if isinstance(response.part, DataAccessResult):
            self._pending = None
            count = len(pending.request.items) if isinstance(pending.request, GetListRequest) else 1
            return GotList((response.part,) * count) if is_list else Got(response.part)
        if response.number != pending.block_number:
            reason = f"block {response.number} came instead of {pending.block_number}"
            raise RemoteProtocolError(reason)
        pending.assembled += response.part
        if len(pending.assembled) > ANSWER_SIZE_MAX:
            reason = f"an answer in blocks exceeds {ANSWER_SIZE_MAX} bytes"
            raise RemoteProtocolError(reason)
        if not response.is_last:
            pending.block_number += 1
            following = GetNextRequest(pending.request.invoke, response.number)
            return Continue(self._protect(following.to_bytes()))
        whole = bytes(pending.assembled)
        self._pending = None
        if not isinstance(pending.request, GetListRequest):
            return Got(Data.from_bytes(whole))
        cursor = Cursor(whole)
        outcomes = take_outcomes(cursor)
        cursor.finish("a list of answers")
        return _got_list(pending.request, outcomes)

    def _send_block(self, pending: _Pending, response: SetBlockResponse) -> Continue:
        if response.number != pending.block_number:
            reason = f"the server took block {response.number} instead of {pending.block_number}"
            raise RemoteProtocolError(reason)
        pending.block_number += 1
        part = pending.parts.popleft()
        block = Block(not pending.parts, pending.block_number, part)
        return Continue(self._protect(SetBlockRequest(pending.request.invoke, block).to_bytes()))


def _is_challenge(challenge: bytes) -> bool:
    return CHALLENGE_SIZE_MIN <= len(challenge) <= CHALLENGE_SIZE_MAX


def _got_list(request: GetListRequest, outcomes: tuple[Outcome, ...]) -> GotList:
    if len(outcomes) != len(request.items):
        reason = f"{len(outcomes)} answers came to {len(request.items)} questions"
        raise RemoteProtocolError(reason)
    return GotList(outcomes)
