import pytest

from vending.persistence.outbox import compute_backoff


@pytest.mark.parametrize(
    ("attempt", "wait_s"), [(1, 2), (2, 4), (3, 8), (11, 2048), (12, 3600), (1_000_000, 3600)]
)
def test_backoff_doubles_up_to_an_hour(attempt: int, wait_s: int) -> None:
    assert compute_backoff(attempt).total_seconds() == wait_s


def test_backoff_counts_attempts_from_1() -> None:
    with pytest.raises(AssertionError):
        compute_backoff(0)
