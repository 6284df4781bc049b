import re
from collections import Counter
from typing import Any

import pytest

from meter_drivers.errors import DriverError
from tests.docs.generate import DOCS, cause_of, descendants, errors_page, list_errors
from vending.cli.main import COMMANDS
from vending.errors import HTTP_STATUS, ErrorKind, Outcome, VendingError
from vending.sts import STSError

FAMILIES = (VendingError, STSError, DriverError)
ALL_ERRORS = [error for family in FAMILIES for error in list_errors(family)]
REFUSALS = list_errors(VendingError)


def name(error: type[Any]) -> str:
    return f"{error.__module__}.{error.__name__}"


def test_page_lists_every_error() -> None:
    page = (DOCS / "errors.md").read_text("utf-8")
    assert page == errors_page()
    assert all(f"| `{error.code}` |" in page for error in ALL_ERRORS)


@pytest.mark.parametrize("family", FAMILIES)
def test_code_belongs_to_one_error(family: type[Any]) -> None:
    counted = Counter(error.code for error in list_errors(family))
    assert [code for code, count in counted.items() if count > 1] == []


def test_refusals_and_the_library_share_no_code_by_chance() -> None:
    ours = {error.code for error in REFUSALS}
    assert ours & {error.code for error in list_errors(STSError)} == set()


def is_named_well(error: type[Any]) -> bool:
    return (
        re.fullmatch(r"[a-z][a-z0-9_]*", error.code) is not None
        and error.__name__.endswith("Error")
        and cause_of(error).endswith(".")
    )


def is_told_well(error: type[VendingError]) -> bool:
    return (
        error.kind in HTTP_STATUS
        and error.outcome in set(Outcome)
        and error.remedy.strip() == error.remedy
        and len(error.remedy) > 10
    )


# One test for all of them: a test for each error takes ten seconds.
def test_error_has_a_code_and_says_its_cause() -> None:
    assert [name(error) for error in ALL_ERRORS if not is_named_well(error)] == []


def test_refusal_has_kind_status_and_remedy() -> None:
    assert len(REFUSALS) > 200
    assert [name(error) for error in REFUSALS if not is_told_well(error)] == []


def test_every_kind_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(ErrorKind)


def test_class_without_a_code_is_only_a_family() -> None:
    list_errors(VendingError)
    for error in descendants(VendingError):
        if error.__module__.startswith("vending.") and "code" not in vars(error):
            assert error.__subclasses__(), name(error)


@pytest.mark.parametrize("error", REFUSALS, ids=name)
def test_command_that_a_remedy_names_exists(error: type[VendingError]) -> None:
    for command in re.findall(r"`vending ([a-z]+)", error.remedy):
        assert command in {*COMMANDS, "version"}
