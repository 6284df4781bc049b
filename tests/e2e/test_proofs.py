"""The proofs of selling run small with every test run; `make proof-vends` runs them large."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres_server import memory_folder

PROOFS = Path(__file__).parents[1] / "proofs"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("proof", "size", "first_word"),
    [("proof_vends.py", 150, "vends:"), ("proof_kill.py", 4, "kill:")],
)
def test_proof_holds_at_a_small_size(
    proof: str, size: int, first_word: str, tmp_path: Path
) -> None:
    folder = memory_folder() or tmp_path
    done = subprocess.run(
        [
            *(sys.executable, str(PROOFS / proof)),
            *("--size", str(size), "--seed", "7", "--folder", str(folder)),
        ],
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(first_word)
    assert "faults 0" in last
