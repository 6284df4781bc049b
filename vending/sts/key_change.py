"""Key-change tokens: the sections that carry a new decoder key to a meter (IEC 62055-41, KCT).

    section   carries                         with EA07          with EA11
    1st       KENHO KRN RO KT, NKHO           key bytes 0..3     key bytes 0..3
    2nd       KENLO TI, NKLO                  key bytes 4..7     key bytes 12..15
    3rd       SGCLO, NKMO2                                       key bytes 4..7
    4th       SGCHO, NKMO1                                       key bytes 8..11

They are encrypted under the meter's present decoder key. A meter takes them in any order, acts
when it has all, and cannot notice sections of two sets mixed: print a set together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from vending.sts.codec import encode
from vending.sts.errors import (
    CarrierError,
    KeyTypeChangeError,
    SectionSetError,
    Unsupported,
    UnsupportedError,
)
from vending.sts.keys import (
    LARGEST_SGC,
    SGC,
    TI,
    DecoderKey,
    EncryptionAlgorithm,
    KeyAttributes,
    KeyType,
)
from vending.sts.results import Rejection, TokenResult
from vending.sts.tcdu import TokenCarrierType, TokenDigits
from vending.sts.tokens import (
    SectionToken,
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
)

KEY_TYPE_CHANGES: Final[Mapping[KeyType, frozenset[KeyType]]] = {
    KeyType.DITK: frozenset({KeyType.DDTK, KeyType.DUTK, KeyType.DCTK}),
    KeyType.DDTK: frozenset({KeyType.DDTK, KeyType.DUTK}),
    KeyType.DUTK: frozenset({KeyType.DDTK, KeyType.DUTK}),
    KeyType.DCTK: frozenset({KeyType.DDTK, KeyType.DUTK, KeyType.DCTK}),
}
"""Which key type may become which (ours): nothing returns to DITK, and only a meter that starts
on a DITK or a DCTK takes a DCTK."""

_SECTION_RECORDS: Final = (
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
)
SECTION_COUNTS: Final[Mapping[EncryptionAlgorithm, int]] = {
    EncryptionAlgorithm.STA: 2,
    EncryptionAlgorithm.MISTY1: 4,
}
_THREE_SECTIONS: Final = 3
_SGC_HALF_WIDTH: Final = 12
_SGC_HALF_MASK: Final = (1 << _SGC_HALF_WIDTH) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """What a key-change set tells a meter.

    `sgc` is `None` where the set does not carry it: sets of two sections do not, and the meter
    keeps what it had. `rollover` is set when, and only when, the base date changes: the meter
    then clears its TID memory.
    """

    key: DecoderKey
    kt: KeyType
    krn: int
    ken: int
    ti: TI
    sgc: SGC | None
    rollover: bool


def plan_key_change(
    old: KeyAttributes,
    new: KeyAttributes,
    *,
    new_key: DecoderKey,
    new_ti: TI,
    tct: TokenCarrierType = TokenCarrierType.NUMERIC,
) -> KeyChange:
    """Return the change of a meter from a key of attributes `old` to `new_key`.

    Raises:
        KeyTypeChangeError: The old key type may not become the new one.
        CarrierError: The new key is common, and the meter reads no magnetic card.
    """
    require_key_type_change(old.kt, new.kt, tct=tct)
    return describe_key_change(
        new, new_key=new_key, new_ti=new_ti, rollover=old.base_date is not new.base_date
    )


def describe_key_change(
    new: KeyAttributes, *, new_key: DecoderKey, new_ti: TI, rollover: bool
) -> KeyChange:
    """Return what a set tells a meter of its new key, with no rule applied."""
    return KeyChange(
        key=new_key,
        kt=new.kt,
        krn=new.krn,
        ken=new.ken,
        ti=new_ti,
        sgc=new.sgc if SECTION_COUNTS[new_key.ea] == len(_SECTION_RECORDS) else None,
        rollover=rollover,
    )


def require_key_type_change(old: KeyType, new: KeyType, *, tct: TokenCarrierType) -> None:
    """Refuse a change of key type that no meter should be sent.

    Raises:
        KeyTypeChangeError: The old key type may not become the new one.
        CarrierError: The new key is common, and the meter reads no magnetic card.
    """
    if new not in KEY_TYPE_CHANGES[old]:
        raise KeyTypeChangeError(old=old.name, new=new.name)
    if new is KeyType.DCTK and tct is not TokenCarrierType.MAGNETIC_CARD:
        raise CarrierError(tct=tct)


def require_section_count(ea: EncryptionAlgorithm, count: int) -> None:
    """Refuse a number of sections that is not the algorithm's.

    Raises:
        UnsupportedError: Three sections, a form that exists and is refused by name.
        SectionSetError: Any other number that is not 2 for EA07 or 4 for EA11.
    """
    if count == _THREE_SECTIONS:
        raise UnsupportedError(Unsupported.THREE_SECTION_SET)
    if count != SECTION_COUNTS[ea]:
        raise SectionSetError(ea=ea, sections=f"1 to {count}")


def build_sections(change: KeyChange) -> tuple[SectionToken, ...]:
    """Return the sections of a change, 1st first: two for EA07, four for EA11."""
    material = change.key.material
    first = Set1stSectionDecoderKey(
        ken_high=change.ken >> 4,
        krn=change.krn,
        rollover=change.rollover,
        kt=change.kt,
        nkho=material[:4],
    )
    second = Set2ndSectionDecoderKey(ken_low=change.ken & 0xF, ti=change.ti, nklo=material[-4:])
    if change.sgc is None:
        return first, second
    sgc = int(change.sgc)
    third = Set3rdSectionDecoderKey(sgc_low=sgc & _SGC_HALF_MASK, nkmo2=material[4:8])
    fourth = Set4thSectionDecoderKey(sgc_high=sgc >> _SGC_HALF_WIDTH, nkmo1=material[8:12])
    return first, second, third, fourth


def encode_key_change_set(change: KeyChange, old_key: DecoderKey) -> tuple[TokenDigits, ...]:
    """Return the tokens of a change, 1st section first, under the meter's present key.

    Raises:
        SectionSetError: The two keys are of different algorithms, which no meter is.
    """
    if change.key.ea is not old_key.ea:
        raise SectionSetError(ea=old_key.ea, sections=f"of EA{change.key.ea.digits}")
    return tuple(encode(section, old_key) for section in build_sections(change))


def assemble_key_change(
    sections: Iterable[SectionToken], ea: EncryptionAlgorithm
) -> KeyChange | Rejection:
    """Return the change that a whole set of sections tells of, in whatever order they came.

    RangeError when the two halves of the SGC make a number above 999999.

    Raises:
        SectionSetError: A section is missing, comes twice, or is not of this algorithm.
    """
    held = sorted(sections, key=_section_number)
    match ea, held:
        case EncryptionAlgorithm.STA, [
            Set1stSectionDecoderKey() as first,
            Set2ndSectionDecoderKey() as second,
        ]:
            return _join(first, second, material=first.nkho + second.nklo, sgc=None, ea=ea)
        case EncryptionAlgorithm.MISTY1, [
            Set1stSectionDecoderKey() as first,
            Set2ndSectionDecoderKey() as second,
            Set3rdSectionDecoderKey() as third,
            Set4thSectionDecoderKey() as fourth,
        ]:
            number = fourth.sgc_high << _SGC_HALF_WIDTH | third.sgc_low
            if number > LARGEST_SGC:
                return Rejection(TokenResult.RANGE_ERROR)
            material = first.nkho + third.nkmo2 + fourth.nkmo1 + second.nklo
            sgc = SGC.from_number(number)
            return _join(first, second, material=material, sgc=sgc, ea=ea)
        case _:
            numbers = ", ".join(str(_section_number(section)) for section in held)
            raise SectionSetError(ea=ea, sections=numbers or "none")


def _section_number(section: SectionToken) -> int:
    """Return 1 to 4, as the standard counts sections."""
    return _SECTION_RECORDS.index(type(section)) + 1


def _join(
    first: Set1stSectionDecoderKey,
    second: Set2ndSectionDecoderKey,
    *,
    material: bytes,
    sgc: SGC | None,
    ea: EncryptionAlgorithm,
) -> KeyChange:
    return KeyChange(
        key=DecoderKey(material, ea),
        kt=first.kt,
        krn=first.krn,
        ken=first.ken_high << 4 | second.ken_low,
        ti=second.ti,
        sgc=sgc,
        rollover=first.rollover,
    )
