"""People who ask for approvals and decide them."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.values.identifiers import OperatorId

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def sign_in() -> Callable[..., SignedIn]:
    def signed_in(name: str, *roles: Role, person: str = "", device: str | None = None) -> SignedIn:
        return SignedIn(
            operator_id=OperatorId(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            name=name,
            person=person or name,
            roles=frozenset(roles),
            session_id=uuid.uuid5(uuid.NAMESPACE_URL, f"{name}'s session"),
            device_id=device,
            fresh_until=NOW + timedelta(minutes=10),
        )

    return signed_in


@pytest.fixture
def asker(sign_in: Callable[..., SignedIn]) -> SignedIn:
    return sign_in("asker", Role.KEY_CUSTODIAN, device="left")


@pytest.fixture
def decider(sign_in: Callable[..., SignedIn]) -> SignedIn:
    return sign_in("decider", Role.KEY_CUSTODIAN, device="right")
