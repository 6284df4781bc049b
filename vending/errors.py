"""The root of every refusal the service answers with.

    VendingError            kind, code, facts
    └── one class a reason, in the `errors.py` of the feature that refuses

A refusal is expected and final: the caller asked for something the rules do not allow. What
fails for technical reasons is not a refusal; see ADR 0008.
"""

from enum import StrEnum
from typing import ClassVar


class ErrorKind(StrEnum):
    """What kind of refusal it is; `vending.api.errors` maps each kind to one HTTP status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    IN_FLIGHT = "in_flight"
    MISMATCH = "mismatch"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


Fact = str | int | bool | None


class VendingError(Exception):
    """One refusal: a stable `code`, the facts behind it, and what to do about it.

    Subclasses set `kind`, `code` and `remedy`; their constructors take facts and build the
    message, so that no call site writes prose.
    """

    kind: ClassVar[ErrorKind]
    code: ClassVar[str]
    remedy: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **facts: Fact) -> None:
        super().__init__(message)
        self.facts = facts
