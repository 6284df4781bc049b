"""Approvals in the database: asked, decided, used once, and kept as they were."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from tests.support.people import sign_in_as
from vending.approvals import service
from vending.approvals.errors import (
    ApprovalExpiredError,
    ApprovalMismatchError,
    ApprovalNotFoundError,
    ApprovalOwnError,
    ApprovalStandingError,
    ApprovalStateError,
    ApprovalUsedError,
)
from vending.approvals.model import Act, Approval, ApprovalState, Decision, UseCase
from vending.approvals.tables import approvals
from vending.operators.errors import (
    PermissionDeniedError,
    SecondFactorStaleError,
    SignInRequiredError,
)
from vending.operators.model import OperatorState, SignedIn
from vending.operators.permissions import Role
from vending.operators.repository import accounts, sessions
from vending.operators.tables import operator_roles, operators
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId, new_uuid7

ACT = Act(
    UseCase.CREDIT_LINE,
    "partner:acme",
    {"floor_minor": -5_000_000, "names": ["Çelik", "电"], "nested": {"b": None, "a": True}},
)
YES, NO = Decision(approve=True, note="seen"), Decision(approve=False)

People = tuple[SignedIn, SignedIn]


@pytest.fixture
def asker(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.KEY_ACCOUNTS, name="asker")


@pytest.fixture
def decider(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.FINANCE, name="decider")


@pytest.fixture
def people(asker: SignedIn, decider: SignedIn) -> People:
    return asker, decider


@pytest.fixture
def asked(database: Database, fixed_clock: FixedClock, asker: SignedIn) -> Approval:
    with database.unit_of_work() as uow:
        asked = service.request_approval(
            uow.connection, asker, ACT, reason="grows", clock=fixed_clock
        )
        uow.commit()
    return asked


Decide = Callable[..., Approval]


@pytest.fixture
def decide(database: Database, fixed_clock: FixedClock) -> Decide:
    def decided(approval: Approval, by: SignedIn, decision: Decision = YES) -> Approval:
        with database.unit_of_work() as uow:
            found = service.decide(
                uow.connection,
                by,
                approval.id,
                decision,
                clock=fixed_clock,
            )
            uow.commit()
        return found

    return decided


@pytest.fixture
def redeem(database: Database, fixed_clock: FixedClock) -> Decide:
    def redeemed(approval: Approval, by: SignedIn, act: Act = ACT) -> Approval:
        with database.unit_of_work() as uow:
            found = service.redeem(uow.connection, by, approval.id, act, clock=fixed_clock)
            uow.commit()
        return found

    return redeemed


def state_of(database: Database, approval: Approval) -> str:
    with database.read() as connection:
        query = select(approvals.c.state).where(approvals.c.id == approval.id)
        return str(connection.scalars(query).one())


def actions_of(database: Database, approval: Approval) -> list[tuple[str, str]]:
    query = (
        select(audit_events.c.action, audit_events.c.actor_name)
        .where(audit_events.c.subject == f"approval:{approval.id}")
        .order_by(audit_events.c.id)
    )
    with database.read() as connection:
        return [(row.action, row.actor_name) for row in connection.execute(query)]


def test_an_act_is_asked_for_approved_and_done_once(
    database: Database, asked: Approval, decider: SignedIn, asker: SignedIn,
    decide: Decide, redeem: Decide,
) -> None:  # fmt: skip
    decide(asked, decider)
    redeemed = redeem(asked, asker)

    with database.read() as connection:
        assert service.find_approval(connection, decider, asked.id) == redeemed
    assert (redeemed.act, redeemed.note, redeemed.decided_by) == (ACT, "seen", decider.operator_id)
    assert sorted(actions_of(database, asked)) == [
        ("approval.approved", "decider"),
        ("approval.redeemed", "asker"),
        ("approval.requested", "asker"),
    ]


def test_a_replay_is_refused(
    asked: Approval, decider: SignedIn, asker: SignedIn, decide: Decide, redeem: Decide
) -> None:
    decide(asked, decider)
    redeem(asked, asker)

    with pytest.raises(ApprovalUsedError):
        redeem(asked, asker)


def test_of_two_who_use_it_at_once_one_does(
    database: Database, asked: Approval, decider: SignedIn, asker: SignedIn,
    decide: Decide, redeem: Decide,
) -> None:  # fmt: skip
    decide(asked, decider)

    def outcome(_: int) -> str:
        try:
            redeem(asked, asker)
        except ApprovalUsedError:
            return "used"
        return "done"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(outcome, range(4)))

    assert outcomes == ["done", "used", "used", "used"]
    assert [action for action, _ in actions_of(database, asked)].count("approval.redeemed") == 1


def test_a_changed_act_leaves_the_approval_unused(
    database: Database, asked: Approval, decider: SignedIn, asker: SignedIn,
    decide: Decide, redeem: Decide,
) -> None:  # fmt: skip
    decide(asked, decider)
    more = replace(ACT, payload={**ACT.payload, "floor_minor": -50_000_000})

    with pytest.raises(ApprovalMismatchError):
        redeem(asked, asker, more)
    assert state_of(database, asked) == ApprovalState.APPROVED


def test_one_person_alone_gets_nowhere(
    database: Database, fixed_clock: FixedClock, decide: Decide, redeem: Decide
) -> None:
    alone = sign_in_as(database, fixed_clock, *Role, name="alone", person="Ann")
    second = sign_in_as(database, fixed_clock, *Role, name="second", person="ANN")
    with database.unit_of_work() as uow:
        asked = service.request_approval(uow.connection, alone, ACT, reason="x", clock=fixed_clock)
        uow.commit()

    with pytest.raises(ApprovalOwnError):
        decide(asked, alone)
    with pytest.raises(ApprovalOwnError):
        decide(asked, second)
    with pytest.raises(ApprovalStateError):
        redeem(asked, alone)
    assert state_of(database, asked) == ApprovalState.REQUESTED


@pytest.mark.parametrize("decision", [YES, NO])
def test_a_decision_stands(
    asked: Approval, decider: SignedIn, decide: Decide, decision: Decision
) -> None:
    decide(asked, decider, decision)

    for other in (YES, NO):
        with pytest.raises(ApprovalStateError):
            decide(asked, decider, other)


def test_a_refusal_allows_nothing(
    asked: Approval, decider: SignedIn, asker: SignedIn, decide: Decide, redeem: Decide
) -> None:
    decide(asked, decider, NO)

    with pytest.raises(ApprovalStateError):
        redeem(asked, asker)


def test_consent_can_be_withdrawn_until_it_is_used(
    database: Database, fixed_clock: FixedClock, asked: Approval, people: People,
    decide: Decide, redeem: Decide,
) -> None:  # fmt: skip
    asker, decider = people
    decide(asked, decider)
    with database.unit_of_work() as uow:
        service.withdraw(uow.connection, decider, asked.id, note="erred", clock=fixed_clock)
        uow.commit()

    with pytest.raises(ApprovalStateError):
        redeem(asked, asker)


def test_time_that_passed_after_the_decision_counts(
    fixed_clock: FixedClock, asked: Approval, decider: SignedIn, asker: SignedIn,
    decide: Decide, redeem: Decide,
) -> None:  # fmt: skip
    decide(asked, decider)
    fixed_clock.advance(timedelta(days=7))

    with pytest.raises(ApprovalExpiredError):
        redeem(asked, asker)


@pytest.mark.parametrize(
    "case", list(product(["asker", "decider"], ["locked", "role revoked"])), ids=" ".join
)
def test_an_approval_dies_with_the_standing_of_either_of_the_two(
    database: Database, asked: Approval, people: People, decide: Decide, redeem: Decide,
    case: tuple[str, str],
) -> None:  # fmt: skip
    party, loss = case
    asker, decider = people
    decide(asked, decider)
    gone = {"asker": asker, "decider": decider}[party].operator_id
    third = sign_in_as(database, FixedClock(asked.requested_at), Role.KEY_ACCOUNTS, name="third")
    with database.unit_of_work() as uow:
        if loss == "locked":
            statement = update(operators).where(operators.c.id == gone).values(state="locked")
            uow.connection.execute(statement)
        else:
            uow.connection.execute(
                operator_roles.delete().where(operator_roles.c.operator_id == gone)
            )
        uow.commit()

    with pytest.raises(ApprovalStandingError):
        redeem(asked, third)
    assert state_of(database, asked) == ApprovalState.APPROVED


@pytest.mark.parametrize("loss", ["locked", "signed out", "role"])
def test_whoever_was_admitted_before_a_loss_does_nothing_after_it(
    database: Database, asked: Approval, people: People, decide: Decide, redeem: Decide, loss: str
) -> None:
    clock = FixedClock(asked.requested_at)
    third = sign_in_as(database, clock, Role.KEY_ACCOUNTS, Role.FINANCE, name="third")
    with database.unit_of_work() as uow:
        if loss == "signed out":
            sessions.revoke_sessions(uow.connection, third.operator_id, at=clock.now())
        elif loss == "locked":
            accounts.update_state(uow.connection, third.operator_id, OperatorState.LOCKED)
        else:
            accounts.delete_roles(uow.connection, third.operator_id, third.roles)
        uow.commit()
    wanted = PermissionDeniedError if loss == "role" else SignInRequiredError
    with pytest.raises(wanted):
        decide(asked, third)
    decide(asked, people[1])
    with pytest.raises(wanted):
        redeem(asked, third)
    assert state_of(database, asked) == ApprovalState.APPROVED


def test_a_request_of_somebody_locked_since_is_not_approved_but_refused(
    database: Database, asked: Approval, decider: SignedIn, asker: SignedIn, decide: Decide
) -> None:
    with database.unit_of_work() as uow:
        uow.connection.execute(
            update(operators).where(operators.c.id == asker.operator_id).values(state="locked")
        )
        uow.commit()

    with pytest.raises(ApprovalStandingError):
        decide(asked, decider)
    assert decide(asked, decider, NO).state is ApprovalState.REFUSED


def test_an_unknown_id_is_no_approval(
    database: Database, fixed_clock: FixedClock, decider: SignedIn
) -> None:
    with database.unit_of_work() as uow, pytest.raises(ApprovalNotFoundError):
        service.redeem(
            uow.connection, decider, ApprovalId(new_uuid7(fixed_clock)), ACT, clock=fixed_clock
        )


def test_the_newest_come_first_page_by_page(
    database: Database, fixed_clock: FixedClock, asker: SignedIn, decider: SignedIn, decide: Decide
) -> None:
    asked = []
    for _ in range(3):
        fixed_clock.advance(timedelta(seconds=1))
        with database.unit_of_work() as uow:
            new = service.request_approval(
                uow.connection, asker, ACT, reason="x", clock=fixed_clock
            )
            uow.commit()
        asked.append(new)
    decide(asked[-1], decider)

    with database.read() as connection:
        first = service.list_approvals(connection, asker, limit=2)
        rest = service.list_approvals(connection, asker, before=first[-1].id)
        approved = service.list_approvals(connection, asker, state=ApprovalState.APPROVED)
    assert [each.id for each in first + rest] == [each.id for each in reversed(asked)]
    assert [each.id for each in approved] == [asked[-1].id]


def test_who_may_not_read_approvals_reads_none(
    database: Database, fixed_clock: FixedClock, asked: Approval
) -> None:
    cashier = sign_in_as(database, fixed_clock, Role.CASHIER, name="cashier")

    with database.read() as connection:
        with pytest.raises(PermissionDeniedError):
            service.list_approvals(connection, cashier)
        with pytest.raises(PermissionDeniedError):
            service.find_approval(connection, cashier, asked.id)


@pytest.mark.parametrize(
    "change",
    [
        "payload = '{}'",
        "subject = 'partner:other'",
        "use_case = 'refund'",
        "digest = 'x'",
        "reason = 'x'",
        "requested_by = decided_by",
        "expires_at = requested_at",
        "state = 'requested'",
        "state = 'redeemed', redeemed_by = requested_by",
        "state = 'withdrawn', decided_by = NULL",
        "state = 'withdrawn', decided_at = NULL",
        "state = 'withdrawn', decided_by = requested_by",
    ],
)
def test_the_database_keeps_what_was_asked_for_and_decided(
    database: Database, asked: Approval, decider: SignedIn, decide: Decide, change: str
) -> None:
    decide(asked, decider)

    with database.unit_of_work() as uow, pytest.raises(IntegrityError):
        uow.connection.execute(text(f"UPDATE approvals SET {change}"))  # noqa: S608 # from the list above


@pytest.mark.parametrize(
    "change",
    [
        "state = 'approved'",
        "state = 'approved', decided_by = requested_by, decided_at = requested_at",
        "state = 'redeemed', redeemed_by = requested_by, redeemed_at = requested_at",
    ],
)
def test_the_database_lets_nobody_approve_alone(
    database: Database, asked: Approval, change: str
) -> None:
    assert asked.state is ApprovalState.REQUESTED

    with database.unit_of_work() as uow, pytest.raises(IntegrityError):
        uow.connection.execute(text(f"UPDATE approvals SET {change}"))  # noqa: S608 # from the list above


def test_the_database_takes_no_approval_that_was_never_asked_for(
    database: Database, asked: Approval, decider: SignedIn, fixed_clock: FixedClock
) -> None:
    row = {
        "id": new_uuid7(fixed_clock),
        "use_case": "refund",
        "subject": "x",
        "payload": {},
        "digest": "x",
        "reason": "x",
        "state": "approved",
        "requested_by": asked.requested_by,
        "requested_at": asked.requested_at,
        "expires_at": asked.expires_at,
        "decided_by": decider.operator_id,
        "decided_at": asked.requested_at,
    }
    with database.unit_of_work() as uow, pytest.raises(IntegrityError, match="approvals:start"):
        uow.connection.execute(approvals.insert(), row)


def test_an_approval_is_never_deleted(database: Database, asked: Approval) -> None:
    with database.unit_of_work() as uow, pytest.raises(IntegrityError):
        uow.connection.execute(approvals.delete().where(approvals.c.id == asked.id))


def test_whoever_left_the_desk_approves_and_does_nothing(
    database: Database,
    fixed_clock: FixedClock,
    asked: Approval,
    asker: SignedIn,
    decider: SignedIn,
    decide: Decide,
) -> None:
    """Consent, and what is done with it, take a second factor given just now; a no does not."""
    stale_asker, stale_decider = (
        replace(one, fresh_until=fixed_clock.now()) for one in (asker, decider)
    )
    with pytest.raises(SecondFactorStaleError):
        decide(asked, stale_decider)

    decide(asked, decider)
    with pytest.raises(SecondFactorStaleError), database.unit_of_work() as uow:
        service.redeem(uow.connection, stale_asker, asked.id, ACT, clock=fixed_clock)
    with database.read() as connection:
        kept = service.find_approval(connection, asker, asked.id)
    assert kept.state is ApprovalState.APPROVED


def test_to_refuse_takes_no_fresh_factor(
    fixed_clock: FixedClock, asked: Approval, decider: SignedIn, decide: Decide
) -> None:
    stale = replace(decider, fresh_until=fixed_clock.now())
    assert decide(asked, stale, NO).state is ApprovalState.REFUSED
