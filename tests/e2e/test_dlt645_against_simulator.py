"""The DL/T 645 driver against simulated meters, over TCP and over a pseudo-terminal."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from meter_drivers import (
    BusPool,
    Done,
    Meter,
    MeterAccess,
    NeedsHuman,
    NotApplied,
    Recharge,
    Refused,
    RelayState,
    open_meter,
)
from meter_drivers.errors import LinkTimeoutError, NotSupportedError, RemoteProtocolError
from meter_drivers.protocols.dlt645.requests import Credentials
from simulators.clock import ScaledClock
from simulators.dlt645_security import ToySigner
from simulators.endpoints.dlt645_service import DLT645Service
from simulators.faults import Fault, new_byte_source
from simulators.fleet import RunningFleet, running_fleet
from simulators.fleet_file import parse_fleet
from tests.support.hushed_meters import hushed_pool

TCP_DRN, PTY_DRN, NEW_DRN = "01234567897", "00000000000", "11111111115"
PROFILE = "generic_dlt645_prepaid"
CUSTOMER = "000000000007"
PRICE_MINOR = 50

METER = f"""
profile = "{PROFILE}"
price_minor = {PRICE_MINOR}
credit_wh = 10000
load = "none"
"""
FLEET = f"""
format = 1

[[lines]]
name = "gateway"
protocol = "dlt645"
kind = "tcp"
port = 0
faults = {{ late_ms = 4000 }}

[[lines]]
name = "cabinet"
protocol = "dlt645"
kind = "pty"
link = "run/cabinet"
faults = {{ late_ms = 4000 }}

