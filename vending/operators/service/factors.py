"""Second factors of an operator: checked, added, taken away."""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from vending.keystore.sealing import Sealer, associate, sealed_under
from vending.operators import one_time_codes, rules
from vending.operators.errors import (
    AuthenticatorNotFoundError,
    CodeRefusedError,
    LastAuthenticatorError,
)
from vending.operators.model import Authenticator, AuthenticatorKind, SignedIn, SignInMethod
from vending.operators.one_time_codes import Enrolment, WrongCode
from vending.operators.repository import accounts, authenticators
from vending.operators.service.desk import SignInDesk
from vending.operators.service.steps import (
    StepPurpose,
    count_try,
    open_step,
    take_step,
    use_step,
)
from vending.persistence.audit import AuditEvent, record
from vending.values.clock import Clock
from vending.values.identifiers import OperatorId, new_uuid7

FIRST_LABEL: Final = "authenticator app"


class CodeOutcome(StrEnum):
    """What came of a one-time code."""

    RIGHT = "right"
    WRONG = "wrong"
    REUSED = "reused"
    """Right once, and used before: it may have been seen."""


@dataclass(frozen=True, slots=True)
class CheckedCode:
    """What came of a code, and of which kind it was."""

    outcome: CodeOutcome
    method: SignInMethod


def check_code(
    connection: Connection, desk: SignInDesk, operator_id: OperatorId, code: str
) -> CheckedCode:
    """Use up a code of the operator's app, or one of the recovery codes; the caller commits."""
    try:
        recovery = one_time_codes.parse_code(code)
    except WrongCode:
        outcome = _check_totp(connection, desk, operator_id, code)
        return CheckedCode(outcome, SignInMethod.TOTP)
    digest = rules.compute_digest(recovery)
    if authenticators.use_recovery_code(connection, operator_id, digest, at=desk.clock.now()):
        return CheckedCode(CodeOutcome.RIGHT, SignInMethod.RECOVERY_CODE)
    was_one = authenticators.was_recovery_code(connection, operator_id, digest)
    outcome = CodeOutcome.REUSED if was_one else CodeOutcome.WRONG
    return CheckedCode(outcome, SignInMethod.RECOVERY_CODE)


def _check_totp(
    connection: Connection, desk: SignInDesk, operator_id: OperatorId, code: str
) -> CodeOutcome:
    now = desk.clock.now()
    outcome = CodeOutcome.WRONG
    for row in authenticators.list_totp(connection, operator_id):
        place = totp_place(operator_id, row.id)
        secret = desk.sealer().open(row.sealed_secret, associated=place).decode()
        try:
            step = one_time_codes.accept_totp_code(secret, code, now=now, last_step=row.last_step)
        except WrongCode as wrong:
            outcome = CodeOutcome.REUSED if wrong.is_reused else outcome
            continue
        # Another request may have used the step since it was read.
        if authenticators.update_last_step(connection, row.id, step, at=now):
            return CodeOutcome.RIGHT
        outcome = CodeOutcome.REUSED
    return outcome


def totp_place(operator_id: OperatorId, authenticator_id: uuid.UUID) -> bytes:
    """Return what the sealed secret of an app is bound to."""
    return associate("totp", operator_id.bytes, authenticator_id.bytes)


def reseal_totp(
    connection: Connection, sealer: Sealer, *, root: int, after: uuid.UUID | None, limit: int
) -> tuple[int, uuid.UUID | None]:
    """Seal the next secrets of apps under root key `root`, the one that `sealer` seals under.

    Returns how many lay under another one, and the last id looked at; None: there are no more.
    The caller commits.

    Raises:
        SealBrokenError: A secret was altered.
    """
    rows = authenticators.list_sealed(connection, after=after, limit=limit)
    count = 0
    for row in rows:
        if sealed_under(row.sealed_secret) >= root:
            continue
        place = totp_place(row.operator_id, row.id)
        secret = sealer.open(row.sealed_secret, associated=place)
        sealed = sealer.seal(secret, associated=place)
        count += authenticators.update_sealed(connection, row, sealed)
    return count, rows[-1].id if len(rows) == limit else None


def store_totp(
    connection: Connection,
    desk: SignInDesk,
    operator_id: OperatorId,
    secret: str,
    *,
    label: str,
    last_step: int,
) -> Authenticator:
    """Store the secret of an app whose first code was right; the caller commits."""
    authenticator = Authenticator(
        id=new_uuid7(desk.clock),
        operator_id=operator_id,
        kind=AuthenticatorKind.TOTP,
        label=label,
        added_at=desk.clock.now(),
        used_at=None,
    )
    place = totp_place(operator_id, authenticator.id)
    sealed = desk.sealer().seal(secret.encode(), associated=place)
    authenticators.insert_totp(connection, authenticator, sealed_secret=sealed, last_step=last_step)
    return authenticator


