"""Passkeys: added to an account, signed in with, and used to confirm in a session."""

import secrets
from typing import Any, Final

from sqlalchemy import Connection

from vending.operators import passkeys
from vending.operators.errors import (
    OperatorInvalidError,
    PasskeyRefusedError,
    PasskeysUnavailableError,
)
from vending.operators.model import (
    Authenticator,
    AuthenticatorKind,
    Operator,
    SignedIn,
    SignInMethod,
)
from vending.operators.passkeys import CHALLENGE_BYTES, Credential, PasskeySite
from vending.operators.repository import accounts, authenticators
from vending.operators.repository.authenticators import PasskeyRow
from vending.operators.service.desk import Caller, SignInDesk
from vending.operators.service.sign_in import (
    RIGHT,
    WRONG,
    SignInDone,
    freshen,
    let_in,
    note_attempt,
)
from vending.operators.service.steps import Step, StepPurpose, open_step, use_up
from vending.persistence.audit import AuditEvent, record
from vending.values.identifiers import new_uuid7

PASSKEYS_MAX: Final = 10
"""Of one operator."""

Begun = tuple[str, dict[str, Any]]
"""A ticket, and what the browser's `navigator.credentials` takes."""


def begin_passkey(desk: SignInDesk, by: SignedIn, *, label: str) -> Begun:
    """Return what makes a passkey for the operator.

    Raises:
        PasskeysUnavailableError: No address was set at which it could hold.
        SecondFactorStaleError: The second factor was given too long ago.
        OperatorInvalidError: There are as many as an operator may have.
        SignInBusyError: Too many steps wait at present.
    """
    site = _site_of(desk)
    by.require_fresh(desk.clock.now())
    with desk.database.unit_of_work() as uow:
        known = [
            row.facts.credential_id
            for row in authenticators.list_passkeys(uow.connection, by.operator_id)
        ]
        if len(known) >= PASSKEYS_MAX:
            raise OperatorInvalidError(field="passkeys", wanted=f"at most {PASSKEYS_MAX}")
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        facts = {"challenge": challenge.hex(), "label": label}
        ticket = open_step(
            uow.connection,
            desk,
            StepPurpose.PASSKEY_REGISTRATION,
            facts,
            operator_id=by.operator_id,
        )
        uow.commit()
    options = passkeys.registration_options(
        site, user_id=by.operator_id.bytes, user_name=by.name, challenge=challenge, known=known
    )
    return ticket, options


def finish_passkey(
    desk: SignInDesk, by: SignedIn, ticket: str, credential: Credential
) -> Authenticator:
    """Add the passkey that a device has made.

    Raises:
        PasskeysUnavailableError: No address was set at which it could hold.
        ChallengeRefusedError: The ticket is of no registration of the operator's that holds.
        PasskeyRefusedError: The device's answer does not hold, or the passkey is known.
        OperatorInvalidError: The label is outside its limits.
    """
    site = _site_of(desk)
    step = use_up(desk, ticket, StepPurpose.PASSKEY_REGISTRATION, operator_id=by.operator_id)
    facts = passkeys.check_registration(site, credential, bytes.fromhex(step.facts["challenge"]))
    authenticator = Authenticator(
        id=new_uuid7(desk.clock),
        operator_id=by.operator_id,
        kind=AuthenticatorKind.PASSKEY,
        label=step.facts["label"],
        added_at=desk.clock.now(),
        used_at=None,
    )
    with desk.database.unit_of_work() as uow:
        if not authenticators.insert_passkey(uow.connection, authenticator, facts):
            raise PasskeyRefusedError
        event = AuditEvent(
            by.actor,
            "authenticator.added",
            f"operator:{by.operator_id}",
            {"authenticator": str(authenticator.id)},
        )
        record(uow.connection, [event], desk.clock)
        uow.commit()
    return authenticator


def begin_passkey_sign_in(desk: SignInDesk) -> Begun:
    """Return what a device signs to sign in; it asks for no name, so it tells of none.

    Raises:
        PasskeysUnavailableError: No address was set at which one could hold.
        SignInBusyError: Too many steps wait at present.
    """
    site = _site_of(desk)
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    with desk.database.unit_of_work() as uow:
        facts = {"challenge": challenge.hex()}
        ticket = open_step(
            uow.connection, desk, StepPurpose.PASSKEY_SIGN_IN, facts, operator_id=None
        )
        uow.commit()
    return ticket, passkeys.request_options(site, challenge=challenge)


