"""Every attribute of a key is bound by its seal, and rows tell what may be shown."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from vending.keystore.model import HeaderRow, KeyReference, KeyRow, from_microseconds
from vending.sts.keys import SGC, KeyDerivation, KeyType
from vending.sts.tid import BaseDate

STORE_ID = bytes(16)


@pytest.fixture
def row() -> KeyRow:
    return KeyRow(
        sgc=1457,
        krn=1,
        kt=2,
        ken=255,
        base_year=2014,
        dkga=4,
        is_demo=0,
        component_count=2,
        check_value=b"\xab\xcd\xef",
        imported_at_us=1_795_593_600_000_000,
        retired_at_us=None,
        sealed=b"sealed",
    )


@pytest.fixture
def header() -> HeaderRow:
    return HeaderRow(store_id=STORE_ID, envelope=b"e", generation=3, created_at_us=5, manifest=b"m")


CHANGES: dict[str, Any] = {
    "sgc": 1458,
    "krn": 2,
    "kt": 1,
    "ken": 254,
    "base_year": 2035,
    "dkga": 2,
    "is_demo": 1,
    "component_count": 3,
    "check_value": b"\xab\xcd\xee",
    "imported_at_us": 0,
    "retired_at_us": 0,
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_attribute_is_part_of_the_associated_data(row: KeyRow, name: str) -> None:
    changed = replace(row, **{name: CHANGES[name]})
    assert changed.associated(STORE_ID) != row.associated(STORE_ID)


def test_no_attribute_is_left_out_of_the_list_above(row: KeyRow) -> None:
    assert {*CHANGES, "sealed"} == set(row.__dataclass_fields__)


def test_store_is_part_of_the_associated_data(row: KeyRow) -> None:
    assert row.associated(STORE_ID) != row.associated(STORE_ID[1:])


@pytest.mark.parametrize(
    "change", [{"store_id": b"x"}, {"envelope": b"f"}, {"generation": 4}, {"created_at_us": 6}]
)
def test_every_field_of_the_header_is_authenticated(
    header: HeaderRow, row: KeyRow, change: dict[str, Any]
) -> None:
    assert replace(header, **change).message([row]) != header.message([row])


def test_keys_are_authenticated_with_their_seals_and_number(header: HeaderRow, row: KeyRow) -> None:
    other = replace(row, krn=2)
    messages = {
        header.message([]),
        header.message([row]),
        header.message([row, other]),
        header.message([replace(row, sealed=b"sealee")]),
    }
    assert len(messages) == 4


def test_keys_are_authenticated_in_the_order_of_their_registers(
    header: HeaderRow, row: KeyRow
) -> None:
    other = replace(row, krn=2)
    assert header.message([row, other]) == header.message([other, row])


def test_row_describes_the_key_in_the_standards_terms(row: KeyRow) -> None:
    shown = row.describe()
    assert shown.register == KeyReference(SGC("001457"), 1, KeyType.DUTK)
    assert str(shown.register) == "001457/1/DUTK"
    assert shown.attributes.ken == 255
    assert shown.attributes.base_date is BaseDate.Y2014
    assert shown.attributes.dkga is KeyDerivation.DKGA04
    assert shown.check_value == "ABCDEF"
    assert shown.imported_at == datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    assert shown.retired_at is None
    assert not shown.is_demo


def test_row_describes_a_retired_demonstration_key(row: KeyRow) -> None:
    shown = replace(row, retired_at_us=1, is_demo=1).describe()
    assert shown.retired_at == from_microseconds(1)
    assert shown.is_demo


def test_row_prints_no_seal(row: KeyRow) -> None:
    assert "sealed" not in repr(row)
    assert row.name == "001457/1/2"
