from pathlib import Path

import pytest

from meter_drivers.capabilities import Done, Refused
from meter_drivers.errors import (
    ConnectionLostError,
    LineBusyError,
    LinkSyntaxError,
    ProfileError,
)
from meter_drivers.profiles.loader import load_profile
from meter_drivers.profiles.modbus_part import ModbusPart, ModbusProfile
from meter_drivers.profiles.model import LineSettings, Parity, narrow_profile
from meter_drivers.protocols.modbus.credit import SiteKey
from meter_drivers.protocols.modbus.token_entry import TokenOutcome
from meter_drivers.registry import (
    GAP_S_MIN,
    BusPool,
    BusSpec,
    Link,
    open_meter,
    pace_serial,
    parse_link,
)
from meter_drivers.transports.port import ByteStream, Timer
from meter_drivers.transports.tcp import TCPStream
from tests.support.modbus_lines import serve_pty, serve_tcp
from tests.support.modbus_meter import PrepayMeter

TOKEN = "09123456789012345678"
LINE = LineSettings(9600, Parity.NONE, 1)


@pytest.fixture
def pool() -> BusPool:
    return BusPool()


# --- links --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("modbus-tcp://10.0.0.7", Link(BusSpec("modbus-tcp", "10.0.0.7", 502, None), "1")),
        ("modbus-tcp://gw:1502/17", Link(BusSpec("modbus-tcp", "gw", 1502, None), "17")),
        ("modbus-tcp://[::1]:1502/255", Link(BusSpec("modbus-tcp", "::1", 1502, None), "255")),
        (
            "modbus-rtu-tcp://gw:4001/3?baud=2400",
            Link(BusSpec("modbus-rtu-tcp", "gw", 4001, LineSettings(2400, Parity.NONE, 1)), "3"),
        ),
        ("modbus-rtu:///dev/ttyS0", Link(BusSpec("modbus-rtu", "/dev/ttyS0", 0, LINE), "1")),
        (
            "modbus-rtu:///dev/ttyS0?unit=9&baud=19200&parity=e&stop_bits=2&echo=1",
            Link(
                BusSpec(
                    "modbus-rtu",
                    "/dev/ttyS0",
                    0,
                    LineSettings(19200, Parity.EVEN, 2),
                    strips_echo=True,
                ),
                "9",
            ),
        ),
    ],
)
def test_link_is_read_and_completed_from_the_profile(
    link: str, expected: Link, reference: ModbusProfile
) -> None:
    assert parse_link(link, reference) == expected


def test_line_settings_of_the_profile_hold_where_the_link_says_none() -> None:
    link = parse_link(
        "modbus-rtu:///dev/ttyS0", narrow_profile(load_profile("eastron_sdm120"), ModbusPart)
    )
    assert link.bus.line == LineSettings(2400, Parity.NONE, 1)


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("", "kind '' is not one of"),
        ("http://meter", "kind 'http'"),
        ("modbus-tcp://", "host is missing"),
        ("modbus-tcp://host:0x10/1", "Port could not be cast"),
        ("modbus-tcp://host:99999/1", "Port out of range"),
        ("modbus-tcp://[::1/1", "Invalid IPv6"),
        ("modbus-tcp://host/0", "unit '0'"),
        ("modbus-tcp://host/248", "unit '248'"),
        ("modbus-tcp://host/one", "unit 'one'"),
        ("modbus-tcp://host/1?baud=9600", "unknown option 'baud'; allowed here: none"),
        ("modbus-rtu-tcp://host/255", "unit '255'"),
        ("modbus-rtu-tcp://host/1?parity=E", "unknown option 'parity'"),
        ("modbus-rtu://dev/ttyS0", "path of the port is missing"),
        ("modbus-rtu://", "path of the port is missing"),
        ("modbus-rtu:///dev/ttyS0?unit=255", "unit '255'"),
        ("modbus-rtu:///dev/ttyS0?baud=fast", "baud 'fast' is no number"),
        ("modbus-rtu:///dev/ttyS0?baud=9601", "baud 9601 is not one of"),
        ("modbus-rtu:///dev/ttyS0?parity=X", "parity 'X'"),
        ("modbus-rtu:///dev/ttyS0?stop_bits=3", "stop_bits 3"),
        ("modbus-rtu:///dev/ttyS0?speed=9600", "unknown option 'speed'"),
        ("modbus-rtu:///dev/ttyS0?unit", "bad query field"),
    ],
)
def test_link_that_cannot_be_read_says_why_and_how_one_is_written(
    link: str, problem: str, reference: ModbusProfile
) -> None:
    with pytest.raises(LinkSyntaxError) as caught:
        parse_link(link, reference)
    assert problem in str(caught.value)
    assert "write modbus-tcp://host:port/unit" in str(caught.value)


