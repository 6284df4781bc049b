"""Decisions on tokens, without a database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from vending.custody.model import UseClass
from vending.keystore.model import KeyReference
from vending.sts import SGC, TI, BaseDate, EncryptionAlgorithm, KeyType, MeterPAN, Resource
from vending.tokens.errors import (
    BaseDateExhaustedError,
    BaseDateNotStartedError,
    TokenRequestInvalidError,
    TooManyTokensError,
)
from vending.tokens.model import (
    MANAGEMENT_KINDS,
    OrderPurpose,
    OrderState,
    TokenKind,
    TokenOrder,
)
from vending.tokens.rules import (
    choose_tid,
    credit_request,
    free_units_accounts,
    free_units_entry,
    key_use,
    management_request,
    month_start,
    require_management,
    takes_two,
)
from vending.values.clock import FixedClock
from vending.values.identifiers import (
    EntryId,
    MeterId,
    OperatorId,
    TokenOrderId,
    new_uuid7,
)
from vending.values.money import Currency, Money

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
CLOCK = FixedClock(NOW)
KES = Currency("KES")
ORDER = TokenOrder(
    id=TokenOrderId(new_uuid7(CLOCK)),
    purpose=OrderPurpose.FREE_UNITS,
    kind=TokenKind.TRANSFER_CREDIT,
    value=50,
    meter_id=MeterId(new_uuid7(CLOCK)),
    meter_pan=MeterPAN("600727000000000009"),
    base_date=BaseDate.Y2014,
    tid=5,
    rnd=3,
    register=KeyReference(SGC("123457"), 1, KeyType.DUTK),
    ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    resource=Resource.ELECTRICITY,
    approval_id=None,
    worth=Money(10_000, KES),
    reason="outage",
    ordered_by=OperatorId(new_uuid7(CLOCK)),
    state=OrderState.OPEN,
    created_at=NOW,
)


def test_identifier_follows_the_last_one() -> None:
    tid = choose_tid(NOW, BaseDate.Y2014, last=None, ahead_limit_min=60)
    assert tid.instant(BaseDate.Y2014) == NOW
    following = choose_tid(NOW, BaseDate.Y2014, last=tid.minutes, ahead_limit_min=60)
    assert following.minutes == tid.minutes + 1


@pytest.mark.parametrize(
    ("now", "base_date", "last", "refusal"),
    [
        (NOW, BaseDate.Y2014, 2**24 - 1, TooManyTokensError),
        (NOW, BaseDate.Y2035, None, BaseDateNotStartedError),
        (datetime(2045, 12, 1, tzinfo=UTC), BaseDate.Y2014, 2**24 - 1, BaseDateExhaustedError),
    ],
)
def test_identifier_that_cannot_be_is_refused(
    now: datetime, base_date: BaseDate, last: int | None, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        choose_tid(now, base_date, last=last, ahead_limit_min=60)


def test_every_management_token_but_the_test_takes_two() -> None:
    alone = {kind for kind in MANAGEMENT_KINDS if not takes_two(kind)}
    assert alone == {TokenKind.INITIATE_METER_TEST}


@pytest.mark.parametrize("kind", sorted(MANAGEMENT_KINDS))
def test_every_management_kind_can_be_made(kind: TokenKind) -> None:
    require_management(kind, 0)
    order = replace(ORDER, purpose=OrderPurpose.MANAGEMENT, kind=kind, value=0)
    request = management_request(order)
    assert request == management_request(order), "the same every time"
    assert key_use(order).use_class is UseClass.MANAGEMENT


def test_credit_is_no_management_token() -> None:
    with pytest.raises(TokenRequestInvalidError):
        require_management(TokenKind.TRANSFER_CREDIT, 1)


def test_free_energy_counts_in_a_class_of_its_own() -> None:
    use = key_use(ORDER)
    assert (use.use_class, use.energy_wh, use.money) == (UseClass.FREE, 5_000, None)
    assert credit_request(ORDER).units == 50


def test_free_units_are_revenue_and_expense_alike() -> None:
    entry = free_units_entry(ORDER, EntryId(new_uuid7(CLOCK)))
    assert entry is not None
    expense, revenue = (account.code for account in free_units_accounts(KES))
    assert [(leg.account_code, leg.minor) for leg in entry.postings] == [
        (expense, 10_000),
        (revenue, -10_000),
    ]


@pytest.mark.parametrize(
    "change", [{"worth": None}, {"worth": Money(0, KES)}, {"purpose": OrderPurpose.REPLACEMENT}]
)
def test_what_is_worth_nothing_or_was_paid_for_is_not_posted(change: dict[str, object]) -> None:
    order = replace(ORDER, **change)  # type: ignore[arg-type] # a column of the table
    assert free_units_entry(order, EntryId(new_uuid7(CLOCK))) is None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 11, 30, 20, 59, tzinfo=UTC), datetime(2026, 10, 31, 21, tzinfo=UTC)),
        (datetime(2026, 11, 30, 21, 0, tzinfo=UTC), datetime(2026, 11, 30, 21, tzinfo=UTC)),
    ],
)
def test_month_begins_at_midnight_of_the_utility(now: datetime, expected: datetime) -> None:
    assert month_start(now, "Africa/Nairobi") == expected
