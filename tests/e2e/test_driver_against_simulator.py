"""The real driver against simulated meters, over TCP and over a pseudo-terminal."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from meter_drivers import (
    BusPool,
    Done,
    Meter,
    Refused,
    RelayState,
    Unknown,
    open_meter,
)
from meter_drivers.errors import LinkTimeoutError, NotSupportedError
from simulators.clock import ScaledClock
from simulators.faults import Fault
from simulators.fleet import RunningFleet, running_fleet
from simulators.fleet_file import FleetPlan, parse_fleet
from simulators.meter import RelayPosition
from tests.support.hushed_meters import hushed_pool
from vending.sts import (
    DecoderKey,
    EncryptionAlgorithm,
    Resource,
    TokenIdentifier,
    TransferCredit,
    encode,
)

SITE_KEY = bytes(range(32))
KEY = DecoderKey(bytes.fromhex("0123456789abcdef"), EncryptionAlgorithm.STA)
TCP_DRN, PTY_DRN, NEIGHBOUR_DRN = "01234567897", "00000000000", "11111111115"
SDM_DRN, HIKING_DRN = "22222222220", "33333333335"

FLEET = f"""
format = 1

[[lines]]
name = "gateway"
kind = "tcp"
port = 0
faults = {{ late_ms = 2500 }}

[[lines]]
name = "cabinet"
kind = "pty"
link = "run/cabinet"
faults = {{ late_ms = 400 }}

[[meters]]
drn = "{TCP_DRN}"
line = "gateway"
unit = 1
decoder_key = "{KEY.material.hex()}"
sgc = "123456"
site_key = "{SITE_KEY.hex()}"
credit_wh = 10000
load = "none"

[[meters]]
drn = "{PTY_DRN}"
line = "cabinet"
unit = 7
decoder_key = "{KEY.material.hex()}"
sgc = "123456"
site_key = "{SITE_KEY.hex()}"
credit_wh = 10000
load = "none"

[[meters]]
drn = "{NEIGHBOUR_DRN}"
line = "cabinet"
unit = 8
decoder_key = "{KEY.material.hex()}"
sgc = "123456"
site_key = "{SITE_KEY.hex()}"
credit_wh = 20000
load = "none"

[[meters]]
drn = "{SDM_DRN}"
line = "gateway"
unit = 2
profile = "eastron_sdm630"
energy_wh = 123000
load = "constant"
mean_w = 2400

