import json

import pytest

from vending.errors import HTTP_STATUS, ErrorKind, Outcome, VendingError, canonical_json


class ExampleError(VendingError):
    kind = ErrorKind.CONFLICT
    code = "example_of_one"
    remedy = "Do this."


def test_problem_has_the_facts_and_nothing_else() -> None:
    document = ExampleError("it happened", count=2, name=None).problem()
    assert document == {
        "type": "urn:prepaid-vending:problem:example_of_one",
        "title": "Example of one",
        "status": 409,
        "code": "example_of_one",
        "detail": "it happened",
        "remedy": "Do this.",
        "retryable": False,
        "outcome": Outcome.NONE,
        "facts": {"count": 2, "name": None},
    }


def test_problem_is_the_same_bytes_each_time() -> None:
    one, other = ExampleError("x", a=1, b=2), ExampleError("x", b=2, a=1)
    assert one.problem_bytes() == other.problem_bytes()


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_has_a_status_of_an_error(kind: ErrorKind) -> None:
    assert 400 <= HTTP_STATUS[kind] < 600


def test_canonical_form_is_sorted_compact_and_utf_8() -> None:
    assert canonical_json({"b": 1, "a": "\u5f20"}) == '{"a":"\u5f20","b":1}'.encode()


def test_half_of_a_surrogate_pair_stays_an_escape() -> None:
    assert json.loads(canonical_json({"a": "x\ud800"})) == {"a": "x\ud800"}
