"""What policies refuse.

VendingError
├── PolicyInvalidError    a value that the policy does not take
└── PolicyChangedError    another change of the same policy came first
"""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError


class PolicyInvalidError(VendingError):
    """A policy does not take this value."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "policy_invalid"
    remedy: ClassVar[str] = "Give a value of the wanted form; docs/reference/policies.md has them."

    def __init__(self, policy: str, *, wanted: str) -> None:
        super().__init__(f"policy {policy} takes {wanted}", policy=policy, wanted=wanted)


class PolicyChangedError(VendingError):
    """Another change of the same policy came first."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "policy_changed"
    remedy: ClassVar[str] = "Look at what holds now; if the change is still wanted, ask anew."

    def __init__(self, policy: str) -> None:
        super().__init__(f"policy {policy} was changed meanwhile", policy=policy)
