"""Routes of an operator's own account: sessions, confirmation, password, second factors."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Path, Response

from vending.api.deps import SESSION_COOKIE, ContainerDep, SignedInDep
from vending.api.errors import encoded
from vending.api.office_schemas import (
    AppAnswerIn,
    AuthenticatorOut,
    ConfirmationIn,
    DoneOut,
    EndedOut,
    EnrolmentOut,
    LabelIn,
    LinkIn,
    OpenIDBegunOut,
    OwnAccountOut,
    PasskeyAnswerIn,
    PasskeyBegunOut,
    PasswordIn,
    RecoveryCodesOut,
    SessionsOut,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import ID_EXAMPLE
from vending.operators.model import Authenticator, Session
from vending.operators.service.factors import (
    begin_totp,
    count_own_recovery_codes,
    finish_totp,
    list_own_authenticators,
    remove_authenticator,
    renew_recovery_codes,
)
from vending.operators.service.openid_use import (
    OpenIDAnswer,
    begin_openid,
    link_openid,
    unlink_openid,
)
from vending.operators.service.own_password import change_password
from vending.operators.service.passkey_use import (
    begin_confirmation,
    begin_passkey,
    finish_confirmation,
    finish_passkey,
)
from vending.operators.service.sessions import list_own_sessions, sign_out, sign_out_elsewhere
from vending.operators.service.sign_in import confirm

router: Final = new_router("office")
DONE: Final = {"done": True}
SessionPath = Annotated[UUID, Path(description="Id of the session", examples=[ID_EXAMPLE])]
AuthenticatorPath = Annotated[
    UUID, Path(description="Id of the authenticator", examples=[ID_EXAMPLE])
]


# --- who is signed in, and where -----------------------------------------------------------------
@router.get(
    "/office/account",
    responses={200: {"model": OwnAccountOut}, **problems(401, 403, 503)},
)
def get_account(by: SignedInDep, container: ContainerDep) -> Response:
    """Tell who is signed in, and what they may do."""
    with container.database.read() as connection:
        held = list_own_authenticators(connection, by)
        left = count_own_recovery_codes(connection, by)
    return encoded(
        {
            "id": str(by.operator_id),
            "name": by.name,
            "person": by.person,
            "roles": sorted(by.roles),
            "permissions": sorted(by.permissions),
            "fresh_until": by.fresh_until.isoformat(),
            "authenticators": [_authenticator(each) for each in held],
            "recovery_codes_left": left,
        }
    )


@router.post(
    "/office/sign-out",
    responses={200: {"model": DoneOut}, **problems(401, 403, 404, 503)},
)
def end_this_session(by: SignedInDep, container: ContainerDep) -> Response:
    """Sign out: this session ends."""
    sign_out(container.database, by, clock=container.clock)
    response = encoded(DONE)
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return response


@router.get(
    "/office/sessions",
    responses={200: {"model": SessionsOut}, **problems(401, 403, 503)},
)
def get_sessions(by: SignedInDep, container: ContainerDep) -> Response:
    """List one's own sessions, the newest first."""
    with container.database.read() as connection:
        found = list_own_sessions(connection, by, now=container.clock.now())
    documents = [{**_session(each), "is_this": each.id == by.session_id} for each in found]
    return encoded({"sessions": documents})


@router.delete(
    "/office/sessions/{session_id}",
    responses={200: {"model": DoneOut}, **problems(401, 403, 404, 422, 503)},
)
def end_session(session_id: SessionPath, by: SignedInDep, container: ContainerDep) -> Response:
    """End one of one's own sessions."""
    sign_out(container.database, by, clock=container.clock, session_id=session_id)
    return encoded(DONE)


@router.delete(
    "/office/sessions",
    responses={200: {"model": EndedOut}, **problems(401, 403, 503)},
)
def end_other_sessions(by: SignedInDep, container: ContainerDep) -> Response:
    """End all of one's own sessions but this one."""
    return encoded({"ended": sign_out_elsewhere(container.database, by, clock=container.clock)})


# --- a second factor, given again ----------------------------------------------------------------
@router.post(
    "/office/confirmation",
    responses={200: {"model": DoneOut}, **problems(400, 401, 403, 413, 422, 429, 503)},
)
def confirm_with_code(body: ConfirmationIn, by: SignedInDep, container: ContainerDep) -> Response:
    """Give a code, so that the second factor counts as given just now."""
    confirm(container.sign_in_desk, by, body.code.get_secret_value())
    return encoded(DONE)


@router.post(
    "/office/confirmation/passkey",
    responses={200: {"model": PasskeyBegunOut}, **problems(401, 403, 422, 503)},
)
def confirm_with_passkey(by: SignedInDep, container: ContainerDep) -> Response:
    """Ask what one of one's own passkeys has to sign."""
    ticket, options = begin_confirmation(container.sign_in_desk, by)
    return encoded({"ticket": ticket, "options": options})


@router.post(
    "/office/confirmation/passkey/answer",
    responses={200: {"model": DoneOut}, **problems(400, 401, 403, 413, 422, 503)},
)
def answer_confirmation(
    body: PasskeyAnswerIn, by: SignedInDep, container: ContainerDep
) -> Response:
    """Give what the passkey signed, so that the second factor counts as given just now."""
    finish_confirmation(container.sign_in_desk, by, body.ticket, body.credential)
    return encoded(DONE)