DLT645_LINE = LineSettings(2400, Parity.EVEN, 1)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (
            "dlt645:///dev/ttyS0?address=161",
            Link(BusSpec("dlt645", "/dev/ttyS0", 0, DLT645_LINE), "000000000161"),
        ),
        (
            "dlt645-tcp://gw:4001/151230011061?baud=2400",
            Link(BusSpec("dlt645-tcp", "gw", 4001, DLT645_LINE), "151230011061"),
        ),
    ],
)
def test_dlt645_link_is_read(link: str, expected: Link) -> None:
    assert parse_link(link, load_profile("generic_dlt645_prepaid")) == expected


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("dlt645-tcp://gw/161", "the port is missing"),
        ("dlt645-tcp://gw:4001/", "'' is not the address of one meter"),
        ("dlt645-tcp://gw:4001/999999999999", "is not the address of one meter"),
        ("dlt645-tcp://gw:4001/AAAAAAAAAAAA", "is not the address of one meter"),
        ("dlt645-tcp://gw:4001/12x", "is no address of a meter"),
        ("dlt645:///dev/ttyS0?unit=1", "is not the address of one meter"),
        ("dlt645:///dev/ttyS0?address=161&unit=1", "unknown option 'unit'"),
        ("modbus-tcp://gw/1", "profile generic_dlt645_prepaid speaks dlt645"),
    ],
)
def test_dlt645_link_that_cannot_be_read_says_why(link: str, problem: str) -> None:
    with pytest.raises(LinkSyntaxError) as caught:
        parse_link(link, load_profile("generic_dlt645_prepaid"))
    assert problem in str(caught.value)


# --- lines --------------------------------------------------------------------------------------
TCP = BusSpec("modbus-tcp", "127.0.0.1", 1502, None)
RTU = BusSpec("modbus-rtu", "/dev/ttyS0", 0, LINE)


def test_two_links_to_one_line_share_its_bus(pool: BusPool) -> None:
    with pool.use(TCP) as one, pool.use(TCP) as other, pool.use(RTU) as third:
        assert one is other
        assert one is not third


def test_bus_is_kept_with_its_quarantine_after_its_last_user(pool: BusPool) -> None:
    with pool.use(TCP) as before:
        pass
    with pool.use(TCP) as after:
        assert after is before


def test_line_in_use_with_other_settings_is_busy(pool: BusPool) -> None:
    faster = BusSpec("modbus-rtu", "/dev/ttyS0", 0, LineSettings(19200, Parity.NONE, 1))
    with pool.use(RTU), pytest.raises(LineBusyError, match="other settings"):
        pool.use(faster).__enter__()
    with pool.use(faster) as bus:
        assert "19200" in bus.link


def test_gap_is_three_and_a_half_characters_and_never_below_its_least() -> None:
    assert pace_serial(9600, allowance_s=0).gap_s == pytest.approx(3.5 * 11 / 9600)
    assert pace_serial(115_200, allowance_s=0).gap_s == GAP_S_MIN


