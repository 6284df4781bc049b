"""An operator, and the operator who is signed in."""

import uuid
from dataclasses import dataclass, field

from vending.operators.errors import PermissionDeniedError
from vending.operators.permissions import Permission, Role, permissions_of
from vending.values.actor import Actor, ActorKind
from vending.values.identifiers import OperatorId


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """An operator behind a session that holds; every use case of the back office takes one."""

    operator_id: OperatorId
    name: str
    """Login name."""
    person: str
    """Whom the account belongs to; two accounts of one person count as one person."""
    roles: frozenset[Role]
    session_id: uuid.UUID
    device_id: str | None
    """What the session was opened on: passkey, terminal or browser; None: it did not say."""
    permissions: frozenset[Permission] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "permissions", permissions_of(self.roles))

    @property
    def actor(self) -> Actor:
        """Return how the audit log names the operator."""
        return Actor(ActorKind.OPERATOR, self.name, self.operator_id, self.session_id)

    def require(self, permission: Permission) -> None:
        """Go on only with the permission.

        Raises:
            PermissionDeniedError: None of the operator's roles carries it.
        """
        if permission not in self.permissions:
            raise PermissionDeniedError(permission.value)
