"""Components make a key together, and check values catch what was typed wrong."""

import traceback
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.vending_keys import DKGA02_HEX, DKGA04_HEX, DUTK_1993, DUTK_2014
from vending.keystore.components import (
    KeyComponent,
    KeyImport,
    combine,
    compute_check_value,
    parse_check_value,
)
from vending.keystore.errors import (
    CheckValueError,
    ComponentCountError,
    InvalidComponentError,
    MeterConfigurationError,
    WeakKeyError,
)
from vending.keystore.redaction import Secret
from vending.sts.keys import KeyType

PART = "0123456789abcdef"


def parts(*texts: str) -> list[KeyComponent]:
    return [KeyComponent.parse(text) for text in texts]


@pytest.fixture
def dkga02() -> KeyImport:
    return replace(DUTK_1993, components=parts(PART, "aa88eecc22006644"))


def test_components_are_combined_by_exclusive_or(dkga02: KeyImport) -> None:
    secret, _ = combine(dkga02)
    assert secret.reveal().hex() == DKGA02_HEX


@pytest.mark.parametrize("brought", [DUTK_1993, DUTK_2014])
def test_published_keys_come_out_of_their_components(brought: KeyImport) -> None:
    secret, _ = combine(brought)
    assert secret.reveal().hex() in {DKGA02_HEX, DKGA04_HEX.lower()}


@pytest.mark.parametrize(
    ("key_hex", "brought", "check_value"),
    [
        # DES of a zero block, as OpenSSL computes it with the key three times.
        ("0123456789abcdef", DUTK_1993, "D5D44F"),
        # HMAC-SHA-256 of eight zero bytes (ours), computed by OpenSSL.
        (DKGA04_HEX, DUTK_2014, "0F353D"),
    ],
)
def test_check_value_is_six_digits_of_the_zero_block(
    key_hex: str, brought: KeyImport, check_value: str
) -> None:
    secret = Secret(bytes.fromhex(key_hex))
    assert compute_check_value(secret, brought.attributes) == check_value


@given(st.lists(st.binary(min_size=20, max_size=20), min_size=2, max_size=9))
def test_any_components_combine_to_their_exclusive_or_or_are_refused(
    materials: list[bytes],
) -> None:
    whole = reduce(lambda a, b: bytes(x ^ y for x, y in zip(a, b, strict=True)), materials)
    components = [KeyComponent(Secret(material), check_value=None) for material in materials]
    brought = replace(DUTK_2014, components=components)
    if not any(whole) or whole in materials or not all(any(one) for one in materials):
        with pytest.raises(WeakKeyError):
            combine(brought)
    else:
        assert combine(brought)[0].reveal() == whole


def test_spaces_and_hyphens_are_allowed_in_components() -> None:
    assert KeyComponent.parse("0123 4567-89AB\tCDEF").secret.reveal().hex() == PART


@pytest.mark.parametrize("text", ["0123456789abcdeg", "012", "", "zz"])
def test_component_that_is_no_hexadecimal_or_too_short_is_refused(
    dkga02: KeyImport, text: str
) -> None:
    with pytest.raises(InvalidComponentError):
        combine(replace(dkga02, components=parts(PART, text)))


def test_refused_component_is_not_shown_by_a_traceback_with_locals() -> None:
    typed = ["0123456789", "abcdeg"]
    with pytest.raises(InvalidComponentError) as refused:
        KeyComponent.parse("".join(typed))
    shown = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    assert "".join(typed) not in "".join(shown.format())
    assert refused.value.facts == {"fault": "not_hexadecimal", "component": None}


@pytest.mark.parametrize("length", [7, 9, 16, 20])
def test_component_of_another_length_is_refused_by_its_number(
    dkga02: KeyImport, length: int
) -> None:
    wrong = KeyComponent(Secret(b"\1" * length), check_value=None)
    with pytest.raises(InvalidComponentError) as refused:
        combine(replace(dkga02, components=[*parts(PART), wrong]))
    assert refused.value.facts == {"fault": "length", "component": 2}


def test_check_value_of_each_component_is_verified(dkga02: KeyImport) -> None:
    right = KeyComponent.parse(PART, check_value="d5d4 4f")
    combine(replace(dkga02, components=[right, dkga02.components[1]]))
    wrong = KeyComponent.parse(PART, check_value="D5D44E")
    with pytest.raises(CheckValueError) as refused:
        combine(replace(dkga02, components=[dkga02.components[1], wrong]))
    assert refused.value.facts == {"component": 2}


def test_check_value_of_the_whole_key_is_verified(dkga02: KeyImport) -> None:
    _, check_value = combine(dkga02)
    combine(replace(dkga02, check_value=check_value.lower()))
    with pytest.raises(CheckValueError, match="combined key") as refused:
        combine(replace(dkga02, check_value="000000"))
    assert refused.value.facts == {"component": None}


@pytest.mark.parametrize("text", ["", "D5D4", "D5D44F00", "D5D44G"])
def test_check_value_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidComponentError, match="6 hexadecimal digits"):
        parse_check_value(text)


def test_key_in_one_component_is_refused(dkga02: KeyImport) -> None:
    with pytest.raises(ComponentCountError) as refused:
        combine(replace(dkga02, components=parts(PART)))
    assert refused.value.facts == {"count": 1, "count_min": 2, "count_max": 9}


def test_demonstration_key_may_come_in_one_component(dkga02: KeyImport) -> None:
    secret, _ = combine(replace(dkga02, components=parts(PART), is_demo=True))
    assert secret.reveal().hex() == PART


@pytest.mark.parametrize("count", [0, 10])
def test_no_component_and_too_many_are_refused(dkga02: KeyImport, count: int) -> None:
    with pytest.raises(ComponentCountError):
        combine(replace(dkga02, components=parts(PART) * count))


@pytest.mark.parametrize(
    ("texts", "weakness"),
    [
        ((PART, "0" * 16), "zero_component"),
        ((PART, PART), "cancelled"),
        ((PART, PART, "fedcba9876543210"), "one_component"),
        (("0101010101010101", "0202020202020202", "0303030303030302"), "weak_for_des"),
        (("1f1f1f1f0e0e0e0e", "f0f0f0f0f0f0f0f0", "f0f0f0f0f0f0f0f1"), "weak_for_des"),
    ],
)
def test_key_that_protects_nothing_is_refused(
    dkga02: KeyImport, texts: tuple[str, ...], weakness: str
) -> None:
    with pytest.raises(WeakKeyError) as refused:
        combine(replace(dkga02, components=parts(*texts)))
    assert refused.value.facts == {"weakness": weakness}


def test_parity_bits_are_not_altered(dkga02: KeyImport) -> None:
    even = replace(dkga02, components=parts("1000000000000000", "2244668800224466"))
    secret, _ = combine(even)
    assert secret.reveal().hex() == "3244668800224466"


def test_initialisation_key_is_refused(dkga02: KeyImport) -> None:
    attributes = replace(dkga02.attributes, kt=KeyType.DITK)
    with pytest.raises(MeterConfigurationError, match="DITK"):
        combine(replace(dkga02, attributes=attributes))


def test_components_and_imports_print_no_key(dkga02: KeyImport) -> None:
    shown = repr(dkga02)
    assert "Secret(8 bytes)" in shown
    assert PART not in shown
