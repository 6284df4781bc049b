"""What the looks at personal data, and its erasure, are refused for.

VendingError
├── PurposeMissingError     no purpose is given for seeing who somebody is
└── ErasureHeldError        something still needs to know who the customer is
"""

from vending.errors import ErrorKind, VendingError
from vending.values.identifiers import CustomerId


class PurposeMissingError(VendingError):
    """Who sees or exports who a customer is says what for."""

    kind = ErrorKind.INVALID
    code = "purpose_missing"
    remedy = "Say in one line what it is for, such as the number of a complaint."

    def __init__(self, length_max: int) -> None:
        super().__init__(f"purpose: 1 to {length_max} printable characters", length_max=length_max)


class ErasureHeldError(VendingError):
    """The utility still serves the customer, so it must know who that is."""

    kind = ErrorKind.CONFLICT
    code = "erasure_held"
    remedy = "End what holds it, such as a meter in use, then ask again."

    def __init__(self, customer_id: CustomerId, hold: str) -> None:
        super().__init__(
            f"customer {customer_id} is still needed: {hold}",
            customer_id=str(customer_id),
            hold=hold,
        )
