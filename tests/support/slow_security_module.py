"""A stand-in for a security module on a line: late, forgetful, sometimes unwilling.

It does what the module behind it does, and what it is told to do wrong. `served` counts what
really happened inside, so that a test can tell a lost answer from a lost request.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from threading import Event
from typing import TypeVar

from vending.errors import VendingError
from vending.keystore.errors import ModuleAnswerLostError, ModuleUnavailableError
from vending.keystore.port import (
    CreditTokenRequest,
    KeyChange,
    KeyChangeOutcome,
    KeyChangeRequest,
    KeyDescription,
    KeyReference,
    ManagementTokenRequest,
    SecurityModule,
    VendOutcome,
    VerifiedToken,
    VerifyRequest,
    change_keys_one_by_one,
)
from vending.sts.tcdu import TokenDigits

HELD_S_MAX = 100
Answer = TypeVar("Answer")


class Fault(Enum):
    LOSE_REQUEST = auto()
    """The module never hears of it; nothing is issued."""
    LOSE_ANSWER = auto()
    """The module issues, and nobody hears of it."""


@dataclass(frozen=True)
class Refuse:
    """The module says no."""

    refusal: VendingError


@dataclass(frozen=True)
class Hold:
    """The module is asked, and answers when the test sets `release`; `asked` is set by then."""

    asked: Event
    release: Event


Plan = Fault | Refuse | Hold | None


class SlowSecurityModule:
    """The port over another module, with one planned fault a request, in order; then none."""

    def __init__(self, inner: SecurityModule) -> None:
        self._inner = inner
        self._plans: deque[Plan] = deque()
        self.served: list[str] = []
        self.refuses: VendingError | None = None

    @property
    def is_local(self) -> bool:
        return False

    def require_ready(self) -> None:
        if self.refuses is not None:
            raise self.refuses

    def plan(self, *faults: Plan) -> None:
        self._plans.extend(faults)

    def vend(self, register: KeyReference, request: CreditTokenRequest) -> TokenDigits:
        return self._serve("vend", lambda: self._inner.vend(register, request))

    def vend_many(
        self, requests: Sequence[tuple[KeyReference, CreditTokenRequest]]
    ) -> list[VendOutcome]:
        return [self._attempt(register, request) for register, request in requests]

    def manage(self, register: KeyReference, request: ManagementTokenRequest) -> TokenDigits:
        return self._serve("manage", lambda: self._inner.manage(register, request))

    def change_key(
        self, old: KeyReference, new: KeyReference, request: KeyChangeRequest
    ) -> tuple[TokenDigits, ...]:
        return self._serve("change_key", lambda: self._inner.change_key(old, new, request))

    def change_key_many(self, changes: Sequence[KeyChange]) -> list[KeyChangeOutcome]:
        return change_keys_one_by_one(self, changes)

    def verify(self, register: KeyReference, request: VerifyRequest) -> VerifiedToken:
        return self._serve("verify", lambda: self._inner.verify(register, request))

    def describe(self, register: KeyReference) -> KeyDescription:
        return self._serve("describe", lambda: self._inner.describe(register))

    def _attempt(self, register: KeyReference, request: CreditTokenRequest) -> VendOutcome:
        try:
            return self.vend(register, request)
        except VendingError as refusal:
            return refusal

    def _serve(self, operation: str, compute: Callable[[], Answer]) -> Answer:
        plan = self._plans.popleft() if self._plans else None
        match plan:
            case Fault.LOSE_REQUEST:
                raise ModuleUnavailableError
            case Refuse(refusal):
                raise refusal
            case Hold(asked, release):
                asked.set()
                assert release.wait(HELD_S_MAX), "the test never released the module"
            case Fault.LOSE_ANSWER | None:
                pass
        answer = compute()
        self.served.append(operation)
        if plan is Fault.LOSE_ANSWER:
            raise ModuleAnswerLostError
        return answer