# --- password and second factors -----------------------------------------------------------------
@router.post(
    "/office/password",
    responses={200: {"model": DoneOut}, **problems(400, 401, 403, 413, 422, 429, 503)},
)
def post_password(body: PasswordIn, by: SignedInDep, container: ContainerDep) -> Response:
    """Change one's own password; the other sessions end."""
    present, new = body.present.get_secret_value(), body.new.get_secret_value()
    change_password(container.sign_in_desk, by, present, new)
    return encoded(DONE)


@router.post(
    "/office/authenticators/app",
    responses={200: {"model": EnrolmentOut}, **problems(400, 401, 403, 413, 422, 503)},
)
def post_app(body: LabelIn, by: SignedInDep, container: ContainerDep) -> Response:
    """Begin to add an authenticator app; its first code comes next."""
    ticket, enrolment = begin_totp(container.sign_in_desk, by, label=body.label)
    return encoded({"ticket": ticket, "secret": enrolment.secret, "uri": enrolment.uri})


@router.post(
    "/office/authenticators/app/answer",
    responses={201: {"model": AuthenticatorOut}, **problems(400, 401, 403, 413, 422, 503)},
    status_code=201,
)
def answer_app(body: AppAnswerIn, by: SignedInDep, container: ContainerDep) -> Response:
    """Give the first code of the app; it is added."""
    code = body.code.get_secret_value()
    added = finish_totp(container.sign_in_desk, by, body.ticket, code)
    return encoded(_authenticator(added), status=201)


@router.post(
    "/office/authenticators/passkey",
    responses={200: {"model": PasskeyBegunOut}, **problems(400, 401, 403, 413, 422, 503)},
)
def post_passkey(body: LabelIn, by: SignedInDep, container: ContainerDep) -> Response:
    """Begin to add a passkey; what the device makes comes next."""
    ticket, options = begin_passkey(container.sign_in_desk, by, label=body.label)
    return encoded({"ticket": ticket, "options": options})


@router.post(
    "/office/authenticators/passkey/answer",
    responses={201: {"model": AuthenticatorOut}, **problems(400, 401, 403, 413, 422, 503)},
    status_code=201,
)
def answer_passkey(body: PasskeyAnswerIn, by: SignedInDep, container: ContainerDep) -> Response:
    """Give what the device made; the passkey is added."""
    added = finish_passkey(container.sign_in_desk, by, body.ticket, body.credential)
    return encoded(_authenticator(added), status=201)


@router.delete(
    "/office/authenticators/{authenticator_id}",
    responses={200: {"model": DoneOut}, **problems(401, 403, 404, 409, 422, 503)},
)
def delete_authenticator(
    authenticator_id: AuthenticatorPath, by: SignedInDep, container: ContainerDep
) -> Response:
    """Take one of one's own authenticators away; the last one stays."""
    remove_authenticator(container.sign_in_desk, by, authenticator_id)
    return encoded(DONE)


@router.post(
    "/office/recovery-codes",
    responses={201: {"model": RecoveryCodesOut}, **problems(401, 403, 503)},
    status_code=201,
)
def post_recovery_codes(by: SignedInDep, container: ContainerDep) -> Response:
    """Make fresh recovery codes; those of before hold no longer."""
    codes = renew_recovery_codes(container.sign_in_desk, by)
    return encoded({"recovery_codes": codes}, status=201)


@router.post(
    "/office/openid-link",
    responses={200: {"model": OpenIDBegunOut}, **problems(401, 403, 422, 503)},
)
def post_openid_link(by: SignedInDep, container: ContainerDep) -> Response:
    """Begin to link one's own account to the utility's provider."""
    begun = begin_openid(container.sign_in_desk, by)
    return encoded({"ticket": begun.ticket, "url": begun.url})


@router.post(
    "/office/openid-link/answer",
    responses={200: {"model": DoneOut}, **problems(400, 401, 403, 413, 422, 503)},
)
def answer_openid_link(body: LinkIn, by: SignedInDep, container: ContainerDep) -> Response:
    """Give what the browser came back with from the provider; the account is linked."""
    answer = OpenIDAnswer(body.code.get_secret_value(), body.state, body.iss)
    link_openid(container.sign_in_desk, by, body.ticket, answer)
    return encoded(DONE)


@router.delete(
    "/office/openid-link",
    responses={200: {"model": DoneOut}, **problems(401, 403, 503)},
)
def delete_openid_link(by: SignedInDep, container: ContainerDep) -> Response:
    """End the link of one's own account to the provider."""
    unlink_openid(container.sign_in_desk, by)
    return encoded(DONE)


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "method": session.method.value,
        "source": session.source,
        "device_id": session.device_id,
        "opened_at": session.opened_at.isoformat(),
        "seen_at": session.seen_at.isoformat(),
        "ends_at": session.ends_at.isoformat(),
    }


def _authenticator(authenticator: Authenticator) -> dict[str, Any]:
    used_at = authenticator.used_at
    return {
        "id": str(authenticator.id),
        "kind": authenticator.kind.value,
        "label": authenticator.label,
        "added_at": authenticator.added_at.isoformat(),
        "used_at": None if used_at is None else used_at.isoformat(),
    }