def finish_passkey_sign_in(
    desk: SignInDesk, ticket: str, credential: Credential, caller: Caller
) -> SignInDone:
    """Open a session for a passkey's answer; with the user verified it is both factors.

    Raises:
        PasskeysUnavailableError: No address was set at which one could hold.
        ChallengeRefusedError: The ticket leads nowhere: too late, or used.
        PasskeyRefusedError: The answer does not hold, or its account is not active.
    """
    site = _site_of(desk)
    step = use_up(desk, ticket, StepPurpose.PASSKEY_SIGN_IN)
    done: SignInDone | None = None
    with desk.database.unit_of_work() as uow:
        connection = uow.connection
        row, operator = _find_holder(connection, credential)
        method = SignInMethod.PASSKEY
        is_active = operator is not None and operator.is_active
        if row is not None and is_active and _accept(connection, desk, site, step, row, credential):
            assert operator is not None, "an active one was found"
            done = let_in(connection, desk, operator, method, caller)
        outcome = RIGHT if done is not None else WRONG
        note_attempt(connection, desk, operator, caller, method.value, outcome)
        uow.commit()
    if done is None:
        raise PasskeyRefusedError
    return done


def begin_confirmation(desk: SignInDesk, by: SignedIn) -> Begun:
    """Return what one of the operator's own passkeys signs to confirm in a session.

    Raises:
        PasskeysUnavailableError: No address was set at which one could hold.
        SignInBusyError: Too many steps wait at present.
    """
    site = _site_of(desk)
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    with desk.database.unit_of_work() as uow:
        rows = authenticators.list_passkeys(uow.connection, by.operator_id)
        ticket = open_step(
            uow.connection,
            desk,
            StepPurpose.PASSKEY_CONFIRMATION,
            {"challenge": challenge.hex(), "session": str(by.session_id)},
            operator_id=by.operator_id,
        )
        uow.commit()
    allowed = [row.facts.credential_id for row in rows]
    return ticket, passkeys.request_options(site, challenge=challenge, allowed=allowed)


def finish_confirmation(
    desk: SignInDesk, by: SignedIn, ticket: str, credential: Credential
) -> None:
    """Make the session's second factor fresh again with the answer of a passkey.

    Raises:
        PasskeysUnavailableError: No address was set at which one could hold.
        ChallengeRefusedError: The ticket is of no confirmation in this session that holds.
        PasskeyRefusedError: The answer does not hold, or is another operator's.
    """
    site = _site_of(desk)
    step = use_up(desk, ticket, StepPurpose.PASSKEY_CONFIRMATION, operator_id=by.operator_id)
    is_right = False
    with desk.database.unit_of_work() as uow:
        row, operator = _find_holder(uow.connection, credential)
        is_own = operator is not None and operator.id == by.operator_id
        is_here = step.facts["session"] == str(by.session_id)
        if row is not None and is_own and is_here:
            is_right = _accept(uow.connection, desk, site, step, row, credential)
        if is_right:
            freshen(uow.connection, desk, by, SignInMethod.PASSKEY)
        else:
            subject, details = f"session:{by.session_id}", {"method": "passkey"}
            event = AuditEvent(by.actor, "session.confirmation-refused", subject, details)
            record(uow.connection, [event], desk.clock)
        uow.commit()
    if not is_right:
        raise PasskeyRefusedError


def _site_of(desk: SignInDesk) -> PasskeySite:
    if desk.passkey_site is None:
        raise PasskeysUnavailableError
    return desk.passkey_site


def _find_holder(
    connection: Connection, credential: Credential
) -> tuple[PasskeyRow | None, Operator | None]:
    """Return the passkey an answer claims to be of, and whose it is; None: not known."""
    try:
        row = authenticators.find_passkey(connection, passkeys.credential_id_of(credential))
    except PasskeyRefusedError:
        return None, None
    if row is None:
        return None, None
    return row, accounts.find_operator(connection, row.operator_id)


def _accept(
    connection: Connection,
    desk: SignInDesk,
    site: PasskeySite,
    step: Step,
    row: PasskeyRow,
    credential: Credential,
) -> bool:
    """Store the new count of a passkey whose answer holds; return whether it does."""
    challenge = bytes.fromhex(step.facts["challenge"])
    try:
        count = passkeys.check_assertion(site, credential, challenge, row.facts)
    except PasskeyRefusedError:
        return False
    authenticators.update_sign_count(connection, row.id, count, at=desk.clock.now())
    return True
