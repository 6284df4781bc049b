import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from meter_drivers.__main__ import app
from meter_drivers.profiles.loader import list_profiles


@pytest.fixture
def run() -> CliRunner:
    return CliRunner()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    built_in = Path(__file__).parents[3] / "meter_drivers" / "profiles" / "abb_b_series.toml"
    path = tmp_path / "mine.toml"
    path.write_text(built_in.read_text("utf-8"), "utf-8")
    return path


def test_built_in_profiles_are_good(run: CliRunner) -> None:
    result = run.invoke(app, ["profiles", "check", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == dict.fromkeys(list_profiles())


def test_good_file_of_ones_own_is_said_to_be_good(run: CliRunner, mine: Path) -> None:
    result = run.invoke(app, ["profiles", "check", str(mine)])
    assert (result.exit_code, result.stdout) == (0, f"{mine}: good\n")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('invalid_marks = ["highest"]', 'invalid_marks = ["nan"]', "write one of: all_ones"),
        ('invalid_marks = ["highest"]', "invalid = [0x1FFFFFFFF]", "wider than 32 bits"),
        ('encoding = "u64"', 'encoding = "u128"', "write one of: u16"),
        ("address = 0x5004", "address = 0x5002", "it overlaps energy.import.total"),
        ('register = "frequency"', 'register = "speed"', "there is no register speed"),
    ],
)
def test_fault_is_said_with_key_and_remedy(
    run: CliRunner, mine: Path, old: str, new: str, said: str
) -> None:
    text = mine.read_text("utf-8")
    assert old in text
    mine.write_text(text.replace(old, new, 1), "utf-8")
    result = run.invoke(app, ["profiles", "check", str(mine), "acrel_1352"])
    assert result.exit_code == 1
    assert said in result.stdout
    assert "acrel_1352: good" in result.stdout


def test_sunspec_without_models_is_a_fault(run: CliRunner, mine: Path) -> None:
    text = mine.read_text("utf-8").replace("[probe]", "[sunspec]\nmodels = []\n\n[probe]")
    mine.write_text(text, "utf-8")
    result = run.invoke(app, ["profiles", "check", str(mine)])
    assert result.exit_code == 1
    assert "sunspec.models: there is none" in result.stdout


def test_list_tells_how_well_each_is_known(run: CliRunner) -> None:
    result = run.invoke(app, ["profiles", "list"])
    line = "carlo_gavazzi_em111: Carlo Gavazzi EM111, modbus, confidence C, verification none"
    assert line in result.stdout.splitlines()
    rows = json.loads(run.invoke(app, ["profiles", "list", "--json"]).stdout)
    assert [row["name"] for row in rows] == list(list_profiles())
