"""What is refused to an operator, and why."""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError


class PermissionDeniedError(VendingError):
    """The operator is signed in, and no role of theirs carries the permission."""

    kind: ClassVar[ErrorKind] = ErrorKind.FORBIDDEN
    code: ClassVar[str] = "permission_denied"
    remedy: ClassVar[str] = "Ask someone whose role may do it, or an administrator for the role."

    def __init__(self, permission: str) -> None:
        super().__init__(f"this takes the permission {permission}", permission=permission)
