import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from vending.values.clock import FixedClock
from vending.values.identifiers import new_uuid7


def test_identifier_is_a_uuid_of_version_7(fixed_clock: FixedClock) -> None:
    made = new_uuid7(fixed_clock)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == int(fixed_clock.now().timestamp()) * 1000


def test_identifiers_sort_by_time_and_do_not_repeat(fixed_clock: FixedClock) -> None:
    made = []
    for _ in range(200):
        made.append(new_uuid7(fixed_clock))
        fixed_clock.advance(timedelta(milliseconds=1))
    assert made == sorted(made)
    same_moment = {new_uuid7(fixed_clock) for _ in range(1000)}
    assert len(same_moment) == 1000


def test_milliseconds_are_cut_exactly(fixed_clock: FixedClock) -> None:
    for microseconds in (1_000, 7_000, 999_999, 123_456):
        fixed_clock.jump_to(fixed_clock.now().replace(microsecond=microseconds))
        unix_ms = new_uuid7(fixed_clock).int >> 80
        assert unix_ms % 1000 == microseconds // 1000


def test_identifiers_of_one_millisecond_rise_in_their_order(fixed_clock: FixedClock) -> None:
    made = [new_uuid7(fixed_clock) for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_identifiers_made_by_many_threads_do_not_repeat(fixed_clock: FixedClock) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_uuid7(fixed_clock), range(5_000)))
    assert len(set(made)) == len(made)
