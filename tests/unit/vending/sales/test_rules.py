"""Decisions of a sale, without a database."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.shop import KES
from vending.errors import VendingError
from vending.ledger.model import AccountKind
from vending.meters.errors import MeterNotVendableError
from vending.meters.model import MeterState
from vending.sales.errors import (
    MeterBusyError,
    QuoteChangedError,
    QuoteExpiredError,
)
from vending.sales.model import Sale, StoredQuote, VendRequest
from vending.sales.rules import (
    RECEIPT_ALPHABET,
    ClockLimits,
    ClockReading,
    Standing,
    accounts_of,
    decide,
    entry_of,
    is_clock_trusted,
    receipt_number,
)
from vending.sts import BaseDate
from vending.tariffs.errors import AmountTooLowError
from vending.tariffs.rules import compute_quote
from vending.tokens.errors import (
    BaseDateExhaustedError,
    BaseDateNotStartedError,
    TooManyTokensError,
)
from vending.values.identifiers import EntryId, MeterId, PartnerId, QuoteId, SaleId, TariffId
from vending.values.money import Money

NOW = datetime(2026, 11, 25, 8, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_accepted_request_is_priced_and_dated(request_: VendRequest, standing: Standing) -> None:
    draft = decide(request_, standing, None, now=NOW, tid_ahead_limit_min=60)
    assert draft.tid.instant(BaseDate.Y2014) == NOW.replace(second=0)
    assert draft.quote == compute_quote(request_.tender, standing.credit, standing.tariff)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"is_busy": True}, MeterBusyError),
        ({"last_tid": 2**24 - 1}, TooManyTokensError),
    ],
)
def test_standing_of_the_meter_may_refuse(
    request_: VendRequest,
    standing: Standing,
    change: dict[str, object],
    refusal: type[VendingError],
) -> None:
    changed = replace(standing, **change)  # type: ignore[arg-type] # by case
    with pytest.raises(refusal):
        decide(request_, changed, None, now=NOW, tid_ahead_limit_min=60)


def test_meter_out_of_use_is_refused(request_: VendRequest, standing: Standing) -> None:
    blocked = replace(standing, meter=replace(standing.meter, state=MeterState.BLOCKED))
    with pytest.raises(MeterNotVendableError):
        decide(request_, blocked, None, now=NOW, tid_ahead_limit_min=60)


def test_amount_below_one_unit_is_refused(request_: VendRequest, standing: Standing) -> None:
    with pytest.raises(AmountTooLowError):
        decide(
            replace(request_, tender=Money(231, KES)),
            standing,
            None,
            now=NOW,
            tid_ahead_limit_min=60,
        )


@pytest.mark.parametrize("limit_min", [1, 60])
def test_identifiers_run_ahead_up_to_the_limit(
    request_: VendRequest, standing: Standing, limit_min: int
) -> None:
    present = decide(request_, standing, None, now=NOW, tid_ahead_limit_min=limit_min).tid.minutes
    last = replace(standing, last_tid=present + limit_min - 1)
    draft = decide(request_, last, None, now=NOW, tid_ahead_limit_min=limit_min)
    assert draft.tid.minutes == present + limit_min
    beyond = replace(standing, last_tid=present + limit_min)
    with pytest.raises(TooManyTokensError):
        decide(request_, beyond, None, now=NOW, tid_ahead_limit_min=limit_min)


@pytest.mark.parametrize("base_date", [BaseDate.Y1993, BaseDate.Y2014])
def test_base_date_ends_after_its_last_minute(
    request_: VendRequest, standing: Standing, base_date: BaseDate
) -> None:
    last = base_date.instant + (2**24 - 1) * MINUTE
    at = replace(standing, meter=replace(standing.meter, base_date=base_date))
    draft = decide(request_, at, None, now=last, tid_ahead_limit_min=60)
    assert draft.tid.minutes == 2**24 - 1
    with pytest.raises(BaseDateExhaustedError):
        decide(request_, at, None, now=last + MINUTE, tid_ahead_limit_min=60)
    used_up = replace(at, last_tid=2**24 - 1)
    with pytest.raises(BaseDateExhaustedError):
        decide(request_, used_up, None, now=last, tid_ahead_limit_min=60)


def test_base_date_of_the_future_is_refused(request_: VendRequest, standing: Standing) -> None:
    future = replace(standing, meter=replace(standing.meter, base_date=BaseDate.Y2035))
    with pytest.raises(BaseDateNotStartedError):
        decide(request_, future, None, now=NOW, tid_ahead_limit_min=60)


@pytest.fixture
def stored(request_: VendRequest, standing: Standing) -> StoredQuote:
    return StoredQuote(
        id=QuoteId(uuid.UUID(int=9)),
        partner_id=PartnerId(uuid.UUID(int=4)),
        meter_id=standing.meter.id,
        meter_pan=standing.meter.pan,
        quote=compute_quote(request_.tender, standing.credit, standing.tariff),
        created_at=NOW,
        expires_at=NOW + MINUTE,
    )


def test_quote_is_kept_to_the_cent(
    request_: VendRequest, standing: Standing, stored: StoredQuote
) -> None:
    draft = decide(request_, standing, stored, now=NOW, tid_ahead_limit_min=60)
    assert draft.quote == stored.quote


def test_quote_ends_at_its_last_moment(
    request_: VendRequest, standing: Standing, stored: StoredQuote
) -> None:
    with pytest.raises(QuoteExpiredError):
        decide(request_, standing, stored, now=stored.expires_at, tid_ahead_limit_min=60)


def test_quote_of_another_case_is_not_kept(
    request_: VendRequest, standing: Standing, stored: StoredQuote
) -> None:
    tariff = replace(standing.tariff, id=TariffId(uuid.UUID(int=8)))
    cases = {
        "meter": (request_, standing, replace(stored, meter_id=MeterId(uuid.UUID(int=7)))),
        "amount": (replace(request_, tender=Money(5001, KES)), standing, stored),
        "tariff": (request_, replace(standing, tariff=tariff), stored),
        "carried credit": (request_, replace(standing, credit=Money(10, KES)), stored),
    }
    for what, (request, at, quote) in cases.items():
        with pytest.raises(QuoteChangedError) as refused:
            decide(request, at, quote, now=NOW, tid_ahead_limit_min=60)
        assert refused.value.facts["changed"] == what


def test_receipt_number_is_readable_and_never_ambiguous() -> None:
    number = receipt_number(SaleId(uuid.UUID(int=2**128 - 1)))
    assert number == "ZZZZ-ZZZZ-ZZZZ"
    assert receipt_number(SaleId(uuid.UUID(int=1))) == "0000-0000-0001"
    assert not set("ILOU") & set(RECEIPT_ALPHABET)
    assert len(RECEIPT_ALPHABET) == 32


def test_entry_sums_to_zero_and_leaves_out_what_is_nothing(sale: Sale) -> None:
    entry = entry_of(sale, EntryId(uuid.UUID(int=6)))
    assert sum(leg.minor for leg in entry.postings) == 0
    assert {leg.account_code.split(":")[0]: leg.minor for leg in entry.postings} == {
        "partner-receivable": 5000,
        "revenue": -4200,
        "tax": -672,
        "meter-credit": -128,
    }
    assert entry.reference == str(sale.id)


def test_energy_given_away_is_revenue_and_expense_alike(sale: Sale) -> None:
    rounded = replace(sale, quote=replace(sale.quote, rounding_expense=Money(600, KES)))
    entry = entry_of(rounded, EntryId(sale.id))
    legs = {str(leg.account_code): leg.minor for leg in entry.postings}
    assert legs["expense:sts-rounding:KES"] == 600
    assert legs["revenue:energy:KES"] == -4800
    assert sum(legs.values()) == 0


def test_only_the_credit_of_the_meter_has_a_floor(sale: Sale) -> None:
    floors = {account.code.split(":")[0]: account.floor_minor for account in accounts_of(sale)}
    assert {name for name, floor in floors.items() if floor is not None} == {"meter-credit"}
    kinds = {account.code.split(":")[0]: account.kind for account in accounts_of(sale)}
    assert kinds["meter-credit"] is AccountKind.LIABILITY


LIMITS = ClockLimits(backward_s=300, forward_s=86_400)
ANCHOR = ClockReading(NOW, elapsed_s=100)


@pytest.mark.parametrize(
    ("wall_s", "elapsed_s", "is_trusted"),
    [
        (0, 100, True),
        (300, 100, True),
        (301, 100, False),
        (-300, 100, True),
        (-301, 100, False),
        (86_400, 86_500, True),
        (0, 401, False),
    ],
)
def test_wall_clock_moves_as_time_passes(
    wall_s: int,
    elapsed_s: int,
    is_trusted: bool,  # noqa: FBT001 # by case
) -> None:
    reading = ClockReading(NOW + timedelta(seconds=wall_s), elapsed_s)
    assert is_clock_trusted(reading, ANCHOR, None, LIMITS) is is_trusted


@pytest.mark.parametrize(
    ("ago_s", "is_trusted"),
    [(0, True), (86_400, True), (86_401, False), (-300, True), (-301, False)],
)
def test_clock_stays_near_the_last_committed_time(
    ago_s: int,
    is_trusted: bool,  # noqa: FBT001 # by case
) -> None:
    seen_at = NOW - timedelta(seconds=ago_s)
    assert is_clock_trusted(ANCHOR, ANCHOR, seen_at, LIMITS) is is_trusted
