"""Keeps a security module that is slow or dead from taking the service with it.

Around any module that computes elsewhere: requests wait in a queue of bounded length, for a
bounded time, and a breaker refuses at once while the module is known not to answer.

    closed     requests go through, one at a time in the order they came
    open       every request is refused at once, until the back-off is over
    half-open  one request is let through to try; its end closes the breaker or opens it again

Refusals of the module itself are answers: they close the breaker like any other. The back-off
doubles with each failed try. What waits when the breaker opens is refused then, not later.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition
from typing import Protocol, TypeVar

from vending.errors import VendingError
from vending.keystore.errors import ModuleAnswerLostError, ModuleUnavailableError
from vending.keystore.model import KeyDescription, KeyReference
from vending.keystore.module_errors import ModuleBusyError
from vending.keystore.port import (
    CreditTokenRequest,
    KeyChange,
    KeyChangeOutcome,
    KeyChangeRequest,
    ManagementTokenRequest,
    SecurityModule,
    VendOutcome,
    VerifiedToken,
    VerifyRequest,
    change_keys_one_by_one,
)
from vending.sts.tcdu import TokenDigits

Answer = TypeVar("Answer")


class BreakerState(StrEnum):
    """What becomes of a request that comes now."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """How long and how many may wait, and how a dead module is tried again."""

    queue_length_max: int = 16
    wait_s: float = 5.0
    """In the queue, before a request is refused as busy."""
    failures_max: int = 2
    """Failures in a row that open the breaker."""
    back_off_s: float = 1.0
    back_off_s_max: float = 30.0


class Watch(Protocol):
    """What is told of the guard; see `vending.observability.metrics`."""

    def queue_is(self, length: int) -> None:
        """Take the number of requests that wait or are being answered."""

    def breaker_is(self, state: BreakerState) -> None:
        """Take the state of the breaker."""

    def answered(self, outcome: str, span_s: float) -> None:
        """Take the end of a request, by the code of its refusal or `ok`, and its duration."""


class Unwatched:
    """A watch that looks away."""

    def queue_is(self, length: int) -> None:
        """Look away."""

    def breaker_is(self, state: BreakerState) -> None:
        """Look away."""

    def answered(self, outcome: str, span_s: float) -> None:
        """Look away."""


@dataclass(slots=True)
class _Breaker:
    limits: GuardLimits
    state: BreakerState = BreakerState.CLOSED
    failure_count: int = 0
    back_off_s: float = field(init=False)
    opens_again_s: float = 0.0

    def __post_init__(self) -> None:
        self.back_off_s = self.limits.back_off_s

    def failed(self, now_s: float) -> None:
        self.failure_count += 1
        if self.state is BreakerState.HALF_OPEN:
            self.back_off_s = min(2 * self.back_off_s, self.limits.back_off_s_max)
        elif self.failure_count < self.limits.failures_max:
            return
        self.state = BreakerState.OPEN
        self.opens_again_s = now_s + self.back_off_s

    def answered(self) -> None:
        self.state = BreakerState.CLOSED
        self.failure_count = 0
        self.back_off_s = self.limits.back_off_s

    def refuses(self, now_s: float) -> bool:
        match self.state:
            case BreakerState.CLOSED:
                return False
            case BreakerState.HALF_OPEN:
                return True
            case BreakerState.OPEN:
                return now_s < self.opens_again_s


class GuardedSecurityModule:
    """The port over another module, behind a queue and a breaker."""

    def __init__(
        self,
        inner: SecurityModule,
        *,
        now_s: Callable[[], float],
        limits: GuardLimits | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.inner = inner
        self._limits = limits or GuardLimits()
        self._now_s = now_s
        self._watch = watch or Unwatched()
        self._changed = Condition()
        self._queue: deque[object] = deque()
        self._breaker = _Breaker(self._limits)
        self._watch.breaker_is(self._breaker.state)

    @property
    def is_local(self) -> bool:
        """Say that a request may take its time."""
        return False

    @property
    def breaker(self) -> BreakerState:
        """Return what becomes of a request that comes now."""
        with self._changed:
            return self._breaker.state

    @property
    def queue_length(self) -> int:
        """Return how many requests wait or are being answered."""
        with self._changed:
            return len(self._queue)

    def require_ready(self) -> None:
        """Refuse what would be refused now, before anything is written down for it.

        Raises:
            ModuleUnavailableError: The module does not answer, and it is not yet time to try.
            ModuleBusyError: As many wait as can be answered soon.
        """
        with self._changed:
            self._require_room()

    def vend(self, register: KeyReference, request: CreditTokenRequest) -> TokenDigits:
        """Return the credit token.

        Raises:
            ModuleUnavailableError: The breaker is open; nothing was asked.
            ModuleBusyError: Too many wait; nothing was asked.
            VendingError: What the module refused.
        """
        return self._serve(lambda: self.inner.vend(register, request))

    def vend_many(
        self, requests: Sequence[tuple[KeyReference, CreditTokenRequest]]
    ) -> list[VendOutcome]:
        """Return what became of each request, in their order; each waits for a turn of its own."""
        return [self._attempt(register, request) for register, request in requests]

    def manage(self, register: KeyReference, request: ManagementTokenRequest) -> TokenDigits:
        """Return the management token.

        Raises:
            ModuleUnavailableError: The breaker is open; nothing was asked.
            ModuleBusyError: Too many wait; nothing was asked.
            VendingError: What the module refused.
        """
        return self._serve(lambda: self.inner.manage(register, request))

    def change_key(
        self, old: KeyReference, new: KeyReference, request: KeyChangeRequest
    ) -> tuple[TokenDigits, ...]:
        """Return the key-change set.

        Raises:
            ModuleUnavailableError: The breaker is open; nothing was asked.
            ModuleBusyError: Too many wait; nothing was asked.
            VendingError: What the module refused.
        """
        return self._serve(lambda: self.inner.change_key(old, new, request))

    def change_key_many(self, changes: Sequence[KeyChange]) -> list[KeyChangeOutcome]:
        """Return what became of each change, in their order; each waits for a turn of its own."""
        return change_keys_one_by_one(self, changes)

    def verify(self, register: KeyReference, request: VerifyRequest) -> VerifiedToken:
        """Return what a token says.

        Raises:
            ModuleUnavailableError: The breaker is open; nothing was asked.
            ModuleBusyError: Too many wait; nothing was asked.
            VendingError: What the module refused.
        """
        return self._serve(lambda: self.inner.verify(register, request))

    def describe(self, register: KeyReference) -> KeyDescription:
        """Return what may be shown of a key.

        Raises:
            ModuleUnavailableError: The breaker is open; nothing was asked.
            ModuleBusyError: Too many wait; nothing was asked.
            VendingError: What the module refused.
        """
        return self._serve(lambda: self.inner.describe(register))

    def _attempt(self, register: KeyReference, request: CreditTokenRequest) -> VendOutcome:
        try:
            return self.vend(register, request)
        except VendingError as refusal:
            return refusal

    def _serve(self, ask: Callable[[], Answer]) -> Answer:
        begun_s = self._now_s()
        try:
            with self._turn():
                answer = ask()
        except VendingError as error:
            self._watch.answered(error.code, self._now_s() - begun_s)
            raise
        self._watch.answered("ok", self._now_s() - begun_s)
        return answer

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the module, and learn from how the turn ends.

        Raises:
            ModuleUnavailableError: The breaker is open.
            ModuleBusyError: The queue is full, or the turn did not come in time.
            VendingError: What the module refused.
        """
        ticket = object()
        with self._changed:
            self._require_room()
            self._queue.append(ticket)
            self._watch.queue_is(len(self._queue))
            try:
                self._wait_for_turn(ticket)
            except VendingError:
                self._leave(ticket)
                raise
        has_failed = True  # unless it comes to an end that speaks for the module
        try:
            yield
            has_failed = False
        except VendingError as error:
            has_failed = isinstance(error, ModuleUnavailableError | ModuleAnswerLostError)
            raise
        finally:
            with self._changed:
                self._note(has_failed=has_failed)
                self._leave(ticket)

    def _wait_for_turn(self, ticket: object) -> None:
        is_up = self._changed.wait_for(
            lambda: self._queue[0] is ticket or self._breaker.refuses(self._now_s()),
            self._limits.wait_s,
        )
        if self._breaker.refuses(self._now_s()):
            raise ModuleUnavailableError
        if not is_up:
            raise ModuleBusyError
        if self._breaker.state is BreakerState.OPEN:
            self._breaker.state = BreakerState.HALF_OPEN
            self._watch.breaker_is(self._breaker.state)

    def _require_room(self) -> None:
        if self._breaker.refuses(self._now_s()):
            raise ModuleUnavailableError
        if len(self._queue) >= self._limits.queue_length_max:
            raise ModuleBusyError

    def _note(self, *, has_failed: bool) -> None:
        before = self._breaker.state
        if has_failed:
            self._breaker.failed(self._now_s())
        else:
            self._breaker.answered()
        if self._breaker.state is not before:
            self._watch.breaker_is(self._breaker.state)

    def _leave(self, ticket: object) -> None:
        self._queue.remove(ticket)
        self._watch.queue_is(len(self._queue))
        self._changed.notify_all()

    def __repr__(self) -> str:
        return f"GuardedSecurityModule({self.inner!r})"
