import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.clock import StillClock
from simulators.endpoints.lines import LineError
from simulators.fleet import build_meters, running_fleet
from simulators.fleet_file import FleetPlan, parse_fleet
from simulators.meter import EventKind
from simulators.state_file import StateUnreadableError
from vending.sts import TokenResult, ValidationResult

GATEWAY_DRN, CABINET_DRN = "01234567897", "00000000000"


def test_a_fleet_tells_where_its_meters_are(
    plan: FleetPlan, clock: StillClock, tmp_path: Path
) -> None:
    with running_fleet(plan, clock=clock) as fleet:
        port = fleet.addresses["gateway"].split(":")[1]
        assert fleet.link(GATEWAY_DRN) == f"modbus-tcp://127.0.0.1:{port}/1"
        assert fleet.link(CABINET_DRN) == f"modbus-rtu://{tmp_path}/run/cabinet?unit=7&baud=9600"
        assert fleet.faults("gateway") is not fleet.faults("cabinet")


def test_meters_live_by_the_clock_they_are_given(plan: FleetPlan, clock: StillClock) -> None:
    with running_fleet(plan, clock=clock) as fleet:
        clock.move(3_600_000)
        assert fleet.meter(CABINET_DRN).state.electric.balance_wh == 4000
        assert fleet.meter(GATEWAY_DRN).state.electric.balance_wh == 10_000


def test_a_fleet_without_a_clock_runs_at_its_speed(plan: FleetPlan) -> None:
    with running_fleet(replace(plan, speed=3600)) as fleet:
        meter = fleet.meter(CABINET_DRN)
        start_ms = meter.state.electric.at_ms
        while meter.state.electric.at_ms < start_ms + 3_600_000:
            threading.Event().wait(0.01)
        assert meter.state.electric.consumed_wh >= 1000


def test_the_memory_of_tokens_survives_a_restart(
    plan: FleetPlan, clock: StillClock, tmp_path: Path, credit: Callable[..., str]
) -> None:
    kept = replace(plan, state_folder=tmp_path / "state")
    with running_fleet(kept, clock=clock) as fleet:
        entry = fleet.meter(GATEWAY_DRN).enter_token(credit(9))
        assert entry.result is TokenResult.ACCEPT
        clock.move(3_600_000)
    clock.move(24 * 3_600_000)
    with running_fleet(kept, clock=clock) as fleet:
        meter = fleet.meter(GATEWAY_DRN)
        assert meter.state.electric.balance_wh == 20_000
        assert meter.state.electric.events[-1].kind is EventKind.POWER_RESTORED
        assert meter.enter_token(credit(9)).result is ValidationResult.USED_ERROR
        # While the power was off nothing was used.
        assert fleet.meter(CABINET_DRN).state.electric.consumed_wh == 1000


def test_a_token_survives_even_when_the_process_does_not_end_well(
    plan: FleetPlan, clock: StillClock, tmp_path: Path, credit: Callable[..., str]
) -> None:
    kept = replace(plan, state_folder=tmp_path / "state")
    build_meters(kept, clock)[GATEWAY_DRN].enter_token(credit(9))
    again = build_meters(kept, clock)[GATEWAY_DRN]
    assert again.enter_token(credit(9)).result is ValidationResult.USED_ERROR


def test_a_meter_new_in_the_file_starts_as_described(
    plan: FleetPlan, clock: StillClock, tmp_path: Path
) -> None:
    kept = replace(plan, state_folder=tmp_path / "state")
    meter = build_meters(kept, clock)[CABINET_DRN]
    assert [event.kind for event in meter.state.electric.events] == [
        EventKind.STARTED,
        EventKind.LOW_CREDIT,
    ]


def test_damaged_state_stops_the_start(plan: FleetPlan, clock: StillClock, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / f"{GATEWAY_DRN}.json").write_text("{}")
    kept = replace(plan, state_folder=tmp_path / "state")
    with pytest.raises(StateUnreadableError), running_fleet(kept, clock=clock):
        pass


def test_a_line_that_cannot_open_closes_the_others(
    plan: FleetPlan, clock: StillClock, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(LineError), running_fleet(plan, clock=clock):
        pass


def test_a_meter_that_is_not_prepaid_is_closed_without_credit(
    tmp_path: Path, clock: StillClock
) -> None:
    text = """
format = 1
[[lines]]
name = "gateway"
kind = "tcp"
port = 0
[[meters]]
drn = "01234567897"
line = "gateway"
unit = 1
profile = "eastron_sdm120"
load = "constant"
mean_w = 500
"""
    plan = parse_fleet(text, file="fleet.toml", folder=tmp_path)
    with running_fleet(plan, clock=clock) as fleet:
        clock.move(3_600_000)
        electric = fleet.meter(GATEWAY_DRN).state.electric
        assert (electric.consumed_wh, electric.alarms) == (500, 0)
