import json
from dataclasses import replace

from rich.console import Console

from simulators.clock import StillClock
from simulators.display import (
    ROW_COUNT_MAX,
    EventFeed,
    describe_error,
    describe_event,
    describe_start,
    describe_stop,
    draw_table,
)
from simulators.fleet import RunningFleet, running_fleet
from simulators.fleet_file import FleetPlan
from simulators.meter import RelayPosition, Tamper
from vending.sts import DRN, luhn_check_digit


def render(fleet: RunningFleet) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(draw_table(fleet))
    return capture.get()


def test_the_table_shows_credit_relay_and_alarms(plan: FleetPlan, clock: StillClock) -> None:
    with running_fleet(plan, clock=clock) as fleet:
        meter = fleet.meter("01234567897")
        meter.order_relay(RelayPosition.OPEN)
        assert "closed, opening" in render(fleet)
        clock.move(1000)
        meter.raise_tamper(Tamper.COVER)
        text = render(fleet)
        assert "open (tamper)" in text
        assert "10.000" in text
        assert "low credit" in text
        clock.move(6 * 3_600_000)
        assert "-0.0" not in render(fleet)
        assert fleet.addresses["gateway"] in text


def test_a_large_fleet_shows_its_first_meters(plan: FleetPlan, clock: StillClock) -> None:
    bodies = [f"02{number:08}" for number in range(ROW_COUNT_MAX + 3)]
    meters = tuple(
        replace(plan.meters[0], drn=DRN(body + luhn_check_digit(body)), unit=unit)
        for unit, body in enumerate(bodies, 1)
    )
    with running_fleet(replace(plan, meters=meters), clock=clock) as fleet:
        assert "and 3 meters more" in render(fleet)


def test_a_debt_is_shown_with_its_sign(plan: FleetPlan, clock: StillClock) -> None:
    rating = replace(plan.meters[1].rating, contact_welded=True)
    meters = (replace(plan.meters[1], rating=rating),)
    with running_fleet(replace(plan, meters=meters), clock=clock) as fleet:
        clock.move(6 * 3_600_000 + 300_000)
        assert "-1.083" in render(fleet)


def test_every_event_is_given_once(plan: FleetPlan, clock: StillClock) -> None:
    with running_fleet(plan, clock=clock) as fleet:
        feed = EventFeed()
        first = list(feed.new_events(fleet))
        assert [drn for drn, _ in first] == ["01234567897", "00000000000", "00000000000"]
        assert list(feed.new_events(fleet)) == []
        fleet.meter("01234567897").raise_tamper(Tamper.MAGNET)
        ((drn, event),) = feed.new_events(fleet)
        line = json.loads(describe_event(drn, event))
        assert line == {
            "event": "tamper_raised",
            "drn": "01234567897",
            "at": "2027-01-15T08:00:00+00:00",
            "sequence": 2,
            "detail": 4,
        }


def test_the_other_lines_are_json_too(plan: FleetPlan, clock: StillClock) -> None:
    with running_fleet(plan, clock=clock) as fleet:
        start = json.loads(describe_start(fleet))
        assert start["lines"] == dict(fleet.addresses)
        assert start["meters"][0] == {"drn": "01234567897", "link": fleet.link("01234567897")}
    assert json.loads(describe_stop()) == {"event": "stopped"}
    assert json.loads(describe_error("no")) == {"event": "error", "detail": "no"}
