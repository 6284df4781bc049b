"""Every query on authenticator apps, passkeys and recovery codes."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from vending.operators.model import Authenticator, AuthenticatorKind
from vending.operators.passkeys import PasskeyFacts
from vending.operators.tables import operator_authenticators, operator_recovery_codes
from vending.persistence.bulk import insert_rows
from vending.persistence.upsert import insert_or_ignore
from vending.values.identifiers import OperatorId


@dataclass(frozen=True, slots=True)
class TOTPRow:
    """A secret of an authenticator app, sealed, and the last step that was used."""

    id: uuid.UUID
    sealed_secret: bytes
    last_step: int


@dataclass(frozen=True, slots=True)
class SealedSecretRow:
    """A secret of an authenticator app, sealed, and whose it is."""

    id: uuid.UUID
    operator_id: OperatorId
    sealed_secret: bytes


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """A passkey, and whose it is."""

    id: uuid.UUID
    operator_id: OperatorId
    facts: PasskeyFacts


def insert_totp(
    connection: Connection, authenticator: Authenticator, *, sealed_secret: bytes, last_step: int
) -> None:
    """Store the secret of an app, sealed."""
    _insert(connection, authenticator, sealed_secret=sealed_secret, last_step=last_step)


def insert_passkey(
    connection: Connection, authenticator: Authenticator, facts: PasskeyFacts
) -> bool:
    """Store a passkey; return whether it was stored: the credential may be known."""
    statement = insert_or_ignore(connection, operator_authenticators).returning(
        operator_authenticators.c.id
    )
    row = {
        **_common(authenticator),
        "credential_id": facts.credential_id,
        "public_key": facts.public_key,
        "sign_count": facts.sign_count,
    }
    return connection.execute(statement, row).one_or_none() is not None


def list_authenticators(connection: Connection, operator_id: OperatorId) -> list[Authenticator]:
    """Return what an operator has as a second factor, the oldest first."""
    query = _of(operator_id).order_by(
        operator_authenticators.c.added_at, operator_authenticators.c.id
    )
    return [
        Authenticator(
            id=row.id,
            operator_id=OperatorId(row.operator_id),
            kind=AuthenticatorKind(row.kind),
            label=row.label,
            added_at=row.added_at,
            used_at=row.used_at,
        )
        for row in connection.execute(query)
    ]


def list_totp(connection: Connection, operator_id: OperatorId) -> list[TOTPRow]:
    """Return the secrets of an operator's apps."""
    query = _of(operator_id, operator_authenticators.c.kind == AuthenticatorKind.TOTP.value)
    return [
        TOTPRow(row.id, bytes(row.sealed_secret), row.last_step)
        for row in connection.execute(query)
    ]


