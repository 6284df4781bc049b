"""Sixteen threads at once: the same key, the same meter, or both mixed."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tests.support.books import count_rows, find_broken
from tests.support.shop import Shop, document_of
from vending.sales.model import Answer, VendOutcome, VendRequest
from vending.sales.service.vend import vend

THREADS = 16


def _at_once(shop: Shop, requests: list[VendRequest]) -> list[VendOutcome]:
    start = Barrier(THREADS)

    def run(request: VendRequest) -> VendOutcome:
        start.wait()
        return shop.sell(request)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(run, requests))


def test_one_key_makes_one_sale_and_all_get_its_answer(shop: Shop) -> None:
    outcomes = _at_once(shop, [shop.request("k1")] * THREADS)
    answers = [one for one in outcomes if isinstance(one, Answer)]
    assert len(answers) == THREADS
    assert len({answer.body for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert count_rows(shop.database)["sales"] == 1
    assert find_broken(shop.database) == []


def test_one_meter_gets_rising_identifiers_and_carries_its_credit(shop: Shop) -> None:
    outcomes = _at_once(shop, [shop.request(f"k{n}") for n in range(THREADS)])
    digits = [document_of(one)["tokens"][0]["digits"] for one in outcomes]
    tids = sorted(shop.enter_token(one).tid.minutes for one in digits)
    assert tids == list(range(tids[0], tids[0] + THREADS))
    assert find_broken(shop.database) == []


def test_batches_that_share_keys_and_meters_do_not_deadlock(shop: Shop) -> None:
    keys = [f"k{n}" for n in range(6)]
    start = Barrier(4)

    def run(turn: int) -> list[VendOutcome]:
        requests = [shop.request(key, meter=n % 3) for n, key in enumerate(keys)]
        start.wait()
        return vend(requests[turn:] + requests[:turn], shop.desk)

    with ThreadPoolExecutor(4) as threads:
        batches = list(threads.map(run, range(4)))
    assert all(isinstance(one, Answer) for batch in batches for one in batch)
    assert count_rows(shop.database)["sales"] == len(keys)
    assert find_broken(shop.database) == []
