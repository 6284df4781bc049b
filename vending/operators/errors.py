"""What is refused to an operator, and why.

VendingError
├── OperatorInvalidError        a field breaks a limit
├── OperatorNameTakenError      two operators may not share a name
├── OperatorNotFoundError       no operator has this id or name
├── OperatorStateError          the account's state does not allow it
├── AdministratorsExistError    two are active: others are made by role change
├── OwnAccountError             nobody does this to their own account
├── PermissionDeniedError       signed in, and no role carries the permission
├── SessionNotFoundError        the operator has no such session
├── SignInRequiredError         no session, or one that ended; never says why
├── PasswordRefusedError        a password that may not be chosen; says why
├── SignInRefusedError          name, password, code or passkey is wrong; never says which
├── TooManyAttemptsError        wait before the next one
├── SignInBusyError             too many begin to sign in at one time
├── ChallengeRefusedError       a step of signing in came too late, twice, or out of order
├── ActivationRefusedError      the activation code is wrong, used or too late
├── CodeRefusedError            a one-time code is wrong or was used
├── PasskeyRefusedError         the answer of a device does not hold
├── PasskeysUnavailableError    the installation has no address at which passkeys could hold
├── OpenIDNotSetUpError         the installation has no provider
├── OpenIDUnavailableError      the provider does not answer, or not as one
├── OpenIDRefusedError          what came back from the provider does not hold
├── AuthenticatorNotFoundError  the operator has no such authenticator
├── LastAuthenticatorError      an operator keeps a second factor
└── SecondFactorStaleError      the second factor was given too long ago for this act
"""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError


class OperatorInvalidError(VendingError):
    """An operator has a field that its limits do not allow."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "operator_invalid"
    remedy: ClassVar[str] = "Correct the named field and try again."

    def __init__(self, *, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}", field=field, wanted=wanted)


class OperatorNameTakenError(VendingError):
    """Another operator has this name."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "operator_name_taken"
    remedy: ClassVar[str] = "Choose another name; names of operators are never given twice."

    def __init__(self, name: str) -> None:
        super().__init__(f"an operator named {name!r} exists", name=name)


class OperatorNotFoundError(VendingError):
    """No operator has this id or name."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    code: ClassVar[str] = "operator_not_found"
    remedy: ClassVar[str] = "List the operators and use one of their names."

    def __init__(self, operator: str) -> None:
        super().__init__(f"no operator {operator!r}", operator=operator)


class OperatorStateError(VendingError):
    """The account is in a state that does not allow the act."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "operator_state"
    remedy: ClassVar[str] = "Look at the state of the operator; another act may be what is meant."

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"operator {name} is {state}", name=name, state=state)


class AdministratorsExistError(VendingError):
    """Two administrators are active; others come by a role change that one of them approves."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "administrators_exist"
    remedy: ClassVar[str] = "Sign in as an administrator and ask for the role; another approves it."

    def __init__(self) -> None:
        super().__init__("there are two administrators already")


class CustodiansWantedError(VendingError):
    """Two administrators were at work here; the machine alone makes no other of them any more.

    One of them could lock the other and, with the machine, be two: a lone person who gives roles.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.FORBIDDEN
    code: ClassVar[str] = "custodians_wanted"
    remedy: ClassVar[str] = (
        "Repeat with --custodian and the key file of each of two custodians of backups; with two "
        "administrators who sign in, ask for the role instead."
    )

    def __init__(self) -> None:
        super().__init__("alone with the machine it takes the keys of two custodians of backups")


class OwnAccountError(VendingError):
    """Nobody does this to their own account."""

    kind: ClassVar[ErrorKind] = ErrorKind.REFUSED
    code: ClassVar[str] = "own_account"
    remedy: ClassVar[str] = "Ask another administrator."

    def __init__(self) -> None:
        super().__init__("it is your own account")


class PermissionDeniedError(VendingError):
    """The operator is signed in, and no role of theirs carries the permission."""

    kind: ClassVar[ErrorKind] = ErrorKind.FORBIDDEN
    code: ClassVar[str] = "permission_denied"
    remedy: ClassVar[str] = "Ask someone whose role may do it, or an administrator for the role."

    def __init__(self, permission: str) -> None:
        super().__init__(f"this takes the permission {permission}", permission=permission)


class SignInRequiredError(VendingError):
    """No session came with the request, or one that is unknown, revoked or over."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAUTHENTICATED
    code: ClassVar[str] = "sign_in_required"
    remedy: ClassVar[str] = "Sign in; nothing happened."

    def __init__(self) -> None:
        super().__init__("there is no session that holds")


class SessionNotFoundError(VendingError):
    """The operator has no such session, or it ended before."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    code: ClassVar[str] = "session_not_found"
    remedy: ClassVar[str] = "List your sessions and use one of their ids."

    def __init__(self, session_id: str) -> None:
        super().__init__(f"no session {session_id}", session=session_id)