# --- from link to meter -------------------------------------------------------------------------
def test_meter_behind_tcp_takes_a_token(
    prepay_meter: PrepayMeter, pool: BusPool, site_key: SiteKey
) -> None:
    prepay_meter.outcomes[TOKEN] = TokenOutcome.ACCEPT
    with (
        serve_tcp(prepay_meter) as port,
        open_meter(
            f"modbus-tcp://127.0.0.1:{port}/1",
            profile="reference_prepay",
            pool=pool,
            site_key=site_key.material,
        ) as meter,
    ):
        assert meter.identify().drn == prepay_meter.drn
        assert isinstance(meter.enter_token(TOKEN), Done)
        assert isinstance(meter.enter_token(TOKEN), Refused)
        assert isinstance(meter.add_credit(10, seq=1), Done)
        assert meter.read_credit().balance_wh == 12_350


def test_meter_behind_a_serial_port_is_read_and_switched(
    prepay_meter: PrepayMeter, pool: BusPool
) -> None:
    prepay_meter.outcomes[TOKEN] = TokenOutcome.ACCEPT
    with (
        serve_pty(prepay_meter) as path,
        open_meter(f"modbus-rtu://{path}?unit=1", profile="reference_prepay", pool=pool) as meter,
    ):
        assert meter.identify().drn == prepay_meter.drn
        assert isinstance(meter.open_relay(), Done)
        assert isinstance(meter.enter_token(TOKEN), Done)


def test_one_gateway_is_asked_by_many_sessions_over_one_connection(
    prepay_meter: PrepayMeter, pool: BusPool
) -> None:
    with serve_tcp(prepay_meter) as port:
        link = f"modbus-tcp://127.0.0.1:{port}/1"
        with (
            open_meter(link, profile="reference_prepay", pool=pool) as one,
            open_meter(link, profile="reference_prepay", pool=pool) as other,
        ):
            assert one.identify() == other.identify()


def test_what_stands_between_bus_and_line_hears_all_that_passes(prepay_meter: PrepayMeter) -> None:
    class Recorder(TCPStream):
        heard = b""

        def read(self, size_max: int, *, timeout_s: float) -> bytes:
            data = super().read(size_max, timeout_s=timeout_s)
            self.heard += data
            return data

    recorders: list[Recorder] = []

    def record(spec: BusSpec, _stream: ByteStream, timer: Timer) -> tuple[ByteStream, Timer]:
        recorders.append(Recorder(spec.place, spec.port, connect_timeout_s=30))
        return recorders[-1], timer

    with serve_tcp(prepay_meter) as port:
        link = f"modbus-tcp://127.0.0.1:{port}/1"
        pool = BusPool(adapt=record)
        with open_meter(link, profile="reference_prepay", pool=pool) as meter:
            meter.identify()
    (recorder,) = recorders
    assert b"open prepay" in recorder.heard


def test_line_closes_with_its_last_session_and_opens_for_the_next(
    prepay_meter: PrepayMeter, pool: BusPool
) -> None:
    with serve_tcp(prepay_meter) as port:
        link = f"modbus-tcp://127.0.0.1:{port}/1"
        for _ in range(2):
            with open_meter(link, profile="reference_prepay", pool=pool) as meter:
                assert meter.identify().model == "open prepay"


def test_meter_that_is_not_there_is_an_error_on_first_use(pool: BusPool) -> None:
    link = "modbus-rtu:///dev/ttyNobody"
    with (
        open_meter(link, profile="reference_prepay", pool=pool, timeout_s=0.1) as meter,
        pytest.raises(ConnectionLostError),
    ):
        meter.identify()


def test_transparent_gateway_carries_rtu_frames(pool: BusPool) -> None:
    spec = BusSpec("modbus-rtu-tcp", "127.0.0.1", 4001, LINE)
    with pool.use(spec) as bus:
        assert bus.link == "tcp 127.0.0.1:4001"


def test_bad_profile_and_bad_site_key_are_refused_before_anything_opens(
    pool: BusPool, tmp_path: Path
) -> None:
    link = "modbus-tcp://127.0.0.1:1/1"
    with pytest.raises(ProfileError), open_meter(link, profile=str(tmp_path / "x.toml")):
        pass
    with (
        pytest.raises(ValueError, match="32 bytes"),
        open_meter(link, profile="reference_prepay", pool=pool, site_key=b"short"),
    ):
        pass
