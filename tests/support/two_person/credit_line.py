"""A partner's credit line."""

from tests.support.shop import build_shop
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.partners.service import load_partner, propose_credit_line, set_credit_line


@scenario(UseCase.CREDIT_LINE)
def credit_line(stage: Stage) -> TwoPersonAct:
    """A line of 1,000.00 for a partner that owed without limit."""
    database, clock = stage.database, stage.clock
    partner = build_shop(database, clock, stage.folder).partner

    def effect() -> object:
        with database.read() as connection:
            return load_partner(connection, partner.id).credit_line_minor

    return TwoPersonAct(
        propose=lambda by: (
            propose_credit_line(
                database, partner.id, 100_000, by=by, reason="first line", clock=clock
            ).id
        ),
        carry_out=lambda by, approval_id: set_credit_line(
            database, partner.id, 100_000, by=by, approval_id=approval_id, clock=clock
        ),
        effect=effect,
    )
