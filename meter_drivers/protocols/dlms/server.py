"""The server's side of an association: an APDU in, its answer out (IEC 62056-53, 9.3).

    idle --AARQ / AARE--> ready                                  none, low level security
         --AARQ / AARE--> proving --ACTION / proof--> ready      HLS-5
    ready --RLRQ / RLRE--> idle;   any --AARQ--> anew

Whatever comes, `receive_apdu` answers and never raises on account of the client: what cannot be
read, is not allowed in this state, or is not ciphered as agreed gets an exception response. The
objects are asked once for each request that came whole, was proved, and was not a replay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.dlms.acse import (
    AARQ,
    RLRE,
    RLRQ,
    AssociationRequest,
    AssociationResponse,
    AssociationResult,
    Context,
    Diagnostic,
    Mechanism,
    Release,
)
from meter_drivers.protocols.dlms.axdr import Data, octet_string
from meter_drivers.protocols.dlms.client import REPLY_TO_HLS
from meter_drivers.protocols.dlms.initiate import (
    DLMS_VERSION,
    OURS,
    SIZE_MAX,
    SIZE_MIN,
    Conformance,
    InitiateError,
    InitiateRequest,
    InitiateResponse,
    encode_initiate_error,
)
from meter_drivers.protocols.dlms.object_server import ObjectServer
from meter_drivers.protocols.dlms.requests import (
    CONFIRMED,
    ActionRequest,
    Request,
    parse_request,
)
from meter_drivers.protocols.dlms.responses import (
    ActionResponse,
    ExceptionResponse,
    Response,
)
from meter_drivers.protocols.dlms.results import ActionResult, ServiceError, StateError
from meter_drivers.protocols.dlms.security import (
    CHALLENGE_SIZE_MAX,
    CHALLENGE_SIZE_MIN,
    GENERAL_GLO,
    OVERHEAD_MAX,
    Ciphering,
    Password,
    SecurityContext,
)
from meter_drivers.protocols.dlms.server_services import ServiceDesk

_NOT_NOW = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.OPERATION_NOT_POSSIBLE)
_UNKNOWN = ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.SERVICE_NOT_SUPPORTED)
_MALFORMED = ExceptionResponse(StateError.SERVICE_UNKNOWN, ServiceError.OTHER_REASON)
_TOO_LONG = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.PDU_TOO_LONG)
_NOT_DECIPHERED = ExceptionResponse(StateError.SERVICE_NOT_ALLOWED, ServiceError.DECIPHERING_ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The one way in which this association is made; another one is refused.

    `new_challenge` gives 8 to 64 fresh random bytes, for HLS-5. `receive_size_bytes` is the
    longest APDU taken.
    """

    context: Context = Context.PLAIN
    mechanism: Mechanism = Mechanism.NONE
    password: Password | None = None
    new_challenge: Callable[[], bytes] | None = None
    conformance: Conformance = OURS
    receive_size_bytes: int = SIZE_MAX


class _State(Enum):
    IDLE = auto()
    PROVING = auto()
    READY = auto()


@dataclass(frozen=True, slots=True)
class _Challenges:
    to_client: bytes
    to_server: bytes


