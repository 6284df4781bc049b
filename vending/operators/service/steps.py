"""What joins the steps of signing in: a ticket, good for one purpose, a short while, and once.

What a step is about (the challenge a passkey signs, the secret an app was given) stays here,
sealed; the caller holds the ticket alone, of which a digest is stored.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from vending.keystore.errors import SealBrokenError
from vending.keystore.sealing import associate
from vending.operators import rules
from vending.operators.errors import ChallengeRefusedError, SignInBusyError
from vending.operators.repository import sign_in
from vending.operators.repository.sign_in import ChallengeRow
from vending.operators.service.desk import SignInDesk
from vending.values.identifiers import OperatorId

STEP_LIFETIME: Final = timedelta(minutes=5)
TRIES_MAX: Final = 5
"""Of one ticket; then the first step comes again."""
STEPS_MAX: Final = 10_000
"""That wait at one time; anybody may begin, so their number is bounded."""


class StepPurpose(StrEnum):
    """What a ticket leads to."""

    SECOND_FACTOR = "second-factor"
    ACTIVATION = "activation"
    TOTP_ENROLMENT = "totp-enrolment"
    PASSKEY_SIGN_IN = "passkey-sign-in"
    PASSKEY_REGISTRATION = "passkey-registration"
    PASSKEY_CONFIRMATION = "passkey-confirmation"
    OPENID_SIGN_IN = "openid-sign-in"
    OPENID_LINK = "openid-link"


@dataclass(frozen=True, slots=True)
class Step:
    """A step that waits for its next."""

    digest: bytes
    operator_id: OperatorId | None
    """Whose it is; None: that is not known yet."""
    facts: Mapping[str, str]
    tries: int


def open_step(
    connection: Connection,
    desk: SignInDesk,
    purpose: StepPurpose,
    facts: Mapping[str, str],
    *,
    operator_id: OperatorId | None,
) -> str:
    """Store a step and return its ticket; the caller commits.

    Raises:
        SignInBusyError: Too many steps wait at present.
    """
    now = desk.clock.now()
    sign_in.delete_challenges(connection, before=now)
    if sign_in.count_challenges(connection, now=now) >= STEPS_MAX:
        raise SignInBusyError
    ticket = rules.make_ticket(secrets.token_bytes(rules.SECRET_BYTES))
    digest = rules.compute_digest(ticket)
    sealed = desk.sealer().seal(json.dumps(facts).encode(), associated=_place(digest, purpose))
    row = ChallengeRow(digest, purpose.value, operator_id, sealed, 0, now, now + STEP_LIFETIME)
    sign_in.insert_challenge(connection, row)
    return ticket


def take_step(
    connection: Connection,
    desk: SignInDesk,
    ticket: str,
    purpose: StepPurpose,
    *,
    operator_id: OperatorId | None = None,
) -> Step:
    """Return the step that a ticket leads on from, and keep it from others until the end.

    The caller then calls `use_step` or `count_try`, and commits either. With `operator_id` it has
    to be a step of this operator.

    Raises:
        ChallengeRefusedError: There is none of this purpose, or it was used or is over, or is
            another operator's.
    """
    digest = rules.compute_digest(ticket)
    row = sign_in.lock_challenge(connection, digest, purpose.value, now=desk.clock.now())
    if row is None or (operator_id is not None and row.operator_id != operator_id):
        raise ChallengeRefusedError
    try:
        opened = desk.sealer().open(row.sealed, associated=_place(digest, purpose))
    except SealBrokenError as error:  # the root key has changed meanwhile
        raise ChallengeRefusedError from error
    return Step(row.digest, row.operator_id, json.loads(opened), row.tries)


def use_step(connection: Connection, desk: SignInDesk, step: Step) -> None:
    """Use a step up: its ticket leads nowhere any more."""
    sign_in.update_challenge(
        connection, step.digest, tries=step.tries + 1, used_at=desk.clock.now()
    )


def use_up(
    desk: SignInDesk, ticket: str, purpose: StepPurpose, *, operator_id: OperatorId | None = None
) -> Step:
    """Return the step of a ticket, used up before its answer is looked at: each is for one answer.

    Raises:
        ChallengeRefusedError: The ticket leads nowhere, or is another operator's.
    """
    with desk.database.unit_of_work() as uow:
        step = take_step(uow.connection, desk, ticket, purpose, operator_id=operator_id)
        use_step(uow.connection, desk, step)
        uow.commit()
    return step


def count_try(connection: Connection, desk: SignInDesk, step: Step) -> None:
    """Count a wrong try; the last one uses the step up."""
    tries = step.tries + 1
    used_at = desk.clock.now() if tries >= TRIES_MAX else None
    sign_in.update_challenge(connection, step.digest, tries=tries, used_at=used_at)


def _place(digest: bytes, purpose: StepPurpose) -> bytes:
    return associate("step", digest, purpose.value)
