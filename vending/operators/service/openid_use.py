"""Signing in through the utility's own OpenID provider, for operators linked to it beforehand."""

import hmac
import secrets
from dataclasses import dataclass, field

from vending.operators.errors import (
    OpenIDNotSetUpError,
    OpenIDRefusedError,
    SignInRefusedError,
)
from vending.operators.model import SignedIn, SignInMethod
from vending.operators.openid import OpenIDClient, OpenIDIdentity
from vending.operators.repository import accounts
from vending.operators.service.desk import Caller, SignInDesk
from vending.operators.service.sign_in import (
    RIGHT,
    WRONG,
    SignInDone,
    let_in,
    note_attempt,
)
from vending.operators.service.steps import Step, StepPurpose, open_step, use_up
from vending.persistence.audit import AuditEvent, record


@dataclass(frozen=True, slots=True)
class OpenIDBegun:
    """Where the browser goes, and the ticket it keeps meanwhile."""

    ticket: str = field(repr=False)
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenIDAnswer:
    """What the browser came back with from the provider."""

    code: str = field(repr=False)
    state: str
    issuer: str | None = None
    """`iss` of RFC 9207, where the provider sends it."""


def begin_openid(desk: SignInDesk, by: SignedIn | None = None) -> OpenIDBegun:
    """Return where to sign in; `by` is signed in already and links the account.

    Raises:
        OpenIDNotSetUpError: No provider was set.
        OpenIDUnavailableError: The provider does not answer, or not as one.
        SecondFactorStaleError: `by` gave the second factor too long ago.
        SignInBusyError: Too many steps wait at present.
    """
    client = _client_of(desk)
    if by is not None:
        by.require_fresh(desk.clock.now())
    facts = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
    url = client.authorization_url(**facts)
    with desk.database.unit_of_work() as uow:
        ticket = open_step(
            uow.connection,
            desk,
            StepPurpose.OPENID_SIGN_IN if by is None else StepPurpose.OPENID_LINK,
            facts,
            operator_id=None if by is None else by.operator_id,
        )
        uow.commit()
    return OpenIDBegun(ticket, url)


def finish_openid(
    desk: SignInDesk, ticket: str, answer: OpenIDAnswer, caller: Caller
) -> SignInDone:
    """Open a session for whom the provider names, when an account is linked to them.

    Raises:
        OpenIDNotSetUpError: No provider was set.
        ChallengeRefusedError: The ticket leads nowhere: too late, or used.
        OpenIDUnavailableError: The provider does not answer, or not as one.
        OpenIDRefusedError: State, code or token do not hold, or the person did not give two
            factors there.
        SignInRefusedError: No active account is linked to the person.
    """
    client = _client_of(desk)
    step = use_up(desk, ticket, StepPurpose.OPENID_SIGN_IN)
    method = SignInMethod.OPENID
    try:
        identity = _identify(client, step, answer)
    except OpenIDRefusedError:
        with desk.database.unit_of_work() as uow:
            note_attempt(uow.connection, desk, None, caller, method.value, WRONG)
            uow.commit()
        raise
    done: SignInDone | None = None
    with desk.database.unit_of_work() as uow:
        operator = accounts.find_operator_by_openid(
            uow.connection, identity.issuer, identity.subject
        )
        if operator is not None and operator.is_active:
            done = let_in(uow.connection, desk, operator, method, caller)
        outcome = RIGHT if done is not None else WRONG
        note_attempt(uow.connection, desk, operator, caller, method.value, outcome)
        uow.commit()
    if done is None:
        raise SignInRefusedError
    return done


def link_openid(desk: SignInDesk, by: SignedIn, ticket: str, answer: OpenIDAnswer) -> None:
    """Link the operator's own account to whom the provider names.

    Only the holder links an account: an administrator who could would sign in as anybody.

    Raises:
        OpenIDNotSetUpError: No provider was set.
        ChallengeRefusedError: The ticket is of no link of the operator's that still holds.
        OpenIDUnavailableError: The provider does not answer, or not as one.
        OpenIDRefusedError: State, code or token do not hold, or another account is linked, at the
            same moment too.
    """
    client = _client_of(desk)
    step = use_up(desk, ticket, StepPurpose.OPENID_LINK, operator_id=by.operator_id)
    identity = _identify(client, step, answer)
    with desk.database.unit_of_work() as uow:
        holder = accounts.find_operator_by_openid(uow.connection, identity.issuer, identity.subject)
        if holder is not None and holder.id != by.operator_id:
            reason = "linked"
            raise OpenIDRefusedError(reason)
        accounts.update_openid(uow.connection, by.operator_id, identity.issuer, identity.subject)
        event = AuditEvent(by.actor, "openid.linked", f"operator:{by.operator_id}")
        record(uow.connection, [event], desk.clock)
        uow.commit()


def unlink_openid(desk: SignInDesk, by: SignedIn) -> None:
    """End the link of the operator's own account to the provider.

    Raises:
        SecondFactorStaleError: The second factor was given too long ago.
    """
    by.require_fresh(desk.clock.now())
    with desk.database.unit_of_work() as uow:
        accounts.update_openid(uow.connection, by.operator_id, None, None)
        event = AuditEvent(by.actor, "openid.unlinked", f"operator:{by.operator_id}")
        record(uow.connection, [event], desk.clock)
        uow.commit()


def _client_of(desk: SignInDesk) -> OpenIDClient:
    if desk.openid is None:
        raise OpenIDNotSetUpError
    return desk.openid


def _identify(client: OpenIDClient, step: Step, answer: OpenIDAnswer) -> OpenIDIdentity:
    """Return whom the provider names; its state shows that this browser was sent there.

    Raises:
        OpenIDUnavailableError: The provider does not answer, or not as one.
        OpenIDRefusedError: State, issuer, code or token do not hold.
    """
    expected = step.facts["state"].encode()
    if not hmac.compare_digest(answer.state.encode(errors="surrogatepass"), expected):
        reason = "state"
        raise OpenIDRefusedError(reason)
    if answer.issuer is not None and answer.issuer != client.issuer:
        reason = "issuer"
        raise OpenIDRefusedError(reason)
    return client.identify(answer.code, nonce=step.facts["nonce"], verifier=step.facts["verifier"])
