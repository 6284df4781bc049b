import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from vending.sts.codec import encode
from vending.sts.conformance import (
    _Case,
    _compare,
    check_document,
    check_vector,
    list_vectors,
)
from vending.sts.errors import VectorError
from vending.sts.key_change import build_sections, describe_key_change, encode_key_change_set
from vending.sts.keys import TI, DecoderKey, KeyAttributes
from vending.sts.tokens import InitiateMeterTest

VECTORS = {
    vector["id"]: vector
    for name in ("published.json", "ours.json")
    for vector in json.loads(
        (Path(__file__).parents[3] / "vectors" / "sts" / name).read_text(encoding="utf-8")
    )["vectors"]
}
CREDIT = VECTORS["EA07-CTSA01-1"]
CURRENCY = VECTORS["EA11-CTSA20-13"]
MANAGEMENT = VECTORS["D02-CTSA03-1"]
TAMPER = VECTORS["D02-CTSA06-1"]
KEY_CHANGE = VECTORS["EA07-CTSA05-2"]
KEY_CHANGE_4 = VECTORS["EA11-CTSA05-2"]
CLASS1 = VECTORS["C1-CTSA11-4d-0x8"]


def without(vector: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in vector.items() if name not in names}


@pytest.mark.parametrize(
    "vector",
    [
        CREDIT | {"pan": 600727000000000009, "sgc": 201457, "tariff_index": 1},
        CREDIT | {"pan": "6007 2700 0000 0000 09", "sgc": "201457"},
        CREDIT | {"pan": "00000000000"},
        CREDIT | {"vending_key": "0x" + CREDIT["vending_key"].lower()},
        CREDIT | {"token": 70630503470028726114},
        CREDIT | {"token": "7063 0503 4700 2872 6114"},
        CREDIT | {"units": "1", "rnd": "0x5", "dkga": "04", "ea": "07", "key_type": "2"},
        CREDIT | {"units": 1.0, "base_date": "2014", "key_revision": "1", "key_expiry": "0xFF"},
        CREDIT | {"units": "0.1"},
        CREDIT | {"issued": "2014-03-01T13:00:59Z"},
        CREDIT | {"issued": "2014-03-01 16:00+03:00"},
        without(CREDIT, "rnd"),
        CURRENCY | {"units": -1},
        CURRENCY | {"kind": "credit"},
        without(MANAGEMENT, "value_is_amount_coded"),
        MANAGEMENT | {"value_is_amount_coded": "true"},
        without(TAMPER, "value", "value_is_amount_coded"),
        without(KEY_CHANGE, "rollover"),
        KEY_CHANGE | {"rollover": True},
        KEY_CHANGE
        | {
            "old": {**KEY_CHANGE["old"], "key_type": 2},
            "new": {**KEY_CHANGE["new"], "key_type": 2},
        },
        CLASS1 | {"control": 8},
        CLASS1 | {"control": "8"},
        CLASS1 | {"control": "0X8"},
        without(CLASS1, "manufacturer", "manufacturer_digits"),
    ],
)
def test_equivalent_forms_are_read_alike(vector: dict[str, Any]) -> None:
    outcome = check_vector(vector)
    assert outcome.passed, outcome.message
    assert outcome.message == ""


