"""The erasure of one person's data."""

from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.customers.model import NewCustomer
from vending.customers.service import load_customer, register_customer
from vending.personal_data.service import erase_person, propose_erasure
from vending.values.actor import SYSTEM


@scenario(UseCase.ERASURE)
def erasure(stage: Stage) -> TwoPersonAct:
    """A customer who has moved away and has no meter."""
    database, clock = stage.database, stage.clock
    new = NewCustomer(account_number="A-9", name="Amina Wanjiru")
    customer = register_customer(database, new, by=SYSTEM, clock=clock)

    def effect() -> object:
        with database.read() as connection:
            return load_customer(connection, customer.id)

    return TwoPersonAct(
        propose=lambda by: (
            propose_erasure(database, customer.id, by=by, reason="asked for it", clock=clock).id
        ),
        carry_out=lambda by, approval_id: erase_person(
            database, customer.id, by=by, approval_id=approval_id, clock=clock
        ),
        effect=effect,
    )
