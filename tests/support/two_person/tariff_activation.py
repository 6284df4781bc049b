"""The activation of a tariff version."""

from tests.support.people import sign_in_as
from tests.support.shop import KES
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from vending.approvals.model import UseCase
from vending.operators.permissions import Role
from vending.tariffs.model import TariffTerms
from vending.tariffs.service import activate, draft_version, list_versions, propose_activation


@scenario(UseCase.TARIFF_ACTIVATION)
def tariff_activation(stage: Stage) -> TwoPersonAct:
    """The first version of a tariff, drafted by its owner."""
    database, clock = stage.database, stage.clock
    owner = sign_in_as(database, clock, Role.TARIFF_OWNER, name="drafts-tariffs")
    terms = TariffTerms(
        code="RES-9", currency=KES, price_per_kwh_micro=20_000_000, vat_basis_points=1600
    )
    draft = draft_version(database, terms, by=owner, clock=clock)

    def effect() -> object:
        with database.read() as connection:
            return list_versions(connection)

    return TwoPersonAct(
        propose=lambda by: (
            propose_activation(database, draft.id, by=by, reason="new price", clock=clock).id
        ),
        carry_out=lambda by, approval_id: activate(
            database, draft.id, by=by, approval_id=approval_id, clock=clock
        ),
        effect=effect,
    )