[[meters]]
drn = "{HIKING_DRN}"
line = "cabinet"
unit = 9
profile = "hiking_dds238_zn_sr"
load = "constant"
mean_w = 1200
"""

OpenMeter = Callable[[str], Meter]


@pytest.fixture
def plan(tmp_path: Path) -> FleetPlan:
    return parse_fleet(FLEET, file="fleet.toml", folder=tmp_path)


@pytest.fixture
def fleet(plan: FleetPlan) -> Iterator[RunningFleet]:
    with running_fleet(plan, clock=ScaledClock(speed=1)) as running:
        yield running


@pytest.fixture
def pool(fleet: RunningFleet) -> BusPool:
    return hushed_pool(fleet)


@pytest.fixture
def open_by_drn(fleet: RunningFleet, pool: BusPool) -> Iterator[OpenMeter]:
    with ExitStack() as stack:

        def open_by_drn(drn: str) -> Meter:
            profile = fleet.plans[drn].profile.name
            return stack.enter_context(
                open_meter(fleet.link(drn), profile=profile, site_key=SITE_KEY, pool=pool)
            )

        yield open_by_drn


@pytest.fixture
def credit() -> Callable[..., str]:
    def make(tid: int, units: int = 100) -> str:
        token = TransferCredit(
            resource=Resource.ELECTRICITY, rnd=3, tid=TokenIdentifier(tid), units=units
        )
        return encode(token, KEY)

    return make


both_lines = pytest.mark.parametrize("drn", [TCP_DRN, PTY_DRN], ids=["tcp", "pty"])


@both_lines
def test_the_driver_reads_who_it_is_and_its_credit(drn: str, open_by_drn: OpenMeter) -> None:
    meter = open_by_drn(drn)
    assert meter.identify().drn == drn
    status = meter.read_credit()
    assert (status.balance_wh, status.last_seq, status.last_tid) == (10_000, 0, None)
    assert status.relay.actual is RelayState.CLOSED


@both_lines
def test_a_token_is_accepted_once(
    drn: str, open_by_drn: OpenMeter, fleet: RunningFleet, credit: Callable[..., str]
) -> None:
    meter = open_by_drn(drn)
    entry = meter.enter_token(credit(500, units=25))
    assert isinstance(entry, Done)
    assert (entry.value.result, entry.value.last_tid) == ("Accept", 500)
    again = meter.enter_token(credit(500, units=25))
    assert isinstance(again, Refused)
    assert again.meaning
    assert meter.read_credit().balance_wh == 12_500
    assert fleet.meter(drn).state.electric.balance_wh == 12_500


@both_lines
def test_every_refusal_comes_back_by_its_name(
    drn: str, open_by_drn: OpenMeter, credit: Callable[..., str]
) -> None:
    meter = open_by_drn(drn)
    assert isinstance(meter.enter_token(credit(1000)), Done)
    refusals = {
        "UsedError": credit(1000),
        "CRCError": "12345678901234567890",
        "FormatError": "99999999999999999999",
        "FunctionError": f"{3 << 27:020}",
    }
    for name, digits in refusals.items():
        entry = meter.enter_token(digits)
        assert isinstance(entry, Refused)
        assert name.lower().removesuffix("error") in entry.reason.lower().replace("_", "")


def test_an_old_token_is_refused_once_the_memory_is_full(
    open_by_drn: OpenMeter, fleet: RunningFleet, credit: Callable[..., str]
) -> None:
    simulated = fleet.meter(TCP_DRN)
    for tid in range(2000, 2050):
        assert simulated.enter_token(credit(tid, units=1)).is_accepted
    entry = open_by_drn(TCP_DRN).enter_token(credit(1999))
    assert isinstance(entry, Refused)
    assert "old" in entry.reason.lower()


@both_lines
def test_the_relay_is_opened_and_closed_and_read_back(
    drn: str, open_by_drn: OpenMeter, fleet: RunningFleet
) -> None:
    meter = open_by_drn(drn)
    opened = meter.open_relay()
    assert isinstance(opened, Done)
    assert opened.value.actual is RelayState.OPEN
    assert fleet.meter(drn).state.electric.actual is RelayPosition.OPEN
    closed = meter.close_relay()
    assert isinstance(closed, Done)
    assert fleet.meter(drn).state.electric.actual is RelayPosition.CLOSED


@both_lines
def test_a_credit_order_is_carried_out_once_by_its_sequence(
    drn: str, open_by_drn: OpenMeter, fleet: RunningFleet
) -> None:
    meter = open_by_drn(drn)
    first = meter.add_credit(5000, seq=1)
    again = meter.add_credit(5000, seq=1)
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    other = meter.add_credit(6000, seq=1)
    assert isinstance(other, Refused)
    electric = fleet.meter(drn).state.electric
    assert (electric.balance_wh, electric.purchase_count) == (15_000, 1)


@both_lines
def test_a_lost_answer_to_a_token_never_ends_as_refused_nor_doubled(
    drn: str, open_by_drn: OpenMeter, fleet: RunningFleet, credit: Callable[..., str]
) -> None:
    meter = open_by_drn(drn)
    meter.read_credit()
    fleet.faults(fleet.plans[drn].line).queue(None, Fault.LOST_ANSWER)
    entry = meter.enter_token(credit(700, units=10))
    assert isinstance(entry, Done | Unknown)
    assert fleet.meter(drn).state.electric.balance_wh in {10_000, 11_000}
    meter.enter_token(credit(700, units=10))
    assert fleet.meter(drn).state.electric.balance_wh == 11_000


@both_lines
@pytest.mark.parametrize(
    "fault", [Fault.DROP, Fault.LOST_ANSWER, Fault.CORRUPT, Fault.TRUNCATE, Fault.DUPLICATE]
)
def test_a_credit_order_survives_a_fault_without_doubling(
    drn: str, fault: Fault, open_by_drn: OpenMeter, fleet: RunningFleet
) -> None:
    meter = open_by_drn(drn)
    meter.read_credit()
    fleet.faults(fleet.plans[drn].line).queue(fault)
    results = [meter.add_credit(5000, seq=1) for _ in range(3)]
    assert isinstance(results[-1], Done)
    assert not any(isinstance(result, Refused) for result in results)
    electric = fleet.meter(drn).state.electric
    assert (electric.balance_wh, electric.purchase_count) == (15_000, 1)


@both_lines
def test_a_late_answer_is_not_taken_for_that_to_the_next_question(
    drn: str, open_by_drn: OpenMeter, fleet: RunningFleet, credit: Callable[..., str]
) -> None:
    meter = open_by_drn(drn)
    before = meter.read_credit()
    fleet.faults(fleet.plans[drn].line).queue(Fault.LATE_ANSWER)
    entry = meter.enter_token(credit(800, units=10))
    assert not isinstance(entry, Refused)
    assert meter.identify().drn == drn
    assert meter.read_credit().balance_wh == before.balance_wh + 1000


@both_lines
def test_an_absent_id_is_silent(drn: str, fleet: RunningFleet, pool: BusPool) -> None:
    link = fleet.link(drn).removesuffix("/1")
    link = link.replace("unit=7", "unit=99") if "unit=7" in link else f"{link}/99"
    with (
        open_meter(link, profile="reference_prepay", pool=pool) as meter,
        pytest.raises(LinkTimeoutError),
    ):
        meter.read_credit()


def test_two_meters_share_one_line(open_by_drn: OpenMeter, credit: Callable[..., str]) -> None:
    one, other = open_by_drn(PTY_DRN), open_by_drn(NEIGHBOUR_DRN)
    for tid in range(3):
        assert isinstance(one.enter_token(credit(tid, units=1)), Done)
        assert isinstance(other.enter_token(credit(tid, units=2)), Done)
    assert one.read_credit().balance_wh == 10_300
    assert other.read_credit().balance_wh == 20_600


def test_a_meter_that_is_only_read_is_read(open_by_drn: OpenMeter) -> None:
    meter = open_by_drn(SDM_DRN)
    readings = {reading.name: reading.value for reading in meter.read_registers()}
    assert readings["energy.total"] == 123_000
    assert readings["power.active"] == 2_400_000
    assert readings["frequency"] == 50_000
    with pytest.raises(NotSupportedError):
        meter.enter_token("0" * 20)


def test_the_relay_of_a_meter_without_credit_is_switched(
    open_by_drn: OpenMeter, fleet: RunningFleet
) -> None:
    meter = open_by_drn(HIKING_DRN)
    readings = {reading.name: reading.value for reading in meter.read_registers()}
    assert readings["power.active"] == 1_200_000
    opened = meter.open_relay()
    assert isinstance(opened, Done)
    assert not opened.value.is_position_measured
    assert fleet.meter(HIKING_DRN).state.electric.ordered is RelayPosition.OPEN


def test_a_welded_contact_is_not_reported_open(plan: FleetPlan, tmp_path: Path) -> None:
    text = FLEET.replace("unit = 1\n", "unit = 1\ncontact_welded = 1\n")
    welded = parse_fleet(text, file="fleet.toml", folder=tmp_path)
    assert welded != plan
    with (
        running_fleet(welded) as fleet,
        open_meter(
            fleet.link(TCP_DRN), profile="reference_prepay", pool=hushed_pool(fleet)
        ) as meter,
    ):
        assert not isinstance(meter.open_relay(), Done)
