"""What the store knows of a key, as stored and as shown; the key itself is sealed inside."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from vending.keystore.sealing import associate
from vending.sts.keys import SGC, KeyAttributes, KeyDerivation, KeyType
from vending.sts.tid import BaseDate

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NEVER: Final = -1

IN_TOKEN: Final = b"token:"
TOKEN_KEY_ID_BYTES: Final = 16
"""A key in a PKCS#11 token is sealed as `IN_TOKEN` and the id of its object: no key is as long."""


@dataclass(frozen=True, slots=True, order=True)
class KeyReference:
    """The register of a vending key: supply group, revision and type name one key of a store."""

    sgc: SGC
    krn: int
    kt: KeyType

    @classmethod
    def of(cls, attributes: KeyAttributes) -> "KeyReference":
        """Return the register in which a key of these attributes lies."""
        return cls(attributes.sgc, attributes.krn, attributes.kt)

    def __str__(self) -> str:
        return f"{self.sgc}/{self.krn}/{self.kt.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """A vending key without its material: what may be listed, logged and shown."""

    register: KeyReference
    attributes: KeyAttributes
    check_value: str
    """6 hexadecimal digits in capitals."""
    component_count: int
    is_demo: bool
    imported_at: datetime
    retired_at: datetime | None
    """`None` while the key issues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A vending key as stored: whole numbers and bytes, nothing that parsing could refuse.

    A damaged row must reach the check of its seal; so it is parsed after that, by `describe`.
    """

    sgc: int
    krn: int
    kt: int
    ken: int
    base_year: int
    dkga: int
    is_demo: int
    component_count: int
    check_value: bytes
    """3 bytes."""
    imported_at_us: int
    """Microseconds since 1970, UTC."""
    retired_at_us: int | None
    """`None` while the key issues."""
    sealed: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Return how messages name the row, whatever its fields hold."""
        return f"{self.sgc:06}/{self.krn}/{self.kt}"

    def associated(self, store_id: bytes) -> bytes:
        """Return the attributes of the key, to which its seal binds it."""
        return associate(
            store_id,
            self.sgc,
            self.krn,
            self.kt,
            self.ken,
            self.base_year,
            self.dkga,
            self.is_demo,
            self.component_count,
            self.check_value,
            self.imported_at_us,
            _NEVER if self.retired_at_us is None else self.retired_at_us,
        )

    def attributes(self) -> KeyAttributes:
        """Return the attributes in the standard's terms; of a row whose seal was checked."""
        return KeyAttributes(
            sgc=SGC.from_number(self.sgc),
            kt=KeyType(self.kt),
            krn=self.krn,
            ken=self.ken,
            base_date=BaseDate(self.base_year),
            dkga=KeyDerivation(self.dkga),
        )

    def describe(self) -> KeyDescription:
        """Return what may be shown of the key; of a row whose seal was checked."""
        attributes = self.attributes()
        retired_at = None if self.retired_at_us is None else from_microseconds(self.retired_at_us)
        return KeyDescription(
            register=KeyReference.of(attributes),
            attributes=attributes,
            check_value=self.check_value.hex().upper(),
            component_count=self.component_count,
            is_demo=bool(self.is_demo),
            imported_at=from_microseconds(self.imported_at_us),
            retired_at=retired_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderRow:
    """The one row that dates and authenticates the store."""

    store_id: bytes
    """16 bytes."""
    envelope: bytes
    """How to reach the root key, see `vending.keystore.envelope`."""
    generation: int
    """Count of changes, 1 for a fresh store."""
    created_at_us: int
    manifest: bytes
    """HMAC-SHA-256 over this row and every key."""

    def message(self, rows: Iterable[KeyRow]) -> bytes:
        """Return what the manifest authenticates: every other field, and all keys in order."""
        listed = sorted(rows, key=lambda row: (row.sgc, row.krn, row.kt))
        keys = [part for row in listed for part in (row.associated(self.store_id), row.sealed)]
        return associate(
            self.store_id, self.envelope, self.generation, self.created_at_us, len(listed), *keys
        )


def to_microseconds(instant: datetime) -> int:
    """Return an instant as microseconds since 1970, UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """Return the instant that lies `count` microseconds after the start of 1970, UTC."""
    return _EPOCH + count * _MICROSECOND
