"""What routes ask for: the container, the partner behind the key, the idempotency key.

They are `async` because none blocks: a plain function would cost a hop to a thread and back. The
route that sells asks for few, as FastAPI resolves each of them for every request.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from vending.api.errors import (
    CrossSiteRequestError,
    IdempotencyKeyInvalidError,
    IdempotencyKeyMissingError,
)
from vending.api.in_flight import InFlightKeys
from vending.api.recent_proofs import RecentProofs
from vending.bootstrap import Container
from vending.operators.errors import SignInRequiredError
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.operators.service import sessions
from vending.partners.errors import UnauthenticatedError
from vending.partners.model import Partner
from vending.partners.service import authenticate
from vending.values.identifiers import IdempotencyKey

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_bearer: Final = HTTPBearer(
    auto_error=False, scheme_name="PartnerKey", description="The key a partner was given, `pk_…`"
)

SESSION_COOKIE: Final = "__Host-session"
"""The prefix makes browsers insist on Secure, no Domain and Path=/ (RFC 6265bis, 4.1.3.2)."""
DEVICE_COOKIE: Final = "__Host-device"
DEVICE_HEADER: Final = "X-Office-Device"
"""How a device that was signed in on before says so, where it keeps no cookie."""
REQUEST_HEADER: Final = "X-Office-Request"
"""Any value; a page of another site cannot send it without a leave that we never give (CORS)."""

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_session_bearer: Final = HTTPBearer(
    auto_error=False, scheme_name="OperatorSession", description="A session's token, `os_…`"
)


def container_of(request: Request) -> Container:
    """Return what this process works with."""
    container = request.app.state.container
    assert isinstance(container, Container)
    return container


def in_flight_of(request: Request) -> InFlightKeys:
    """Return the keys that this process works on right now."""
    keys = request.app.state.in_flight
    assert isinstance(keys, InFlightKeys)
    return keys


async def get_container(request: Request) -> Container:
    """Return what this process works with."""
    return container_of(request)


async def get_in_flight(request: Request) -> InFlightKeys:
    """Return the keys that this process works on right now."""
    return in_flight_of(request)


ContainerDep = Annotated[Container, Depends(get_container)]
InFlightDep = Annotated[InFlightKeys, Depends(get_in_flight)]


async def get_partner(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Partner:
    """Return the partner whose key came with the request; a revoked key may pass for a second.

    Raises:
        UnauthenticatedError: There is no key, or it is no valid one.
        PartnerSuspendedError: The partner may not sell.
    """
    if credentials is None:
        raise UnauthenticatedError
    container, proofs = container_of(request), request.app.state.recent_proofs
    assert isinstance(proofs, RecentProofs)
    presented = credentials.credentials
    partner = proofs.find(presented)
    if partner is None:
        asked_at_s = container.clock.monotonic_s()
        partner = await run_in_threadpool(_load_partner, container, presented)
        proofs.remember(presented, partner, asked_at_s)
    return partner


def _load_partner(container: Container, presented: str) -> Partner:
    with container.database.read() as connection:
        return authenticate(connection, presented, container.clock.now())


async def get_idempotency_key(
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Made by the partner once per sale; 1 to 255 printable ASCII characters",
            examples=["0b3f7c1e-8a52-4d0e-9b6d-1f2a3c4d5e6f"],
        ),
    ] = None,
) -> IdempotencyKey:
    """Return the key under which the request happens at most once.

    Raises:
        IdempotencyKeyMissingError: The header is missing.
        IdempotencyKeyInvalidError: It is too long or not printable ASCII.
    """
    if key is None:
        raise IdempotencyKeyMissingError
    if _KEY.fullmatch(key) is None:
        raise IdempotencyKeyInvalidError
    return IdempotencyKey(key)


PartnerDep = Annotated[Partner, Depends(get_partner)]
IdempotencyKeyDep = Annotated[IdempotencyKey, Depends(get_idempotency_key)]


# --- operators -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class OfficeAccess:
    """A dependency that lets only signed-in operators in, with the permission where one is named.

    The session comes as `Authorization: Bearer os_…` or as the cookie. A cookie is sent by a
    browser whoever made the page, so with one a request that changes something must also show
    that it comes from a page of ours.
    """

    permission: Permission | None

    async def __call__(
        self,
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_session_bearer)],
    ) -> SignedIn:
        """Return the operator.

        Raises:
            SignInRequiredError: There is no session that holds.
            CrossSiteRequestError: A cookie came with a request from a page of another site.
            PermissionDeniedError: None of the operator's roles carries the permission.
        """
        if credentials is None:
            require_same_site(request)
        presented = presented_token(request, credentials)
        container = container_of(request)
        signed_in = await run_in_threadpool(
            sessions.authenticate, container.database, presented, clock=container.clock
        )
        if self.permission is not None:
            signed_in.require(self.permission)
        return signed_in


def requires(permission: Permission) -> OfficeAccess:
    """Return the dependency of a route that takes a permission."""
    return OfficeAccess(permission)


def presented_token(request: Request, credentials: HTTPAuthorizationCredentials | None) -> str:
    """Return the token that came with the request.

    Raises:
        SignInRequiredError: None did, or more than one cookie.
    """
    presented = [credentials.credentials] if credentials is not None else _session_cookies(request)
    if len(presented) != 1:  # of two cookies of one name, another site may have planted either
        raise SignInRequiredError
    return presented[0]


def _session_cookies(request: Request) -> list[str]:
    pairs = [
        pair.partition("=")
        for text in request.headers.getlist("cookie")
        for pair in text.split(";")
    ]
    return [value.strip() for name, _, value in pairs if name.strip() == SESSION_COOKIE]


def require_same_site(request: Request) -> None:
    """Go on only when no page of another site can have made the request.

    Raises:
        CrossSiteRequestError: One may have: the browser says so, or nothing says otherwise.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    is_ours = site == "same-origin" or (site is None and REQUEST_HEADER in request.headers)
    if not is_ours:
        raise CrossSiteRequestError


SignedInDep = Annotated[SignedIn, Depends(OfficeAccess(None))]
