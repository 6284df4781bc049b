"""Routes of signing in: open to everybody, each step leading to the next by its ticket."""

from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Request, Response

from vending.api.deps import DEVICE_COOKIE, DEVICE_HEADER, SESSION_COOKIE, ContainerDep
from vending.api.errors import encoded
from vending.api.office_schemas import (
    ActivatedOut,
    ActivationIn,
    ActivationOut,
    CodeIn,
    OpenIDBegunOut,
    OpenIDIn,
    PasskeyBegunOut,
    PasskeyIn,
    SignedInOut,
    SignInIn,
    TicketOut,
)
from vending.api.problems import problems
from vending.api.router import new_router
from vending.operators.service.activation import begin_activation, finish_activation
from vending.operators.service.desk import Caller
from vending.operators.service.openid_use import OpenIDAnswer, begin_openid, finish_openid
from vending.operators.service.passkey_use import begin_passkey_sign_in, finish_passkey_sign_in
from vending.operators.service.sign_in import SignInDone, begin_sign_in, finish_sign_in

router: Final = new_router("office")
DEVICE_KEPT_S: Final = 400 * 24 * 3600
"""As long as browsers keep a cookie at most (RFC 6265bis, 5.5)."""


async def get_caller(request: Request) -> Caller:
    """Return from where, and on which device, somebody signs in."""
    source = "unknown" if request.client is None else request.client.host
    kept = request.headers.get(DEVICE_HEADER) or request.cookies.get(DEVICE_COOKIE)
    return Caller(source, kept)


CallerDep = Annotated[Caller, Depends(get_caller)]


@router.post(
    "/office/sign-in",
    responses={200: {"model": TicketOut}, **problems(400, 401, 413, 422, 429, 503)},
)
def sign_in_with_password(body: SignInIn, caller: CallerDep, container: ContainerDep) -> Response:
    """Give name and password; the second factor comes next."""
    password = body.password.get_secret_value()
    ticket = begin_sign_in(container.sign_in_desk, body.name, password, caller)
    return encoded({"ticket": ticket})


@router.post(
    "/office/sign-in/code",
    responses={201: {"model": SignedInOut}, **problems(400, 401, 413, 422, 429, 503)},
    status_code=201,
)
def sign_in_with_code(body: CodeIn, caller: CallerDep, container: ContainerDep) -> Response:
    """Give the code of the app, or a recovery code; it opens the session."""
    code = body.code.get_secret_value()
    done = finish_sign_in(container.sign_in_desk, body.ticket, code, caller)
    return _opened(done, body.keep, {})


@router.post(
    "/office/sign-in/passkey",
    responses={200: {"model": PasskeyBegunOut}, **problems(400, 413, 422, 503)},
)
def sign_in_with_passkey(container: ContainerDep) -> Response:
    """Ask what a passkey has to sign; no name is needed."""
    ticket, options = begin_passkey_sign_in(container.sign_in_desk)
    return encoded({"ticket": ticket, "options": options})


@router.post(
    "/office/sign-in/passkey/answer",
    responses={201: {"model": SignedInOut}, **problems(400, 401, 413, 422, 503)},
    status_code=201,
)
def answer_with_passkey(body: PasskeyIn, caller: CallerDep, container: ContainerDep) -> Response:
    """Give what the passkey signed; with its user verified it is both factors."""
    desk = container.sign_in_desk
    done = finish_passkey_sign_in(desk, body.ticket, body.credential, caller)
    return _opened(done, body.keep, {})


@router.post(
    "/office/sign-in/openid",
    responses={200: {"model": OpenIDBegunOut}, **problems(400, 413, 422, 503)},
)
def sign_in_with_openid(container: ContainerDep) -> Response:
    """Ask where the browser goes to sign in at the utility's own provider."""
    begun = begin_openid(container.sign_in_desk)
    return encoded({"ticket": begun.ticket, "url": begun.url})


@router.post(
    "/office/sign-in/openid/answer",
    responses={201: {"model": SignedInOut}, **problems(400, 401, 413, 422, 503)},
    status_code=201,
)
def answer_with_openid(body: OpenIDIn, caller: CallerDep, container: ContainerDep) -> Response:
    """Give what the browser came back with from the provider."""
    answer = OpenIDAnswer(body.code.get_secret_value(), body.state, body.iss)
    done = finish_openid(container.sign_in_desk, body.ticket, answer, caller)
    return _opened(done, body.keep, {})


@router.post(
    "/office/activation",
    responses={200: {"model": ActivationOut}, **problems(400, 401, 413, 422, 429, 503)},
)
def activate_account(body: ActivationIn, caller: CallerDep, container: ContainerDep) -> Response:
    """Choose a password with the activation code; the app's first code comes next."""
    code, password = body.code.get_secret_value(), body.password.get_secret_value()
    begun = begin_activation(container.sign_in_desk, code, password, caller)
    return encoded(
        {
            "name": begun.operator.name,
            "ticket": begun.ticket,
            "secret": begun.enrolment.secret,
            "uri": begun.enrolment.uri,
        }
    )


@router.post(
    "/office/activation/code",
    responses={201: {"model": ActivatedOut}, **problems(400, 401, 403, 413, 422, 503)},
    status_code=201,
)
def finish_account(body: CodeIn, caller: CallerDep, container: ContainerDep) -> Response:
    """Give the first code of the app; the account is active, its first session open."""
    code = body.code.get_secret_value()
    activated = finish_activation(container.sign_in_desk, body.ticket, code, caller)
    return _opened(activated.signed_in, body.keep, {"recovery_codes": activated.recovery_codes})


def _opened(done: SignInDone, keep: Literal["token", "cookie"], more: dict[str, Any]) -> Response:
    """Return the answer to the last step: the token in it, or in a cookie, never in both."""
    session, is_cookie = done.opened.session, keep == "cookie"
    response = encoded(
        {
            "name": done.operator.name,
            "roles": sorted(done.operator.roles),
            "ends_at": session.ends_at.isoformat(),
            "fresh_until": session.fresh_until.isoformat(),
            "token": None if is_cookie else done.opened.token,
            "device_token": None if is_cookie else done.device_token,
            **more,
        },
        status=201,
    )
    if is_cookie:
        lifetime_s = int((session.ends_at - session.opened_at).total_seconds())
        set_cookie(response, SESSION_COOKIE, done.opened.token, kept_s=lifetime_s)
        if done.device_token is not None:
            set_cookie(response, DEVICE_COOKIE, done.device_token, kept_s=DEVICE_KEPT_S)
    return response


def set_cookie(response: Response, name: str, value: str, *, kept_s: int) -> None:
    """Set a cookie that no script reads, no other site has sent and no plain line carries."""
    response.set_cookie(
        name, value, max_age=kept_s, path="/", secure=True, httponly=True, samesite="strict"
    )
