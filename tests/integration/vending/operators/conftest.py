import pytest

from tests.support.people import CHEAP_PASSWORDS
from tests.support.sign_in import ORIGIN, Person, activate
from vending.keystore.sealing import Keyring, Purpose
from vending.operators.passkeys import PasskeySite
from vending.operators.service.desk import SignInDesk
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


def make_desk(database: Database, clock: FixedClock) -> SignInDesk:
    sealer = Keyring.generate().sealer(Purpose.OPERATOR_SECRETS)
    return SignInDesk(
        database=database,
        clock=clock,
        passwords=CHEAP_PASSWORDS,
        sealer=lambda: sealer,
        issuer="Lumen Utility",
        passkey_site=PasskeySite("office.example.org", ORIGIN, "Lumen Utility"),
    )


@pytest.fixture
def desk(database: Database, fixed_clock: FixedClock) -> SignInDesk:
    """On SQLite and on PostgreSQL."""
    return make_desk(database, fixed_clock)


@pytest.fixture
def sqlite_desk(sqlite_database: Database, fixed_clock: FixedClock) -> SignInDesk:
    """For what does not depend on the database."""
    return make_desk(sqlite_database, fixed_clock)


@pytest.fixture
def amina(desk: SignInDesk) -> Person:
    """An operator who has activated her account; the first code is used up."""
    return activate(desk, "amina")


@pytest.fixture
def sqlite_amina(sqlite_desk: SignInDesk) -> Person:
    return activate(sqlite_desk, "amina")
