import dataclasses
from itertools import permutations

import pytest

from vending.sts.codec import decode
from vending.sts.errors import (
    CarrierError,
    KeyTypeChangeError,
    SectionSetError,
    UnsupportedError,
)
from vending.sts.key_change import (
    KEY_TYPE_CHANGES,
    SECTION_COUNTS,
    KeyChange,
    assemble_key_change,
    build_sections,
    encode_key_change_set,
    plan_key_change,
    require_key_type_change,
    require_section_count,
)
from vending.sts.keys import SGC, TI, DecoderKey, EncryptionAlgorithm, KeyAttributes, KeyType
from vending.sts.results import Rejection, TokenResult
from vending.sts.tcdu import TokenCarrierType
from vending.sts.tid import BaseDate
from vending.sts.tokens import Set3rdSectionDecoderKey, Set4thSectionDecoderKey

STA, MISTY1 = EncryptionAlgorithm
NEW_STA = DecoderKey(bytes(range(8)), STA)
NEW_MISTY1 = DecoderKey(bytes(range(16)), MISTY1)
ALLOWED = {
    ("DITK", "DDTK"),
    ("DITK", "DUTK"),
    ("DITK", "DCTK"),
    ("DDTK", "DDTK"),
    ("DDTK", "DUTK"),
    ("DUTK", "DDTK"),
    ("DUTK", "DUTK"),
    ("DCTK", "DDTK"),
    ("DCTK", "DUTK"),
    ("DCTK", "DCTK"),
}


@pytest.fixture
def new_attributes(attributes: KeyAttributes) -> KeyAttributes:
    return dataclasses.replace(
        attributes, sgc=SGC("999999"), krn=9, ken=0xA5, base_date=BaseDate.Y2035
    )


@pytest.fixture
def change(attributes: KeyAttributes, new_attributes: KeyAttributes) -> KeyChange:
    return plan_key_change(attributes, new_attributes, new_key=NEW_MISTY1, new_ti=TI("42"))


@pytest.mark.parametrize("old", KeyType)
@pytest.mark.parametrize("new", KeyType)
def test_key_types_change_as_the_table_allows(old: KeyType, new: KeyType) -> None:
    if (old.name, new.name) in ALLOWED:
        require_key_type_change(old, new, tct=TokenCarrierType.MAGNETIC_CARD)
    else:
        with pytest.raises(KeyTypeChangeError, match=f"a {old.name} does not change to a"):
            require_key_type_change(old, new, tct=TokenCarrierType.MAGNETIC_CARD)


def test_table_has_a_row_for_every_key_type() -> None:
    assert set(KEY_TYPE_CHANGES) == set(KeyType)
    assert set(SECTION_COUNTS) == set(EncryptionAlgorithm)


@pytest.mark.parametrize("tct", [TokenCarrierType.NUMERIC, TokenCarrierType.VIRTUAL])
def test_common_key_without_a_magnetic_card_is_refused(tct: TokenCarrierType) -> None:
    with pytest.raises(CarrierError, match="needs a magnetic card"):
        require_key_type_change(KeyType.DCTK, KeyType.DCTK, tct=tct)


def test_plan_refuses_what_the_table_refuses(attributes: KeyAttributes) -> None:
    common = dataclasses.replace(attributes, kt=KeyType.DCTK)
    with pytest.raises(KeyTypeChangeError):
        plan_key_change(attributes, common, new_key=NEW_STA, new_ti=TI("01"))


def test_rollover_is_set_when_and_only_when_the_base_date_changes(
    attributes: KeyAttributes, new_attributes: KeyAttributes
) -> None:
    rolled = plan_key_change(attributes, new_attributes, new_key=NEW_STA, new_ti=TI("01"))
    stayed = plan_key_change(attributes, attributes, new_key=NEW_STA, new_ti=TI("02"))
    assert (rolled.rollover, stayed.rollover) == (True, False)


def test_set_of_two_carries_no_supply_group(attributes: KeyAttributes) -> None:
    change = plan_key_change(attributes, attributes, new_key=NEW_STA, new_ti=TI("02"))
    assert change.sgc is None
    first, second = build_sections(change)
    assert (first.nkho, second.nklo) == (bytes(range(4)), bytes(range(4, 8)))  # type: ignore[union-attr]  # two sections


def test_set_of_four_spreads_key_expiry_and_supply_group(change: KeyChange) -> None:
    first, second, third, fourth = build_sections(change)
    assert repr(first) == (
        "Set1stSectionDecoderKey(ken_high=10, krn=9, rollover=True, kt=<KeyType.DUTK: 2>)"
    )
    assert repr(second) == "Set2ndSectionDecoderKey(ken_low=5, ti=TI(digits='42'))"
    assert third == Set3rdSectionDecoderKey(sgc_low=999_999 & 0xFFF, nkmo2=bytes(range(4, 8)))
    assert fourth == Set4thSectionDecoderKey(sgc_high=999_999 >> 12, nkmo1=bytes(range(8, 12)))


def test_sections_make_the_change_in_whatever_order(change: KeyChange) -> None:
    for order in permutations(build_sections(change)):
        assert assemble_key_change(order, MISTY1) == change


def test_tokens_of_a_set_decode_to_its_sections(change: KeyChange, misty1_key: DecoderKey) -> None:
    tokens = encode_key_change_set(change, misty1_key)
    assert tuple(decode(token, misty1_key) for token in tokens) == build_sections(change)


def test_set_under_a_key_of_another_algorithm_is_refused(
    change: KeyChange, sta_key: DecoderKey
) -> None:
    with pytest.raises(SectionSetError, match="of EA11 are no key-change set for EA07"):
        encode_key_change_set(change, sta_key)


def test_missing_section_is_refused(change: KeyChange) -> None:
    first, second, third, _ = build_sections(change)
    with pytest.raises(SectionSetError, match="sections 1, 2, 3 are no key-change set for EA11"):
        assemble_key_change([third, first, second], MISTY1)


def test_no_section_is_refused() -> None:
    with pytest.raises(SectionSetError, match="sections none"):
        assemble_key_change([], STA)


def test_repeated_section_is_refused(change: KeyChange) -> None:
    first, _, _, _ = build_sections(change)
    with pytest.raises(SectionSetError, match="sections 1, 1"):
        assemble_key_change([first, first], STA)


def test_supply_group_above_6_digits_is_a_range_error(change: KeyChange) -> None:
    first, second, _, fourth = build_sections(change)
    above = Set3rdSectionDecoderKey(sgc_low=0xFFF, nkmo2=b"abcd")
    answer = assemble_key_change([first, second, above, fourth], MISTY1)
    assert answer == Rejection(TokenResult.RANGE_ERROR)


@pytest.mark.parametrize("ea", EncryptionAlgorithm)
def test_set_of_three_is_refused_by_name(ea: EncryptionAlgorithm) -> None:
    with pytest.raises(UnsupportedError, match="THREE_SECTION_SET"):
        require_section_count(ea, 3)


@pytest.mark.parametrize(("ea", "count"), [(STA, 0), (STA, 1), (STA, 4), (MISTY1, 2), (MISTY1, 5)])
def test_other_number_of_sections_is_refused(ea: EncryptionAlgorithm, count: int) -> None:
    with pytest.raises(SectionSetError):
        require_section_count(ea, count)


@pytest.mark.parametrize(("ea", "count"), [(STA, 2), (MISTY1, 4)])
def test_number_of_sections_is_the_algorithms(ea: EncryptionAlgorithm, count: int) -> None:
    require_section_count(ea, count)
