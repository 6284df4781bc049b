"""A damaged, altered or older store is refused, and never gives a wrong token."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.key_store_place import KeyStorePlace, Rows
from tests.support.vending_keys import DUTK_2014, DUTK_2035, register_of
from vending.keystore import service
from vending.keystore.errors import Damage, GenerationUnknownError, KeyStoreCorruptError
from vending.keystore.generation import FILE_NAME
from vending.keystore.store import Finding
from vending.keystore.tables import key_store_header, vending_keys
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock

SGC_2014 = 201457
ATTRIBUTES = (
    "sgc",
    "krn",
    "kt",
    "ken",
    "base_year",
    "dkga",
    "is_demo",
    "component_count",
    "imported_at_us",
)


@dataclass
class Bytewise:
    """One flipped bit in each byte of a value, the place in the byte moving along."""

    good: bytes

    def flips(self) -> list[bytes]:
        flipped = []
        for index in range(len(self.good)):
            damaged = bytearray(self.good)
            damaged[index] ^= 1 << index % 8
            flipped.append(bytes(damaged))
        return flipped


def damage_of(place: KeyStorePlace) -> Damage:
    """The refusal to open, which `check` must find as well."""
    with pytest.raises(KeyStoreCorruptError) as refused:
        place.open()
    assert refused.value.damage in {finding.damage for finding in place.check()}
    return refused.value.damage


@pytest.fixture
def rows(filled: KeyStorePlace) -> Rows:
    assert filled.check() == []
    return filled.read_rows()


# --- single bits -------------------------------------------------------------------------------
def test_flipped_bits_of_the_header_are_refused(filled: KeyStorePlace, rows: Rows) -> None:
    header = rows["key_store_header"][0]
    for column in ("store_id", "envelope", "manifest"):
        for damaged in Bytewise(header[column]).flips():
            filled.overwrite(key_store_header, {column: damaged})
            assert damage_of(filled) in {Damage.HEADER, Damage.MANIFEST, Damage.RECORD}, column
        filled.overwrite(key_store_header, header)
    for column in ("generation", "created_at_us"):
        for bit in range(0, 63, 3):
            filled.overwrite(key_store_header, {column: header[column] ^ 1 << bit})
            assert damage_of(filled) is Damage.MANIFEST, column
        filled.overwrite(key_store_header, header)
    assert filled.check() == []


def test_flipped_bits_of_a_key_are_refused(filled: KeyStorePlace, rows: Rows) -> None:
    for key in rows["vending_keys"]:
        for column in ("sealed", "check_value"):
            for damaged in Bytewise(key[column]).flips():
                filled.overwrite(vending_keys, {column: damaged}, sgc=key["sgc"])
                assert damage_of(filled) is Damage.RECORD, column
            filled.overwrite(vending_keys, key, sgc=key["sgc"])
    assert filled.check() == []


def test_flipped_bits_of_an_attribute_are_refused(filled: KeyStorePlace, rows: Rows) -> None:
    good = next(row for row in rows["vending_keys"] if row["sgc"] == SGC_2014)
    for column in ATTRIBUTES:
        for bit in range(15):
            damaged = good[column] ^ 1 << bit
            filled.overwrite(vending_keys, {column: damaged}, sgc=SGC_2014)
            assert damage_of(filled) is Damage.RECORD, column
            found = damaged if column == "sgc" else SGC_2014
            filled.overwrite(vending_keys, good, sgc=found)
    assert filled.check() == []


def test_finding_names_the_key_that_is_damaged(filled: KeyStorePlace) -> None:
    filled.overwrite(vending_keys, {"ken": 1}, sgc=SGC_2014)
    assert filled.check() == [
        Finding(Damage.RECORD, "201457/1/2"),
        Finding(Damage.MANIFEST, None),
    ]


# --- records -----------------------------------------------------------------------------------
def test_swapped_seals_are_refused(filled: KeyStorePlace, rows: Rows) -> None:
    one, other = rows["vending_keys"]
    one["sealed"], other["sealed"] = other["sealed"], one["sealed"]
    filled.write_rows(rows)
    assert damage_of(filled) is Damage.RECORD


def test_swapped_registers_are_refused(filled: KeyStorePlace, rows: Rows) -> None:
    one, other = rows["vending_keys"]
    one["sgc"], other["sgc"] = other["sgc"], one["sgc"]
    filled.write_rows(rows)
    assert damage_of(filled) is Damage.RECORD


@pytest.mark.parametrize("kept", [0, 1])
def test_removed_key_is_refused(filled: KeyStorePlace, rows: Rows, kept: int) -> None:
    filled.write_rows(rows | {"vending_keys": [rows["vending_keys"][kept]]})
    assert damage_of(filled) is Damage.MANIFEST


def test_copied_key_is_refused(filled: KeyStorePlace, rows: Rows) -> None:
    copy: dict[str, Any] = rows["vending_keys"][0] | {"krn": 2}
    filled.write_rows(rows | {"vending_keys": [*rows["vending_keys"], copy]})
    assert damage_of(filled) is Damage.RECORD


def test_key_revived_from_retirement_is_refused(filled: KeyStorePlace) -> None:
    register = register_of(DUTK_2014)
    service.retire_key(filled.database, filled.open(), register, by=SYSTEM, clock=filled.clock)
    filled.overwrite(vending_keys, {"retired_at_us": None}, sgc=SGC_2014)
    assert damage_of(filled) is Damage.RECORD


def test_row_of_a_key_before_its_retirement_is_refused(filled: KeyStorePlace, rows: Rows) -> None:
    register = register_of(DUTK_2014)
    service.retire_key(filled.database, filled.open(), register, by=SYSTEM, clock=filled.clock)
    old = next(row for row in rows["vending_keys"] if row["sgc"] == SGC_2014)
    filled.overwrite(vending_keys, old, sgc=SGC_2014)
    assert damage_of(filled) is Damage.MANIFEST


@pytest.mark.parametrize("cut", [0, 1, 12, 29])
def test_truncated_values_are_refused(filled: KeyStorePlace, rows: Rows, cut: int) -> None:
    filled.overwrite(vending_keys, {"sealed": rows["vending_keys"][0]["sealed"][:cut]})
    assert damage_of(filled) is Damage.RECORD
    filled.write_rows(rows)
    filled.overwrite(key_store_header, {"envelope": rows["key_store_header"][0]["envelope"][:cut]})
    assert damage_of(filled) is Damage.HEADER


def test_store_emptied_of_everything_is_refused_and_not_made_anew(filled: KeyStorePlace) -> None:
    filled.write_rows({"key_store_header": [], "vending_keys": []})
    assert damage_of(filled) is Damage.ROLLED_BACK
    with pytest.raises(KeyStoreCorruptError):
        filled.create()


def test_keys_without_their_header_are_refused_and_not_made_anew(
    filled: KeyStorePlace, rows: Rows
) -> None:
    filled.write_rows(rows | {"key_store_header": []})
    assert damage_of(filled) is Damage.HEADER
    with pytest.raises(KeyStoreCorruptError):
        filled.create()


def test_keys_of_another_store_under_the_same_passphrase_are_refused(
    filled: KeyStorePlace, rows: Rows
) -> None:
    filled.write_rows({"key_store_header": [], "vending_keys": []})
    (filled.data_folder / FILE_NAME).unlink()
    filled.take_in(filled.create(), DUTK_2014)
    other = filled.read_rows()["key_store_header"]
    filled.write_rows({"key_store_header": other, "vending_keys": rows["vending_keys"]})
    assert damage_of(filled) is Damage.RECORD


# --- roll-back ---------------------------------------------------------------------------------
def test_older_copy_of_the_database_is_refused(filled: KeyStorePlace, rows: Rows) -> None:
    filled.take_in(filled.open(), DUTK_2035)
    filled.write_rows(rows)
    assert damage_of(filled) is Damage.ROLLED_BACK


def test_older_copy_is_refused_by_whoever_holds_the_store_open(
    filled: KeyStorePlace, rows: Rows
) -> None:
    held = filled.take_in(filled.open(), DUTK_2035)
    filled.write_rows(rows)
    with pytest.raises(KeyStoreCorruptError):
        service.reload_store(filled.database, held)
    with pytest.raises(KeyStoreCorruptError):
        filled.take_in(held, DUTK_2035)
    assert filled.read_rows() == rows


def test_other_history_from_an_older_copy_is_refused(filled: KeyStorePlace, rows: Rows) -> None:
    file = filled.data_folder / FILE_NAME
    before = file.read_bytes()
    filled.take_in(filled.open(), DUTK_2035)
    newest = file.read_bytes()
    filled.write_rows(rows)
    file.write_bytes(before)
    register = register_of(DUTK_2014)
    service.retire_key(filled.database, filled.open(), register, by=SYSTEM, clock=filled.clock)
    file.write_bytes(newest)
    assert damage_of(filled) is Damage.ROLLED_BACK


def test_older_copy_restored_on_purpose_is_adopted(filled: KeyStorePlace, rows: Rows) -> None:
    filled.take_in(filled.open(), DUTK_2035)
    filled.write_rows(rows)
    filled.adopt()
    assert filled.check() == []
    assert filled.open().find(register_of(DUTK_2035)) is None


def test_damaged_store_is_not_adopted(filled: KeyStorePlace) -> None:
    filled.overwrite(vending_keys, {"ken": 1}, sgc=SGC_2014)
    with pytest.raises(KeyStoreCorruptError):
        filled.adopt()


def test_missing_generation_file_is_refused_until_adopted(filled: KeyStorePlace) -> None:
    (filled.data_folder / FILE_NAME).unlink()
    with pytest.raises(GenerationUnknownError):
        filled.open()
    with pytest.raises(GenerationUnknownError):
        filled.check()
    filled.adopt()
    assert filled.check() == []


def test_file_left_behind_by_a_crash_after_the_commit_is_moved_forward(
    filled: KeyStorePlace, rows: Rows
) -> None:
    file = filled.data_folder / FILE_NAME
    before = file.read_bytes()
    filled.take_in(filled.open(), DUTK_2035)
    file.write_bytes(before)
    assert len(filled.open().list_keys()) == 3
    filled.write_rows(rows)
    assert damage_of(filled) is Damage.ROLLED_BACK


def test_database_and_file_put_back_together_pass_which_is_the_stated_limit(
    filled: KeyStorePlace, rows: Rows
) -> None:
    file = filled.data_folder / FILE_NAME
    before = file.read_bytes()
    filled.take_in(filled.open(), DUTK_2035)
    filled.write_rows(rows)
    file.write_bytes(before)
    assert filled.check() == []


def test_store_on_a_second_machine_is_adopted_there(
    filled: KeyStorePlace, tmp_path: Path, fixed_clock: FixedClock, database: Database
) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = KeyStorePlace(database, folder, fixed_clock)
    with pytest.raises(GenerationUnknownError):
        second.open()
    second.adopt()
    filled.take_in(filled.open(), DUTK_2035)
    assert len(second.open().list_keys()) == 3
