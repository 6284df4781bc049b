"""An open key store that no database knows."""

from pathlib import Path

import pytest

from tests.support.vending_keys import store_in_memory
from vending.keystore.store import OpenKeyStore


@pytest.fixture
def store(tmp_path: Path) -> OpenKeyStore:
    return store_in_memory(tmp_path)
