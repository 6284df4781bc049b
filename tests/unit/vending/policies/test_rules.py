"""Values of policies: the form of each, the defaults, and the rules they make up."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from vending.policies.errors import PolicyInvalidError
from vending.policies.model import DEFAULTS, MEANINGS, PolicyName
from vending.policies.rules import NUMBER_MAX, assemble, check_value

N = PolicyName
WEDNESDAY = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
WHOLE = [
    (N.REPLACEMENT_LIMIT_WH, 0, NUMBER_MAX), (N.FREE_UNITS_MONTH_WH, 0, NUMBER_MAX),
    (N.SESSION_IDLE_MIN, 1, 240), (N.SESSION_LIFETIME_H, 1, 24), (N.SESSION_FRESH_MIN, 1, 60),
    (N.RETENTION_MONTHS, 1, 1200), (N.CEILING_CREDIT_WH, 0, NUMBER_MAX),
    (N.CEILING_CREDIT_TOKENS, 0, NUMBER_MAX), (N.CEILING_FREE_WH, 0, NUMBER_MAX),
    (N.CEILING_FREE_TOKENS, 0, NUMBER_MAX), (N.CEILING_MANAGEMENT_TOKENS, 0, NUMBER_MAX),
]  # fmt: skip
OR_NONE = {
    N.RETENTION_MONTHS, N.CEILING_CREDIT_WH, N.CEILING_CREDIT_TOKENS, N.CEILING_FREE_WH,
    N.CEILING_FREE_TOKENS, N.CEILING_MANAGEMENT_TOKENS, N.DISCONNECTION_HOURS,
    N.DISCONNECTION_HOLIDAYS,
}  # fmt: skip


def test_every_policy_has_a_default_and_a_meaning() -> None:
    assert set(DEFAULTS) == set(MEANINGS) == set(PolicyName)


def test_nobody_gives_back_replaces_or_cuts_off_alone_by_default() -> None:
    policies = assemble({})
    assert policies.refund_limit_minor == {}
    assert policies.replacement_limit_wh == 0
    hours = [WEDNESDAY + timedelta(hours=hour) for hour in range(7 * 24)]
    assert not any(policies.disconnection.allows(instant) for instant in hours)
    assert policies.retention_months is None


@pytest.mark.parametrize(("name", "least", "most"), WHOLE)
def test_whole_number_is_taken_from_least_to_most(name: PolicyName, least: int, most: int) -> None:
    for value in (least, most):
        check_value(name, value)
    wrongs: list[object] = [least - 1, most + 1, True, 1.0, "1", [1], {}]
    for wrong in wrongs:
        with pytest.raises(PolicyInvalidError):
            check_value(name, wrong)


@pytest.mark.parametrize("name", PolicyName)
def test_nothing_is_a_value_where_it_means_something(name: PolicyName) -> None:
    if name in OR_NONE:
        check_value(name, None)
        return
    with pytest.raises(PolicyInvalidError) as refused:
        check_value(name, None)
    assert refused.value.facts["policy"] == name


@pytest.mark.parametrize("name", [N.REFUND_LIMIT_MINOR, N.CEILING_CREDIT_MINOR])
@pytest.mark.parametrize(
    "wrong",
    [5, "KES", [], {"KES": -1}, {"KES": True}, {"KES": 1.5}, {"kes": 1}, {"ZZZ": 1}, {1: 1},
     {"KES": NUMBER_MAX + 1}],
)  # fmt: skip
def test_amounts_are_whole_minor_units_of_known_currencies(name: PolicyName, wrong: object) -> None:
    check_value(name, {"KES": 50_000, "UGX": 0})
    with pytest.raises(PolicyInvalidError):
        check_value(name, wrong)


@pytest.mark.parametrize(
    "wrong", ["8:00-16:00", "08:00-24:01", "16:00-08:00", "08:00-08:00", "24:00-24:00", "", 8, []]
)
def test_hours_of_another_form_are_refused(wrong: object) -> None:
    with pytest.raises(PolicyInvalidError):
        check_value(N.DISCONNECTION_HOURS, wrong)


@pytest.mark.parametrize("wrong", ["", "mon,", "mon,mon", "Mon", "mon tue", 1, []])
def test_weekdays_of_another_form_are_refused(wrong: object) -> None:
    with pytest.raises(PolicyInvalidError):
        check_value(N.DISCONNECTION_WEEKDAYS, wrong)


@pytest.mark.parametrize("wrong", ["", "2026-02-30", "25.12.2026", "2026-12-25,", 5, []])
def test_holidays_of_another_form_are_refused(wrong: object) -> None:
    with pytest.raises(PolicyInvalidError):
        check_value(N.DISCONNECTION_HOLIDAYS, wrong)
    with pytest.raises(PolicyInvalidError):
        check_value(N.DISCONNECTION_HOLIDAYS, ",".join(["2026-12-25"] * 101))


@pytest.mark.parametrize("wrong", ["Mars/Olympus", "../etc/passwd", "", "/etc/localtime", 3])
def test_unknown_time_zone_is_refused(wrong: object) -> None:
    with pytest.raises(PolicyInvalidError):
        check_value(N.TIMEZONE, wrong)


@pytest.mark.parametrize("wrong", ["true", 1, 0])
def test_flag_is_true_or_false(wrong: object) -> None:
    with pytest.raises(PolicyInvalidError):
        check_value(N.DISTINCT_DEVICES, wrong)


def test_rule_of_disconnections_is_made_of_its_parts() -> None:
    rule = assemble(
        {
            N.TIMEZONE: "Africa/Nairobi",
            N.DISCONNECTION_HOURS: "08:00-24:00",
            N.DISCONNECTION_WEEKDAYS: "mon,wed",
            N.DISCONNECTION_HOLIDAYS: "2026-12-23",
        }
    ).disconnection
    assert (rule.start, rule.until) == (time(8), None)
    assert (rule.weekdays, rule.holidays) == (frozenset({0, 2}), frozenset({date(2026, 12, 23)}))
    assert rule.allows(WEDNESDAY)
    assert not rule.allows(WEDNESDAY + timedelta(days=1))
    assert not rule.allows(WEDNESDAY + timedelta(days=28)), "a holiday"
    assert not rule.allows(WEDNESDAY - timedelta(hours=4)), "07:00 in Nairobi"
