"""The bulk path of key changes runs small with every test run; `make bench` runs it larger."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench" / "bench_key_change.py"


def test_every_meter_gets_a_set_that_changes_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(BENCH), "--size", "1500", "--json"),
            *("--engine", "sqlite", "--folder", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["faults"] == []
    assert [one["sets"] for one in told["figures"]] == [1500]
