"""Every error of the API as a problem document (RFC 9457), and the refusals of the edge itself.

VendingError
├── RequestInvalidError         the body or a parameter does not fit its schema
├── RequestMalformedError       the body is no JSON
├── IdempotencyKeyMissingError  a request that moves money came without its key
├── IdempotencyKeyInvalidError  the key is too long or not printable
├── RequestTooLargeError        the body is above 64 kB
├── RequestTooSlowError         the body did not come in time
├── CrossSiteRequestError       a cookie came with a request that another site may have made
├── RouteNotFoundError, MethodNotAllowedError
└── InternalError               our fault; the outcome is unknown
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from vending.errors import ErrorKind, Outcome, VendingError, canonical_json
from vending.observability.logs import get_logger

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1
FIELDS_REPORTED_MAX: Final = 20
"""A body can be wrong in thousands of places; the first twenty tell enough."""
FIELD_NAME_LENGTH_MAX: Final = 100
"""A name that the caller made up is repeated to this length."""

_logger = get_logger(__name__)


class RequestInvalidError(VendingError):
    """Some fields do not fit the schema; each is named with what is wanted."""

    kind = ErrorKind.INVALID
    code = "request_invalid"
    remedy = "Correct the fields listed in `errors`; /openapi.json shows the schema."

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        first = errors[0] if errors else {"field": "body", "message": "unreadable"}
        super().__init__(f"{first['field']}: {first['message']}", count=len(errors))
        self.errors = [dict(error) for error in errors[:FIELDS_REPORTED_MAX]]

    def problem(self) -> dict[str, object]:
        """Return the problem document with one entry per field."""
        return {**super().problem(), "errors": self.errors}


class RequestMalformedError(VendingError):
    """The body is no JSON document."""

    kind = ErrorKind.MALFORMED
    code = "request_malformed"
    remedy = "Send one JSON object in UTF-8 with Content-Type: application/json."

    def __init__(self) -> None:
        super().__init__("the body cannot be read as JSON")


class IdempotencyKeyMissingError(VendingError):
    """A sale needs the key that makes it happen at most once."""

    kind = ErrorKind.MALFORMED
    code = "idempotency_key_missing"
    remedy = "Make a key once per sale, such as a UUID, keep it, and send it as Idempotency-Key."

    def __init__(self) -> None:
        super().__init__("the header Idempotency-Key is missing")


class IdempotencyKeyInvalidError(VendingError):
    """The key has a form that we do not keep."""

    kind = ErrorKind.MALFORMED
    code = "idempotency_key_invalid"
    remedy = "Use 1 to 255 printable ASCII characters without spaces, such as a UUID."

    def __init__(self) -> None:
        super().__init__("the header Idempotency-Key is not usable")


class RequestTooLargeError(VendingError):
    """The body is larger than any request of this API."""

    kind = ErrorKind.TOO_LARGE
    code = "request_too_large"
    remedy = "Send at most 64 kB."

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is above {limit_bytes} bytes", limit_bytes=limit_bytes)


class RequestTooSlowError(VendingError):
    """The body did not come in time."""

    kind = ErrorKind.MALFORMED
    code = "request_too_slow"
    remedy = "Send the body at once after the headers; nothing happened, so repeat the request."
    retryable = True

    def __init__(self, limit_s: int) -> None:
        super().__init__(f"the body did not come within {limit_s} s", limit_s=limit_s)

    @property
    def http_status(self) -> int:
        """Return 408, the status that HTTP has for this."""
        return 408


class CrossSiteRequestError(VendingError):
    """A cookie came with a request that a page of another site may have made."""

    kind = ErrorKind.FORBIDDEN
    code = "cross_site_request"
    remedy = "Send the header X-Office-Request, or the session as Authorization: Bearer."

    def __init__(self) -> None:
        super().__init__("nothing shows that the request comes from a page of this service")


class RouteNotFoundError(VendingError):
    """The path is none of this API."""

    kind = ErrorKind.NOT_FOUND
    code = "route_not_found"
    remedy = "Check the path; /openapi.json lists every route."

    def __init__(self) -> None:
        super().__init__("there is no such path")


class MethodNotAllowedError(VendingError):
    """The path exists, with other methods."""

    kind = ErrorKind.MALFORMED
    code = "method_not_allowed"
    remedy = "Check the method; /openapi.json lists those of every route."

    def __init__(self) -> None:
        super().__init__("this path does not take this method")

    @property
    def http_status(self) -> int:
        """Return 405, the one status that HTTP itself prescribes here."""
        return 405


class InternalError(VendingError):
    """Something of ours failed; the log has the trace under the request id."""

    kind = ErrorKind.UNAVAILABLE
    code = "internal_error"
    remedy = "Send the same request again with the same key; report the X-Request-Id if it stays."
    retryable = True
    outcome = Outcome.UNKNOWN

    def __init__(self) -> None:
        super().__init__("the service failed; whether the request had its effect is not known")

    @property
    def http_status(self) -> int:
        """Return 500."""
        return 500


def problem_response(error: VendingError, extra: Mapping[str, str] | None = None) -> Response:
    """Return the answer for a refusal, with `extra` headers."""
    headers = dict(extra or {})
    if error.retryable:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if "retry_after_s" in error.facts:
        headers["Retry-After"] = str(error.facts["retry_after_s"])
    if error.kind is ErrorKind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(error.problem_bytes(), error.http_status, headers, PROBLEM_TYPE)


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    async def refused(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, VendingError)
        return problem_response(error)

    async def invalid(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, RequestValidationError)
        return problem_response(_invalid_error(error))

    async def http_error(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, HTTPException)
        return problem_response(_http_error(error.status_code), error.headers)

    handlers: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        VendingError: refused,
        RequestValidationError: invalid,
        HTTPException: http_error,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _invalid_error(error: RequestValidationError) -> VendingError:
    faults: Sequence[Any] = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return RequestMalformedError()
    return RequestInvalidError(
        [
            {
                "field": _field_name(fault["loc"]),
                "message": str(fault["msg"]),
            }
            for fault in faults
        ]
    )


def _field_name(location: Sequence[object]) -> str:
    """Return where in the request a fault is, without the word `body` unless it is all of it."""
    name = ".".join(str(part) for part in location[1:]) or str(location[0])
    return name[:FIELD_NAME_LENGTH_MAX]


def _http_error(status: int) -> VendingError:
    match status:
        case 404:
            return RouteNotFoundError()
        case 405:
            return MethodNotAllowedError()
        case 400:
            return RequestMalformedError()
        case _:
            _logger.error("unexpected_http_error", status=status)
            return InternalError()


def encoded(document: object, *, status: int = 200) -> Response:
    """Return a JSON answer in the canonical form."""
    return Response(canonical_json(document), status, media_type="application/json")
