"""What is refused to an operator, and why.

VendingError
├── OperatorInvalidError        a field breaks a limit
├── OperatorNameTakenError      two operators may not share a name
├── OperatorNotFoundError       no operator has this id or name
├── OperatorStateError          the account's state does not allow it
├── AlreadyInitialisedError     there are operators: administrators are made by role change
├── PermissionDeniedError       signed in, and no role carries the permission
├── SessionNotFoundError        the operator has no such session
├── SignInRequiredError         no session, or one that ended; never says why
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


class AlreadyInitialisedError(VendingError):
    """The first administrators exist; others come by a role change that one of them approves."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "operators_exist"
    remedy: ClassVar[str] = "Sign in as an administrator and ask for the role; another approves it."

    def __init__(self) -> None:
        super().__init__("there are operators already")


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
