"""Operators for tests: made and signed in directly, without passwords and codes.

That one person alone cannot do an act of two is shown by a scenario for each use case:
`tests/support/two_person/registry.py` says how a feature contributes its own.
"""

from collections.abc import Iterable
from datetime import timedelta

from vending.approvals.model import Approval, Decision
from vending.approvals.service import decide
from vending.operators.model import (
    OpenedSession,
    Operator,
    OperatorState,
    SessionLimits,
    SignedIn,
    SignInMethod,
)
from vending.operators.passwords import PasswordCost, Passwords
from vending.operators.permissions import Role
from vending.operators.repository import accounts
from vending.operators.service.sessions import Place, open_session, to_signed_in
from vending.persistence.engine import Database
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId, OperatorId, new_uuid7

CHEAP_PASSWORDS = Passwords(PasswordCost(memory_kib=8, passes=1, lanes=1))
"""For tests that are about something else than the cost of a guess."""

LONG = SessionLimits(
    idle=timedelta(hours=12), lifetime=timedelta(hours=12), freshness=timedelta(days=60)
)
"""For tests that let time pass about something else."""


def operator_named(
    database: Database,
    clock: Clock,
    name: str,
    roles: Iterable[Role] = (),
    *,
    person: str | None = None,
    state: OperatorState = OperatorState.ACTIVE,
) -> Operator:
    """The operator of that name, made when there is none; the person is the name."""
    with database.unit_of_work() as uow:
        found = accounts.find_operator_by_name(uow.connection, name)
        if found is not None:
            return found
        operator = Operator(
            id=OperatorId(new_uuid7(clock)),
            name=name,
            person=person or name,
            state=state,
            roles=frozenset(roles),
            created_at=clock.now(),
        )
        assert accounts.insert_operator(uow.connection, operator)
        uow.commit()
    return operator


def open_session_for(
    database: Database,
    clock: Clock,
    operator: Operator,
    *,
    device: str | None = None,
    limits: SessionLimits = LONG,
) -> OpenedSession:
    """A session of an operator, opened without its factors."""
    place = Place(device_id=device or f"device-of-{operator.name}", source="127.0.0.1")
    with database.unit_of_work() as uow:
        opened = open_session(
            uow.connection, operator, SignInMethod.TOTP, place, limits=limits, clock=clock
        )
        uow.commit()
    return opened


def sign_in_as(
    database: Database,
    clock: Clock,
    *roles: Role,
    name: str | None = None,
    person: str | None = None,
    device: str | None = None,
    limits: SessionLimits = LONG,
) -> SignedIn:
    """An operator with these roles, signed in; named after the first role unless told otherwise.

    The same name again is the same operator, with the roles it was made with.
    """
    operator = operator_named(database, clock, name or _name_of(roles), roles, person=person)
    opened = open_session_for(database, clock, operator, device=device, limits=limits)
    return to_signed_in(operator, opened.session)


def session_token_for(
    database: Database,
    clock: Clock,
    *roles: Role,
    name: str | None = None,
    person: str | None = None,
    device: str | None = None,
    limits: SessionLimits = LONG,
) -> str:
    """The token of a session as `sign_in_as` opens one, to send as `Authorization: Bearer`."""
    operator = operator_named(database, clock, name or _name_of(roles), roles, person=person)
    return open_session_for(database, clock, operator, device=device, limits=limits).token


def approve(
    database: Database,
    clock: Clock,
    approval_id: ApprovalId,
    by: SignedIn,
) -> Approval:
    """Approve what another person asked for."""
    with database.unit_of_work() as uow:
        yes = Decision(approve=True)
        decided = decide(uow.connection, by, approval_id, yes, clock=clock)
        uow.commit()
    return decided


def _name_of(roles: tuple[Role, ...]) -> str:
    return roles[0].value if roles else "nobody"
