"""No act that takes two people is done by one, whichever roles and accounts that one has."""

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from tests.support import people, two_person
from tests.support.two_person.registry import SCENARIOS, Stage, TwoPersonAct
from vending.approvals.errors import ApprovalNotFoundError, ApprovalOwnError, ApprovalStateError
from vending.approvals.model import UseCase
from vending.errors import VendingError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId, new_uuid7

for _module in iter_modules(two_person.__path__):
    import_module(f"{two_person.__name__}.{_module.name}")


@pytest.fixture
def stage(sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Stage:
    return Stage(sqlite_database, fixed_clock, tmp_path / "stage")


@pytest.fixture(params=list(SCENARIOS))
def act(request: pytest.FixtureRequest, stage: Stage) -> TwoPersonAct:
    stage.folder.mkdir(mode=0o700)
    return SCENARIOS[request.param](stage)


def person(stage: Stage, name: str, of: str | None = None) -> SignedIn:
    """Somebody with every role there is."""
    return people.sign_in_as(stage.database, stage.clock, *Role, name=name, person=of)


def test_every_use_case_has_a_scenario() -> None:
    assert set(SCENARIOS) == set(UseCase)


def test_one_person_alone_changes_nothing(stage: Stage, act: TwoPersonAct) -> None:
    alone, second = person(stage, "alone", "Ann"), person(stage, "second", "Ann")
    before = act.effect()
    approval_id = act.propose(alone)

    for account in (alone, second):
        with pytest.raises(ApprovalOwnError):
            people.approve(stage.database, stage.clock, approval_id, account)
        with pytest.raises(ApprovalStateError):
            act.carry_out(account, approval_id)
        with pytest.raises(ApprovalNotFoundError):
            act.carry_out(account, ApprovalId(new_uuid7(stage.clock)))
    assert act.effect() == before


def test_two_people_do_it_once(stage: Stage, act: TwoPersonAct) -> None:
    one, other = person(stage, "one"), person(stage, "other")
    before = act.effect()
    approval_id = act.propose(one)
    people.approve(stage.database, stage.clock, approval_id, other)
    act.carry_out(one, approval_id)
    after = act.effect()

    assert after != before
    with suppress(VendingError):  # a repeat is refused, or gives what was done before
        act.carry_out(one, approval_id)
    assert act.effect() == after
