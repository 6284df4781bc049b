"""A transaction is tried again while it is undone or in doubt, and doubt is never forgotten."""

from collections.abc import Callable

import pytest

from vending.errors import VendingError
from vending.persistence.errors import (
    CommitUnknownError,
    DatabaseBusyError,
    DatabaseUnavailableError,
)
from vending.sales.service.attempts import ATTEMPTS_MAX, attempt

BUSY, DOUBT, GONE = (
    error("test") for error in (DatabaseBusyError, CommitUnknownError, DatabaseUnavailableError)
)


def _failing(*errors: VendingError) -> Callable[[], str]:
    left = list(errors)

    def run() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return run


@pytest.mark.parametrize("errors", [[], [BUSY], [DOUBT], [BUSY, DOUBT]], ids=str)
def test_passing_trouble_is_tried_again(errors: list[VendingError]) -> None:
    assert attempt(_failing(*errors)) == "done"


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ([BUSY] * ATTEMPTS_MAX, BUSY),
        ([DOUBT] * ATTEMPTS_MAX, DOUBT),
        ([GONE], GONE),
        ([BUSY, GONE], GONE),
        ([DOUBT, GONE], DOUBT),
        ([DOUBT, BUSY, BUSY], DOUBT),
        ([BUSY, BUSY, DOUBT], DOUBT),
    ],
    ids=str,
)
def test_what_stays_is_raised_and_doubt_goes_before_all(
    errors: list[VendingError], raised: VendingError
) -> None:
    with pytest.raises(type(raised)) as caught:
        attempt(_failing(*errors))
    assert caught.value is raised
