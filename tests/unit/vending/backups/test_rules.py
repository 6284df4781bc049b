import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vending.backups.errors import BackupDamagedError, RestoreClockError
from vending.backups.model import TableShape, ValueKind
from vending.backups.rules import (
    decode_rows,
    encode_rows,
    life_of,
    order_for_loading,
    parse_line,
    require_clock,
    tid_floors,
)
from vending.sts.tid import BaseDate, next_tid

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KINDS = tuple((kind.value, kind) for kind in ValueKind)
SHAPE = TableShape("every_kind", KINDS, ("number",), frozenset())


def test_values_of_every_kind_come_back() -> None:
    row = {
        "number": -(1 << 62), "flag": True, "text": 'ü\n"', "bytes": b"\0\xff",
        "instant": NOW + timedelta(microseconds=7), "uuid": uuid.UUID(int=5),
        "document": {"a": [1, None]},
    }  # fmt: skip
    empty = dict.fromkeys(row)
    line = encode_rows(SHAPE, [tuple(row.values()), tuple(empty.values())])
    assert b"\n" not in line
    assert decode_rows(SHAPE, parse_line(line)) == [row, empty]


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b"\xff"])
def test_a_line_that_is_no_record_is_damage(line: bytes) -> None:
    with pytest.raises(BackupDamagedError):
        parse_line(line)


def test_rows_of_another_width_are_damage() -> None:
    with pytest.raises(BackupDamagedError):
        decode_rows(SHAPE, {"rows": [[1]]})


def test_tables_come_after_those_they_need() -> None:
    def shape(name: str, *after: str) -> TableShape:
        return TableShape(name, (), (), frozenset(after))

    ordered = order_for_loading([shape("a", "c"), shape("b"), shape("c", "b", "c")])
    assert [each.name for each in ordered] == ["b", "c", "a"]
    with pytest.raises(AssertionError, match="ring"):
        order_for_loading([shape("a", "b"), shape("b", "a")])


@given(before=st.integers(0, 200_000), limit=st.integers(1, 1440), last=st.integers(0, 1440))
def test_the_floor_lies_above_every_identifier_that_may_have_been_issued(
    before: int, limit: int, last: int
) -> None:
    """Whatever was issued before the restore, by the rule of issue, is not issued again."""
    issued_at = NOW - before * MINUTE
    start = next_tid(issued_at, BaseDate.Y2014, last=None, ahead_limit_min=limit).minutes
    ahead = start + min(last, limit)
    floor = tid_floors(NOW, ahead_limit_min=limit)[BaseDate.Y2014]
    assert ahead <= floor + 1  # a reserved minute is skipped by both
    following = next_tid(NOW + 2 * MINUTE, BaseDate.Y2014, last=floor, ahead_limit_min=limit)
    assert following.minutes > floor


def test_base_dates_that_ended_or_have_not_begun_get_no_floor() -> None:
    assert set(tid_floors(NOW, ahead_limit_min=60)) == {BaseDate.Y2014}


def test_the_clock_may_be_ahead_of_the_backup_within_the_limit_or_confirmed() -> None:
    backward, forward = timedelta(minutes=5), timedelta(days=1)

    def check(now: datetime, *, confirmed: bool = False) -> None:
        require_clock(now, NOW, backward=backward, forward=forward, confirmed=confirmed)

    check(NOW - backward)
    check(NOW + forward)
    check(NOW + 99 * forward, confirmed=True)
    for now, confirmed in (
        (NOW - backward - MINUTE, True),
        (NOW + forward + MINUTE, False),
    ):
        with pytest.raises(RestoreClockError):
            check(now, confirmed=confirmed)


def test_rows_other_than_approvals_are_inserted_as_they_are() -> None:
    assert life_of("sales", {"state": "released"}) == [{"state": "released"}]
