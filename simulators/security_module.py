"""A simulated security module (STS 600-8-6): one line of ASCII in, one out, or what goes wrong.

It holds vending keys in numbered registers, makes the tokens itself, and refuses as a real one
does: each status of the standard has its cause here. What the line does to an answer is the
business of its `FaultPlan`; a fault that only a module can have is planned by `plan`.

Its own choices, where nothing is published: a token whose CRC is wrong is status 24, the parts
of a key inside a verified key-change section are zero, and the vending counter counts repeats.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from simulators.clock import MeterClock
from simulators.faults import Fault, FaultPlan, Transmission
from vending.sts import (
    SECTION_COUNTS,
    TI,
    KeyType,
    Rejection,
    Resource,
    SectionToken,
    STSError,
    TokenIdentifier,
    TransferCredit,
    VendingKey,
    build_management_token,
    decode,
    decode_transfer_amount,
    encode,
    encode_key_change_set,
    is_key_expired,
    plan_key_change,
)
from vending.sts.apdu import fields_of
from vending.sts.dkga import derive_decoder_key
from vending.sts.errors import CarrierError, KeyTypeChangeError, ModuleFrameError
from vending.sts.keys import DecoderKey
from vending.sts.module_messages import (
    REQUESTS_BY_RECORD,
    Answer,
    CreditTokenRequest,
    IdentificationAnswer,
    IdentificationRequest,
    KeyAttributesAnswer,
    KeyAttributesRequest,
    KeyChangeAnswer,
    KeyChangeRequest,
    ManagementTokenRequest,
    ModuleStatus,
    Request,
    TokenAnswer,
    VerifyAnswer,
    VerifyRequest,
)
from vending.sts.security_module import (
    LineBuffer,
    decode_request,
    encode_answer,
    encode_refusal,
)

ALL_COMMANDS: Final = frozenset({"VC", "VM", "VK", "VT", "DI", "GA"})
_MS_PER_MIN: Final = 60_000
_KEY_PART_WIDTH: Final = 32


@dataclass(slots=True)
class ModuleRegister:
    """One register: a vending key with what limits its use."""

    key: VendingKey = field(repr=False)
    is_inhibited: bool = False
    units_left: int | None = None
    """The vending counter, in units of 0.1; `None` does not count."""
    load_fault: ModuleStatus | None = None
    """Why the key did not load (30 or 31); then the register answers nothing else."""


@dataclass(slots=True)
class ModuleState:
    """How the module as a whole stands; a test or an operator changes it while it runs."""

    registers: dict[int, ModuleRegister]
    identification: str = "simulated security module"
    is_dead: bool = False
    """It hears nothing and says nothing."""
    has_clock: bool = True
    has_kek: bool = True
    is_inhibited: bool = False
    window_min: int | None = None
    """How far a TID may lie from the module's clock; `None`: it does not look."""
    allowed: frozenset[str] = ALL_COMMANDS
    """The letters of the commands it carries out."""


@dataclass(frozen=True, slots=True)
class RefuseWith:
    """The next request is answered with this status."""

    status: str


@dataclass(frozen=True, slots=True)
class AnswerFrom:
    """The next request is answered as if it had named this register."""

    register: int


@dataclass(frozen=True, slots=True)
class HoldBack:
    """The next answer stays inside until another request of its kind comes, and goes first."""


ModuleFault = Fault | RefuseWith | AnswerFrom | HoldBack | None


class _StatusError(Exception):
    """What is asked is answered with a status."""

    def __init__(self, status: ModuleStatus) -> None:
        super().__init__(status.meaning)
        self.status = status


