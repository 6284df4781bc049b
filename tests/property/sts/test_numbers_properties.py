"""Laws of amounts, token identifiers, meter numbers, ciphers and key changes."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.vectors.sts import naive_sts
from vending.sts import (
    LARGEST_CURRENCY_AMOUNT,
    LARGEST_TID,
    LARGEST_TRANSFER_AMOUNT,
    SGC,
    TI,
    BaseDate,
    DecoderKey,
    EncryptionAlgorithm,
    KeyAttributes,
    KeyDerivation,
    KeyType,
    MeterPAN,
    TIDAheadError,
    TokenIdentifier,
    VendingKey,
    assemble_key_change,
    build_sections,
    decode,
    decode_currency_amount,
    decode_transfer_amount,
    encode_currency_amount,
    encode_key_change_set,
    encode_transfer_amount,
    luhn_check_digit,
    next_tid,
    parse_meter,
    plan_key_change,
)
from vending.sts.bits import Bits64, Bits66
from vending.sts.dkga import derive_decoder_key
from vending.sts.ea import new_cipher
from vending.sts.errors import ModuleFrameError
from vending.sts.security_module import LineBuffer, decode_request
from vending.sts.tcdu import from_digits, to_digits, transpose

units = st.integers(0, LARGEST_TRANSFER_AMOUNT)
fractions = st.fractions(0, LARGEST_TRANSFER_AMOUNT, max_denominator=1000)
currency_amounts = st.one_of(
    st.integers(-(10**9), 10**9),
    st.integers(-LARGEST_CURRENCY_AMOUNT, LARGEST_CURRENCY_AMOUNT),
    st.fractions(-(10**9), 10**9, max_denominator=1000),
)
drns = st.one_of(
    st.from_regex(r"[0-9]{10}", fullmatch=True), st.from_regex(r"[0-9]{12}", fullmatch=True)
)
blocks = st.integers(0, (1 << 64) - 1).map(Bits64)


@given(amount=st.one_of(units, fractions))
def test_customer_never_receives_less_nor_a_step_more(amount: int | Fraction) -> None:
    code = encode_transfer_amount(amount)
    received = decode_transfer_amount(code)
    step = 10 ** (code >> 14)
    assert amount <= received < amount + step


@given(low=units, high=units)
def test_more_units_never_receive_less(low: int, high: int) -> None:
    assume(low <= high)
    assert encode_transfer_amount(low) <= encode_transfer_amount(high)


@given(amount=units)
def test_transfer_code_agrees_with_the_second_implementation(amount: int) -> None:
    assert encode_transfer_amount(amount) == int(naive_sts.amount_bits(amount), 2)


@given(amount=currency_amounts)
def test_currency_is_rounded_towards_plus_infinity_by_less_than_a_step(
    amount: int | Fraction,
) -> None:
    code = encode_currency_amount(amount)
    received = decode_currency_amount(code)
    step = 10 ** (code >> 14 & 31)
    assert amount <= received < amount + step
    assert encode_currency_amount(received) == code


@given(amount=currency_amounts)
def test_currency_code_agrees_with_the_second_implementation(amount: int | Fraction) -> None:
    sign_and_exponent, rest = naive_sts.currency_bits(Fraction(amount) / 100_000)
    assert encode_currency_amount(amount) == int(sign_and_exponent + rest, 2)


@given(minutes=st.integers(0, LARGEST_TID - 200), behind=st.integers(-70, 70))
def test_next_tid_rises_skips_the_reserved_minute_and_keeps_near_the_clock(
    minutes: int, behind: int
) -> None:
    now = BaseDate.Y2014.instant + timedelta(minutes=minutes)
    last = max(0, minutes - behind)
    try:
        tid = next_tid(now, BaseDate.Y2014, last=last)
    except TIDAheadError:
        assert last + 1 - minutes >= 60
        return
    assert tid.minutes > last
    assert tid.minutes >= minutes
    assert tid.minutes - minutes <= 60
    assert tid.minutes % 1440 != 1


@given(minutes=st.integers(0, LARGEST_TID), base_date=st.sampled_from(BaseDate))
def test_tid_and_its_instant_go_back_and_forth(minutes: int, base_date: BaseDate) -> None:
    assume(minutes % 1440 != 1)
    tid = TokenIdentifier(minutes)
    assert TokenIdentifier.at(tid.instant(base_date), base_date) == tid


@given(body=drns)
def test_meter_number_in_either_form_is_the_same_meter(body: str) -> None:
    drn = body + luhn_check_digit(body)
    pan = parse_meter(drn)
    assert parse_meter(pan.digits) == pan
    assert pan.drn.digits == drn
    assert len(pan.digits) == 18


@given(token=st.integers(0, (1 << 66) - 1).map(Bits66))
def test_transposition_is_its_own_inverse(token: Bits66) -> None:
    assert transpose(transpose(token)) == token
    assert from_digits(to_digits(token)) == token


@given(key=st.binary(min_size=16, max_size=16), block=blocks)
def test_ciphers_decrypt_what_they_encrypt(key: bytes, block: Bits64) -> None:
    for ea in EncryptionAlgorithm:
        cipher = new_cipher(ea, key[: ea.key_size_bytes])
        assert cipher.decrypt(cipher.encrypt(block)) == block
        assert cipher.encrypt(cipher.decrypt(block)) == block


@st.composite
def key_attributes(draw: st.DrawFn) -> KeyAttributes:
    return KeyAttributes(
        sgc=draw(st.integers(0, 999_999).map(SGC.from_number)),
        kt=draw(st.sampled_from([KeyType.DDTK, KeyType.DUTK])),
        krn=draw(st.integers(1, 9)),
        ken=draw(st.integers(0, 255)),
        base_date=draw(st.sampled_from(BaseDate)),
        dkga=KeyDerivation.DKGA04,
    )


tariff_indexes = st.integers(0, 99).map(TI.from_number)


@given(
    old=key_attributes(),
    new=key_attributes(),
    ti=tariff_indexes,
    material=st.binary(min_size=16, max_size=16),
    ea=st.sampled_from(EncryptionAlgorithm),
    order=st.randoms(use_true_random=False),
)
def test_key_change_arrives_whole_in_whatever_order(
    old: KeyAttributes,
    new: KeyAttributes,
    ti: TI,
    material: bytes,
    ea: EncryptionAlgorithm,
    order: object,
) -> None:
    old_key = DecoderKey(bytes(ea.key_size_bytes), ea)
    new_key = DecoderKey(material[: ea.key_size_bytes], ea)
    change = plan_key_change(old, new, new_key=new_key, new_ti=ti)
    tokens = list(encode_key_change_set(change, old_key))
    order.shuffle(tokens)  # type: ignore[attr-defined]  # seeded source
    sections = [decode(token, old_key) for token in tokens]
    assert assemble_key_change(sections, ea) == change  # type: ignore[arg-type]  # none is refused
    assert len(build_sections(change)) == len(tokens)


@settings(max_examples=40)
@given(
    attributes=key_attributes(),
    material=st.binary(min_size=20, max_size=20),
    ti=tariff_indexes,
    ea=st.sampled_from(EncryptionAlgorithm),
    body=drns,
)
def test_derived_key_agrees_with_the_second_implementation(
    attributes: KeyAttributes, material: bytes, ti: TI, ea: EncryptionAlgorithm, body: str
) -> None:
    pan = MeterPAN.from_drn(body + luhn_check_digit(body))
    key = derive_decoder_key(VendingKey(attributes, material), pan=pan, ti=ti, ea=ea)
    expected = naive_sts.decoder_key(
        {
            "dkga": 4,
            "ea": int(ea),
            "base_date": int(attributes.base_date),
            "tariff_index": ti.digits,
            "sgc": attributes.sgc.digits,
            "key_type": int(attributes.kt),
            "key_revision": attributes.krn,
            "pan": pan.digits,
            "vending_key": material.hex(),
        }
    )
    assert naive_sts.from_hex(key.material.hex()) == expected


@given(noise=st.binary(max_size=80))
def test_security_module_answers_noise_with_a_frame_error(noise: bytes) -> None:
    for line in LineBuffer().receive(noise + b"\r"):
        with pytest.raises(ModuleFrameError) as refusal:
            decode_request(line)
        assert len(refusal.value.status) == 2
