"""Vectors nobody wrote: made by chance, encoded by the second implementation, run by the product.

The ranges are those of the standard with their edges drawn often, so that a file of the same
form that we have not seen differs from these in its numbers only.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.sts import naive_sts
from vending.sts.conformance import check_vector
from vending.sts.pan import luhn_check_digit

LARGEST_TID = 2**24 - 1
LARGEST_UNITS = 18201624
DERIVATIONS = st.sampled_from([(2, 7), (4, 7), (4, 11)])
KEY_NAMES = ("sgc", "base_date", "vending_key", "key_type", "key_revision", "key_expiry")
EDGES = (0, 1, 16383, 16384, 16394, 180223, 180224, 180225, 1818623, 1818624, 1819624)
UNITS = st.sampled_from(EDGES) | st.integers(0, LARGEST_UNITS)


def digits(count: int) -> st.SearchStrategy[str]:
    return st.integers(0, 10**count - 1).map(lambda number: str(number).zfill(count))


def with_check_digit(text: str) -> str:
    return text + luhn_check_digit(text)


SHORT_PANS = digits(10).map(lambda body: with_check_digit("600727" + with_check_digit(body)))
LONG_PANS = digits(12).map(lambda body: with_check_digit("0000" + with_check_digit(body)))


@st.composite
def keys(draw: st.DrawFn, derivation: tuple[int, int] | None = None) -> dict[str, Any]:
    dkga, ea = derivation or draw(DERIVATIONS)
    size_bytes = 8 if dkga == 2 else 20
    return {
        "dkga": dkga,
        "ea": ea,
        "pan": draw(SHORT_PANS | LONG_PANS),
        "sgc": draw(digits(6)),
        "base_date": draw(st.sampled_from([1993, 2014, 2035])),
        "vending_key": draw(st.binary(min_size=size_bytes, max_size=size_bytes)).hex(),
        "key_type": draw(st.sampled_from([1, 2, 3] if dkga == 2 else [1, 2])),
        "tariff_index": draw(digits(2)),
        "key_revision": draw(st.integers(1, 9)),
        "key_expiry": draw(st.integers(0, 255)),
    }


@st.composite
def dated(draw: st.DrawFn) -> dict[str, Any]:
    """A key, a time under its base date, and a random number."""
    key = draw(keys())
    minutes = draw(st.sampled_from([0, 1, 2, 1441, LARGEST_TID]) | st.integers(0, LARGEST_TID))
    issued = datetime(key["base_date"], 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    rnd = draw(st.integers(0, 15))
    return {"id": "made", "rnd": rnd, "issued": issued.strftime("%Y-%m-%d %H:%M"), **key}


def assert_agrees(vector: dict[str, Any]) -> None:
    tokens = naive_sts.encode_vector(vector)
    field = {"tokens": tokens} if vector["kind"] == "key_change" else {"token": tokens[0]}
    outcome = check_vector(vector | field)
    assert outcome.passed, outcome.message


@given(vector=dated(), subclass=st.integers(0, 3), units=UNITS)
def test_credit(vector: dict[str, Any], subclass: int, units: int) -> None:
    assert_agrees(vector | {"kind": "credit", "subclass": subclass, "units": units})


@given(
    vector=dated(),
    kind=st.sampled_from(["credit", "currency"]),
    subclass=st.integers(4, 7),
    units=st.decimals(-(10**28), 10**28, places=6) | st.decimals(-3, 3, places=6),
)
def test_currency(vector: dict[str, Any], kind: str, subclass: int, units: object) -> None:
    assert_agrees(vector | {"kind": kind, "subclass": subclass, "units": f"{units:f}"})


@given(vector=dated(), subclass=st.sampled_from([0, 6]), value=UNITS)
def test_power_limit(vector: dict[str, Any], subclass: int, value: int) -> None:
    coded = {"value": value, "value_is_amount_coded": True}
    assert_agrees(vector | {"kind": "management", "subclass": subclass, **coded})


@given(vector=dated(), subclass=st.sampled_from([0, 2, 6, 7, 10]), value=st.integers(0, 0xFFFF))
def test_management_of_16_bits(vector: dict[str, Any], subclass: int, value: int) -> None:
    raw = {"value": value, "value_is_amount_coded": False}
    assert_agrees(vector | {"kind": "management", "subclass": subclass, **raw})


@given(vector=dated(), register=st.sampled_from([*range(8), 0xFFFF]))
def test_clear_credit(vector: dict[str, Any], register: int) -> None:
    raw = {"value": register, "value_is_amount_coded": False}
    assert_agrees(vector | {"kind": "management", "subclass": 1, **raw})


@given(derivation=DERIVATIONS, data=st.data())
def test_key_change(derivation: tuple[int, int], data: st.DataObject) -> None:
    old, new = data.draw(keys(derivation)), data.draw(keys(derivation))
    names = (*KEY_NAMES, "tariff_index")
    assert_agrees(
        {
            "id": "made",
            "kind": "key_change",
            "dkga": derivation[0],
            "ea": derivation[1],
            "pan": old["pan"],
            "rollover": int(old["base_date"] != new["base_date"]),
            "old": {name: old[name] for name in names},
            "new": {name: new[name] for name in names},
        }
    )


@given(data=st.data(), manufacturer_digits=st.sampled_from([2, 4]))
def test_class1(data: st.DataObject, manufacturer_digits: int) -> None:
    width = 36 if manufacturer_digits == 2 else 28
    places = st.integers(0, width - 1).map(lambda place: 1 << place)
    assert_agrees(
        {
            "id": "made",
            "kind": "class1",
            "subclass": manufacturer_digits // 2 - 1,
            "control": hex(data.draw(places | st.integers(0, 2**width - 1))),
            "manufacturer": data.draw(st.integers(0, 10**manufacturer_digits - 1)),
            "manufacturer_digits": manufacturer_digits,
        }
    )