class ServerAssociation:
    """One association of a logical device; `security` for ciphered APDUs and for HLS-5."""

    def __init__(
        self,
        settings: ServerSettings,
        objects: ObjectServer,
        security: SecurityContext | None = None,
    ) -> None:
        needs_keys = (
            settings.context is Context.CIPHERED or settings.mechanism is Mechanism.HIGH_GMAC
        )
        is_gmac = settings.mechanism is Mechanism.HIGH_GMAC
        if (
            settings.mechanism not in {Mechanism.NONE, Mechanism.LOW, Mechanism.HIGH_GMAC}
            or (settings.mechanism is Mechanism.LOW) != (settings.password is not None)
            or needs_keys != (security is not None)
            or is_gmac != (settings.new_challenge is not None)
        ):
            message = "mechanism, password, challenges and keys of a server do not fit together"
            raise LocalProtocolError(message)
        self._settings = settings
        self._security = security
        self._objects = objects
        self._state = _State.IDLE
        self._challenges = _Challenges(b"", b"")
        self._conformance = Conformance(0)
        self._desk: ServiceDesk | None = None
        self.refused_proof_count = 0

    @property
    def is_ready(self) -> bool:
        """Return whether a client is associated and has proved itself."""
        return self._state is _State.READY

    def reset(self) -> None:
        """Forget the association, as when the link closed under it."""
        self._state = _State.IDLE
        self._desk = None

    def receive_apdu(self, apdu: bytes) -> bytes | None:
        """Return the answer to an APDU; `None` for a service that wants none."""
        if len(apdu) > self._settings.receive_size_bytes:
            return _TOO_LONG.to_bytes()
        match apdu[:1]:
            case tag if tag == bytes([AARQ]):
                return self._take_association(apdu).to_bytes()
            case tag if tag == bytes([RLRQ]):
                return self._take_release(apdu)
            case _ if self._state is _State.IDLE:
                return _NOT_NOW.to_bytes()
            case _:
                return self._take_request(apdu)

    @property
    def _is_ciphered(self) -> bool:
        return self._settings.context is Context.CIPHERED

    def _take_association(self, apdu: bytes) -> AssociationResponse:
        self.reset()
        try:
            request = AssociationRequest.from_bytes(apdu)
        except RemoteProtocolError:
            return self._reject(Diagnostic.NO_REASON_GIVEN)
        diagnostic = self._judge(request)
        if diagnostic is not None:
            return self._reject(diagnostic)
        try:
            if self._security is not None:
                self._security.meet(request.system_title or b"")
            initiate = InitiateRequest.from_bytes(self._unprotect(request.user_information))
        except RemoteProtocolError:
            return self._reject(Diagnostic.NO_REASON_GIVEN)
        error = self._judge_initiate(initiate)
        if error is not None:
            user = encode_initiate_error(error)
            return self._reject(Diagnostic.NO_REASON_GIVEN, user=user)
        return self._accept(request, initiate)

    def _judge(self, request: AssociationRequest) -> Diagnostic | None:
        settings = self._settings
        if request.context is not settings.context:
            return Diagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED
        if request.mechanism is Mechanism.NONE is not settings.mechanism:
            return Diagnostic.AUTHENTICATION_REQUIRED
        if request.mechanism is not settings.mechanism:
            return Diagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED
        value = request.authentication_value or b""
        if settings.password is not None and not settings.password.matches(value):
            return Diagnostic.AUTHENTICATION_FAILURE
        is_size_right = CHALLENGE_SIZE_MIN <= len(value) <= CHALLENGE_SIZE_MAX
        if settings.mechanism is Mechanism.HIGH_GMAC and not is_size_right:
            return Diagnostic.AUTHENTICATION_FAILURE
        return None

    def _judge_initiate(self, initiate: InitiateRequest) -> InitiateError | None:
        if initiate.version < DLMS_VERSION:
            return InitiateError.DLMS_VERSION_TOO_LOW
        if not initiate.conformance & self._settings.conformance:
            return InitiateError.INCOMPATIBLE_CONFORMANCE
        if 0 < initiate.receive_size_bytes < SIZE_MIN:
            return InitiateError.PDU_SIZE_TOO_SHORT
        return None

    def _accept(
        self, request: AssociationRequest, initiate: InitiateRequest
    ) -> AssociationResponse:
        settings = self._settings
        self._conformance = initiate.conformance & settings.conformance
        limit = initiate.receive_size_bytes or SIZE_MAX
        room = limit - (OVERHEAD_MAX if self._is_ciphered else 0)
        self._desk = ServiceDesk(self._objects, self._conformance, answer_size_max=room)
        challenge = None
        if settings.new_challenge is not None:
            challenge = settings.new_challenge()
            self._challenges = _Challenges(challenge, request.authentication_value or b"")
        self._state = _State.READY if challenge is None else _State.PROVING
        return AssociationResponse(
            context=settings.context,
            result=AssociationResult.ACCEPTED,
            diagnostic=Diagnostic.NULL if challenge is None else Diagnostic.AUTHENTICATION_REQUIRED,
            mechanism=settings.mechanism,
            system_title=None if self._security is None else self._security.title,
            authentication_value=challenge,
            user_information=self._protect_initiate(),
        )

    def _reject(self, diagnostic: Diagnostic, *, user: bytes = b"") -> AssociationResponse:
        return AssociationResponse(
            context=self._settings.context,
            result=AssociationResult.REJECTED_PERMANENT,
            diagnostic=diagnostic,
            user_information=user,
        )

    def _protect_initiate(self) -> bytes:
        size_bytes = self._settings.receive_size_bytes
        apdu = InitiateResponse(self._conformance, size_bytes).to_bytes()
        if self._security is None or not self._is_ciphered:
            return apdu
        return self._security.protect_initiate(apdu)

    def _unprotect(self, apdu: bytes) -> bytes:
        if self._security is None or not self._is_ciphered:
            return apdu
        return self._security.unprotect(apdu)

    def _take_release(self, apdu: bytes) -> bytes:
        try:
            release = Release.from_bytes(apdu, tag=RLRQ)
            if self._state is _State.IDLE:
                return _NOT_NOW.to_bytes()
            if self._is_ciphered or release.user_information:
                InitiateRequest.from_bytes(self._unprotect(release.user_information))
        except RemoteProtocolError:
            return _MALFORMED.to_bytes()
        user = self._protect_initiate() if release.user_information else b""
        self.reset()
        return Release(RLRE, user_information=user).to_bytes()

    def _take_request(self, apdu: bytes) -> bytes | None:
        floor = None if self._security is None else self._security.last_received
        form = Ciphering.GENERAL if apdu[:1] == bytes([GENERAL_GLO]) else Ciphering.PER_SERVICE
        if self._security is not None and self._is_ciphered:
            try:
                deciphered = self._security.decipher(apdu)
            except RemoteProtocolError:
                return _NOT_DECIPHERED.to_bytes()
            if not self._security.is_fresh(deciphered.counter):
                return self._refuse_counter().to_bytes()
            self._security.accept(deciphered.counter)
            self._security.ciphering = form
            apdu = deciphered.apdu
        answer = self._answer(apdu, floor)
        return None if answer is None else self._protect(answer)

    def _refuse_counter(self) -> ExceptionResponse:
        assert self._security is not None, "counters come with keys"
        return ExceptionResponse(
            StateError.SERVICE_NOT_ALLOWED,
            ServiceError.INVOCATION_COUNTER_ERROR,
            self._security.last_received,
        )

    def _protect(self, answer: Response) -> bytes:
        """Return the answer ciphered; an exception only where the form has one for it."""
        is_exception = isinstance(answer, ExceptionResponse)
        if self._security is None or not self._is_ciphered:
            return answer.to_bytes()
        if is_exception and self._security.ciphering is Ciphering.PER_SERVICE:
            return answer.to_bytes()
        return self._security.protect(answer.to_bytes())

    def _answer(self, apdu: bytes, floor: int | None) -> Response | None:
        try:
            request = parse_request(apdu)
        except RemoteProtocolError:
            return _UNKNOWN
        if not request.invoke & CONFIRMED:
            return None
        is_reply = isinstance(request, ActionRequest) and request.method == REPLY_TO_HLS
        if self._state is _State.PROVING:
            return self._take_proof(request, floor) if is_reply else _NOT_NOW
        if is_reply:
            return ActionResponse(request.invoke, ActionResult.READ_WRITE_DENIED)
        assert self._desk is not None, "an association that stands has a desk"
        return self._desk.answer(request) or _UNKNOWN

    def _take_proof(self, request: Request, floor: int | None) -> ActionResponse:
        assert isinstance(request, ActionRequest), "a reply is an action"
        assert self._security is not None, "settings were checked"
        try:
            proof = (request.parameter or Data.from_bytes(b"\x00")).as_octets()
            self._security.check_proof(self._challenges.to_client, proof, above=floor)
        except RemoteProtocolError:
            self.reset()
            self.refused_proof_count += 1
            return ActionResponse(request.invoke, ActionResult.READ_WRITE_DENIED)
        self._state = _State.READY
        returned = octet_string(self._security.prove(self._challenges.to_server))
        return ActionResponse(request.invoke, ActionResult.SUCCESS, returned)
