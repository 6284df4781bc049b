"""Laws of the key store: seals open to what was sealed, tokens do not depend on the custody."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.support.vending_keys import DUTK_1993, DUTK_2014
from vending.keystore.components import KeyComponent, KeyImport, combine
from vending.keystore.errors import SealBrokenError, WeakKeyError
from vending.keystore.generation import GenerationFile
from vending.keystore.model import HeaderRow, KeyReference
from vending.keystore.port import CreditTokenRequest
from vending.keystore.redaction import Secret
from vending.keystore.sealing import Keyring, Purpose, Sealer, associate
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore, with_manifest
from vending.sts.codec import encode
from vending.sts.dkga import derive_decoder_key
from vending.sts.keys import TI, EncryptionAlgorithm, VendingKey
from vending.sts.pan import MeterPAN
from vending.sts.tid import LARGEST_TID, TokenIdentifier
from vending.sts.tokens import Resource, TransferCredit

SEALER = Keyring(Secret(bytes(range(32)))).sealer(Purpose.STORED_ANSWERS)
OTHER = Keyring(Secret(bytes(range(1, 33)))).sealer(Purpose.STORED_ANSWERS)
METER = MeterPAN("600727000000000009")

fields = st.lists(st.one_of(st.binary(max_size=9), st.text(max_size=9), st.integers()), max_size=4)


def opens(sealer: Sealer, sealed: bytes, associated: bytes) -> bool:
    try:
        sealer.open(sealed, associated=associated)
    except SealBrokenError:
        return False
    return True


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_was_sealed_comes_out(plaintext: bytes, associated: bytes) -> None:
    sealed = SEALER.seal(plaintext, associated=associated)
    assert SEALER.open(sealed, associated=associated) == plaintext
    assert plaintext not in sealed or len(plaintext) < 4


@given(st.binary(max_size=60), st.binary(max_size=20), st.binary(max_size=20))
def test_seal_opens_in_its_own_place_only(plaintext: bytes, here: bytes, there: bytes) -> None:
    sealed = SEALER.seal(plaintext, associated=here)
    assert opens(SEALER, sealed, there) == (here == there)
    assert not opens(OTHER, sealed, here)


@given(st.binary(max_size=120))
def test_bytes_that_were_never_sealed_do_not_open(garbage: bytes) -> None:
    assert not opens(SEALER, garbage, b"")


@given(fields, fields)
def test_associated_data_is_the_same_for_the_same_fields_only(
    one: list[bytes | str | int], other: list[bytes | str | int]
) -> None:
    is_same = [(type(field), field) for field in one] == [(type(field), field) for field in other]
    assert (associate(*one) == associate(*other)) == is_same


def component(material: bytes) -> KeyComponent:
    return KeyComponent(Secret(material), check_value=None)


def in_custody(brought: KeyImport) -> SoftwareSecurityModule:
    """A module whose store holds this one key."""
    keyring = Keyring.generate()
    blank = HeaderRow(store_id=b"s", envelope=b"", generation=1, created_at_us=0, manifest=b"")
    file = GenerationFile(Path("never-written"))
    empty = OpenKeyStore(keyring, with_manifest(keyring, blank, []), [], file)
    secret, check_value = combine(brought)
    row = empty.seal_key(
        brought.attributes,
        secret,
        check_value=check_value,
        component_count=len(brought.components),
        is_demo=False,
        at=datetime(2026, 11, 25, tzinfo=UTC),
    )
    store = empty.reread(with_manifest(keyring, blank, [row]), [row])
    return SoftwareSecurityModule(store, demo_allowed=False)


@given(
    brought=st.sampled_from([DUTK_1993, DUTK_2014]),
    materials=st.lists(st.binary(min_size=20, max_size=20), min_size=2, max_size=3),
    units=st.integers(0, 18_201_624),
    tid=st.integers(0, LARGEST_TID).map(TokenIdentifier),
    rnd=st.integers(0, 15),
    ti=st.integers(0, 99).map(TI.from_number),
)
def test_token_out_of_custody_is_the_token_of_the_key_itself(
    brought: KeyImport,
    materials: list[bytes],
    units: int,
    tid: TokenIdentifier,
    rnd: int,
    ti: TI,
) -> None:
    size = brought.attributes.dkga.vending_key_size_bytes
    divided = replace(brought, components=[component(material[:size]) for material in materials])
    try:
        whole, _ = combine(divided)
    except WeakKeyError:
        return
    sta = EncryptionAlgorithm.STA
    request = CreditTokenRequest(
        pan=METER,
        ti=ti,
        ea=sta,
        base_date=brought.attributes.base_date,
        resource=Resource.ELECTRICITY,
        units=units,
        tid=tid,
        rnd=rnd,
    )
    key = derive_decoder_key(
        VendingKey(brought.attributes, whole.reveal()), pan=METER, ti=ti, ea=sta
    )
    token = TransferCredit(resource=Resource.ELECTRICITY, rnd=rnd, tid=tid, units=units)
    register = KeyReference.of(brought.attributes)
    assert in_custody(divided).vend(register, request) == encode(token, key)
