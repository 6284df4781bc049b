import inspect

import pytest

from vending.sts import errors

REFUSALS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.STSError) and kind is not errors.STSError
]


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_code_and_a_remedy(kind: type[errors.STSError]) -> None:
    assert kind.code.startswith("sts_")
    assert kind.remedy.endswith(".")


def test_codes_differ() -> None:
    assert len({kind.code for kind in REFUSALS}) == len(REFUSALS)


def test_tree_in_the_docstring_names_every_refusal() -> None:
    assert all(kind.__name__ in str(errors.__doc__) for kind in REFUSALS)


def test_refusal_carries_its_facts() -> None:
    error = errors.AmountTooLargeError(units=5, largest=4)
    assert error.facts == {"units": 5, "largest": 4}
    assert str(error) == "5 units are more than the 4 that one token carries"


def test_unsupported_is_refused_by_name_and_reason() -> None:
    error = errors.UnsupportedError(errors.Unsupported.EA09)
    assert error.feature is errors.Unsupported.EA09
    assert str(error).startswith("EA09: encryption algorithm 09 (DEA) is legacy")
