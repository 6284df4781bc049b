"""The deployment files as text and as data."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture
def deploy() -> Path:
    return ROOT / "docs" / "deploy"


@pytest.fixture
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text("utf-8")


@pytest.fixture
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    services = compose["services"]
    assert isinstance(services, dict)
    return services


@pytest.fixture
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@pytest.fixture
def install_script() -> str:
    return (ROOT / "docs" / "deploy" / "install.sh").read_text("utf-8")


@pytest.fixture
def proof_script() -> str:
    return (ROOT / "tests" / "proofs" / "proof_install.sh").read_text("utf-8")
