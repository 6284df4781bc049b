"""The proof of the audit chain runs small with every test run; `make proof-audit` runs it large."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres_server import memory_folder

PROOF = Path(__file__).parents[1] / "proofs" / "proof_audit.py"


@pytest.mark.timeout(900)
def test_proof_holds_at_a_small_size(tmp_path: Path) -> None:
    folder = memory_folder() or tmp_path
    done = subprocess.run(
        [sys.executable, str(PROOF), "--size", "96", "--seed", "7", "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("audit:")
    assert "faults 0" in last
