from pathlib import Path

import pytest

from tests.proofs.backup_tampering import prove_backups


@pytest.mark.timeout(900)
def test_no_altered_backup_is_read(tmp_path: Path) -> None:
    outcome = prove_backups(tmp_path, size=60, seed=7, is_exhaustive=False)
    assert outcome.faults == []
    assert outcome.tried > 250
