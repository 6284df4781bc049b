"""Every query on operators and their roles."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, delete, select, update
from sqlalchemy.exc import IntegrityError

from vending.operators.errors import OpenIDRefusedError
from vending.operators.model import NAME, Operator, OperatorState, person_key
from vending.operators.permissions import Role
from vending.operators.tables import operator_roles, operators
from vending.persistence.audit import audit_events
from vending.persistence.bulk import insert_rows, is_one_of
from vending.persistence.upsert import insert_or_ignore
from vending.values.identifiers import OperatorId

_APPOINTING: Final = ("operator.created", "operator.roles-changed", "operator.activated")


def insert_operator(connection: Connection, operator: Operator) -> bool:
    """Store an operator and its roles; return whether it was stored: the name may be taken."""
    statement = insert_or_ignore(connection, operators).returning(operators.c.id)
    row = {
        "id": operator.id,
        "name": operator.name,
        "person": operator.person,
        "person_key": person_key(operator.person),
        "state": operator.state.value,
        "created_at": operator.created_at,
    }
    if connection.execute(statement, row).one_or_none() is None:
        return False
    insert_roles(connection, operator.id, operator.roles, at=operator.created_at)
    return True


def lock_operator(connection: Connection, operator_id: OperatorId) -> Operator | None:
    """Return one operator, kept from others until the transaction ends; None: there is none."""
    query = select(operators).where(operators.c.id == operator_id).with_for_update()
    return _first(connection, connection.execute(query).all())


def find_operator(connection: Connection, operator_id: OperatorId) -> Operator | None:
    """Return one operator; None: there is none with this id."""
    return _find(connection, operators.c.id == operator_id)


def find_operator_by_name(connection: Connection, name: str) -> Operator | None:
    """Return one operator; None: there is none of this name, such as a text that is no name."""
    if NAME.fullmatch(name) is None:  # not every text can be sent to a database
        return None
    return _find(connection, operators.c.name == name)


def find_operator_by_activation(
    connection: Connection, digest: bytes, now: datetime
) -> Operator | None:
    """Return the operator whose activation code this is; None: of nobody, or too late."""
    return _find(
        connection,
        (operators.c.activation_digest == digest) & (operators.c.activation_ends_at > now),
    )


def find_operator_by_openid(connection: Connection, issuer: str, subject: str) -> Operator | None:
    """Return the operator linked to a subject of an OpenID provider; None: nobody is."""
    return _find(
        connection, (operators.c.openid_issuer == issuer) & (operators.c.openid_subject == subject)
    )


def list_operators(
    connection: Connection, *, after: str | None = None, limit: int
) -> list[Operator]:
    """Return operators in the order of their names, those that come after a name."""
    query = select(operators).order_by(operators.c.name).limit(limit)
    if after is not None:
        query = query.where(operators.c.name > after)
    return _with_roles(connection, connection.execute(query).all())


def list_operators_with_role(connection: Connection, role: Role) -> list[Operator]:
    """Return every operator who holds a role, in the order of their names."""
    holders = select(operator_roles.c.operator_id).where(operator_roles.c.role == role.value)
    query = select(operators).where(operators.c.id.in_(holders)).order_by(operators.c.name)
    return _with_roles(connection, connection.execute(query).all())


def find_password_hash(connection: Connection, operator_id: OperatorId) -> str | None:
    """Return the hash of the password; None: none was chosen."""
    query = select(operators.c.password_hash).where(operators.c.id == operator_id)
    found: str | None = connection.scalar(query)
    return found


def update_state(connection: Connection, operator_id: OperatorId, state: OperatorState) -> None:
    """Store whether the account can sign in."""
    _update(connection, operator_id, state=state.value)


def update_password_hash(
    connection: Connection, operator_id: OperatorId, password_hash: str | None
) -> None:
    """Store the hash of the password."""
    _update(connection, operator_id, password_hash=password_hash)


def update_activation(
    connection: Connection,
    operator_id: OperatorId,
    digest: bytes | None,
    ends_at: datetime | None,
) -> None:
    """Store which activation code the account waits for; None: for none."""
    _update(connection, operator_id, activation_digest=digest, activation_ends_at=ends_at)


def count_once_administrators(connection: Connection) -> int:
    """Return how many accounts were administrators and active at some time, by the audit log."""
    query = select(audit_events.c.subject, audit_events.c.action, audit_events.c.details)
    told = connection.execute(query.where(audit_events.c.action.in_(_APPOINTING))).all()
    activated = {row.subject for row in told if row.action == "operator.activated"}
    appointed = {
        row.subject
        for row in told
        if Role.ADMINISTRATOR in _granted(row.details if isinstance(row.details, dict) else {})
    }
    return len(activated & appointed)


def _granted(details: Mapping[str, object]) -> list[str]:
    return str(details.get("granted") or details.get("roles") or "").split()


def update_openid(
    connection: Connection, operator_id: OperatorId, issuer: str | None, subject: str | None
) -> None:
    """Store which subject of an OpenID provider the account belongs to; None: to none.

    Raises:
        OpenIDRefusedError: Another account has just been linked to it; the transaction is void.
    """
    try:
        _update(connection, operator_id, openid_issuer=issuer, openid_subject=subject)
    except IntegrityError as error:
        reason = "linked"
        raise OpenIDRefusedError(reason) from error


def insert_roles(
    connection: Connection, operator_id: OperatorId, roles: Iterable[Role], *, at: datetime
) -> None:
    """Store roles that the operator did not have."""
    insert_rows(
        connection,
        operator_roles,
        [
            {"operator_id": operator_id, "role": role.value, "granted_at": at}
            for role in sorted(roles)
        ],
    )


def delete_roles(connection: Connection, operator_id: OperatorId, roles: Iterable[Role]) -> None:
    """Take roles away; the audit log keeps that they were had."""
    connection.execute(
        delete(operator_roles).where(
            operator_roles.c.operator_id == operator_id,
            operator_roles.c.role.in_(sorted(role.value for role in roles)),
        )
    )


def _update(connection: Connection, operator_id: OperatorId, **values: object) -> None:
    connection.execute(update(operators).where(operators.c.id == operator_id).values(**values))


def _find(connection: Connection, condition: ColumnElement[bool]) -> Operator | None:
    return _first(connection, connection.execute(select(operators).where(condition)).all())


def _first(connection: Connection, rows: Sequence[Row[Any]]) -> Operator | None:
    return next(iter(_with_roles(connection, rows)), None)


def _with_roles(connection: Connection, rows: Sequence[Row[Any]]) -> list[Operator]:
    if not rows:
        return []
    held: defaultdict[UUID, set[Role]] = defaultdict(set)
    wanted = is_one_of(connection, operator_roles.c.operator_id, [row.id for row in rows])
    for row in connection.execute(select(operator_roles).where(wanted)):
        held[row.operator_id].add(Role(row.role))
    return [
        Operator(
            id=OperatorId(row.id),
            name=row.name,
            person=row.person,
            state=OperatorState(row.state),
            roles=frozenset(held[row.id]),
            created_at=row.created_at,
        )
        for row in rows
    ]
