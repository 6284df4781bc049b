"""Bits flipped in the file of SQLite itself, below its own idea of rows and types.

Who holds the file is not bound by STRICT tables: a flipped bit in the head of a record turns a
number into text or into nothing. The store is refused all the same, and gives no wrong token.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.key_store_place import KeyStorePlace
from tests.support.vending_keys import DUTK_2014, register_of
from vending.errors import VendingError
from vending.keystore.port import CreditTokenRequest
from vending.keystore.software import SoftwareSecurityModule
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.pan import MeterPAN
from vending.sts.tid import TokenIdentifier
from vending.sts.tokens import Resource
from vending.values.clock import FixedClock

HEAD_BYTES = 48
"""More than the head of a record and its whole numbers take, before the bytes that are searched."""

REQUEST = CreditTokenRequest(
    pan=MeterPAN("600727000000000009"),
    ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    base_date=DUTK_2014.attributes.base_date,
    resource=Resource.ELECTRICITY,
    units=10,
    tid=TokenIdentifier(100),
    rnd=5,
)


@dataclass
class StoredFile:
    """A key store of one key, in a database that is closed between the tries."""

    path: Path
    clock: FixedClock

    def open(self) -> KeyStorePlace:
        return KeyStorePlace(
            create_database(f"sqlite:///{self.path}"), self.path.parent, self.clock
        )

    def vend(self) -> str:
        """Return the token, or the code of the refusal."""
        place = self.open()
        try:
            module = SoftwareSecurityModule(place.open(), demo_allowed=False)
            return module.vend(register_of(DUTK_2014), REQUEST)
        except VendingError as refusal:
            return refusal.code
        finally:
            place.database.close()

    def flips_before(self, marker: bytes) -> Iterator[bytes]:
        """Yield the file with each bit flipped of what stands before these bytes."""
        whole = self.path.read_bytes()
        end = whole.index(marker)
        for bit in range(8 * HEAD_BYTES):
            damaged = bytearray(whole)
            damaged[end - 1 - bit // 8] ^= 1 << bit % 8
            yield bytes(damaged)


@pytest.fixture
def stored(tmp_path: Path, fixed_clock: FixedClock) -> StoredFile:
    stored = StoredFile(tmp_path / "vending.db", fixed_clock)
    place = stored.open()
    migrate.upgrade(place.database)
    place.take_in(place.create(), DUTK_2014)
    place.database.close()
    return stored


@pytest.mark.parametrize(
    ("table", "column"), [("key_store_header", "envelope"), ("vending_keys", "sealed")]
)
def test_flipped_bit_in_the_head_of_a_record_is_refused(
    stored: StoredFile, table: str, column: str
) -> None:
    token = stored.vend()
    place = stored.open()
    marker = place.read_rows()[table][0][column]
    place.database.close()
    answers: Counter[str] = Counter()
    for damaged in stored.flips_before(marker):
        stored.path.write_bytes(damaged)
        answers[stored.vend()] += 1
    # Some bits mean nothing: those of a free byte, or of the row's number.
    assert set(answers) <= {token, "key_store_corrupt", "key_store_missing", "database_unavailable"}
    assert answers["key_store_corrupt"] > HEAD_BYTES
