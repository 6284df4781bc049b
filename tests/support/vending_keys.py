"""Vending keys that anybody may know: those of the published conformance tokens.

Source: STS 531-1-0-02 (DKGA02) and STS 531-1-07, 531-1-11 Edition 2.2 (DKGA04).
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from vending.keystore.components import KeyComponent, KeyImport, combine
from vending.keystore.generation import GenerationFile
from vending.keystore.model import HeaderRow, KeyReference, to_microseconds
from vending.keystore.redaction import Secret
from vending.keystore.sealing import Keyring
from vending.keystore.store import Keeper, OpenKeyStore, keep_in_store, with_manifest
from vending.sts.keys import SGC, KeyAttributes, KeyDerivation, KeyType
from vending.sts.tid import BaseDate

DKGA02_HEX = "abababababababab"
DKGA04_HEX = "ABABABABABABABAB949494949494949401234567"
IMPORTED_AT = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)

# The two components of each key: a custodian's part chosen here, and what makes it whole.
_PARTS = {8: bytes(range(1, 9)), 20: bytes(range(1, 21))}


def divided(key_hex: str) -> list[KeyComponent]:
    whole = bytes.fromhex(key_hex)
    part = _PARTS[len(whole)]
    rest = bytes(a ^ b for a, b in zip(whole, part, strict=True))
    return [
        KeyComponent(Secret(part), check_value=None),
        KeyComponent(Secret(rest), check_value=None),
    ]


DUTK_2014 = KeyImport(
    attributes=KeyAttributes(
        sgc=SGC("201457"),
        kt=KeyType.DUTK,
        krn=1,
        ken=255,
        base_date=BaseDate.Y2014,
        dkga=KeyDerivation.DKGA04,
    ),
    components=divided(DKGA04_HEX),
)
DUTK_1993 = KeyImport(
    attributes=KeyAttributes(
        sgc=SGC("123456"),
        kt=KeyType.DUTK,
        krn=1,
        ken=255,
        base_date=BaseDate.Y1993,
        dkga=KeyDerivation.DKGA02,
    ),
    components=divided(DKGA02_HEX),
)


def under(attributes: KeyAttributes, *, is_demo: bool = False) -> KeyImport:
    """The published key of that derivation, under these attributes."""
    published = DUTK_2014 if attributes.dkga is KeyDerivation.DKGA04 else DUTK_1993
    return replace(published, attributes=attributes, is_demo=is_demo)


_04, _02 = DUTK_2014.attributes, DUTK_1993.attributes
DUTK_2035 = under(replace(_04, sgc=SGC("203557"), krn=6, base_date=BaseDate.Y2035))
DDTK_2014 = under(replace(_04, kt=KeyType.DDTK))
DCTK_1993 = under(replace(_02, kt=KeyType.DCTK))
DCTK_2014 = under(replace(_04, kt=KeyType.DCTK))
EXPIRED = under(replace(_04, sgc=SGC("201458"), ken=10))
RETIRED = under(replace(_04, sgc=SGC("201459")))
DEMO = under(replace(_04, sgc=SGC("999999")), is_demo=True)

ALL_KEYS = (
    DUTK_2014,
    DUTK_1993,
    DUTK_2035,
    DDTK_2014,
    DCTK_1993,
    DCTK_2014,
    EXPIRED,
    RETIRED,
    DEMO,
)


def register_of(brought: KeyImport) -> KeyReference:
    return KeyReference.of(brought.attributes)


def store_in_memory(folder: Path, *, keeper: Keeper = keep_in_store) -> OpenKeyStore:
    """An open store that holds every key above and that no database knows; RETIRED is retired."""
    keyring = Keyring.generate()
    blank = HeaderRow(
        store_id=bytes(range(16)),
        envelope=b"never read here",
        generation=1,
        created_at_us=to_microseconds(IMPORTED_AT),
        manifest=b"",
    )
    header = with_manifest(keyring, blank, [])
    store = OpenKeyStore(keyring, header, [], GenerationFile(folder), keeper=keeper)
    rows = []
    for brought in ALL_KEYS:
        secret, check_value = combine(brought)
        rows.append(
            store.seal_key(
                brought.attributes,
                secret,
                check_value=check_value,
                component_count=len(brought.components),
                is_demo=brought.is_demo,
                at=IMPORTED_AT,
            )
        )
    filled = store.reread(with_manifest(keyring, blank, rows), rows)
    row = filled.retired_row(register_of(RETIRED), at=IMPORTED_AT)
    others = [old for old in rows if old.name != row.name]
    retired = [*others, row]
    return filled.reread(filled.header_with(row), retired)
