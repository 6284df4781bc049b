"""Customers as frozen records; what identifies a person is shown masked."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from vending.customers.errors import CustomerInvalidError
from vending.values.identifiers import CustomerId

NAME_LENGTH_MAX: Final = 120
ERASED_NAME: Final = "(erased)"
"""Stands where a name was; account number and identifier stay, for the books name them."""
EMAIL_LENGTH_MAX: Final = 254
"""RFC 5321: a path of 256 octets, less its two brackets."""

_ACCOUNT_NUMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,31}")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}")


class Language(StrEnum):
    """The languages that customers are written to in."""

    EN = "en"
    ZH_CN = "zh-CN"


class Channel(StrEnum):
    """The ways of writing to a customer; each needs its own consent."""

    SMS = "sms"
    EMAIL = "email"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDetails:
    """Who a customer is and how to reach them; None: no phone, no e-mail is known.

    Raises:
        CustomerInvalidError: A field is outside its limits.
    """

    account_number: str
    name: str = field(repr=False)
    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    language: Language = Language.EN

    def __post_init__(self) -> None:
        require_account_number(self.account_number)
        require_name(self.name)
        if self.phone is not None:
            require_phone(self.phone)
        if self.email is not None:
            require_email(self.email)

    def masked(self) -> dict[str, str | None]:
        """Return who the customer is, as far as anybody may see without a purpose."""
        return {
            "name": self.masked_name(),
            "phone": None if self.phone is None else mask_phone(self.phone),
            "email": None if self.email is None else mask_email(self.email),
        }

    def masked_name(self) -> str:
        """Return the name with all but the first letter of each word hidden: `J*** D**`, `张*`."""
        return mask_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCustomer(CustomerDetails):
    """A customer to register, with the channels that they allow from now on.

    Raises:
        CustomerInvalidError: A field is outside its limits, or a channel has no address.
    """

    consents: frozenset[Channel] = frozenset()

    def __post_init__(self) -> None:
        # A dataclass with slots is a new class, which `super()` without arguments misses.
        CustomerDetails.__post_init__(self)
        for channel in sorted(self.consents):
            require_address(self, channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer(CustomerDetails):
    """A registered customer; a consent is the instant it was given, None: not given."""

    id: CustomerId
    consent_sms_at: datetime | None = None
    consent_email_at: datetime | None = None
    erased_at: datetime | None = None
    """When name, phone and e-mail were erased; None: they were not."""

    def allows(self, channel: Channel) -> bool:
        """Return whether the customer may be written to this way."""
        match channel:
            case Channel.SMS:
                return self.phone is not None and self.consent_sms_at is not None
            case Channel.EMAIL:
                return self.email is not None and self.consent_email_at is not None

    def with_consent(self, channel: Channel, at: datetime | None) -> "Customer":
        """Return the customer with the consent given at an instant; None: withdrawn."""
        match channel:
            case Channel.SMS:
                return replace(self, consent_sms_at=at)
            case Channel.EMAIL:
                return replace(self, consent_email_at=at)


@dataclass(frozen=True, slots=True)
class CustomerPage:
    """Some customers in the order of their registration; `next_after`: None on the last page."""

    customers: tuple[Customer, ...]
    next_after: CustomerId | None


def require_account_number(text: str) -> str:
    """Return the text, an account number.

    Raises:
        CustomerInvalidError: It is none.
    """
    if not _ACCOUNT_NUMBER.fullmatch(text):
        raise CustomerInvalidError(
            field="account_number", wanted="1 to 32 letters, digits, dots, dashes or slashes"
        )
    return text


def require_name(text: str) -> str:
    """Return the text, a name.

    Raises:
        CustomerInvalidError: It is empty, too long, padded or does not print.
    """
    is_clean = text.isprintable() and text == text.strip()
    if not (is_clean and 1 <= len(text) <= NAME_LENGTH_MAX):
        raise CustomerInvalidError(
            field="name", wanted=f"1 to {NAME_LENGTH_MAX} printable characters"
        )
    return text


def require_phone(text: str) -> str:
    """Return the text, a phone number in the form of E.164.

    Raises:
        CustomerInvalidError: It is none.
    """
    if not _E164.fullmatch(text):
        raise CustomerInvalidError(
            field="phone",
            wanted="a plus sign, the country code and the number, such as +254712345678; "
            "a spreadsheet drops the plus sign from a column of numbers",
        )
    return text


def require_email(text: str) -> str:
    """Return the text, an e-mail address.

    Raises:
        CustomerInvalidError: It is none.
    """
    if len(text) > EMAIL_LENGTH_MAX or not _EMAIL.fullmatch(text):
        raise CustomerInvalidError(field="email", wanted="an address such as name@example.org")
    return text


def require_address(details: CustomerDetails, channel: Channel) -> None:
    """Check that a customer can be reached by a channel.

    Raises:
        CustomerInvalidError: There is no address for it.
    """
    address = details.phone if channel is Channel.SMS else details.email
    if address is None:
        field_name = "phone" if channel is Channel.SMS else "email"
        raise CustomerInvalidError(
            field=field_name, wanted=f"needed, since {channel} is consented to"
        )


def mask_phone(phone: str) -> str:
    """Return the country's and the last two digits, the others hidden: `+254*******78`."""
    return phone[:4] + "*" * (len(phone) - 6) + phone[-2:]


def mask_email(email: str) -> str:
    """Return the first letter of name and domain, and the top-level domain: `a***@e***.org`."""
    name, _, domain = email.partition("@")
    host, _, top = domain.rpartition(".")
    return f"{name[0]}***@{host[0]}***.{top}"


def mask_name(name: str) -> str:
    """Return the first letter of each word, and at least one star for the rest."""
    return " ".join(word[0] + "*" * max(1, len(word) - 1) for word in name.split())
