"""How a feature shows that no one person can do its act: one scenario for each use case.

A module in this folder, `<use_case>.py`, registers a function for each of its use cases:

    @scenario(UseCase.CREDIT_LINE)
    def credit_line(stage: Stage) -> TwoPersonAct:
        partner = add_partner(stage.database, ...)
        return TwoPersonAct(
            propose=lambda by: propose_credit_line(stage.database, by, ..., clock=stage.clock).id,
            carry_out=lambda by, approval_id: change_credit_line(..., approval_id, ...),
            effect=lambda: load_partner(...).floor_minor,
        )

`tests/integration/two_person/test_alone.py` finds it, and plays one person with every role and two
accounts against it: nothing changes. Then two people do it, and `effect` differs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vending.approvals.model import UseCase
from vending.operators.model import SignedIn
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId


@dataclass(frozen=True)
class Stage:
    """An empty installation: a database at the present schema, a clock, an empty folder."""

    database: Database
    clock: FixedClock
    folder: Path


@dataclass(frozen=True)
class TwoPersonAct:
    """One act that takes two people, ready to be asked for."""

    propose: Callable[[SignedIn], ApprovalId]
    """Ask for it, and commit."""
    carry_out: Callable[[SignedIn, ApprovalId], object]
    """Do it with the approval, and commit."""
    effect: Callable[[], object]
    """What is different once it is done; compared before and after."""


Scenario = Callable[[Stage], TwoPersonAct]
SCENARIOS: dict[UseCase, Scenario] = {}


def scenario(use_case: UseCase) -> Callable[[Scenario], Scenario]:
    """Register the scenario of a use case."""

    def register(function: Scenario) -> Scenario:
        assert use_case not in SCENARIOS, "one scenario a use case"
        SCENARIOS[use_case] = function
        return function

    return register
