"""What the partners refuse.

VendingError
├── PartnerInvalidError         a field breaks a limit
├── PartnerNameTakenError       two partners may not share a name
├── PartnerNotFoundError        no partner has that id or name
├── PartnerSuspendedError       a valid key of a partner that may not sell at present
├── APIKeyNotFoundError         no key of that partner has this prefix
├── UnauthenticatedError        the key is not valid; never says why
├── CreditLineExceededError  a sale would make it owe more than its credit line
├── CreditLineTooLowError    it owes more already than the new line
└── CreditLineInvalidError   no line is of this size
"""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError
from vending.values.money import Money


class PartnerInvalidError(VendingError):
    """A partner has a field that its limits do not allow."""

    kind = ErrorKind.INVALID
    code = "partner_invalid"
    remedy: ClassVar[str] = "Correct the named field and try again."

    def __init__(self, *, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}", field=field, wanted=wanted)


class PartnerNameTakenError(VendingError):
    """Another partner has this name."""

    kind = ErrorKind.CONFLICT
    code = "partner_name_taken"
    remedy: ClassVar[str] = "Choose another name, or use the partner that has it."

    def __init__(self, name: str) -> None:
        super().__init__(f"a partner named {name!r} exists", name=name)


class PartnerNotFoundError(VendingError):
    """No partner has this id or name."""

    kind = ErrorKind.NOT_FOUND
    code = "partner_not_found"
    remedy: ClassVar[str] = "List the partners and use one of their names."

    def __init__(self, partner: str) -> None:
        super().__init__(f"no partner {partner!r}", partner=partner)


class PartnerSuspendedError(VendingError):
    """The key is valid and its partner is suspended."""

    kind = ErrorKind.FORBIDDEN
    code = "partner_suspended"
    remedy: ClassVar[str] = "Ask the utility to lift the suspension; nothing was sold."

    def __init__(self, partner_name: str) -> None:
        super().__init__(f"partner {partner_name} is suspended", partner=partner_name)


class APIKeyNotFoundError(VendingError):
    """No API key has this prefix."""

    kind = ErrorKind.NOT_FOUND
    code = "api_key_not_found"
    remedy: ClassVar[str] = "List the keys of the partner and use one of their prefixes."

    def __init__(self, prefix: str) -> None:
        super().__init__(f"no API key with prefix {prefix!r}", prefix=prefix)


class UnauthenticatedError(VendingError):
    """The presented API key is not valid: malformed, unknown, wrong and revoked look alike."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "unauthenticated"
    remedy: ClassVar[str] = "Send a valid API key as `Authorization: Bearer pk_...`."

    def __init__(self) -> None:
        super().__init__("the API key is not valid")


class CreditLineExceededError(VendingError):
    """The sale would make the partner owe more than its credit line."""

    kind = ErrorKind.REFUSED
    code = "credit_line_exceeded"
    remedy: ClassVar[str] = "Pay in what is owed, then sell again with a new key."

    def __init__(self, tender: Money, available: Money) -> None:
        super().__init__(
            f"{tender} is more than the {available} left of the credit line",
            tender_minor=tender.minor,
            available_minor=available.minor,
            currency=available.currency.code,
        )


class CreditLineTooLowError(VendingError):
    """The partner owes more already than the new credit line allows."""

    kind = ErrorKind.CONFLICT
    code = "credit_line_too_low"
    remedy: ClassVar[str] = "Set a line above what is owed, or suspend the partner until it pays."

    def __init__(self, line: Money, owed: Money) -> None:
        super().__init__(
            f"{owed} are owed already, more than {line}",
            line_minor=line.minor,
            owed_minor=owed.minor,
            currency=line.currency.code,
        )


class CreditLineInvalidError(VendingError):
    """No credit line is of this size."""

    kind = ErrorKind.INVALID
    code = "credit_line_invalid"
    remedy: ClassVar[str] = "Give a whole number of minor units, or none for a line without limit."

    def __init__(self, given: int, largest: int) -> None:
        super().__init__(f"{given} is not between 0 and {largest}", given=given, largest=largest)
