"""Pure decisions on API keys: their form, their digest, their comparison.

A key is `pk_<prefix>_<secret>`: 12 hexadecimal digits that name it, 64 that prove it. The
secret has 256 bits of randomness, so one SHA-256 suffices to store it: a slow hash protects
guessable passwords, and would cost every sale.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from vending.approvals.model import Act, UseCase
from vending.ledger.model import MINOR_MAX, Account, AccountKind, account_code
from vending.partners.errors import CreditLineInvalidError, UnauthenticatedError
from vending.partners.model import APIKey, IssuedAPIKey, Partner
from vending.values.identifiers import PartnerId
from vending.values.money import Currency, Money

PREFIX_SIZE_BYTES: Final = 6
SECRET_SIZE_BYTES: Final = 32
LINE_MINOR_MAX: Final = MINOR_MAX

_KEY: Final = re.compile(r"pk_([0-9a-f]{12})_[0-9a-f]{64}")
_NO_DIGEST: Final = bytes(32)
"""Compared against where no key has the prefix, so that both answers take as long."""


def make_api_key(
    partner_id: PartnerId, *, prefix: bytes, secret: bytes, created_at: datetime
) -> IssuedAPIKey:
    """Return the key made of 6 and 32 random bytes."""
    assert len(prefix) == PREFIX_SIZE_BYTES, "a prefix has 6 bytes"
    assert len(secret) == SECRET_SIZE_BYTES, "a secret has 256 bits"
    text = f"pk_{prefix.hex()}_{secret.hex()}"
    key = APIKey(
        prefix=prefix.hex(),
        partner_id=partner_id,
        digest=compute_digest(text),
        last_four=text[-4:],
        created_at=created_at,
    )
    return IssuedAPIKey(key, text)


def compute_digest(text: str) -> bytes:
    """Return the SHA-256 of a whole key, 32 bytes."""
    return hashlib.sha256(text.encode("ascii")).digest()


def parse_prefix(text: str) -> str:
    """Return the prefix of a presented key.

    Raises:
        UnauthenticatedError: The text has not the form of a key.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise UnauthenticatedError
    return match[1]


def check_api_key(text: str, stored: APIKey | None, now: datetime) -> APIKey:
    """Return the stored key that `text` proves, comparing in constant time.

    Raises:
        UnauthenticatedError: None is stored, the secret differs, or the key is revoked.
    """
    expected = stored.digest if stored is not None else _NO_DIGEST
    is_same = hmac.compare_digest(compute_digest(text), expected)
    if stored is None or not is_same or not stored.is_valid(now):
        raise UnauthenticatedError
    return stored


def partner_receivable(partner_id: PartnerId, currency: Currency) -> Account:
    """Return the account of what a partner without a credit line owes."""
    code = account_code("partner-receivable", partner_id, currency)
    return Account(code=code, kind=AccountKind.ASSET, currency=currency)


def partner_line(partner_id: PartnerId, currency: Currency, line_minor: int) -> Account:
    """Return the account of a partner with a credit line: what we owe it, below zero within it.

    The ledger holds a balance at or above its floor, so what may be owed is a floor below zero.
    """
    code = account_code("partner-line", partner_id, currency)
    return Account(
        code=code, kind=AccountKind.LIABILITY, currency=currency, floor_minor=-line_minor
    )


def partner_account(partner_id: PartnerId, currency: Currency, line_minor: int | None) -> Account:
    """Return the account that a partner's sales are posted to."""
    if line_minor is None:
        return partner_receivable(partner_id, currency)
    return partner_line(partner_id, currency, line_minor)


def can_sell(partner: Partner, owed: Money) -> bool:
    """Return whether a key of the partner sells at once: it has a line, or money paid ahead."""
    return partner.credit_line_minor != 0 or owed.minor < 0


def api_key_act(partner: Partner) -> Act:
    """Return what two people agree to: a key that sells up to this line."""
    return Act(
        UseCase.PARTNER_KEY,
        f"partner:{partner.id}",
        {
            "name": partner.name,
            "currency": partner.currency.code,
            "line_minor": partner.credit_line_minor,
        },
    )


def credit_line_act(partner: Partner, line_minor: int | None, keys: Iterable[str]) -> Act:
    """Return what two people agree to: from this line to that one, for who has these keys."""
    return Act(
        UseCase.CREDIT_LINE,
        f"partner:{partner.id}",
        {
            "name": partner.name,
            "currency": partner.currency.code,
            "from_minor": partner.credit_line_minor,
            "to_minor": line_minor,
            "keys": sorted(keys),
        },
    )


def require_line(line_minor: int | None) -> None:
    """Check that a credit line may be of this size.

    Raises:
        CreditLineInvalidError: It is below zero or absurdly large.
    """
    if line_minor is not None and not 0 <= line_minor <= LINE_MINOR_MAX:
        raise CreditLineInvalidError(line_minor, LINE_MINOR_MAX)
