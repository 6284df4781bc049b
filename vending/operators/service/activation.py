"""Activation: whoever holds the code chooses a password and sets up a second factor."""

from dataclasses import dataclass, field

from vending.operators import one_time_codes, rules
from vending.operators.errors import (
    ActivationRefusedError,
    ChallengeRefusedError,
    CodeRefusedError,
    TooManyAttemptsError,
)
from vending.operators.model import Operator, OperatorState, SignInMethod
from vending.operators.one_time_codes import Enrolment, WrongCode
from vending.operators.passwords import check_new_password
from vending.operators.repository import accounts, authenticators
from vending.operators.service.desk import Caller, SignInDesk
from vending.operators.service.factors import (
    FIRST_LABEL,
    make_recovery_codes,
    store_totp,
    try_enrolment,
)
from vending.operators.service.sign_in import (
    HELD_BACK,
    WRONG,
    SignInDone,
    let_in,
    note_attempt,
)
from vending.operators.service.steps import (
    StepPurpose,
    count_try,
    open_step,
    take_step,
    use_step,
)
from vending.operators.service.throttling import Counted, count_attempt, take_off
from vending.persistence.audit import AuditEvent, record
from vending.values.actor import Actor, ActorKind


@dataclass(frozen=True, slots=True)
class ActivationBegun:
    """What the holder of an activation code goes on with."""

    operator: Operator
    ticket: str = field(repr=False)
    enrolment: Enrolment = field(repr=False)


@dataclass(frozen=True, slots=True)
class Activated:
    """An active account with its first session, and its recovery codes, shown once."""

    signed_in: SignInDone
    recovery_codes: list[str] = field(repr=False)


def begin_activation(desk: SignInDesk, code: str, password: str, caller: Caller) -> ActivationBegun:
    """Return what an authenticator app takes in, for a right code and a good password.

    Nothing of the account changes before the app has shown its first code.

    Raises:
        ActivationRefusedError: The code is wrong, used or too old, or the account is locked.
        PasswordRefusedError: The password may not be chosen.
        TooManyAttemptsError: The address has to wait.
        SignInBusyError: Too many steps wait at present.
    """
    operator = _find_invited(desk, code, caller)
    own_words = (operator.name, operator.person, desk.issuer)
    check_new_password(password, own_words=own_words)
    facts = {
        "secret": one_time_codes.make_totp_secret(),
        "password_hash": desk.passwords.hash(password),
        "activation": _digest_of(code).hex(),
    }
    with desk.database.unit_of_work() as uow:
        ticket = open_step(
            uow.connection, desk, StepPurpose.ACTIVATION, facts, operator_id=operator.id
        )
        uow.commit()
    enrolment = one_time_codes.describe_enrolment(
        facts["secret"], account=operator.name, issuer=desk.issuer
    )
    return ActivationBegun(operator, ticket, enrolment)


def finish_activation(desk: SignInDesk, ticket: str, code: str, caller: Caller) -> Activated:
    """Activate the account when the app's first code is right, and open its first session.

    Raises:
        ChallengeRefusedError: The ticket leads nowhere: too late, used, tried too often, or the
            account was invited anew or locked meanwhile.
        CodeRefusedError: The code is wrong.
    """
    activated: Activated | None = None
    with desk.database.unit_of_work() as uow:
        connection = uow.connection
        step = take_step(connection, desk, ticket, StepPurpose.ACTIVATION)
        assert step.operator_id is not None, "an activation is somebody's"
        accounts.lock_operator(connection, step.operator_id)
        digest = bytes.fromhex(step.facts["activation"])
        operator = accounts.find_operator_by_activation(connection, digest, desk.clock.now())
        if operator is None or operator.state is not OperatorState.INVITED:
            raise ChallengeRefusedError
        last_step = try_enrolment(desk, step.facts["secret"], code)
        if last_step is None:
            count_try(connection, desk, step)
            note_attempt(connection, desk, operator, caller, SignInMethod.ACTIVATION.value, WRONG)
        else:
            use_step(connection, desk, step)
            accounts.update_password_hash(connection, operator.id, step.facts["password_hash"])
            accounts.update_activation(connection, operator.id, None, None)
            accounts.update_state(connection, operator.id, OperatorState.ACTIVE)
            authenticators.revoke_all(connection, operator.id, at=desk.clock.now())
            store_totp(
                connection,
                desk,
                operator.id,
                step.facts["secret"],
                label=FIRST_LABEL,
                last_step=last_step,
            )
            actor = Actor(ActorKind.OPERATOR, operator.name, operator.id)
            event = AuditEvent(actor, "operator.activated", operator.subject)
            record(connection, [event], desk.clock)
            codes = make_recovery_codes(connection, operator.id, clock=desk.clock)
            active = accounts.find_operator(connection, operator.id)
            assert active is not None, "accounts are never deleted"
            done = let_in(connection, desk, active, SignInMethod.ACTIVATION, caller)
            activated = Activated(done, codes)
        uow.commit()
    if activated is None:
        raise CodeRefusedError
    return activated


def _find_invited(desk: SignInDesk, code: str, caller: Caller) -> Operator:
    """Return whose activation code it is; wrong ones count on the address.

    Raises:
        ActivationRefusedError: The code is wrong, used or too old, or the account is locked.
        TooManyAttemptsError: The address has to wait.
    """
    source = rules.track_of_source(caller.source)
    counted = Counted({source: rules.FREE_FAILURES_OF_SOURCE}, source)
    method, now = SignInMethod.ACTIVATION.value, desk.clock.now()
    refusal: TooManyAttemptsError | ActivationRefusedError | None = None
    operator: Operator | None = None
    with desk.database.unit_of_work() as uow:
        try:
            count_attempt(uow.connection, counted, now=now)
        except TooManyAttemptsError as error:
            refusal = error
            note_attempt(uow.connection, desk, None, caller, method, HELD_BACK)
        else:
            operator = accounts.find_operator_by_activation(uow.connection, _digest_of(code), now)
            if operator is None or operator.state is not OperatorState.INVITED:
                refusal = ActivationRefusedError()
                note_attempt(uow.connection, desk, operator, caller, method, WRONG)
            else:
                take_off(uow.connection, counted, now=now, is_whole=False)
        uow.commit()
    if refusal is not None:
        raise refusal
    assert operator is not None, "one of the two was found"
    return operator


def _digest_of(code: str) -> bytes:
    """Return under what a code would be stored; of no code at all, what nothing is stored under."""
    try:
        return rules.compute_digest(one_time_codes.parse_code(code))
    except WrongCode:
        return bytes(rules.SECRET_BYTES)
