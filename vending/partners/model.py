"""Partners and their API keys as frozen records."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from vending.partners.errors import PartnerInvalidError
from vending.values.identifiers import PartnerId
from vending.values.money import Currency

NAME_LENGTH_MAX: Final = 80


class PartnerStatus(StrEnum):
    """Whether a partner may sell."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Partner:
    """A business that sells electricity for us, in one currency.

    Raises:
        PartnerInvalidError: The name is empty, too long, padded or not printable.
    """

    id: PartnerId
    name: str
    currency: Currency
    status: PartnerStatus = PartnerStatus.ACTIVE
    credit_line_minor: int | None = None
    """The most it may owe, in minor units; None: without limit."""

    def __post_init__(self) -> None:
        is_clean = self.name.isprintable() and self.name == self.name.strip()
        if not (is_clean and 1 <= len(self.name) <= NAME_LENGTH_MAX):
            raise PartnerInvalidError(
                field="name",
                wanted=f"1 to {NAME_LENGTH_MAX} printable characters, no space at either end",
            )


@dataclass(frozen=True, slots=True)
class APIKey:
    """What is stored of an API key: enough to check one and to name it, not to use it.

    `digest` is the SHA-256 of the whole key. `revoked_at` is the instant from which it is no
    longer valid; None: not revoked.
    """

    prefix: str
    partner_id: PartnerId
    digest: bytes = field(repr=False)
    last_four: str
    created_at: datetime
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the key opens anything at `now`."""
        return self.revoked_at is None or now < self.revoked_at


@dataclass(frozen=True, slots=True)
class IssuedAPIKey:
    """A fresh key with its secret, shown once to the person who asked for it."""

    key: APIKey
    secret_text: str = field(repr=False)