@pytest.mark.parametrize(
    ("vector", "field", "problem"),
    [
        (without(CREDIT, "token"), "token", "it is missing"),
        (without(CREDIT, "issued"), "issued", "it is missing"),
        (CREDIT | {"token": "706305034700287261"}, "token", "is not 20 digits"),
        (CREDIT | {"token": [1]}, "token", "write a number or a text"),
        (CREDIT | {"issued": "yesterday"}, "issued", "a UTC time such as"),
        (CREDIT | {"issued": "2013-12-31 23:59"}, "issued", "before the base date"),
        (CREDIT | {"issued": "2046-01-01 00:00"}, "issued", "24 bits of a TID"),
        (CREDIT | {"units": "many"}, "units", "a number such as 1, 0.5 or -1"),
        (CREDIT | {"units": "9" * 41}, "units", "a number such as"),
        (CREDIT | {"units": True}, "units", "a number such as"),
        (CREDIT | {"subclass": False}, "subclass", "decimal digits"),
        (CREDIT | {"rnd": "five"}, "rnd", "decimal digits, or 0x and hex"),
        (CREDIT | {"rnd": "0xfg"}, "rnd", "hex digits"),
        (CREDIT | {"subclass": 8}, "subclass", "resource 8 is not within 0 to 3"),
        (CREDIT | {"pan": "600727000000000008"}, "pan", "the other digits call for 9"),
        (CREDIT | {"sgc": "20145x"}, "sgc", "is not 6 digits"),
        (CREDIT | {"tariff_index": "100"}, "tariff_index", "is not 2 digits"),
        (CREDIT | {"vending_key": "ABC"}, "vending_key", "an even count of hex digits"),
        (CREDIT | {"vending_key": "secret"}, "vending_key", "of 6 characters"),
        (CREDIT | {"dkga": 1}, "dkga", "DKGA01"),
        (CREDIT | {"ea": 9}, "ea", "EA09"),
        (CREDIT | {"base_date": 2000}, "base_date", "1993, 2014, 2035"),
        (CREDIT | {"kind": "coupon"}, "kind", "'coupon' is not one of credit, management"),
        (without(CREDIT, "kind"), "kind", "'None' is not one of"),
        (CREDIT | {"expect": "CRCError"}, "expect", "name tokens, not refusals"),
        (CURRENCY | {"subclass": 3}, "subclass", "4 to 7 for currency"),
        (MANAGEMENT | {"value_is_amount_coded": 2}, "value_is_amount_coded", "true, false, 1 or 0"),
        (MANAGEMENT | {"subclass": 3}, "subclass", "answers FunctionError to subclass 3"),
        (TAMPER | {"value": 1}, "subclass", "answers RangeError to subclass 5, value 1"),
        (without(MANAGEMENT, "value"), "value", "it is missing"),
        (without(KEY_CHANGE, "new"), "new", "write an object"),
        (KEY_CHANGE | {"tokens": KEY_CHANGE["tokens"][0]}, "tokens", "write a list"),
        (KEY_CHANGE | {"tokens": ["1", "2"]}, "tokens", "is not 20 digits"),
        (CLASS1 | {"subclass": 0}, "subclass", "0 for a 2-digit manufacturer code"),
        (CLASS1 | {"control": "0xz"}, "control", "hex digits"),
    ],
)
def test_malformed_vector_fails_with_its_id_and_field(
    vector: dict[str, Any], field: str, problem: str
) -> None:
    outcome = check_vector(vector)
    assert not outcome.passed
    assert outcome.message.startswith(f"vector {vector['id']}, field {field}: ")
    assert problem in outcome.message
    assert vector.get("vending_key", "no key") not in outcome.message


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (CREDIT | {"units": 18201625}, "more than the 18201624"),
        (CREDIT | {"units": -1}, "less than nothing"),
        (CREDIT | {"rnd": 16}, "random number (RND) 16 is not within 0 to 15"),
        (CREDIT | {"key_revision": 0}, "KRN 0 is not within 1 to 9"),
        (CREDIT | {"key_type": 0}, "DITK_DERIVATION"),
        (CREDIT | {"key_type": 3}, "DCTK_WITH_DKGA04"),
        (CREDIT | {"vending_key": "ABABABABABABABAB"}, "takes 20 bytes of key, not 8"),
        (MANAGEMENT | {"ea": 11}, "EA11_WITH_DKGA02"),
        (MANAGEMENT | {"value": 65536, "value_is_amount_coded": False}, "value 65536"),
        (KEY_CHANGE | {"tokens": KEY_CHANGE_4["tokens"][:3]}, "THREE_SECTION_SET"),
        (KEY_CHANGE | {"tokens": KEY_CHANGE_4["tokens"]}, "no key-change set for EA07"),
    ],
)
def test_refused_vector_fails_with_its_id_and_a_remedy(
    vector: dict[str, Any], problem: str
) -> None:
    outcome = check_vector(vector)
    assert not outcome.passed
    assert outcome.message.startswith(f"vector {vector['id']}: ")
    assert problem in outcome.message
    assert outcome.message.endswith(".")


def test_wrong_digits_fail_with_both() -> None:
    outcome = check_vector(CREDIT | {"token": "0" * 20})
    assert not outcome.passed
    assert outcome.got == ("70630503470028726114",)
    assert outcome.expected == ("0" * 20,)
    assert outcome.message == "encoded 70630503470028726114, expected 00000000000000000000"


def test_digits_that_decode_to_other_fields_fail() -> None:
    asked, read = InitiateMeterTest(control=1), InitiateMeterTest(control=2)
    got = (encode(read, None),)
    message = _compare(_Case((asked,), None, expected=got), got)
    assert message.startswith("decoded (InitiateMeterTest(control=2,")


def test_sections_that_make_another_key_fail(
    attributes: KeyAttributes, sta_key: DecoderKey
) -> None:
    change = describe_key_change(attributes, new_key=sta_key, new_ti=TI("01"), rollover=False)
    sections = build_sections(change)
    got = encode_key_change_set(change, sta_key)
    other = dataclasses.replace(change, krn=2)
    assert _compare(_Case(sections, sta_key, got, change), got) == ""
    assert _compare(_Case(sections, sta_key, got, other), got) == (
        "the sections do not make the new key and its attributes"
    )


def test_vector_without_id_is_named_by_its_number() -> None:
    assert check_vector(without(CREDIT, "id"), number=7).id == "number 7"


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("\ud800", r"'\ud800'"),
        ("a\nb", r"'a\nb'"),
        ("\x1b[31m", r"'\x1b[31m'"),
        ("Zähler 1", "Zähler 1"),
    ],
)
def test_id_and_kind_are_printed_on_one_line_whatever_they_hold(name: str, printed: str) -> None:
    outcome = check_vector(CREDIT | {"id": name, "kind": name})
    assert (outcome.id, outcome.kind) == (printed, printed)
    assert outcome.message.isprintable()


def test_vector_that_is_no_object_fails() -> None:
    outcome = check_vector("credit", number=3)
    assert (outcome.id, outcome.passed) == ("number 3", False)
    assert outcome.message == "write an object of fields"


def test_one_bad_vector_never_stops_the_next() -> None:
    outcomes = list(check_document({"vectors": [1, CREDIT | {"ea": 9}, CREDIT]}))
    assert [outcome.passed for outcome in outcomes] == [False, False, True]


def test_a_bare_list_is_a_file_too() -> None:
    assert list_vectors([CREDIT]) == [CREDIT]


@pytest.mark.parametrize("document", [{}, [], {"vectors": []}, {"vectors": {}}, None, "text", 5])
def test_file_without_vectors_is_refused(document: object) -> None:
    with pytest.raises(VectorError, match="at least one vector"):
        list(check_document(document))
