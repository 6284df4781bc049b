import threading

import pytest

from vending.persistence.errors import DatabaseBusyError
from vending.persistence.fair_lock import FairLock


def wait_until_queued(lock: FairLock, count: int) -> None:
    pause = threading.Event()
    for _ in range(20_000):
        if len(lock._waiting) == count:
            return
        pause.wait(0.005)
    raise AssertionError("the thread never queued")


def test_lock_is_granted_in_the_order_it_was_asked_for() -> None:
    lock = FairLock(timeout_s=100)
    order: list[int] = []

    def take(number: int) -> None:
        with lock:
            order.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(5)]
    with lock:
        for number, thread in enumerate(threads):
            thread.start()
            wait_until_queued(lock, number + 1)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_lock_refuses_a_wait_above_its_bound_and_works_on() -> None:
    lock = FairLock(timeout_s=0)
    with lock, pytest.raises(DatabaseBusyError, match="queue"):
        lock.acquire()
    with lock:
        pass


def test_lock_handed_over_in_the_last_moment_is_ours() -> None:
    lock = FairLock(timeout_s=0)
    lock.acquire()
    guard = lock._guard

    class HandsOver:
        """A guard that lets the holder release between the end of the wait and the look."""

        entered_count = 0

        def __enter__(self) -> None:
            self.entered_count += 1
            if self.entered_count == 2:
                lock._waiting.popleft().set()
            guard.acquire()

        def __exit__(self, *_: object) -> None:
            guard.release()

    lock._guard = HandsOver()  # type: ignore[assignment] # used only by `with`
    lock.acquire()
    lock.release()
    assert not lock._is_held


def test_lock_that_nobody_holds_is_not_released() -> None:
    with pytest.raises(AssertionError, match="only a held lock"):
        FairLock(timeout_s=1).release()
