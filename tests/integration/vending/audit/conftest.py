import pytest

from tests.support.audit_chain import Chain
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def chain(database: Database, fixed_clock: FixedClock) -> Chain:
    """A chain of 12 events under four heads."""
    chain = Chain(database, fixed_clock)
    chain.fill([3, 4, 1, 4])
    return chain
