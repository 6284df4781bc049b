import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_carries_the_migrations_where_the_product_looks(wheel_names: set[str]) -> None:
    migrations = {
        f"vending/persistence/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "migrations").rglob("*.py")
    }
    assert len(migrations) > 1
    assert migrations <= wheel_names


def test_wheel_carries_every_file_of_the_packages(wheel_names: set[str]) -> None:
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in ("vending", "meter_drivers", "simulators")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert ours <= wheel_names


def test_wheel_carries_nothing_else(wheel_names: set[str]) -> None:
    roots = {name.split("/")[0] for name in wheel_names if ".dist-info/" not in name}
    assert roots == {"vending", "meter_drivers", "simulators"}
