"""Any sequence of sales, repeats and passing time keeps the books, on SQLite."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import START
from tests.support.books import find_broken
from tests.support.shop import Shop, build_shop
from vending.persistence.engine import create_database
from vending.sales.model import Answer
from vending.sales.service.vend import vend
from vending.values.clock import FixedClock

steps = st.lists(
    st.tuples(
        st.lists(
            st.tuples(
                st.integers(0, 6), st.integers(0, 1), st.sampled_from([1, 232, 5_000, 9_999])
            ),
            min_size=1,
            max_size=5,
        ),
        st.integers(0, 3_600),
    ),
    min_size=1,
    max_size=6,
)


def _play(shop: Shop, plan: list[tuple[list[tuple[int, int, int]], int]]) -> None:
    answers: dict[str, bytes] = {}
    for batch, pause_s in plan:
        requests = [shop.request(f"k{key}", meter=meter, minor=m) for key, meter, m in batch]
        for request, outcome in zip(requests, vend(requests, shop.desk), strict=True):
            if isinstance(outcome, Answer):
                assert answers.setdefault(request.key, outcome.body) == outcome.body
        shop.clock.advance(timedelta(seconds=pause_s))


@settings(max_examples=25)
@given(plan=steps)
def test_books_are_in_order_after_any_sequence(
    migrated_sqlite: Path, plan: list[tuple[list[tuple[int, int, int]], int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vending.sqlite3"
        shutil.copyfile(migrated_sqlite, path)
        database = create_database(f"sqlite:///{path}")
        try:
            shop = build_shop(database, FixedClock(START), Path(folder))
            _play(shop, plan)
            assert find_broken(database) == []
        finally:
            database.close()
