"""The root of every refusal, and the form in which it is answered.

    VendingError            kind, code, remedy, facts
    └── one class a reason, in the `errors.py` of the feature that refuses

A refusal is expected: the caller asked for something the rules do not allow now. What fails for
technical reasons is not a refusal (ADR 0008). Answers are problem documents (RFC 9457) whose
`outcome` tells what became of the request: `none`, nothing happened; `done`, it had its effect
before; `unknown`, ask again with the same key.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final

PROBLEM_TYPE_PREFIX: Final = "urn:prepaid-vending:problem:"


class ErrorKind(StrEnum):
    """What kind of refusal it is; `HTTP_STATUS` maps each kind to one status."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    MISMATCH = "mismatch"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


HTTP_STATUS: Final[Mapping[ErrorKind, int]] = MappingProxyType(
    {
        ErrorKind.MALFORMED: 400,
        ErrorKind.INVALID: 422,
        ErrorKind.UNAUTHENTICATED: 401,
        ErrorKind.FORBIDDEN: 403,
        ErrorKind.NOT_FOUND: 404,
        ErrorKind.CONFLICT: 409,
        ErrorKind.MISMATCH: 422,
        ErrorKind.REFUSED: 422,
        ErrorKind.TOO_LARGE: 413,
        ErrorKind.TOO_MANY: 429,
        ErrorKind.UNAVAILABLE: 503,
    }
)


class Outcome(StrEnum):
    """What became of a request that was answered with a problem."""

    NONE = "none"
    DONE = "done"
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
    outcome: ClassVar[Outcome] = Outcome.NONE

    def __init__(self, message: str, **facts: Fact) -> None:
        super().__init__(message)
        self.facts: Mapping[str, Fact] = facts

    @property
    def http_status(self) -> int:
        """Return the status of the answer."""
        return HTTP_STATUS[self.kind]

    def problem(self) -> dict[str, object]:
        """Return the problem document (RFC 9457): the facts and nothing of this process."""
        return {
            "type": f"{PROBLEM_TYPE_PREFIX}{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.http_status,
            "code": self.code,
            "detail": str(self),
            "remedy": self.remedy,
            "retryable": self.retryable,
            "outcome": self.outcome.value,
            "facts": dict(self.facts),
        }

    def problem_bytes(self) -> bytes:
        """Return the problem document as it is sent and stored."""
        return canonical_json(self.problem())


def canonical_json(document: object) -> bytes:
    """Return the document as UTF-8 JSON, always the same bytes for the same content.

    Half of a surrogate pair, which a caller can send and UTF-8 cannot, stays a JSON escape.
    """
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
