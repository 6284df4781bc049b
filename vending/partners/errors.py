"""What the partners refuse.

VendingError
├── PartnerInvalidError         a field breaks a limit
├── PartnerNameTakenError       two partners may not share a name
├── PartnerNotFoundError        no partner has that id or name
├── PartnerSuspendedError       a valid key of a partner that may not sell at present
├── APIKeyNotFoundError         no key of that partner has this prefix
└── UnauthenticatedError        the key is not valid; never says why
"""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError


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
