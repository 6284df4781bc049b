"""The proof of campaigns runs small with every test run; `make proof-campaign` runs it large."""

import subprocess
import sys
from pathlib import Path

import pytest

PROOF = Path(__file__).parents[1] / "proofs" / "proof_campaign.py"


@pytest.mark.timeout(900)
def test_campaigns_hold_on_twelve_meters_of_which_four_fail(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROOF), "--size", "12", "--seed", "7", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("campaign: seed 7; revision 12 meters: ")
    assert "faults 0" in last
