"""The restore drill of `make proof-restore`, small: destroy everything, restore, sell on."""

from pathlib import Path

import pytest

from tests.postgres_server import PostgresServer
from tests.proofs.proof_restore import DRILLS, drill


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", DRILLS)
def test_no_identifier_comes_twice_and_what_is_lost_is_listed(
    name: str, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    figures, faults = drill(name, tmp_path / name, postgres_server, 60)
    assert faults == []
    assert "0 lost" not in figures.split(", ")