[[meters]]
drn = "{TCP_DRN}"
line = "gateway"
address = "000000000161"
customer_number = "{CUSTOMER}"
purchase_count = 3
{METER}
[[meters]]
drn = "{PTY_DRN}"
line = "cabinet"
customer_number = "{CUSTOMER}"
purchase_count = 3
{METER}
[[meters]]
drn = "{NEW_DRN}"
line = "cabinet"
{METER}
"""
ACCESS = MeterAccess(
    signer=ToySigner(new_byte_source(7)), credentials=Credentials.from_digits(2, "000000")
)
ORDER = Recharge(amount_minor=2500, count=4, customer_number=CUSTOMER)
FIRST_ORDER = Recharge(1000, 1, CUSTOMER, opens_account=True)
ASKED_BEFORE = 2
"""Session and status; the next exchange is the purchase."""
BALANCE_MINOR, ORDER_WH = 500, 50_000
BOTH = pytest.mark.parametrize("drn", [TCP_DRN, PTY_DRN])

OpenMeter = Callable[..., Meter]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[RunningFleet]:
    plan = parse_fleet(FLEET, file="fleet.toml", folder=tmp_path)
    with running_fleet(plan, clock=ScaledClock(speed=1)) as running:
        yield running


@pytest.fixture
def pool(fleet: RunningFleet) -> BusPool:
    return hushed_pool(fleet)


@pytest.fixture
def open_by_drn(fleet: RunningFleet, pool: BusPool) -> Iterator[OpenMeter]:
    with ExitStack() as stack:

        def open_by_drn(drn: str, access: MeterAccess = ACCESS) -> Meter:
            return stack.enter_context(
                open_meter(fleet.link(drn), profile=PROFILE, access=access, pool=pool)
            )

        yield open_by_drn


def accepted_wh(fleet: RunningFleet, drn: str) -> int:
    return fleet.meter(drn).state.electric.accepted_wh - 10_000


def lie(fleet: RunningFleet, drn: str) -> None:
    plan = fleet.plans[drn]
    service = fleet.service(plan.line)
    assert isinstance(service, DLT645Service)
    service.meters[plan.station].false_refusals = 1


@BOTH
def test_meter_says_who_it_is_and_is_read(
    fleet: RunningFleet, open_by_drn: OpenMeter, drn: str
) -> None:
    meter = open_by_drn(drn)
    assert meter.identify().address == fleet.plans[drn].station
    readings = {reading.name: reading for reading in meter.read_registers()}
    assert readings["voltage"].value == 230_000
    assert readings["frequency"].value == 50_000
    assert readings["energy.import.total"].value == 0
    assert all(reading.value is not None for reading in readings.values())


@BOTH
def test_wallet_is_read(open_by_drn: OpenMeter, drn: str) -> None:
    wallet = open_by_drn(drn).read_wallet()
    assert (wallet.balance_minor, wallet.overdraft_minor) == (BALANCE_MINOR, 0)
    assert (wallet.purchase_count, wallet.customer_number) == (3, CUSTOMER)
    assert (wallet.account_is_open, wallet.counts) == (True, "money")


@BOTH
def test_relay_is_switched_and_read_back(
    fleet: RunningFleet, open_by_drn: OpenMeter, drn: str
) -> None:
    meter = open_by_drn(drn)
    opened = meter.open_relay()
    assert isinstance(opened, Done)
    assert (opened.value.command, opened.value.actual) == (RelayState.OPEN, RelayState.OPEN)
    assert fleet.meter(drn).state.electric.actual.name == "OPEN"
    assert isinstance(meter.close_relay(), Done)
    assert meter.read_relay().actual is RelayState.CLOSED


def test_relay_order_that_was_refused_and_done_is_done(
    fleet: RunningFleet, open_by_drn: OpenMeter
) -> None:
    lie(fleet, PTY_DRN)
    assert isinstance(open_by_drn(PTY_DRN).open_relay(), Done)


def test_relay_takes_the_right_password(open_by_drn: OpenMeter) -> None:
    wrong = MeterAccess(credentials=Credentials.from_digits(2, "000001"))
    assert open_by_drn(PTY_DRN, wrong).open_relay() == Refused("password", "wrong password")
    with pytest.raises(NotSupportedError, match="without its password"):
        open_by_drn(PTY_DRN, MeterAccess()).open_relay()


def test_relay_is_not_ordered_while_the_clock_is_off(
    fleet: RunningFleet, open_by_drn: OpenMeter
) -> None:
    off = MeterAccess(
        credentials=ACCESS.credentials,
        local_time=lambda: datetime(2001, 1, 1),  # noqa: DTZ001 # local time of a meter
    )
    refused = open_by_drn(PTY_DRN, off).open_relay()
    assert isinstance(refused, Refused)
    assert refused.reason == "clock_off"
    assert fleet.meter(PTY_DRN).state.electric.ordered.name == "CLOSED"


# --- purchases ----------------------------------------------------------------------------------
@BOTH
def test_recharge_is_taken_once_however_often_it_is_sent(
    fleet: RunningFleet, open_by_drn: OpenMeter, drn: str
) -> None:
    meter = open_by_drn(drn)
    for _ in range(3):
        taken = meter.recharge(ORDER)
        assert isinstance(taken, Done)
        assert (taken.value.count, taken.value.balance_minor) == (4, BALANCE_MINOR + 2500)
    assert accepted_wh(fleet, drn) == ORDER_WH


@BOTH
@pytest.mark.parametrize(
    "fault", [Fault.LOST_ANSWER, Fault.LATE_ANSWER, Fault.CORRUPT, Fault.DUPLICATE, Fault.TRUNCATE]
)
def test_recharge_whose_answer_suffers_is_done_once(
    fleet: RunningFleet, open_by_drn: OpenMeter, drn: str, fault: Fault
) -> None:
    fleet.faults(fleet.plans[drn].line).queue(*[None] * ASKED_BEFORE, fault)
    meter = open_by_drn(drn)
    assert isinstance(meter.recharge(ORDER), Done)
    assert isinstance(meter.recharge(ORDER), Done)
    assert accepted_wh(fleet, drn) == ORDER_WH


@BOTH
def test_recharge_that_never_arrived_is_not_applied_and_may_be_sent_again(
    fleet: RunningFleet, open_by_drn: OpenMeter, drn: str
) -> None:
    fleet.faults(fleet.plans[drn].line).queue(*[None] * ASKED_BEFORE, Fault.DROP)
    meter = open_by_drn(drn)
    assert isinstance(meter.recharge(ORDER), NotApplied)
    assert accepted_wh(fleet, drn) == 0
    assert isinstance(meter.find_recharge(ORDER), NotApplied)
    assert isinstance(meter.recharge(ORDER), Done)
    assert accepted_wh(fleet, drn) == ORDER_WH


@BOTH
def test_recharge_that_was_refused_and_applied_is_done(
    fleet: RunningFleet, open_by_drn: OpenMeter, drn: str
) -> None:
    lie(fleet, drn)
    assert isinstance(open_by_drn(drn).recharge(ORDER), Done)
    assert accepted_wh(fleet, drn) == ORDER_WH


def test_recharge_whose_read_back_fails_is_unknown_until_it_is_found(
    fleet: RunningFleet, open_by_drn: OpenMeter
) -> None:
    lost = [Fault.LOST_ANSWER] * 4
    fleet.faults("cabinet").queue(*[None] * ASKED_BEFORE, *lost)
    meter = open_by_drn(PTY_DRN)
    assert type(meter.recharge(ORDER)).__name__ == "Unknown"
    assert isinstance(meter.find_recharge(ORDER), Done)
    assert accepted_wh(fleet, PTY_DRN) == ORDER_WH


def test_account_is_opened_by_the_first_purchase(
    fleet: RunningFleet, open_by_drn: OpenMeter
) -> None:
    meter = open_by_drn(NEW_DRN)
    assert not meter.read_wallet().account_is_open
    for _ in range(2):
        assert isinstance(meter.recharge(FIRST_ORDER), Done)
    assert meter.read_wallet().account_is_open
    assert accepted_wh(fleet, NEW_DRN) == 20_000


@pytest.mark.parametrize("count", [2, 3, 5])
def test_count_that_is_not_the_next_one_goes_to_a_human(
    fleet: RunningFleet, open_by_drn: OpenMeter, count: int
) -> None:
    given = Recharge(2500, count, CUSTOMER)
    assert isinstance(open_by_drn(PTY_DRN).recharge(given), NeedsHuman)
    assert accepted_wh(fleet, PTY_DRN) == 0


def test_another_amount_under_a_count_that_is_taken_goes_to_a_human(
    fleet: RunningFleet, open_by_drn: OpenMeter
) -> None:
    meter = open_by_drn(PTY_DRN)
    assert isinstance(meter.recharge(ORDER), Done)
    other = Recharge(2600, ORDER.count, CUSTOMER)
    assert isinstance(meter.recharge(other), NeedsHuman)
    assert accepted_wh(fleet, PTY_DRN) == ORDER_WH


def test_what_the_meter_refuses_is_refused(fleet: RunningFleet, open_by_drn: OpenMeter) -> None:
    meter = open_by_drn(PTY_DRN)
    other = meter.recharge(Recharge(2500, 4, "000000000008"))
    assert isinstance(other, Refused)
    assert other.reason == "customer_number"
    too_much = meter.recharge(Recharge(99_999_999, 4, CUSTOMER))
    assert too_much == Refused("hoarding", "the balance would pass the hoarding limit")
    not_open = open_by_drn(NEW_DRN).recharge(Recharge(2500, 1, "000000000000"))
    assert not_open == Refused("other", "another error")
    assert accepted_wh(fleet, PTY_DRN) == accepted_wh(fleet, NEW_DRN) == 0


def test_recharge_takes_a_signer(open_by_drn: OpenMeter) -> None:
    with pytest.raises(NotSupportedError, match="has no signer here"):
        open_by_drn(PTY_DRN, MeterAccess()).recharge(ORDER)


def test_status_that_the_element_did_not_sign_is_not_believed(open_by_drn: OpenMeter) -> None:
    class Doubting(ToySigner):
        def is_genuine(self, *_: object, **__: object) -> bool:
            return False

    doubting = MeterAccess(signer=Doubting(new_byte_source(1)))
    with pytest.raises(RemoteProtocolError, match="MACs of the wallet are wrong"):
        open_by_drn(PTY_DRN, doubting).recharge(ORDER)


def test_meter_that_is_not_there_is_silent(fleet: RunningFleet, pool: BusPool) -> None:
    link = fleet.link(TCP_DRN).replace("000000000161", "000000000162")
    with (
        open_meter(link, profile=PROFILE, pool=pool) as meter,
        pytest.raises(LinkTimeoutError),
    ):
        meter.identify()


def test_trace_shows_no_password_and_no_mac(open_by_drn: OpenMeter, pool: BusPool) -> None:
    meter = open_by_drn(PTY_DRN)
    meter.open_relay()
    meter.recharge(ORDER)
    (owned,) = pool._owned.values()
    frames = owned.bus.line.trace.frames()
    functions = {bytes([0x68, code]) for code in (0x1C, 0x03)}
    secret = [frame for frame in frames if frame.shown[11:13] in functions]
    assert secret
    assert all(len(frame.shown) == 14 and frame.hidden_count for frame in secret)
