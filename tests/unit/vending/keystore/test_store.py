"""An open store is whole, shows no key, and is changed only into its next generation."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.pretty import pretty_repr

from tests.support.vending_keys import (
    ALL_KEYS,
    DKGA02_HEX,
    DKGA04_HEX,
    DUTK_1993,
    DUTK_2014,
    RETIRED,
    register_of,
)
from vending.keystore.components import combine
from vending.keystore.errors import Damage, KeyNotFoundError, KeyStoreCorruptError
from vending.keystore.generation import GenerationFile
from vending.keystore.model import HeaderRow, KeyReference, KeyRow
from vending.keystore.sealing import Keyring, Purpose
from vending.keystore.store import OpenKeyStore, list_findings, with_manifest
from vending.sts.keys import SGC, KeyType

AT = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


@pytest.fixture
def keyring() -> Keyring:
    return Keyring.generate()


@pytest.fixture
def blank() -> HeaderRow:
    return HeaderRow(store_id=bytes(16), envelope=b"e", generation=4, created_at_us=1, manifest=b"")


@pytest.fixture
def rows(keyring: Keyring, blank: HeaderRow, tmp_path: Path) -> list[KeyRow]:
    empty = OpenKeyStore(keyring, with_manifest(keyring, blank, []), [], GenerationFile(tmp_path))
    sealed = []
    for brought in (DUTK_1993, DUTK_2014):
        secret, check_value = combine(brought)
        sealed.append(
            empty.seal_key(
                brought.attributes,
                secret,
                check_value=check_value,
                component_count=2,
                is_demo=False,
                at=AT,
            )
        )
    return sealed


@pytest.fixture
def opened(keyring: Keyring, blank: HeaderRow, rows: list[KeyRow], tmp_path: Path) -> OpenKeyStore:
    header = with_manifest(keyring, blank, rows)
    return OpenKeyStore(keyring, header, rows, GenerationFile(tmp_path))


def test_store_opens_the_keys_that_were_sealed(store: OpenKeyStore) -> None:
    found = {store.vending_key(shown.register).material.hex() for shown in store.list_keys()}
    assert found == {DKGA02_HEX, DKGA04_HEX.lower()}


def test_store_lists_its_keys_in_the_order_of_their_registers(store: OpenKeyStore) -> None:
    listed = [shown.register for shown in store.list_keys()]
    assert listed == sorted(register_of(brought) for brought in ALL_KEYS)


def test_store_names_the_key_it_lacks(store: OpenKeyStore) -> None:
    unknown = KeyReference(SGC("000000"), 1, KeyType.DUTK)
    assert store.find(unknown) is None
    with pytest.raises(KeyNotFoundError):
        store.describe(unknown)
    with pytest.raises(KeyNotFoundError):
        store.vending_key(unknown)


def test_retired_key_is_sealed_to_being_retired(store: OpenKeyStore) -> None:
    assert store.describe(register_of(RETIRED)).retired_at is not None
    assert store.vending_key(register_of(RETIRED)).material.hex() == DKGA04_HEX.lower()


@pytest.mark.parametrize("name", ["check_value", "sealed"])
def test_every_flipped_bit_of_a_stored_value_is_found(
    keyring: Keyring, blank: HeaderRow, rows: list[KeyRow], name: str
) -> None:
    header = with_manifest(keyring, blank, rows)
    good: bytes = getattr(rows[0], name)
    for bit in range(len(good) * 8):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged = [replace(rows[0], **dict[str, Any]({name: bytes(flipped)})), rows[1]]
        findings = list_findings(keyring, header, damaged)
        assert [finding.damage for finding in findings] == [Damage.RECORD, Damage.MANIFEST]
        assert findings[0].register == rows[0].name


@pytest.mark.parametrize(
    "name",
    [
        "sgc",
        "krn",
        "kt",
        "ken",
        "base_year",
        "dkga",
        "is_demo",
        "component_count",
        "imported_at_us",
    ],
)
def test_every_flipped_bit_of_a_stored_number_is_found(
    keyring: Keyring, blank: HeaderRow, rows: list[KeyRow], name: str
) -> None:
    header = with_manifest(keyring, blank, rows)
    good: int = getattr(rows[0], name)
    for bit in range(63):
        damaged = [replace(rows[0], **dict[str, Any]({name: good ^ 1 << bit})), rows[1]]
        assert list_findings(keyring, header, damaged)[0].damage is Damage.RECORD


def test_retired_key_brought_back_is_found(tmp_path: Path) -> None:
    keyring = Keyring.generate()
    blank = HeaderRow(store_id=b"1", envelope=b"", generation=1, created_at_us=1, manifest=b"")
    empty = OpenKeyStore(keyring, with_manifest(keyring, blank, []), [], GenerationFile(tmp_path))
    secret, check_value = combine(DUTK_2014)
    row = empty.seal_key(
        DUTK_2014.attributes,
        secret,
        check_value=check_value,
        component_count=2,
        is_demo=False,
        at=AT,
    )
    present = empty.reread(with_manifest(keyring, blank, [row]), [row])
    retired = present.retired_row(register_of(DUTK_2014), at=AT)
    revived = replace(retired, retired_at_us=None)
    findings = list_findings(keyring, present.header_with(retired), [revived])
    assert findings[0].damage is Damage.RECORD


def test_swapped_seals_are_found(keyring: Keyring, blank: HeaderRow, rows: list[KeyRow]) -> None:
    one, other = rows
    swapped = [replace(one, sealed=other.sealed), replace(other, sealed=one.sealed)]
    header = with_manifest(keyring, blank, rows)
    damages = [finding.damage for finding in list_findings(keyring, header, swapped)]
    assert damages == [Damage.RECORD, Damage.RECORD, Damage.MANIFEST]


def test_removed_and_repeated_keys_are_found(
    keyring: Keyring, blank: HeaderRow, rows: list[KeyRow]
) -> None:
    header = with_manifest(keyring, blank, rows)
    for listed in ([], rows[:1], rows[1:], [*rows, rows[0]]):
        damages = [finding.damage for finding in list_findings(keyring, header, listed)]
        assert damages == [Damage.MANIFEST]


def test_every_flipped_bit_of_the_header_is_found(
    keyring: Keyring, blank: HeaderRow, rows: list[KeyRow]
) -> None:
    header = with_manifest(keyring, blank, rows)
    damaged = [replace(header, generation=header.generation ^ 1 << bit) for bit in range(63)]
    damaged += [replace(header, created_at_us=header.created_at_us ^ 1 << bit) for bit in range(63)]
    for name in ("store_id", "envelope", "manifest"):
        good: bytes = getattr(header, name)
        for bit in range(len(good) * 8):
            flipped = bytearray(good)
            flipped[bit // 8] ^= 1 << bit % 8
            damaged.append(replace(header, **dict[str, Any]({name: bytes(flipped)})))
    assert all(list_findings(keyring, one, rows) for one in damaged)


def test_damaged_rows_do_not_open(
    keyring: Keyring, blank: HeaderRow, rows: list[KeyRow], tmp_path: Path
) -> None:
    header = with_manifest(keyring, blank, rows)
    damaged = [replace(rows[0], ken=1), rows[1]]
    with pytest.raises(KeyStoreCorruptError) as refused:
        OpenKeyStore(keyring, header, damaged, GenerationFile(tmp_path))
    assert (refused.value.damage, refused.value.register) == (Damage.RECORD, "123456/1/2")


def test_store_reads_its_next_generation(opened: OpenKeyStore, rows: list[KeyRow]) -> None:
    retired = opened.retired_row(register_of(DUTK_1993), at=AT)
    following = opened.reread(opened.header_with(retired), [retired, rows[1]])
    assert following.generation.number == opened.generation.number + 1
    assert following.describe(register_of(DUTK_1993)).retired_at == AT
    assert opened.describe(register_of(DUTK_1993)).retired_at is None


def test_store_refuses_to_go_back(
    opened: OpenKeyStore, keyring: Keyring, blank: HeaderRow, rows: list[KeyRow]
) -> None:
    older = with_manifest(keyring, replace(blank, generation=3), rows)
    with pytest.raises(KeyStoreCorruptError) as refused:
        opened.reread(older, rows)
    assert refused.value.damage is Damage.ROLLED_BACK


def test_store_refuses_to_become_another_one(
    opened: OpenKeyStore, keyring: Keyring, blank: HeaderRow
) -> None:
    other = with_manifest(keyring, replace(blank, store_id=b"1" * 16, generation=9), [])
    with pytest.raises(KeyStoreCorruptError):
        opened.reread(other, [])


def test_store_lends_sealers_for_tokens_and_answers_only(store: OpenKeyStore) -> None:
    sealer = store.sealer(Purpose.ISSUED_TOKENS)
    sealed = sealer.seal(b"token", associated=b"sale")
    assert store.sealer(Purpose.ISSUED_TOKENS).open(sealed, associated=b"sale") == b"token"
    assert repr(store.sealer(Purpose.STORED_ANSWERS)) == "Sealer(stored answers)"
    with pytest.raises(AssertionError):
        store.sealer(Purpose.VENDING_KEYS)


@pytest.mark.parametrize("show", [repr, str, pretty_repr, "{}".format])
def test_store_prints_no_key(store: OpenKeyStore, show: Callable[[object], str]) -> None:
    assert show(store) == "OpenKeyStore(generation 2, 9 keys)"


@pytest.mark.parametrize("carry", [pickle.dumps, copy.deepcopy])
def test_store_is_neither_pickled_nor_copied(
    store: OpenKeyStore, carry: Callable[[object], object]
) -> None:
    with pytest.raises(TypeError):
        carry(store)