def begin_totp(desk: SignInDesk, by: SignedIn, *, label: str) -> tuple[str, Enrolment]:
    """Return a ticket, and what a further authenticator app of the operator takes in.

    Raises:
        SecondFactorStaleError: The second factor was given too long ago.
        OperatorInvalidError: The label is outside its limits.
        SignInBusyError: Too many steps wait at present.
    """
    by.require_fresh(desk.clock.now())
    secret = one_time_codes.make_totp_secret()
    with desk.database.unit_of_work() as uow:
        ticket = open_step(
            uow.connection,
            desk,
            StepPurpose.TOTP_ENROLMENT,
            {"secret": secret, "label": label},
            operator_id=by.operator_id,
        )
        uow.commit()
    return ticket, one_time_codes.describe_enrolment(secret, account=by.name, issuer=desk.issuer)


def finish_totp(desk: SignInDesk, by: SignedIn, ticket: str, code: str) -> Authenticator:
    """Add an authenticator app whose first code is right.

    Raises:
        ChallengeRefusedError: The ticket is of no enrolment of the operator's that still holds.
        CodeRefusedError: The code is wrong.
        OperatorInvalidError: The label is outside its limits.
    """
    added: Authenticator | None = None
    with desk.database.unit_of_work() as uow:
        step = take_step(
            uow.connection, desk, ticket, StepPurpose.TOTP_ENROLMENT, operator_id=by.operator_id
        )
        last_step = try_enrolment(desk, step.facts["secret"], code)
        if last_step is None:
            count_try(uow.connection, desk, step)
        else:
            use_step(uow.connection, desk, step)
            added = store_totp(
                uow.connection,
                desk,
                by.operator_id,
                step.facts["secret"],
                label=step.facts["label"],
                last_step=last_step,
            )
            _record(uow.connection, by, "authenticator.added", added.id, desk.clock)
        uow.commit()
    if added is None:
        raise CodeRefusedError
    return added


def try_enrolment(desk: SignInDesk, secret: str, code: str) -> int | None:
    """Return the step of the first code of a secret; None: the code is wrong."""
    try:
        return one_time_codes.accept_totp_code(
            secret, code, now=desk.clock.now(), last_step=one_time_codes.NO_STEP
        )
    except WrongCode:
        return None


def list_own_authenticators(connection: Connection, by: SignedIn) -> list[Authenticator]:
    """Return what the operator has as a second factor, the oldest first."""
    return authenticators.list_authenticators(connection, by.operator_id)


def count_own_recovery_codes(connection: Connection, by: SignedIn) -> int:
    """Return how many recovery codes the operator has left."""
    return authenticators.count_recovery_codes(connection, by.operator_id)


def remove_authenticator(desk: SignInDesk, by: SignedIn, authenticator_id: uuid.UUID) -> None:
    """Take one of the operator's own authenticators away.

    Raises:
        SecondFactorStaleError: The second factor was given too long ago.
        AuthenticatorNotFoundError: The operator has no such one.
        LastAuthenticatorError: It is the only one.
    """
    by.require_fresh(desk.clock.now())
    with desk.database.unit_of_work() as uow:
        accounts.lock_operator(uow.connection, by.operator_id)
        held = authenticators.list_authenticators(uow.connection, by.operator_id)
        if not any(each.id == authenticator_id for each in held):
            raise AuthenticatorNotFoundError(str(authenticator_id))
        if len(held) == 1:
            raise LastAuthenticatorError
        authenticators.revoke(uow.connection, by.operator_id, authenticator_id, at=desk.clock.now())
        _record(uow.connection, by, "authenticator.removed", authenticator_id, desk.clock)
        uow.commit()


def make_recovery_codes(
    connection: Connection, operator_id: OperatorId, *, clock: Clock
) -> list[str]:
    """Return ten fresh recovery codes, shown once; those of before hold no longer."""
    codes = [one_time_codes.make_code() for _ in range(one_time_codes.RECOVERY_CODE_COUNT)]
    digests = [rules.compute_digest(one_time_codes.parse_code(code)) for code in codes]
    authenticators.revoke_recovery_codes(connection, operator_id, at=clock.now())
    authenticators.insert_recovery_codes(connection, operator_id, digests, at=clock.now())
    return codes


def renew_recovery_codes(desk: SignInDesk, by: SignedIn) -> list[str]:
    """Return ten fresh recovery codes of the operator's own, shown once.

    Raises:
        SecondFactorStaleError: The second factor was given too long ago.
    """
    by.require_fresh(desk.clock.now())
    with desk.database.unit_of_work() as uow:
        codes = make_recovery_codes(uow.connection, by.operator_id, clock=desk.clock)
        event = AuditEvent(by.actor, "recovery-codes.renewed", f"operator:{by.operator_id}")
        record(uow.connection, [event], desk.clock)
        uow.commit()
    return codes


def _record(
    connection: Connection, by: SignedIn, action: str, authenticator_id: uuid.UUID, clock: Clock
) -> None:
    details = {"authenticator": str(authenticator_id)}
    event = AuditEvent(by.actor, action, f"operator:{by.operator_id}", details)
    record(connection, [event], clock)