class SimulatedSecurityModule:
    """Takes bytes of the line, and returns what it sends back and when."""

    def __init__(
        self,
        state: ModuleState,
        *,
        clock: MeterClock,
        faults: FaultPlan,
        draw_rnd: Callable[[], int],
    ) -> None:
        self.state = state
        self.requests: list[Request] = []
        """What was carried out or refused, in order; a lost request is not here."""
        self._clock = clock
        self._faults = faults
        self.draw_rnd = draw_rnd
        self._planned: deque[ModuleFault] = deque()
        self._held: dict[type[Request], bytes] = {}
        self._buffer = LineBuffer()

    def plan(self, *faults: ModuleFault) -> None:
        """Decide what goes wrong with the next requests, one each; `None`: nothing."""
        self._planned.extend(faults)

    def reset_line(self) -> None:
        """Forget half a line, as when its sender goes away."""
        self._buffer = LineBuffer()

    def receive(self, octets: bytes) -> tuple[Transmission, ...]:
        """Return what goes onto the line after these bytes."""
        if self.state.is_dead:
            return ()
        try:
            lines = self._buffer.receive(octets)
        except ModuleFrameError as error:
            return (Transmission(encode_refusal(error.status)),)
        return tuple(sent for line in lines for sent in self._exchange(line))

    def answer(self, line: bytes, *, register: int | None = None) -> bytes:
        """Return the answer to one line; `register` replaces the one it names."""
        try:
            request = decode_request(line)
        except ModuleFrameError as error:
            return encode_refusal(error.status)
        self.requests.append(request)
        try:
            return encode_answer(self._serve(request, register), request)
        except _StatusError as refusal:
            return encode_refusal(refusal.status.code)

    def _exchange(self, line: bytes) -> tuple[Transmission, ...]:
        fault = self._planned.popleft() if self._planned else self._faults.draw()
        match fault:
            case Fault.DROP:
                return ()
            case RefuseWith(status):
                return (Transmission(encode_refusal(status)),)
            case AnswerFrom(register):
                return (Transmission(self.answer(line, register=register)),)
            case HoldBack():
                self._held[self._kind_of(line)] = self.answer(line)
                return ()
            case _:
                held = self._held.pop(self._kind_of(line), None)
                spoilt = self._faults.spoil(self.answer(line), fault)
                return spoilt if held is None else (Transmission(held), *spoilt)

    @staticmethod
    def _kind_of(line: bytes) -> type[Request]:
        try:
            return type(decode_request(line))
        except ModuleFrameError:
            return IdentificationRequest

    def _serve(self, request: Request, register: int | None) -> Answer:
        if REQUESTS_BY_RECORD[type(request)].letters not in self.state.allowed:
            raise _StatusError(ModuleStatus.PERMISSION)
        match request:
            case IdentificationRequest():
                return IdentificationAnswer(identification=self.state.identification)
            case KeyAttributesRequest():
                return self._describe(self._find(register or request.register))
            case CreditTokenRequest():
                return self._vend(request, self._find(register or request.register))
            case ManagementTokenRequest():
                return self._manage(request, self._find(register or request.register))
            case VerifyRequest():
                return self._verify(request, self._find(register or request.register))
            case KeyChangeRequest():
                new = self._find(register or request.new_register)
                return self._change_key(request, self._find(request.old_register), new)

    def _find(self, number: int) -> ModuleRegister:
        if not self.state.has_kek:
            raise _StatusError(ModuleStatus.KEK_NOT_FOUND)
        found = self.state.registers.get(number)
        if found is None:
            raise _StatusError(ModuleStatus.REGISTER_NOT_FOUND)
        if found.load_fault is not None:
            raise _StatusError(found.load_fault)
        return found

    @staticmethod
    def _describe(register: ModuleRegister) -> Answer:
        attributes = register.key.attributes
        return KeyAttributesAnswer(
            sgc=attributes.sgc,
            kt=attributes.kt,
            krn=attributes.krn,
            ken=attributes.ken,
            base_date=attributes.base_date,
            dkga=attributes.dkga,
        )

    def _vend(self, request: CreditTokenRequest, register: ModuleRegister) -> Answer:
        self._require_vending(register, request.tid)
        units = decode_transfer_amount(request.amount)
        if register.units_left is not None and units > register.units_left:
            raise _StatusError(ModuleStatus.LIMIT_EXCEEDED)
        if register.key.attributes.kt is KeyType.DDTK or request.subclass not in set(Resource):
            raise _StatusError(ModuleStatus.FIELD_VALUE)
        token = TransferCredit(
            resource=Resource(request.subclass), rnd=self.draw_rnd(), tid=request.tid, units=units
        )
        answer = TokenAnswer(tokens=(encode(token, _decoder_key(register, request, request.ti)),))
        if register.units_left is not None:
            register.units_left -= units
        return answer

    def _manage(self, request: ManagementTokenRequest, register: ModuleRegister) -> Answer:
        self._require_vending(register, request.tid)
        token = build_management_token(
            request.subclass, rnd=self.draw_rnd(), tid=request.tid, value=request.value
        )
        if isinstance(token, Rejection):
            raise _StatusError(ModuleStatus.FIELD_VALUE)
        return TokenAnswer(tokens=(encode(token, _decoder_key(register, request, request.ti)),))

    def _change_key(
        self, request: KeyChangeRequest, old: ModuleRegister, new: ModuleRegister
    ) -> Answer:
        self._require_ready(new)
        present = _decoder_key(old, request, request.old_ti)
        following = _decoder_key(new, request, request.new_ti)
        try:
            change = plan_key_change(
                old.key.attributes,
                new.key.attributes,
                new_key=following,
                new_ti=request.new_ti,
                tct=request.tct,
            )
        except (KeyTypeChangeError, CarrierError) as error:
            raise _StatusError(ModuleStatus.KEY_CHANGE_RULE) from error
        return KeyChangeAnswer(
            rollover=change.rollover,
            section_count=SECTION_COUNTS[request.ea],
            tokens=encode_key_change_set(change, present),
        )

    @staticmethod
    def _verify(request: VerifyRequest, register: ModuleRegister) -> Answer:
        token = decode(request.token, _decoder_key(register, request, request.ti))
        if isinstance(token, Rejection):
            raise _StatusError(ModuleStatus.FIELD_VALUE)
        token_class, subclass, data = fields_of(token)
        if isinstance(token, SectionToken):
            data = data >> _KEY_PART_WIDTH << _KEY_PART_WIDTH
        return VerifyAnswer(token_class=token_class, subclass=subclass, data=data)

    def _require_ready(self, register: ModuleRegister) -> None:
        if self.state.is_inhibited or register.is_inhibited:
            raise _StatusError(ModuleStatus.VENDING_INHIBITED)
        if not self.state.has_clock:
            raise _StatusError(ModuleStatus.CLOCK_NOT_SET)

    def _require_vending(self, register: ModuleRegister, tid: TokenIdentifier) -> None:
        self._require_ready(register)
        attributes = register.key.attributes
        if is_key_expired(tid, attributes.ken):
            raise _StatusError(ModuleStatus.KEY_EXPIRED)
        if self.state.window_min is None:
            return
        issued_min = int(attributes.base_date.instant.timestamp()) // 60 + tid.minutes
        if abs(issued_min - self._clock.now_ms() // _MS_PER_MIN) > self.state.window_min:
            raise _StatusError(ModuleStatus.TID_OUTSIDE_WINDOW)


def _decoder_key(
    register: ModuleRegister,
    request: CreditTokenRequest | ManagementTokenRequest | VerifyRequest | KeyChangeRequest,
    ti: TI,
) -> DecoderKey:
    try:
        return derive_decoder_key(register.key, pan=request.pan, ti=ti, ea=request.ea)
    except STSError as error:
        raise _StatusError(ModuleStatus.GENERATION_FAILED) from error


def number_registers(keys: Iterable[VendingKey], *, first: int = 1) -> dict[int, ModuleRegister]:
    """Return the keys in registers, numbered from `first` in their order."""
    return {number: ModuleRegister(key) for number, key in enumerate(keys, first)}