def list_sealed(
    connection: Connection, *, after: uuid.UUID | None, limit: int
) -> list[SealedSecretRow]:
    """Return the sealed secrets of all apps, revoked ones too, in the order of their ids."""
    table = operator_authenticators
    query = (
        select(table.c.id, table.c.operator_id, table.c.sealed_secret)
        .where(table.c.sealed_secret.is_not(None))
        .order_by(table.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(table.c.id > after)
    return [
        SealedSecretRow(row.id, OperatorId(row.operator_id), bytes(row.sealed_secret))
        for row in connection.execute(query)
    ]


def update_sealed(connection: Connection, row: SealedSecretRow, sealed_secret: bytes) -> bool:
    """Replace a sealed secret by the same one, sealed anew; False: another was faster."""
    table = operator_authenticators
    statement = (
        update(table)
        .where(table.c.id == row.id, table.c.sealed_secret == row.sealed_secret)
        .values(sealed_secret=sealed_secret)
    )
    return connection.execute(statement).rowcount == 1


def list_passkeys(connection: Connection, operator_id: OperatorId) -> list[PasskeyRow]:
    """Return the passkeys of an operator."""
    query = _of(operator_id, operator_authenticators.c.kind == AuthenticatorKind.PASSKEY.value)
    return [_to_passkey(row) for row in connection.execute(query)]


def find_passkey(connection: Connection, credential_id: bytes) -> PasskeyRow | None:
    """Return a passkey in use, kept from others until the end; None: nobody has it."""
    query = (
        select(operator_authenticators)
        .where(
            operator_authenticators.c.credential_id == credential_id,
            operator_authenticators.c.revoked_at.is_(None),
        )
        .with_for_update()
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_passkey(row)


def update_last_step(
    connection: Connection, authenticator_id: uuid.UUID, step: int, *, at: datetime
) -> bool:
    """Store the last step used; return False when another request used it, or a later one."""
    statement = (
        update(operator_authenticators)
        .where(
            operator_authenticators.c.id == authenticator_id,
            operator_authenticators.c.last_step < step,
            operator_authenticators.c.revoked_at.is_(None),
        )
        .values(last_step=step, used_at=at)
    )
    return connection.execute(statement).rowcount == 1


def update_sign_count(
    connection: Connection, authenticator_id: uuid.UUID, count: int, *, at: datetime
) -> None:
    """Store how often a passkey says that it was used."""
    _update(connection, authenticator_id, sign_count=count, used_at=at)


def revoke(
    connection: Connection, operator_id: OperatorId, authenticator_id: uuid.UUID, *, at: datetime
) -> bool:
    """Take an authenticator away; return False when the operator has no such one."""
    statement = (
        update(operator_authenticators)
        .where(
            operator_authenticators.c.id == authenticator_id,
            operator_authenticators.c.operator_id == operator_id,
            operator_authenticators.c.revoked_at.is_(None),
        )
        .values(revoked_at=at)
    )
    return connection.execute(statement).rowcount == 1


def revoke_all(connection: Connection, operator_id: OperatorId, *, at: datetime) -> None:
    """Take away every authenticator and recovery code of an operator."""
    connection.execute(
        update(operator_authenticators)
        .where(
            operator_authenticators.c.operator_id == operator_id,
            operator_authenticators.c.revoked_at.is_(None),
        )
        .values(revoked_at=at)
    )
    revoke_recovery_codes(connection, operator_id, at=at)


def insert_recovery_codes(
    connection: Connection, operator_id: OperatorId, digests: Sequence[bytes], *, at: datetime
) -> None:
    """Store the digests of fresh recovery codes."""
    insert_rows(
        connection,
        operator_recovery_codes,
        [{"digest": digest, "operator_id": operator_id, "made_at": at} for digest in digests],
    )


def use_recovery_code(
    connection: Connection, operator_id: OperatorId, digest: bytes, *, at: datetime
) -> bool:
    """Use up a recovery code; return False when it is none of the operator's, or was used."""
    statement = (
        update(operator_recovery_codes)
        .where(
            operator_recovery_codes.c.digest == digest,
            operator_recovery_codes.c.operator_id == operator_id,
            *_unused(),
        )
        .values(used_at=at)
    )
    return connection.execute(statement).rowcount == 1


def count_recovery_codes(connection: Connection, operator_id: OperatorId) -> int:
    """Return how many recovery codes an operator has left."""
    query = select(func.count()).where(
        operator_recovery_codes.c.operator_id == operator_id, *_unused()
    )
    return int(connection.scalar(query) or 0)


def was_recovery_code(connection: Connection, operator_id: OperatorId, digest: bytes) -> bool:
    """Return whether it was a recovery code of the operator's, used or taken away since."""
    query = select(operator_recovery_codes.c.digest).where(
        operator_recovery_codes.c.digest == digest,
        operator_recovery_codes.c.operator_id == operator_id,
    )
    return connection.scalar(query) is not None


def revoke_recovery_codes(connection: Connection, operator_id: OperatorId, *, at: datetime) -> None:
    """Take away the recovery codes that are left."""
    connection.execute(
        update(operator_recovery_codes)
        .where(operator_recovery_codes.c.operator_id == operator_id, *_unused())
        .values(revoked_at=at)
    )


def _unused() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    columns = operator_recovery_codes.c
    return columns.used_at.is_(None), columns.revoked_at.is_(None)


def _of(operator_id: OperatorId, *conditions: ColumnElement[bool]) -> Any:  # noqa: ANN401 # Select of all columns
    return select(operator_authenticators).where(
        operator_authenticators.c.operator_id == operator_id,
        operator_authenticators.c.revoked_at.is_(None),
        *conditions,
    )


def _insert(connection: Connection, authenticator: Authenticator, **more: object) -> None:
    connection.execute(insert(operator_authenticators).values(**_common(authenticator), **more))


def _update(connection: Connection, authenticator_id: uuid.UUID, **values: object) -> None:
    connection.execute(
        update(operator_authenticators)
        .where(operator_authenticators.c.id == authenticator_id)
        .values(**values)
    )


def _common(authenticator: Authenticator) -> dict[str, object]:
    return {
        "id": authenticator.id,
        "operator_id": authenticator.operator_id,
        "kind": authenticator.kind.value,
        "label": authenticator.label,
        "added_at": authenticator.added_at,
    }


def _to_passkey(row: Row[Any]) -> PasskeyRow:
    facts = PasskeyFacts(bytes(row.credential_id), bytes(row.public_key), row.sign_count)
    return PasskeyRow(row.id, OperatorId(row.operator_id), facts)
