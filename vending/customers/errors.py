"""What the customers refuse.

VendingError
├── CustomerInvalidError            a field breaks a limit
├── CustomerNotFoundError           no customer has this id or account number
├── AccountNumberTakenError         another customer has this account number
└── CustomerErasedError             the customer's personal data was erased
"""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError
from vending.values.identifiers import CustomerId


class CustomerInvalidError(VendingError):
    """A customer has a field that its limits do not allow; the value itself is not repeated."""

    kind = ErrorKind.INVALID
    code = "customer_invalid"
    remedy: ClassVar[str] = "Correct the named field and try again."

    def __init__(self, *, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}", field=field, wanted=wanted)


class CustomerNotFoundError(VendingError):
    """No customer has this id or account number."""

    kind = ErrorKind.NOT_FOUND
    code = "customer_not_found"
    remedy: ClassVar[str] = "Check the account number, or register the customer first."

    def __init__(self, customer: str) -> None:
        super().__init__(f"no customer {customer}", customer=customer)


class AccountNumberTakenError(VendingError):
    """Another customer has this account number."""

    kind = ErrorKind.CONFLICT
    code = "account_number_taken"
    remedy: ClassVar[str] = "Use the customer that has it, or another account number."

    def __init__(self, account_number: str) -> None:
        super().__init__(f"account number {account_number} is taken", account_number=account_number)


class CustomerErasedError(VendingError):
    """The customer's personal data was erased, for good."""

    kind = ErrorKind.CONFLICT
    code = "customer_erased"
    remedy: ClassVar[str] = "Register the person as a new customer."

    def __init__(self, customer_id: CustomerId) -> None:
        super().__init__(
            f"the personal data of customer {customer_id} was erased", customer_id=str(customer_id)
        )
