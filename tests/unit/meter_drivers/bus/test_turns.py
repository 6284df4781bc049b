import os
import signal
import threading

import pytest

from meter_drivers.bus.turns import Turns, Urgency
from meter_drivers.errors import LineBusyError


def wait_until_waiting(turns: Turns, count: int) -> None:
    while len(turns._waiting) < count:
        threading.Event().wait(0.001)


def test_urgent_goes_first_then_first_come_first_served() -> None:
    turns = Turns("line")
    order: list[str] = []

    def use(name: str, urgency: Urgency) -> None:
        with turns.take(urgency, timeout_s=60):
            order.append(name)

    threads = []
    with turns.take(Urgency.READ, timeout_s=60):
        waiting = [
            ("read 1", Urgency.READ),
            ("relay", Urgency.RELAY),
            ("read 2", Urgency.READ),
            ("credit", Urgency.CREDIT),
        ]
        for count, (name, urgency) in enumerate(waiting, 1):
            thread = threading.Thread(target=use, args=(name, urgency))
            thread.start()
            threads.append(thread)
            wait_until_waiting(turns, count)
    for thread in threads:
        thread.join()
    assert order == ["credit", "relay", "read 1", "read 2"]


def test_line_that_stays_taken_is_busy_and_free_again_after() -> None:
    turns = Turns("line")
    with turns.take(Urgency.READ, timeout_s=1):
        with (
            pytest.raises(LineBusyError, match="no turn"),
            turns.take(Urgency.CREDIT, timeout_s=0.01),
        ):
            pytest.fail("two owners at once")
        assert turns._waiting == []
    with turns.take(Urgency.READ, timeout_s=0.01):
        pass


def test_turn_ends_when_its_owner_fails() -> None:
    turns = Turns("line")
    with pytest.raises(ZeroDivisionError), turns.take(Urgency.READ, timeout_s=1):
        raise ZeroDivisionError
    with turns.take(Urgency.READ, timeout_s=0.01):
        pass


def test_waiter_that_was_interrupted_stands_in_nobodys_way() -> None:
    class InterruptedWaitError(Exception):
        pass

    def interrupt(_number: int, _frame: object) -> None:
        raise InterruptedWaitError

    def ring() -> None:
        wait_until_waiting(turns, 1)
        threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGALRM)

    turns = Turns("line")
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with turns.take(Urgency.READ, timeout_s=1):
            alarm = threading.Thread(target=ring)
            alarm.start()
            with pytest.raises(InterruptedWaitError), turns.take(Urgency.CREDIT, timeout_s=60):
                pass
            alarm.join()
    finally:
        signal.signal(signal.SIGALRM, before)
    with turns.take(Urgency.READ, timeout_s=0.1):
        pass
