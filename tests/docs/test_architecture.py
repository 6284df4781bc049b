"""The picture of the layers is that of the import contracts, and every package has its line."""

import re
import tomllib

from tests.support.documents import ROOT, blocks

ARCHITECTURE = (ROOT / "docs/ARCHITECTURE.md").read_text("utf-8")


def layers_of_the_contract() -> list[str]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = config["tool"]["importlinter"]["contracts"][0]
    assert contract["containers"] == ["vending"]
    kept = (
        " | ".join(name for name in layer.split(" | ") if not name.startswith("("))
        for layer in contract["layers"]
    )
    return [layer for layer in kept if layer]


def test_the_layers_are_those_of_the_contract() -> None:
    pictures = [block.text.splitlines() for block in blocks(ARCHITECTURE) if not block.language]
    assert layers_of_the_contract() in pictures


def test_every_package_says_what_it_owns() -> None:
    packages = {path.parent.name for path in (ROOT / "vending").glob("*/__init__.py")}
    owned = set(re.findall(r"`vending/(\w+)`", ARCHITECTURE))
    assert packages - owned == set()
