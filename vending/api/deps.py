"""What routes ask for: the container, the partner behind the key, the idempotency key."""

import re
from typing import Annotated, Final

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from vending.api.errors import IdempotencyKeyInvalidError, IdempotencyKeyMissingError
from vending.api.in_flight import InFlightKeys
from vending.bootstrap import Container
from vending.partners.errors import UnauthenticatedError
from vending.partners.model import Partner
from vending.partners.service import authenticate
from vending.values.identifiers import IdempotencyKey

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_bearer: Final = HTTPBearer(
    auto_error=False, scheme_name="PartnerKey", description="The key a partner was given, `pk_…`"
)


def get_container(request: Request) -> Container:
    """Return what this process works with."""
    container = request.app.state.container
    assert isinstance(container, Container)
    return container


def get_in_flight(request: Request) -> InFlightKeys:
    """Return the keys that this process works on right now."""
    keys = request.app.state.in_flight
    assert isinstance(keys, InFlightKeys)
    return keys


ContainerDep = Annotated[Container, Depends(get_container)]
InFlightDep = Annotated[InFlightKeys, Depends(get_in_flight)]


def get_partner(
    container: ContainerDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Partner:
    """Return the partner whose key came with the request.

    Raises:
        UnauthenticatedError: There is no key, or it is no valid one.
        PartnerSuspendedError: The partner may not sell.
    """
    if credentials is None:
        raise UnauthenticatedError
    with container.database.read() as connection:
        return authenticate(connection, credentials.credentials, container.clock.now())


def get_idempotency_key(
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
