"""A shop, and the people who keep its keys."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.people import sign_in_as
from tests.support.policies import ceilings, set_policies
from tests.support.shop import Shop, build_shop
from vending.approvals.model import Approval, Decision
from vending.approvals.service import decide
from vending.custody.model import Ceiling, UseClass
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.sales.service.desk import SalesDesk
from vending.values.clock import FixedClock


@dataclass(frozen=True)
class Staff:
    """Custodians and others of the utility, each another person."""

    database: Database
    clock: FixedClock

    def custodian(self, name: str = "chen", *, person: str | None = None) -> SignedIn:
        return sign_in_as(self.database, self.clock, Role.KEY_CUSTODIAN, name=name, person=person)

    def someone(self, role: Role) -> SignedIn:
        return sign_in_as(self.database, self.clock, role)

    def approve(self, asked: Approval, by: SignedIn) -> None:
        with self.database.unit_of_work() as uow:
            decide(
                uow.connection,
                by,
                asked.id,
                Decision(approve=True),
                clock=self.clock,
            )
            uow.commit()


@pytest.fixture
def shop(database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Shop:
    return build_shop(database, fixed_clock, tmp_path, meter_count=4)


@pytest.fixture
def staff(database: Database, fixed_clock: FixedClock) -> Staff:
    return Staff(database, fixed_clock)


@pytest.fixture
def limited(shop: Shop) -> Callable[[Ceiling], SalesDesk]:
    """A desk whose keys have this ceiling for credit."""

    def make(ceiling: Ceiling) -> SalesDesk:
        set_policies(shop.database, shop.clock, ceilings(UseClass.CREDIT, ceiling))
        return shop.desk

    return make
