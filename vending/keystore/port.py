"""The port through which every token is made: keys go in once, and only tokens come out.

A module in this process (`is_local`) does arithmetic and may be asked inside a transaction. Any
other is asked with no transaction open; when its answer is lost, the same request repeated
gives the same digits, since the caller chose the token identifier and the random number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from vending.errors import VendingError
from vending.keystore.model import KeyDescription, KeyReference
from vending.sts.explain import Line
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.pan import MeterPAN
from vending.sts.results import Rejection
from vending.sts.tcdu import TokenCarrierType, TokenDigits
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import CreditToken, InitiateMeterTest, ManagementToken, Resource

__all__ = [
    "CreditTokenRequest",
    "KeyChange",
    "KeyChangeOutcome",
    "KeyChangeRequest",
    "KeyChangeSection",
    "KeyDescription",
    "KeyReference",
    "ManagementTokenRequest",
    "SecurityModule",
    "VendOutcome",
    "VerifiedToken",
    "VerifyRequest",
    "change_keys_one_by_one",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTokenRequest:
    """Credit of `units` of 0.1 kWh (or 0.1 m3, 0.1 minute) for one meter."""

    pan: MeterPAN
    ti: TI
    ea: EncryptionAlgorithm
    base_date: BaseDate
    """From which `tid` counts; the key's must be the same."""
    resource: Resource
    units: int
    tid: TokenIdentifier
    rnd: int
    """4 bits of the caller's choice, kept for a repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementTokenRequest:
    """A class 2 token that carries a TID, or a class 1 test, for one meter."""

    pan: MeterPAN
    ti: TI
    ea: EncryptionAlgorithm
    base_date: BaseDate
    """From which the token's TID counts; the key's must be the same."""
    token: ManagementToken | InitiateMeterTest


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChangeRequest:
    """The change of one meter to another key, tariff index or both."""

    pan: MeterPAN
    ti: TI
    """The meter's present tariff index."""
    new_ti: TI
    ea: EncryptionAlgorithm
    issued_at: datetime
    """The new key must not have expired then; the old one may have."""
    tct: TokenCarrierType = TokenCarrierType.NUMERIC


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """The 20 digits of a token, to be read under one meter's key."""

    pan: MeterPAN
    ti: TI
    ea: EncryptionAlgorithm
    digits: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyChangeSection:
    """An authentic section of a key change; the part of a key that it carries stays inside."""

    section: int
    """1 to 4."""
    told: tuple[Line, ...]
    """Its fields as `vending.sts.explain` tells them, the key's part named and not shown."""


VerifiedToken = CreditToken | ManagementToken | InitiateMeterTest | KeyChangeSection | Rejection
"""What a token says, or why the meter would refuse it."""

VendOutcome = TokenDigits | VendingError
"""What became of one request of many: its token, or its refusal."""

KeyChange = tuple[KeyReference, KeyReference, KeyChangeRequest]
"""One change of many: from which key, to which, and of which meter."""

KeyChangeOutcome = tuple[TokenDigits, ...] | VendingError
"""What became of one change of many: its set, 1st section first, or its refusal."""


class SecurityModule(Protocol):
    """Issues tokens under vending keys that it never shows."""

    @property
    def is_local(self) -> bool:
        """Say whether it computes in this process, and may be asked inside a transaction."""
        ...

    def require_ready(self) -> None:
        """Refuse what would be refused at once, before anything is written down for it.

        Raises:
            ModuleError: The module is known not to answer, or too many wait for it.
        """
        ...

    def vend(self, register: KeyReference, request: CreditTokenRequest) -> TokenDigits:
        """Return the credit token.

        Raises:
            KeyRefusedError: The key is missing, retired, expired, or for demonstration.
            TokenRequestError: The meter's settings or the amount do not fit.
            ModuleError: The module did not answer; see its outcome.
        """
        ...

    def vend_many(
        self, requests: Sequence[tuple[KeyReference, CreditTokenRequest]]
    ) -> list[VendOutcome]:
        """Return what became of each request, in their order; no refusal stops the others."""
        ...

    def manage(self, register: KeyReference, request: ManagementTokenRequest) -> TokenDigits:
        """Return the management token.

        Raises:
            KeyRefusedError: The key is missing, retired, expired, or for demonstration.
            TokenRequestError: The meter's settings or the token do not fit.
            ModuleError: The module did not answer; see its outcome.
        """
        ...

    def change_key(
        self, old: KeyReference, new: KeyReference, request: KeyChangeRequest
    ) -> tuple[TokenDigits, ...]:
        """Return the set of key-change tokens, 1st section first: two for EA07, four for EA11.

        Raises:
            KeyRefusedError: A key is missing or for demonstration, or the new one is retired or
                expired.
            TokenRequestError: The meter's settings or the change do not fit.
            ModuleError: The module did not answer; see its outcome.
        """
        ...

    def change_key_many(self, changes: Sequence[KeyChange]) -> list[KeyChangeOutcome]:
        """Return what became of each change, in their order; no refusal stops the others.

        A module that has no faster way calls `change_keys_one_by_one`.
        """
        ...

    def verify(self, register: KeyReference, request: VerifyRequest) -> VerifiedToken:
        """Return what a token says under this meter's key, or why it is none; for clerks only.

        Who may ask it at will can guess tokens: callers bound it per meter and per asker.

        Raises:
            KeyRefusedError: The key is missing, or for demonstration.
            TokenRequestError: The meter's settings do not fit.
            ModuleError: The module did not answer; see its outcome.
        """
        ...

    def describe(self, register: KeyReference) -> KeyDescription:
        """Return what may be shown of a key.

        Raises:
            KeyNotFoundError: The module has none of that name.
            ModuleError: The module did not answer; see its outcome.
        """
        ...


def change_keys_one_by_one(
    module: SecurityModule, changes: Sequence[KeyChange]
) -> list[KeyChangeOutcome]:
    """Return what became of each change, asked for one after the other."""
    return [_attempt_change(module, change) for change in changes]


def _attempt_change(module: SecurityModule, change: KeyChange) -> KeyChangeOutcome:
    try:
        return module.change_key(*change)
    except VendingError as refusal:
        return refusal
