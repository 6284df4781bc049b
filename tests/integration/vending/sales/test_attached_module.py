"""Sales through a module on a line that loses, delays, repeats, damages and refuses.

One token a sale, no second TID, and every token the one that the meter takes.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import serial

from meter_drivers.transports.port import SystemTimer
from simulators.faults import Fault
from simulators.security_module import AnswerFrom, HoldBack, ModuleFault, RefuseWith
from tests.support.attached_module import SETTINGS, AttachedBench, attached_bench
from tests.support.books import count_rows, find_broken
from tests.support.shop import Shop, code_of, document_of
from tests.support.vending_keys import DUTK_2014, DUTK_2035, register_of
from vending.keystore.guarded import BreakerState, GuardedSecurityModule, GuardLimits
from vending.keystore.module_errors import STATUS_REFUSALS
from vending.sales import repository
from vending.sales.model import Answer, SaleState, VendOutcome
from vending.sales.service.desk import SalesDesk
from vending.sales.service.two_step import resolve_open_sales
from vending.sales.service.vend import vend
from vending.values.identifiers import IdempotencyKey

RESUME = timedelta(seconds=11)
OTHER_NUMBER = next(one.number for one in SETTINGS if one.key == register_of(DUTK_2035))
NUMBER = next(one.number for one in SETTINGS if one.key == register_of(DUTK_2014))


@pytest.fixture
def bench(shop: Shop) -> Iterator[AttachedBench]:
    with attached_bench() as bench:
        assert document_of(shop.sell(shop.request("first", meter=2), shop.using(bench.module)))
        yield bench


@pytest.fixture
def desk(shop: Shop, bench: AttachedBench) -> SalesDesk:
    return shop.using(bench.module)


def settle(shop: Shop, desk: SalesDesk, key: str, *, meter: int = 0) -> VendOutcome:
    # Asks as a partner does: again with the same key until there is an answer.
    for _ in range(4):
        outcome = shop.sell(shop.request(key, meter=meter), desk)
        if isinstance(outcome, Answer):
            return outcome
        assert code_of(outcome) == "sale_outcome_unknown"
        shop.clock.advance(RESUME)
    raise AssertionError("never settled")


def require_one_right_token(shop: Shop, desk: SalesDesk, key: str, *, meter: int = 0) -> None:
    document = document_of(settle(shop, desk, key, meter=meter))
    (token,) = document["tokens"]
    read = shop.enter_token(token["digits"], meter=meter)
    with shop.database.read() as connection:
        sale = repository.find_sale_by_key(connection, shop.partner.id, IdempotencyKey(key))
    assert sale is not None
    assert sale.state is SaleState.RELEASED
    assert read.tid.minutes == sale.tid
    assert read.units == sale.credit_token_request().units


FAULTS: dict[str, list[ModuleFault]] = {
    "lost request": [Fault.DROP],
    "lost answer": [Fault.LOST_ANSWER],
    "lost check": [None, Fault.LOST_ANSWER],
    "lost register": [None, None, Fault.LOST_ANSWER],
    "late answer": [Fault.LATE_ANSWER],
    "late check": [None, Fault.LATE_ANSWER],
    "held answer": [HoldBack()],
    "held check": [None, HoldBack()],
    "duplicate": [Fault.DUPLICATE, Fault.DUPLICATE, Fault.DUPLICATE],
    "damaged": [Fault.CORRUPT],
    "damaged check": [None, Fault.CORRUPT],
    "cut": [Fault.TRUNCATE],
    "slow": [Fault.DELAY, Fault.DELAY, Fault.DELAY],
    "other register": [AnswerFrom(OTHER_NUMBER)],
    "other register, always": [AnswerFrom(OTHER_NUMBER), None, None, None] * 2,
    "heard damaged": [RefuseWith("20")],
    "unexplained": [RefuseWith("EE")],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_sale_has_one_token_and_it_is_the_right_one(
    shop: Shop, desk: SalesDesk, bench: AttachedBench, fault: str
) -> None:
    tokens_before = count_rows(shop.database)["issued_tokens"]
    bench.plan(*FAULTS[fault])
    shop.sell(shop.request("k1"), desk)
    require_one_right_token(shop, desk, "k2", meter=1)
    require_one_right_token(shop, desk, "k1")
    assert count_rows(shop.database)["issued_tokens"] == tokens_before + 2
    assert find_broken(shop.database) == []


@pytest.mark.parametrize("status", sorted(STATUS_REFUSALS))
def test_refusal_of_the_module_declines_the_sale_and_takes_no_money(
    shop: Shop, desk: SalesDesk, bench: AttachedBench, status: str
) -> None:
    bench.plan(RefuseWith(status))
    first = shop.sell(shop.request("k1"), desk)
    assert code_of(first) == STATUS_REFUSALS[status].code
    again = shop.sell(shop.request("k1"), desk)
    assert code_of(again) == STATUS_REFUSALS[status].code
    require_one_right_token(shop, desk, "k2")
    assert find_broken(shop.database) == []


def test_register_of_another_key_sells_nothing(
    shop: Shop, desk: SalesDesk, bench: AttachedBench
) -> None:
    registers = bench.simulated.state.registers
    registers[NUMBER] = registers[OTHER_NUMBER]
    assert shop.refuse(shop.request("k1"), desk) == "module_register_mismatch"
    assert count_rows(shop.database)["issued_tokens"] == 1
    assert find_broken(shop.database) == []


def test_line_that_another_process_keeps_ends_the_sale_and_takes_no_money(
    shop: Shop, desk: SalesDesk, bench: AttachedBench
) -> None:
    with serial.Serial(bench.address, exclusive=True):
        assert shop.refuse(shop.request("k1"), desk) == "security_module_not_asked"
    assert shop.refuse(shop.request("k1"), desk) == "security_module_not_asked"
    require_one_right_token(shop, desk, "k2")
    assert count_rows(shop.database)["issued_tokens"] == 2
    assert find_broken(shop.database) == []


def test_random_bits_of_the_module_make_no_second_token(
    shop: Shop, desk: SalesDesk, bench: AttachedBench
) -> None:
    drawn = iter(range(1, 16))
    bench.simulated.draw_rnd = lambda: next(drawn)
    bench.plan(Fault.LOST_ANSWER)
    shop.sell(shop.request("k1"), desk)
    require_one_right_token(shop, desk, "k1")
    assert next(drawn) > 2, "the module made two, of one TID"
    assert count_rows(shop.database)["issued_tokens"] == 2


def test_worker_finishes_sales_when_the_module_is_back(
    shop: Shop, desk: SalesDesk, bench: AttachedBench
) -> None:
    bench.simulated.state.is_dead = True
    vend([shop.request("a"), shop.request("b", meter=1)], desk)
    shop.clock.advance(RESUME)
    assert resolve_open_sales(desk, limit=10) == 0
    bench.simulated.state.is_dead = False
    shop.clock.advance(RESUME)
    assert resolve_open_sales(desk, limit=10) == 2
    require_one_right_token(shop, desk, "a")
    require_one_right_token(shop, desk, "b", meter=1)
    assert find_broken(shop.database) == []


def test_dead_module_is_refused_before_anything_is_written(
    shop: Shop, bench: AttachedBench
) -> None:
    guarded = GuardedSecurityModule(
        bench.module, now_s=SystemTimer().now_s, limits=GuardLimits(failures_max=1, back_off_s=60)
    )
    desk = shop.using(guarded)
    sold = document_of(shop.sell(shop.request("before"), desk))
    bench.simulated.state.is_dead = True
    assert shop.refuse(shop.request("k1"), desk) == "sale_outcome_unknown"
    assert guarded.breaker is BreakerState.OPEN
    rows = count_rows(shop.database)
    assert shop.refuse(shop.request("k2", meter=1), desk) == "security_module_unavailable"
    assert count_rows(shop.database) == rows, "neither key nor TID is used up"
    repeated = shop.sell(shop.request("before"), desk)
    assert document_of(replace_status(repeated)) == sold, "what is known is still told"
    bench.simulated.state.is_dead = False
    require_one_right_token(shop, shop.using(bench.module), "k2", meter=1)


def replace_status(outcome: VendOutcome) -> VendOutcome:
    assert isinstance(outcome, Answer)
    return replace(outcome, replayed=False)
