"""Selling with the key in this process: one transaction, on both databases."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.books import count_rows, find_broken
from tests.support.partners import add_unlimited_partner
from tests.support.shop import KES, TARIFF, Shop, code_of, document_of, pan_of
from tests.support.tariffs import add_version
from tests.support.vending_keys import DEMO, DUTK_1993, DUTK_2035, EXPIRED, RETIRED
from vending.keystore.components import KeyImport
from vending.ledger.service import read_balances
from vending.meters.model import MeterKey, MeterState
from vending.meters.service import change_state, change_tariff, record_key, store_last_tids
from vending.persistence.engine import Database
from vending.sales.errors import IdempotencyKeyReusedError
from vending.sales.model import Answer, Declined, VendRequest
from vending.sales.rules import meter_credit_code
from vending.sales.service.clock_guard import confirm_clock
from vending.sales.service.quotes import quote
from vending.sales.service.vend import vend
from vending.sts import BaseDate
from vending.tariffs.model import TariffDraft
from vending.values.actor import SYSTEM
from vending.values.identifiers import QuoteId
from vending.values.money import Currency, Money

LAST_OF_1993 = datetime(2024, 11, 24, 20, 15, tzinfo=UTC)
LAST_OF_2014 = datetime(2045, 11, 24, 20, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MakeRequest = Callable[[Shop], VendRequest]


def test_sale_gives_a_token_that_the_meter_credits(shop: Shop) -> None:
    sold = shop.issue("k1", minor=5000)
    (token,) = sold["tokens"]
    read = shop.enter_token(token["digits"])
    # 50.00 at 23.20 with VAT: 2.1 kWh cost 48.72, 1.28 stay.
    assert (read.units, read.rnd, token["energy_wh"]) == (21, 5, 2100)
    assert read.tid.instant(BaseDate.Y2014) == shop.clock.now()
    assert [line["minor"] for line in sold["lines"]] == [4200, 672, 0, 128]
    assert find_broken(shop.database) == []


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=1), timedelta(days=40)])
def test_same_key_gives_the_same_bytes_for_ever(shop: Shop, later: timedelta) -> None:
    request = shop.request("k1")
    first = shop.sell(request)
    shop.clock.advance(later)
    second = shop.sell(request)
    assert isinstance(first, Answer)
    assert second == replace(first, replayed=True)
    assert count_rows(shop.database)["sales"] == 1


def test_answer_shows_no_token_in_its_repr(shop: Shop) -> None:
    answer = shop.sell(shop.request("k1"))
    (token,) = document_of(answer)["tokens"]
    assert token["digits"] not in repr(answer)


@pytest.mark.parametrize(
    "change",
    [
        {"meter": 1},
        {"minor": 5001},
        {"currency": Currency("UGX")},
        {"quote_id": QuoteId(uuid.UUID(int=1))},
        {"terminal": "till 2"},
        {"operator": "Ann"},
    ],
    ids=str,
)
def test_same_key_with_any_other_body_is_refused(shop: Shop, change: dict[str, object]) -> None:
    request = shop.request("k1")
    first = shop.sell(request)
    change = dict(change)
    meter = change.pop("meter", None)
    if meter is not None:
        change["meter"] = shop.meters[1].pan.iain
    minor, currency = change.pop("minor", 5000), change.pop("currency", KES)
    assert isinstance(minor, int)
    assert isinstance(currency, Currency)
    other = replace(request, tender=Money(minor, currency), **change)  # type: ignore[arg-type] # by case
    assert shop.refuse(other) == "idempotency_key_reused"
    again = shop.sell(request)
    assert isinstance(first, Answer)
    assert again == replace(first, replayed=True)


def test_key_belongs_to_its_partner(shop: Shop) -> None:
    rival = add_unlimited_partner(shop.database, "Rival", KES, clock=shop.clock)
    first = shop.sell(shop.request("k1"))
    second = shop.sell(shop.request("k1", partner=rival))
    assert document_of(first)["id"] != document_of(second)["id"]
    assert find_broken(shop.database) == []


def test_batch_answers_each_request_in_its_place(shop: Shop) -> None:
    shop.sell(shop.request("old"))
    requests = [
        shop.request("a", meter=1),
        shop.request("old"),
        replace(shop.request("bad"), meter="12345"),
        shop.request("b", meter=0, minor=1),
        shop.request("c", meter=2),
    ]
    outcomes = vend(requests, shop.desk)
    assert [isinstance(one, Answer) for one in outcomes] == [True, True, False, False, True]
    assert [one.replayed for one in outcomes if isinstance(one, Answer)] == [False, True, False]
    assert find_broken(shop.database) == []


def test_repeat_of_a_key_inside_a_batch_is_a_replay_or_a_mismatch(shop: Shop) -> None:
    one = shop.request("k1")
    other_meter = replace(one, meter=shop.meters[1].pan.iain)
    first, repeat, mismatch, elsewhere = vend(
        [one, one, replace(one, tender=Money(1, KES)), other_meter], shop.desk
    )
    assert isinstance(first, Answer)
    assert repeat == replace(first, replayed=True)
    assert [code_of(mismatch), code_of(elsewhere)] == ["idempotency_key_reused"] * 2
    assert find_broken(shop.database) == []


def test_several_sales_of_one_meter_in_a_batch_carry_its_credit_along(shop: Shop) -> None:
    outcomes = vend([shop.request(f"k{n}") for n in range(5)], shop.desk)
    sales = [document_of(one) for one in outcomes]
    forward = [sale["lines"][2]["minor"] for sale in sales]
    kept = [sale["lines"][3]["minor"] for sale in sales]
    assert forward == [0, *(-minor for minor in kept[:-1])]
    tids = [shop.enter_token(sale["tokens"][0]["digits"]).tid.minutes for sale in sales]
    assert tids == list(range(tids[0], tids[0] + 5))
    assert find_broken(shop.database) == []


def test_credit_is_brought_forward_and_buys_energy(shop: Shop) -> None:
    first = shop.issue("k1", minor=250)
    second = shop.issue("k2", minor=250)
    third = shop.issue("k3", minor=214)
    assert [sale["tokens"][0]["energy_wh"] for sale in (first, second, third)] == [100, 100, 100]
    assert [sale["lines"][3]["minor"] for sale in (first, second, third)] == [18, 36, 18]
    code = meter_credit_code(shop.meters[0].pan, KES)
    with shop.database.read() as connection:
        assert read_balances(connection, [code])[code].minor == 18


def test_energy_given_away_by_token_coding_is_an_expense(shop: Shop) -> None:
    # 1,638.5 kWh are above what 0.1 kWh steps can say: the token carries 1,639.3 kWh or so.
    sold = shop.issue("k1", minor=3_801_320)
    read = shop.enter_token(sold["tokens"][0]["digits"])
    assert read.units == 16_385 + (sold["tokens"][0]["energy_wh"] - 1_638_500) // 100
    code = next(
        account
        for account in _account_codes(shop.database)
        if account.startswith("expense:sts-rounding")
    )
    with shop.database.read() as connection:
        expense = read_balances(connection, [code])[code].minor  # type: ignore[index, list-item] # a code as stored
    assert expense == (read.units - 16_385) * 200 > 0
    assert find_broken(shop.database) == []


def _account_codes(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.exec_driver_sql("SELECT code FROM ledger_accounts").scalars())


# --- refusals -------------------------------------------------------------------------------------


def _unknown_meter(shop: Shop) -> VendRequest:
    return replace(shop.request("k"), meter=pan_of(99_999_999).iain)


def _wrong_check_digit(shop: Shop) -> VendRequest:
    number = shop.meters[0].pan.iain
    return replace(shop.request("k"), meter=number[:-1] + str((int(number[-1]) + 1) % 10))


def _blocked(shop: Shop) -> VendRequest:
    change_state(
        shop.database,
        shop.meters[0].pan,
        MeterState.BLOCKED,
        by=SYSTEM,
        reason="theft",
        clock=shop.clock,
    )
    return shop.request("k")


def _wrong_currency(shop: Shop) -> VendRequest:
    return replace(shop.request("k"), tender=Money(5000, Currency("UGX")))


def _no_quote(shop: Shop) -> VendRequest:
    return replace(shop.request("k"), quote_id=QuoteId(uuid.UUID(int=1)))


def _quoted(shop: Shop, minor: int = 5000) -> QuoteId:
    stored, _ = quote(shop.partner.id, shop.meters[0].pan.iain, Money(minor, KES), shop.desk)
    return stored.id


def _quote_expired(shop: Shop) -> VendRequest:
    quote_id = _quoted(shop)
    shop.clock.advance(timedelta(minutes=10))
    return replace(shop.request("k"), quote_id=quote_id)


def _quote_used(shop: Shop) -> VendRequest:
    quote_id = _quoted(shop)
    document_of(shop.sell(replace(shop.request("first"), quote_id=quote_id)))
    return replace(shop.request("k"), quote_id=quote_id)


def _quote_of_other_amount(shop: Shop) -> VendRequest:
    return replace(shop.request("k", minor=6000), quote_id=_quoted(shop))


def _quote_of_other_meter(shop: Shop) -> VendRequest:
    return replace(shop.request("k", meter=1), quote_id=_quoted(shop))


def _quote_of_other_credit(shop: Shop) -> VendRequest:
    quote_id = _quoted(shop)
    shop.issue("between")
    return replace(shop.request("k"), quote_id=quote_id)


def _quote_of_other_tariff(shop: Shop) -> VendRequest:
    quote_id = _quoted(shop)
    shop.clock.advance(MINUTE)
    _add_tariff(shop, TARIFF)
    return replace(shop.request("k"), quote_id=quote_id)


def _quote_of_other_partner(shop: Shop) -> VendRequest:
    rival = add_unlimited_partner(shop.database, "Rival", KES, clock=shop.clock)
    return replace(shop.request("k", partner=rival), quote_id=_quoted(shop))


def _add_tariff(shop: Shop, code: str) -> None:
    add_version(
        shop.database,
        TariffDraft(
            code=code,
            currency=KES,
            price_per_kwh_micro=21_000_000,
            vat_basis_points=1600,
            effective_from=shop.clock.now(),
        ),
        clock=shop.clock,
    )


def _tariff_not_started(shop: Shop) -> VendRequest:
    shop.clock.instant -= timedelta(seconds=60)
    return shop.request("k")


STORED_REFUSALS = {
    _unknown_meter: "meter_not_found",
    _blocked: "meter_not_vendable",
    lambda shop: shop.request("k", minor=231): "amount_too_low",
    lambda shop: shop.request("k", minor=10**9): "amount_too_high",
    _wrong_currency: "wrong_currency",
    _no_quote: "quote_not_found",
    _quote_expired: "quote_expired",
    _quote_used: "quote_used",
    _quote_of_other_amount: "quote_changed",
    _quote_of_other_meter: "quote_changed",
    _quote_of_other_credit: "quote_changed",
    _quote_of_other_tariff: "quote_changed",
    _quote_of_other_partner: "quote_not_found",
    _tariff_not_started: "tariff_not_found",
    lambda shop: shop.request("k", meter=shop.add_meter(EXPIRED)): "key_expired",
    lambda shop: shop.request("k", meter=shop.add_meter(RETIRED)): "key_retired",
    lambda shop: shop.request("k", meter=shop.add_meter(DEMO)): "demo_key_refused",
    lambda shop: shop.request("k", meter=shop.add_meter(DUTK_1993)): "base_date_exhausted",
    lambda shop: shop.request("k", meter=shop.add_meter(DUTK_2035)): "base_date_not_started",
}


@pytest.mark.parametrize(("make", "code"), STORED_REFUSALS.items(), ids=STORED_REFUSALS.values())
def test_final_refusal_is_kept_and_repeated(shop: Shop, make: MakeRequest, code: str) -> None:
    request = make(shop)
    before = count_rows(shop.database)
    first = shop.sell(request)
    assert isinstance(first, Declined)
    assert first.error.code == code
    second = shop.sell(request)
    assert isinstance(second, Answer)
    assert second.body == first.error.problem_bytes()
    assert (second.status, second.replayed) == (first.error.http_status, True)
    after = count_rows(shop.database)
    assert after == before | {
        "idempotency_keys": before["idempotency_keys"] + 1,
        "declined_sales": before["declined_sales"] + 1,
    }
    assert find_broken(shop.database) == []


def test_missing_key_is_refused(shop: Shop) -> None:
    with shop.database.unit_of_work() as uow:
        held = shop.meters[0]
        record_key(
            uow.connection,
            held.pan,
            MeterKey(sgc=held.sgc, krn=7, kt=held.kt, ti=held.ti, base_date=held.base_date),
        )
        uow.commit()
    assert shop.refuse(shop.request("k")) == "key_not_found"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (_wrong_check_digit, "meter_check_digit"),
        (lambda shop: replace(shop.request("k"), meter="123"), "meter_number_invalid"),
    ],
)
def test_number_that_is_no_meter_leaves_nothing(shop: Shop, make: MakeRequest, code: str) -> None:
    before = count_rows(shop.database)
    assert shop.refuse(make(shop)) == code
    assert count_rows(shop.database) == before
    assert shop.issue("k")


def test_identifiers_run_at_most_an_hour_ahead_and_the_key_stays_free(shop: Shop) -> None:
    for number in range(61):
        shop.issue(f"k{number}")
    before = count_rows(shop.database)
    last = shop.request("k-last")
    assert shop.refuse(last) == "too_many_tokens"
    assert count_rows(shop.database) == before
    shop.clock.advance(MINUTE)
    assert isinstance(shop.sell(last), Answer)
    assert find_broken(shop.database) == []


def test_passing_refusal_does_not_stop_the_others_of_its_batch(shop: Shop) -> None:
    for number in range(61):
        shop.issue(f"k{number}")
    shop.issue("old", meter=2)
    outcomes = vend(
        [
            shop.request("late"),
            shop.request("a", meter=1),
            shop.request("old", meter=2),
            shop.request("b", meter=2, minor=1),
        ],
        shop.desk,
    )
    assert code_of(outcomes[0]) == "too_many_tokens"
    assert [document_of(one)["id"] for one in outcomes[1:3]]
    assert code_of(outcomes[3]) == "amount_too_low"
    assert find_broken(shop.database) == []


@pytest.mark.parametrize(
    ("brought", "last"), [(DUTK_1993, LAST_OF_1993), (None, LAST_OF_2014)], ids=["1993", "2014"]
)
def test_base_date_sells_to_its_last_minute_and_never_wraps(
    shop: Shop,
    brought: KeyImport | None,
    last: datetime,
) -> None:
    meter = 0 if brought is None else shop.add_meter(brought)
    if last < shop.clock.now():
        _start_tariff_early(shop)
    shop.clock.jump_to(last - MINUTE)
    confirm_clock(shop.database, shop.clock)
    before = shop.enter_token(shop.issue("a", meter=meter)["tokens"][0]["digits"], meter=meter)
    shop.clock.advance(MINUTE)
    at = shop.enter_token(shop.issue("b", meter=meter)["tokens"][0]["digits"], meter=meter)
    assert (before.tid.minutes, at.tid.minutes) == (2**24 - 2, 2**24 - 1)
    assert shop.refuse(shop.request("c", meter=meter)) == "base_date_exhausted"
    shop.clock.advance(MINUTE)
    assert shop.refuse(shop.request("d", meter=meter)) == "base_date_exhausted"
    assert find_broken(shop.database) == []


def _start_tariff_early(shop: Shop) -> None:
    """Put the first version of the tariff a long time back, as if it had always been."""
    shop.clock.jump_to(datetime(2020, 1, 1, tzinfo=UTC))
    _add_tariff(shop, "OLD-1")
    change_tariff(
        shop.database,
        shop.meters[-1].pan,
        tariff_code="OLD-1",
        currency=KES,
        by=SYSTEM,
        clock=shop.clock,
    )


def test_identifiers_rise_across_a_key_change(shop: Shop) -> None:
    held = shop.meters[0]
    tids = [_tid(shop, "a")]
    with shop.database.unit_of_work() as uow:
        store_last_tids(uow.connection, {(held.pan, held.base_date): tids[0] + 5})
        uow.commit()
    tids.append(_tid(shop, "b"))
    assert tids[1] == tids[0] + 6


def _tid(shop: Shop, key: str) -> int:
    return shop.enter_token(shop.issue(key)["tokens"][0]["digits"]).tid.minutes


def test_reused_key_is_named_with_what_to_do() -> None:
    assert "new key" in IdempotencyKeyReusedError().remedy
