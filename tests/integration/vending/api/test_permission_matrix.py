"""Every route x every role, nobody, a revoked session, a locked operator, a partner's key.

What a route takes is read from its dependencies (`list_access`), what a role may do from
`ROLE_PERMISSIONS`; both are printed in docs/security/roles.md. Requests are empty or malformed
behind the gate, so that being let in has no effect either.
"""

import re
from collections.abc import Mapping

import pytest
from sqlalchemy import update

from tests.support.api import Counter
from tests.support.people import operator_named, session_token_for
from vending.api.access import Gate, RouteAccess, list_access
from vending.api.deps import REQUEST_HEADER
from vending.operators.model import OperatorState
from vending.operators.permissions import ROLE_PERMISSIONS, Role
from vending.operators.tables import operator_sessions, operators

LET_IN = "let in"
REFUSALS = {"permission_denied", "sign_in_required", "unauthenticated"}
NO_FORM = b'{"no_such_member": true}'
NO_ID = "no-id"
"""In the place of an identifier: past the gate it is refused as malformed."""


def ask(counter: Counter, access: RouteAccess, token: str | None) -> str:
    """`let in`, or the code of the gate's refusal."""
    method, path = access.route.split(" ", 1)
    headers = {"Content-Type": "application/json", REQUEST_HEADER: "1"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    answer = counter.client.request(
        method, re.sub(r"\{[^}]+\}", NO_ID, path), headers=headers, content=NO_FORM
    )
    if answer.status_code not in {401, 403}:
        return LET_IN
    document = answer.json()
    asked = document["facts"].get("permission")
    # Further in, a use case may ask for more than the route did.
    is_further = asked is not None and access.permission is not None and asked != access.permission
    return LET_IN if is_further or document["code"] not in REFUSALS else str(document["code"])


@pytest.fixture
def guarded(sqlite_counter: Counter) -> list[RouteAccess]:
    return [one for one in list_access(sqlite_counter.app) if one.gate is not Gate.PUBLIC]


def token_of(counter: Counter, name: str, *roles: Role) -> str:
    return session_token_for(counter.shop.database, counter.shop.clock, *roles, name=name)


def expected(access: RouteAccess, role: Role) -> str:
    match access.gate:
        case Gate.PARTNER:
            return "unauthenticated"
        case Gate.SIGNED_IN:
            return LET_IN
        case _:
            is_carried = access.permission in ROLE_PERMISSIONS[role]
            return LET_IN if is_carried else "permission_denied"


@pytest.mark.timeout(900)
def test_a_role_is_let_in_exactly_where_it_carries_the_permission(
    sqlite_counter: Counter, guarded: list[RouteAccess]
) -> None:
    for role in Role:
        found: Mapping[str, str] = {
            # A session for each request: some routes end the one they are asked with.
            one.route: ask(sqlite_counter, one, token_of(sqlite_counter, role.value, role))
            for one in guarded
        }
        assert found == {one.route: expected(one, role) for one in guarded}, role


def test_nobody_is_let_in_without_a_key_or_a_session(
    sqlite_counter: Counter, guarded: list[RouteAccess]
) -> None:
    for token in (None, "", "os_" + "0" * 64, "x" * 4096):
        for one in guarded:
            wanted = "unauthenticated" if one.gate is Gate.PARTNER else "sign_in_required"
            assert ask(sqlite_counter, one, token) == wanted, (one, token)


def test_a_partner_is_let_in_to_its_own_routes_alone(
    sqlite_counter: Counter, guarded: list[RouteAccess]
) -> None:
    for one in guarded:
        wanted = LET_IN if one.gate is Gate.PARTNER else "sign_in_required"
        assert ask(sqlite_counter, one, sqlite_counter.shop.api_key) == wanted, one


def test_whoever_is_out_is_let_in_nowhere(
    sqlite_counter: Counter, guarded: list[RouteAccess]
) -> None:
    shop = sqlite_counter.shop
    revoked, locked = (token_of(sqlite_counter, name, *Role) for name in ("revoked", "locked"))
    ids = {
        name: operator_named(shop.database, shop.clock, name).id for name in ("revoked", "locked")
    }
    with shop.database.unit_of_work() as uow:
        uow.connection.execute(
            update(operator_sessions)
            .where(operator_sessions.c.operator_id == ids["revoked"])
            .values(revoked_at=shop.clock.now())
        )
        uow.connection.execute(
            update(operators)
            .where(operators.c.id == ids["locked"])
            .values(state=OperatorState.LOCKED.value)
        )
        uow.commit()

    for one in guarded:
        wanted = "unauthenticated" if one.gate is Gate.PARTNER else "sign_in_required"
        for token in (revoked, locked):
            assert ask(sqlite_counter, one, token) == wanted, one
