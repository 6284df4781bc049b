from dataclasses import replace

import pytest

from vending.meters.errors import MeterInvalidError
from vending.meters.model import (
    TARGETS,
    TRANSITIONS,
    Location,
    Meter,
    MeterKey,
    MeterState,
    draw_state_diagram,
    require_link,
)
from vending.sts.keys import EncryptionAlgorithm, KeyDerivation, KeyType


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"krn": 0}, "krn"),
        ({"krn": 10}, "krn"),
        ({"ea": EncryptionAlgorithm.MISTY1, "dkga": KeyDerivation.DKGA02}, "dkga"),
        ({"kt": KeyType.DCTK}, "dkga"),
        ({"tariff_code": ""}, "tariff_code"),
        ({"tariff_code": "a b"}, "tariff_code"),
        ({"profile": "Reference"}, "profile"),
        ({"profile": "../x"}, "profile"),
        ({"link": "tcp://x"}, "link"),
        ({"link": "modbus-tcp://10.0.0.1:502/1"}, "profile"),
    ],
)
def test_a_meter_outside_its_limits_is_refused(
    meter: Meter, change: dict[str, object], field: str
) -> None:
    with pytest.raises(MeterInvalidError) as refused:
        replace(meter, **change)  # type: ignore[arg-type] # the table mixes field types
    assert refused.value.facts["field"] == field


def test_a_meter_with_a_link_names_its_profile(meter: Meter) -> None:
    linked = replace(meter, link="modbus-tcp://10.0.0.1:502/1", profile="reference_prepay")
    assert linked.link == "modbus-tcp://10.0.0.1:502/1"


def test_a_meter_knows_what_chooses_its_key(meter: Meter) -> None:
    assert meter.key == MeterKey(
        sgc=meter.sgc, krn=1, kt=KeyType.DUTK, ti=meter.ti, base_date=meter.base_date
    )


@pytest.mark.parametrize(
    "link",
    [
        "modbus-tcp://10.0.0.1:502/1",
        "modbus-tcp://meter-7.example.org:65535/247",
        "modbus-tcp://[fe80::1]:502/1",
        "modbus-rtu:///dev/ttyUSB0?unit=1&baud=9600",
        "modbus-rtu:///dev/serial/by-id/usb-FTDI_A-if00?unit=247&baud=115200",
    ],
)
def test_a_link_is_taken(link: str) -> None:
    assert require_link(link) == link


@pytest.mark.parametrize(
    "link",
    [
        "",
        "modbus-tcp://10.0.0.1/1",
        "modbus-tcp://10.0.0.1:0/1",
        "modbus-tcp://10.0.0.1:65536/1",
        "modbus-tcp://10.0.0.1:502/0",
        "modbus-tcp://10.0.0.1:502/248",
        "modbus-tcp://:502/1",
        "modbus-tcp://user@host:502/1",
        "modbus-tcp://-host:502/1",
        "modbus-tcp://host:502/1\n",
        "modbus-tcp://host:\u0665\u0660\u0662/1",
        "modbus-rtu:///dev/ttyUSB0",
        "modbus-rtu:///dev/ttyUSB0?unit=1&baud=9601",
        "modbus-rtu:///dev/ttyUSB0?unit=0&baud=9600",
        "modbus-rtu:///dev/../etc/passwd?unit=1&baud=9600",
        "modbus-rtu:///etc/passwd?unit=1&baud=9600",
        "http://10.0.0.1:502/1",
    ],
)
def test_what_is_no_link_is_refused(link: str) -> None:
    with pytest.raises(MeterInvalidError, match="link: modbus-tcp"):
        require_link(link)


@pytest.mark.parametrize(
    ("text", "latitude_udeg", "longitude_udeg", "field"),
    [
        ("x" * 201, None, None, "location"),
        ("a\nb", None, None, "location"),
        ("", 1, None, "longitude"),
        ("", None, 1, "longitude"),
        ("", 90_000_001, 0, "latitude"),
        ("", -90_000_001, 0, "latitude"),
        ("", 0, 180_000_001, "longitude"),
    ],
)
def test_a_place_off_the_globe_is_refused(
    text: str, latitude_udeg: int | None, longitude_udeg: int | None, field: str
) -> None:
    with pytest.raises(MeterInvalidError) as refused:
        Location(text, latitude_udeg, longitude_udeg)
    assert refused.value.facts["field"] == field


def test_the_edge_of_the_globe_is_a_place() -> None:
    assert Location("pole", -90_000_000, 180_000_000).latitude_udeg == -90_000_000


def test_every_state_is_reached_and_only_the_last_is_final() -> None:
    reached = {transition.target for transition in TRANSITIONS}
    assert reached == set(MeterState)
    assert [state for state in MeterState if not TARGETS[state]] == [MeterState.DECOMMISSIONED]


def test_no_way_stands_twice() -> None:
    pairs = [(transition.origin, transition.target) for transition in TRANSITIONS]
    assert len(pairs) == len(set(pairs))


def test_no_repair_lifts_a_block() -> None:
    assert MeterState.FAULTY not in TARGETS[MeterState.BLOCKED]


def test_the_diagram_draws_every_way() -> None:
    lines = draw_state_diagram().splitlines()
    assert lines[:3] == [
        "stateDiagram-v2",
        "    [*] --> stock",
        "    stock --> installed: install",
    ]
    assert lines[-1] == "    decommissioned --> [*]"
    assert len(lines) == len(TRANSITIONS) + 3
