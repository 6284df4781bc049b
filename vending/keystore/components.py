"""Puts a vending key together from the components that its custodians bring.

A key is the XOR of its components, so that no custodian alone knows anything of it. Each
component has a check value of its own and the whole key has one; they catch typing errors.
The check value is that of the standard's key forms for DKGA02, and ours for DKGA04: see
`vending.sts.keys.VendingKey.check_value`. Bytes are taken as they are: the parity bits of a
DES key take part in DKGA02 and are not altered.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

from vending.keystore.errors import (
    CheckValueError,
    ComponentCountError,
    ComponentFault,
    InvalidComponentError,
    WeakKeyError,
    Weakness,
)
from vending.keystore.redaction import Secret
from vending.keystore.translation import guarded
from vending.sts.keys import KeyAttributes, KeyDerivation, VendingKey

COMPONENT_COUNT_MIN: Final = 2
"""Fewer, and one person knows the key; a demonstration key has nothing to hide."""
COMPONENT_COUNT_MAX: Final = 9

_BLANKS: Final = str.maketrans("", "", " -\t")
_CHECK_VALUE: Final = re.compile(r"[0-9A-F]{6}")

_DES_PARITY_MASK: Final = 0xFEFEFEFEFEFEFEFE
_DES_WEAK_KEYS: Final = frozenset(
    {0x0000000000000000, 0xFEFEFEFEFEFEFEFE, 0x1E1E1E1E0E0E0E0E, 0xE0E0E0E0F0F0F0F0}
)
"""The four weak keys of DES (NIST SP 800-67, 3.3.2), their parity bits taken as zero."""


class KeyComponent:
    """One custodian's part of a key, with the check value from the custodian's form."""

    __slots__ = ("check_value", "secret")

    def __init__(self, secret: Secret, *, check_value: str | None) -> None:
        self.secret = secret
        self.check_value = check_value

    @classmethod
    def parse(cls, text: str, *, check_value: str | None = None) -> "KeyComponent":
        """Return the component typed as hexadecimal digits; spaces and hyphens are allowed.

        Raises:
            InvalidComponentError: It, or its check value, is not hexadecimal.
        """
        try:
            secret = Secret(bytes.fromhex(text.translate(_BLANKS)))
        except ValueError as error:
            text = ""  # a traceback that shows this frame shows no digits
            raise InvalidComponentError(ComponentFault.NOT_HEXADECIMAL) from error
        return cls(secret, check_value=parse_check_value(check_value))

    def __repr__(self) -> str:
        return f"KeyComponent({self.secret!r}, check_value={self.check_value!r})"


def parse_check_value(text: str | None) -> str | None:
    """Return a check value as 6 hexadecimal digits in capitals; `None` where none was given.

    Raises:
        InvalidComponentError: It is not 6 hexadecimal digits.
    """
    if text is None:
        return None
    written = text.translate(_BLANKS).upper()
    if _CHECK_VALUE.fullmatch(written) is None:
        raise InvalidComponentError(ComponentFault.CHECK_VALUE_FORM)
    return written


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyImport:
    """A key as a ceremony brings it in."""

    attributes: KeyAttributes
    components: Sequence[KeyComponent]
    check_value: str | None = None
    """Of the whole key; `None` when the form gives none."""
    is_demo: bool = False


@guarded
def combine(brought: KeyImport) -> tuple[Secret, str]:
    """Return the key material and its check value.

    Raises:
        ComponentCountError: The key is not divided, or into too many components.
        InvalidComponentError: A component is not as long as the key derivation wants.
        CheckValueError: A check value does not agree; names the component.
        WeakKeyError: The components cancel out, or the key is one anybody would guess.
        MeterConfigurationError: An initialisation key (KT 0), which is not derived from.
    """
    _check_count(brought)
    dkga = brought.attributes.dkga
    for number, component in enumerate(brought.components, 1):
        check_component(component, number, brought.attributes)
    secrets = [component.secret for component in brought.components]
    combined = reduce(_xor, secrets)
    if _is_zero(combined):
        raise WeakKeyError(Weakness.CANCELLED)
    if len(secrets) > 1 and any(_is_equal(combined, secret) for secret in secrets):
        raise WeakKeyError(Weakness.ONE_COMPONENT)
    if dkga is KeyDerivation.DKGA02 and _is_weak_for_des(combined):
        raise WeakKeyError(Weakness.WEAK_FOR_DES)
    check_value = compute_check_value(combined, brought.attributes)
    wanted = parse_check_value(brought.check_value)
    if wanted is not None and wanted != check_value:
        raise CheckValueError(component=None)
    return combined, check_value


def compute_check_value(secret: Secret, attributes: KeyAttributes) -> str:
    """Return the check value of a key or component: 6 hexadecimal digits in capitals."""
    return VendingKey(attributes, secret.reveal()).check_value()


def _check_count(brought: KeyImport) -> None:
    count_min = 1 if brought.is_demo else COMPONENT_COUNT_MIN
    count = len(brought.components)
    if not count_min <= count <= COMPONENT_COUNT_MAX:
        raise ComponentCountError(count, count_min=count_min, count_max=COMPONENT_COUNT_MAX)


@guarded
def check_component(component: KeyComponent, number: int, attributes: KeyAttributes) -> None:
    """Check a component by itself: its length, its check value, that it hides something.

    Raises:
        InvalidComponentError: It is not as long as the key derivation wants.
        CheckValueError: Its check value does not agree.
        WeakKeyError: It is all zeros.
        MeterConfigurationError: An initialisation key (KT 0), which is not derived from.
    """
    wanted_bytes = attributes.dkga.vending_key_size_bytes
    if len(component.secret) != wanted_bytes:
        raise InvalidComponentError(ComponentFault.LENGTH, component=number)
    if component.check_value is not None and (
        component.check_value != compute_check_value(component.secret, attributes)
    ):
        raise CheckValueError(component=number)
    if _is_zero(component.secret):
        raise WeakKeyError(Weakness.ZERO_COMPONENT)


def _xor(one: Secret, other: Secret) -> Secret:
    pairs = zip(one.reveal(), other.reveal(), strict=True)
    return Secret(bytes(left ^ right for left, right in pairs))


def _is_zero(secret: Secret) -> bool:
    return not any(secret.reveal())


def _is_equal(one: Secret, other: Secret) -> bool:
    return hmac.compare_digest(one.reveal(), other.reveal())


def _is_weak_for_des(secret: Secret) -> bool:
    return int.from_bytes(secret.reveal()) & _DES_PARITY_MASK in _DES_WEAK_KEYS