class SecondFactorStaleError(VendingError):
    """The act asks for a second factor given just now, and the last one is too old."""

    kind: ClassVar[ErrorKind] = ErrorKind.FORBIDDEN
    code: ClassVar[str] = "second_factor_stale"
    remedy: ClassVar[str] = "Give a fresh code or use the passkey, then repeat; nothing happened."

    def __init__(self) -> None:
        super().__init__("this takes a second factor given just now")


class PasswordRefusedError(VendingError):
    """The password may not be chosen."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "password_refused"
    remedy: ClassVar[str] = "Choose another one; a few unrelated words make a good one."

    def __init__(self, reason: str, wanted: str) -> None:
        super().__init__(f"this password is refused: {wanted}", reason=reason)


class SignInRefusedError(VendingError):
    """Name, password, code or passkey is wrong, or the account is locked; never says which."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAUTHENTICATED
    code: ClassVar[str] = "sign_in_refused"
    remedy: ClassVar[str] = "Check name, password and code; an administrator can help further."

    def __init__(self) -> None:
        super().__init__("this does not sign in")


class TooManyAttemptsError(VendingError):
    """Too many wrong attempts on the account or from the address; the next one has to wait."""

    kind: ClassVar[ErrorKind] = ErrorKind.TOO_MANY
    code: ClassVar[str] = "too_many_attempts"
    remedy: ClassVar[str] = "Wait as long as it says, or sign in on a device used before."

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"the next attempt may come in {wait_s} s", retry_after_s=wait_s)


class SignInBusyError(VendingError):
    """More people begin to sign in at one time than there can be operators."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "sign_in_busy"
    remedy: ClassVar[str] = "Try again in a few minutes; look in the log for who does it."
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("too many sign-ins wait for their next step")


class ChallengeRefusedError(VendingError):
    """A later step came too late, a second time, or without its first."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAUTHENTICATED
    code: ClassVar[str] = "challenge_refused"
    remedy: ClassVar[str] = "Begin again from the first step."

    def __init__(self) -> None:
        super().__init__("this step has no first one that still holds")


class ActivationRefusedError(VendingError):
    """The activation code is wrong, was used, or is too old."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAUTHENTICATED
    code: ClassVar[str] = "activation_refused"
    remedy: ClassVar[str] = "Ask an administrator for a new activation code."

    def __init__(self) -> None:
        super().__init__("this activation code does not hold")


class CodeRefusedError(VendingError):
    """A one-time code is wrong, or was used before."""

    kind: ClassVar[ErrorKind] = ErrorKind.FORBIDDEN
    code: ClassVar[str] = "code_refused"
    remedy: ClassVar[str] = "Wait for the next code of the app, and check the clock of its device."

    def __init__(self) -> None:
        super().__init__("this code is wrong or was used")


class PasskeyRefusedError(VendingError):
    """The answer of a device does not hold."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAUTHENTICATED
    code: ClassVar[str] = "passkey_refused"
    remedy: ClassVar[str] = "Try again with a passkey of this site, or use another way to sign in."

    def __init__(self) -> None:
        super().__init__("this passkey does not hold")


class PasskeysUnavailableError(VendingError):
    """The installation does not say at which address its pages are, so no passkey can hold."""

    kind: ClassVar[ErrorKind] = ErrorKind.REFUSED
    code: ClassVar[str] = "passkeys_unavailable"
    remedy: ClassVar[str] = "Set VENDING_OFFICE_ORIGIN, or use the code of an authenticator app."

    def __init__(self) -> None:
        super().__init__("passkeys are not set up here")


class OpenIDNotSetUpError(VendingError):
    """The installation names no OpenID provider."""

    kind: ClassVar[ErrorKind] = ErrorKind.REFUSED
    code: ClassVar[str] = "openid_not_set_up"
    remedy: ClassVar[str] = "Sign in with password and code, or set VENDING_OPENID_ISSUER."

    def __init__(self) -> None:
        super().__init__("no OpenID provider is set up here")


class OpenIDUnavailableError(VendingError):
    """The OpenID provider does not answer, or not as one."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "openid_unavailable"
    remedy: ClassVar[str] = "Try again, or sign in with password and code."
    retryable: ClassVar[bool] = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"the OpenID provider cannot be used: {reason}", reason=reason)


class OpenIDRefusedError(VendingError):
    """What came back from the OpenID provider does not hold."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAUTHENTICATED
    code: ClassVar[str] = "openid_refused"
    remedy: ClassVar[str] = "Begin again; if it stays, give an administrator the reason."

    def __init__(self, reason: str) -> None:
        super().__init__(f"the provider's answer does not hold: {reason}", reason=reason)


class AuthenticatorNotFoundError(VendingError):
    """The operator has no such authenticator, or it was taken away before."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    code: ClassVar[str] = "authenticator_not_found"
    remedy: ClassVar[str] = "List your authenticators and use one of their ids."

    def __init__(self, authenticator_id: str) -> None:
        super().__init__(f"no authenticator {authenticator_id}", authenticator=authenticator_id)


class LastAuthenticatorError(VendingError):
    """It is the operator's only second factor."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "last_authenticator"
    remedy: ClassVar[str] = "Add another one first."

    def __init__(self) -> None:
        super().__init__("an operator keeps a second factor")
