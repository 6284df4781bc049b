import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from meter_drivers.__main__ import app
from meter_drivers.protocols.modbus.token_entry import TokenOutcome
from tests.support.modbus_lines import serve_tcp
from tests.support.modbus_meter import PaperMeter, PrepayMeter

TOKEN = "0912 3456 7890 1234 5678"
NOBODY = "modbus-tcp://127.0.0.1:1/1"


@pytest.fixture
def link(prepay_meter: PrepayMeter) -> Iterator[str]:
    prepay_meter.set(0x0100, (0, 1_234, 2301, 0, 500))
    prepay_meter.set(0x0105, (0xFFFF, 0xFFFE))
    prepay_meter.set(0x010B, (0xFFFF, 5000))
    with serve_tcp(prepay_meter) as port:
        yield f"modbus-tcp://127.0.0.1:{port}/1"


@pytest.fixture
def run() -> CliRunner:
    return CliRunner()


def test_probe_finds_the_profile(run: CliRunner, link: str) -> None:
    result = run.invoke(app, ["probe", link, "--json"])
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert (answer["profile"], answer["drn"]) == ("reference_prepay", "12345678903")
    assert "accepts_token" in answer["abilities"]
    shown = run.invoke(app, ["probe", link, "-p", "reference_prepay"])
    assert "600727123456789034" in shown.stdout


def test_probe_recognises_a_meter_without_identity(run: CliRunner) -> None:
    meter = PaperMeter(holding={0x11: 5001})
    with serve_tcp(meter) as port:
        result = run.invoke(app, ["probe", f"modbus-tcp://127.0.0.1:{port}/1", "--json"])
    assert json.loads(result.stdout)["profile"] == "hiking_dds238_zn_sr"


@pytest.mark.parametrize("options", [[], ["-p", "eastron_sdm120"]])
def test_probe_of_nobody_says_what_to_check(run: CliRunner, options: list[str]) -> None:
    result = run.invoke(app, ["probe", NOBODY, *options])
    assert result.exit_code == 1
    assert "connection refused" in result.stderr


def test_read_shows_values_in_their_units_and_credit(run: CliRunner, link: str) -> None:
    result = run.invoke(app, ["read", link])
    assert result.exit_code == 0
    rows = [" ".join(line.replace("│", " ").split()) for line in result.stdout.splitlines()]
    assert "energy.import.total 1.234 kWh" in rows
    assert "voltage 230.100 V" in rows
    assert "power.active -2.000 W" in rows
    assert "balance_wh 12340" in rows
    assert "relay.actual closed" in rows
    assert any(row.startswith("power_factor unavailable: the meter marks") for row in rows)


def test_read_in_json_has_whole_numbers_and_reasons(run: CliRunner, link: str) -> None:
    answer = json.loads(run.invoke(app, ["read", link, "--json"]).stdout)
    readings = {reading["name"]: reading for reading in answer["readings"]}
    assert readings["voltage"]["value"] == 230_100
    assert readings["power_factor"]["value"] is None
    assert answer["credit"]["balance_wh"] == 12_340


def test_read_of_a_meter_that_keeps_no_credit_shows_none(run: CliRunner) -> None:
    meter = PaperMeter(holding=dict.fromkeys(range(0x1B), 1))
    with serve_tcp(meter) as port:
        link = f"modbus-tcp://127.0.0.1:{port}/1"
        result = run.invoke(app, ["read", link, "-p", "hiking_dds238_zn_sr", "--json"])
    assert json.loads(result.stdout)["credit"] is None


def test_relay_is_shown_and_switched(run: CliRunner, link: str) -> None:
    assert "closed" in run.invoke(app, ["relay", link, "show"]).stdout
    result = run.invoke(app, ["relay", link, "open", "--yes", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["actual"] == "open"
    assert run.invoke(app, ["relay", link, "close", "--yes"]).exit_code == 0


def test_relay_is_not_switched_without_a_yes(
    run: CliRunner, link: str, prepay_meter: PrepayMeter
) -> None:
    result = run.invoke(app, ["relay", link, "open"], input="n\n")
    assert result.exit_code == 1
    assert "cuts the supply" in result.stderr
    assert prepay_meter.pdus == []


def test_token_is_entered_with_spaces(run: CliRunner, link: str, prepay_meter: PrepayMeter) -> None:
    prepay_meter.outcomes[TOKEN.replace(" ", "")] = TokenOutcome.ACCEPT
    result = run.invoke(app, ["token", link, TOKEN])
    assert result.exit_code == 0
    assert "Accept" in result.stdout


def test_token_that_is_refused_ends_with_1_and_its_reason(run: CliRunner, link: str) -> None:
    result = run.invoke(app, ["token", link, TOKEN, "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert (answer["result"], answer["code"]) == ("refused", "crc_error")
    assert "for another meter" in run.invoke(app, ["token", link, TOKEN]).stderr


def test_unknown_outcome_says_what_to_do_next(
    run: CliRunner, link: str, prepay_meter: PrepayMeter
) -> None:
    prepay_meter.on_write = lambda _address, _words: 0x0B
    result = run.invoke(app, ["token", link, TOKEN])
    assert result.exit_code == 1
    assert "enter the same token again" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["token", NOBODY, "1234"], "local_protocol_error"),
        (["token", NOBODY, TOKEN], "connection_lost"),
        (["token", NOBODY, TOKEN, "-p", "eastron_sdm120"], "not_supported"),
        (["read", NOBODY, "-p", "nobody"], "profile_error"),
        (["read", "nowhere"], "link_syntax"),
        (["probe", "nowhere"], "link_syntax"),
        (["probe", NOBODY], "not_recognised"),
        (["probe", NOBODY, "-p", "reference_prepay"], "connection_lost"),
        (["probe", NOBODY, "-p", "nobody"], "profile_error"),
    ],
)
def test_error_has_its_code_in_json(run: CliRunner, arguments: list[str], code: str) -> None:
    result = run.invoke(app, [*arguments, "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == code


def test_meterctl_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "meter_drivers", "read", "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "write modbus-tcp://host:port/unit" in done.stderr
