from simulators.clock import ScaledClock, StillClock


def test_a_still_clock_moves_when_told() -> None:
    clock = StillClock(5)
    clock.move(10)
    assert clock.now_ms() == 15


def test_a_scaled_clock_runs_ahead_and_never_back() -> None:
    clock = ScaledClock(3600)
    readings = [clock.now_ms() for _ in range(2000)]
    assert readings == sorted(readings)
    assert readings[-1] > readings[0]
