"""Every `VENDING_…` variable of a deployment file is one that the product reads."""

import re
import tomllib
from pathlib import Path

import pytest

from vending.settings import PREFIX, Settings

ROOT = Path(__file__).parents[3]
KNOWN = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
KNOWN |= {f"{name}_FILE" for name in KNOWN} | {f"{PREFIX}CONFIG"}
FILES = sorted(
    path
    for path in [
        *(ROOT / "docs" / "deploy").rglob("*"),
        *(ROOT / "tests" / "proofs").iterdir(),
        ROOT / "Dockerfile",
        ROOT / "compose.yaml",
    ]
    if path.is_file() and path.suffix != ".pyc"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_variables_are_settings(path: Path) -> None:
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", path.read_text("utf-8"))) <= KNOWN


def test_settings_file_for_a_plain_machine_is_accepted(deploy: Path) -> None:
    given = tomllib.loads((deploy / "vending.toml").read_text("utf-8"))
    assert given
    assert set(given) <= set(Settings.model_fields)
    defaults = {name: Settings.model_fields[name].default for name in given}
    assert given == defaults
