"""What can be bound, who decides, and every step from every state."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vending.approvals import rules
from vending.approvals.errors import (
    ApprovalContentError,
    ApprovalExpiredError,
    ApprovalMismatchError,
    ApprovalNotYoursError,
    ApprovalOwnError,
    ApprovalSameDeviceError,
    ApprovalStateError,
    ApprovalUsedError,
)
from vending.approvals.model import (
    APPROVAL_TRANSITIONS,
    Act,
    Approval,
    ApprovalState,
    Decision,
    UseCase,
)
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId, new_uuid7

ACT = Act(UseCase.KEY_CHANGE, "key:123456/1/DUTK", {"act": "retire", "check_value": "0A1B2C"})
DIGEST = "99dc62b7748218bc98858c2ca5f46df0d9f14e8c99eed190b0e9921a77202a64"
YES, NO = Decision(approve=True), Decision(approve=False)


@pytest.fixture
def asked(asker: SignedIn, now: datetime) -> Approval:
    new_id = ApprovalId(new_uuid7(FixedClock(now)))
    return rules.request(ACT, asker, reason="worn out", approval_id=new_id, now=now)


@pytest.fixture
def approved(asked: Approval, decider: SignedIn, now: datetime) -> Approval:
    return decide(asked, decider, now)


def decide(  # a case differs in one of these
    approval: Approval,
    by: SignedIn,
    now: datetime,
    *,
    decision: Decision = YES,
    person: str = "asker",
    distinct_devices: bool = False,
) -> Approval:
    return rules.decide(
        approval,
        by,
        requester_person=person,
        decision=decision,
        distinct_devices=distinct_devices,
        now=now,
    )


def redeem(
    approval: Approval, by: SignedIn, act: Act, now: datetime, *, distinct_devices: bool = False
) -> Approval:
    return rules.redeem(approval, by, act, distinct_devices=distinct_devices, now=now)


# --- what is bound ------------------------------------------------------------------------------
def test_the_digest_of_an_act_stays_the_same_for_good() -> None:
    # Computed with sha256sum over {"payload":{"a":1,"b":["x",null,true]},"subject":"meter:1",
    # "use_case":"refund"} without blanks: what was approved must hold after an upgrade as well.
    act = Act(UseCase.REFUND, "meter:1", {"b": ["x", None, True], "a": 1})

    assert rules.compute_digest(act) == DIGEST


@pytest.mark.parametrize(
    "other",
    [
        replace(ACT, use_case=UseCase.KEY_IMPORT),
        replace(ACT, subject="key:123456/2/DUTK"),
        replace(ACT, payload={**ACT.payload, "check_value": "0A1B2D"}),
        replace(ACT, payload={"act": "retire"}),
        replace(ACT, payload={**ACT.payload, "more": None}),
    ],
)
def test_whatever_differs_changes_the_digest(other: Act) -> None:
    assert rules.compute_digest(other) != rules.compute_digest(ACT)


@pytest.mark.parametrize(
    "pair",
    [({"a": 1}, {"a": "1"}), ({"a": 1}, {"a": True}), ({"a": 0}, {"a": None}), ({"a": []}, {})],
)
def test_values_that_look_alike_have_different_digests(
    pair: tuple[dict[str, object], dict[str, object]],
) -> None:
    one, other = (rules.compute_digest(replace(ACT, payload=payload)) for payload in pair)

    assert one != other


@given(st.dictionaries(st.text("abc", max_size=3), st.integers(-5, 5) | st.text("xy", max_size=3)))
def test_the_order_of_members_makes_no_difference(payload: dict[str, object]) -> None:
    turned = dict(reversed(payload.items()))

    assert rules.compute_digest(replace(ACT, payload=turned)) == rules.compute_digest(
        replace(ACT, payload=payload)
    )


@pytest.mark.parametrize(
    "payload",
    [
        {"amount": 1.0},
        {"amount": float("nan")},
        {"amount": 2**63},
        {"key": b"bytes"},
        {"when": datetime(2026, 1, 1)},  # noqa: DTZ001 # no payload holds one, aware or not
        {"set": {1}},
        {"tuple": (1, 2)},
        {1: "number as a name"},
        {"a\nb": "name of two lines"},
        {"text": "two\nlines"},
        {"text": "red \x1b[31m"},
        {"text": "right to left \u202e"},
        {"text": "half a pair \ud800"},
        {"text": "nothing \x00"},
        {"deep": [[[[[[[[[1]]]]]]]]]},
        {"long": "x" * 70_000},
    ],
)
def test_a_payload_that_is_no_plain_json_is_refused(payload: dict[str, object]) -> None:
    with pytest.raises(ApprovalContentError, match="payload"):
        rules.compute_digest(replace(ACT, payload=payload))


@pytest.mark.parametrize("subject", ["", " ", "a\nb", "x" * 501, "\x1b[2J"])
def test_a_subject_that_is_no_line_of_text_is_refused(subject: str) -> None:
    with pytest.raises(ApprovalContentError, match="subject"):
        rules.compute_digest(replace(ACT, subject=subject))


# --- asking -------------------------------------------------------------------------------------
def test_who_may_not_ask_gets_no_approval(sign_in: Callable[..., SignedIn], now: datetime) -> None:
    engineer = sign_in("engineer", Role.ENGINEER)

    with pytest.raises(PermissionDeniedError):
        rules.request(
            ACT, engineer, reason="x", approval_id=ApprovalId(new_uuid7(FixedClock(now))), now=now
        )


def test_a_reason_is_asked_for(asker: SignedIn, now: datetime) -> None:
    with pytest.raises(ApprovalContentError, match="reason"):
        rules.request(
            ACT, asker, reason=" ", approval_id=ApprovalId(new_uuid7(FixedClock(now))), now=now
        )


# --- deciding -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("decision", "state"), [(YES, ApprovalState.APPROVED), (NO, ApprovalState.REFUSED)]
)
def test_another_person_decides(
    asked: Approval, decider: SignedIn, now: datetime, decision: Decision, state: ApprovalState
) -> None:
    decided = decide(asked, decider, now, decision=decision)

    assert (decided.state, decided.decided_by, decided.decided_at, decided.decided_on) == (
        state,
        decider.operator_id,
        now,
        "right",
    )


@pytest.mark.parametrize("decision", [YES, NO])
def test_who_asked_cannot_decide(
    asked: Approval, asker: SignedIn, now: datetime, decision: Decision
) -> None:
    with pytest.raises(ApprovalOwnError):
        decide(asked, asker, now, decision=decision)


@pytest.mark.parametrize("person", ["asker", "Asker ", "ASKER", "\uff21sker"])
def test_a_second_account_of_the_same_person_cannot_decide(
    asked: Approval, sign_in: Callable[..., SignedIn], now: datetime, person: str
) -> None:
    second = sign_in("second", Role.KEY_CUSTODIAN, person=person, device="right")

    with pytest.raises(ApprovalOwnError):
        decide(asked, second, now)


def test_who_may_not_decide_is_refused(
    asked: Approval, sign_in: Callable[..., SignedIn], now: datetime
) -> None:
    with pytest.raises(PermissionDeniedError):
        decide(asked, sign_in("finance", Role.FINANCE), now)


@pytest.mark.parametrize("device", ["left", None])
def test_where_policy_says_so_one_device_is_not_enough(
    asked: Approval, sign_in: Callable[..., SignedIn], now: datetime, device: str | None
) -> None:
    other = sign_in("other", Role.KEY_CUSTODIAN, device=device)

    with pytest.raises(ApprovalSameDeviceError):
        decide(asked, other, now, distinct_devices=True)
    assert decide(asked, other, now).state is ApprovalState.APPROVED
    assert decide(asked, other, now, decision=NO, distinct_devices=True).state == "refused"


def test_a_request_from_no_known_device_is_not_approved_where_policy_asks_for_two(
    asked: Approval, decider: SignedIn, now: datetime
) -> None:
    with pytest.raises(ApprovalSameDeviceError):
        decide(replace(asked, requested_on=None), decider, now, distinct_devices=True)


def test_two_devices_satisfy_the_policy(asked: Approval, decider: SignedIn, now: datetime) -> None:
    assert decide(asked, decider, now, distinct_devices=True).state is ApprovalState.APPROVED


def test_time_runs_out_to_the_microsecond(asked: Approval, decider: SignedIn) -> None:
    with pytest.raises(ApprovalExpiredError):
        decide(asked, decider, asked.expires_at)
    last = asked.expires_at - timedelta(microseconds=1)
    assert decide(asked, decider, last).state is ApprovalState.APPROVED


def test_a_note_that_moves_the_cursor_is_refused(
    asked: Approval, decider: SignedIn, now: datetime
) -> None:
    with pytest.raises(ApprovalContentError, match="note"):
        decide(asked, decider, now, decision=Decision(approve=True, note="ok\nroot signed in"))


# --- withdrawing --------------------------------------------------------------------------------
def test_either_of_the_two_withdraws(
    approved: Approval, asker: SignedIn, decider: SignedIn
) -> None:
    for by in (asker, decider):
        withdrawn = rules.withdraw(approved, by, note="no")
        assert (withdrawn.state, withdrawn.note) == (ApprovalState.WITHDRAWN, "no")


def test_a_third_withdraws_nothing(
    asked: Approval, approved: Approval, sign_in: Callable[..., SignedIn], decider: SignedIn
) -> None:
    with pytest.raises(ApprovalNotYoursError):
        rules.withdraw(approved, sign_in("third", *Role), note=None)
    with pytest.raises(ApprovalNotYoursError):
        rules.withdraw(asked, decider, note=None)


# --- using up -----------------------------------------------------------------------------------
def test_exactly_the_act_approved_is_allowed(
    approved: Approval, asker: SignedIn, now: datetime
) -> None:
    redeemed = redeem(approved, asker, ACT, now)

    assert (redeemed.state, redeemed.redeemed_by, redeemed.redeemed_at) == (
        ApprovalState.REDEEMED,
        asker.operator_id,
        now,
    )


def test_what_has_changed_since_is_refused(
    approved: Approval, asker: SignedIn, now: datetime
) -> None:
    changed = replace(ACT, payload={**ACT.payload, "check_value": "FFFFFF"})

    with pytest.raises(ApprovalMismatchError):
        redeem(approved, asker, changed, now)


def test_a_request_changed_under_its_digest_is_refused(
    approved: Approval, asker: SignedIn, now: datetime
) -> None:
    other = replace(ACT, subject="key:999999/1/DUTK")

    with pytest.raises(ApprovalMismatchError):
        redeem(replace(approved, act=other), asker, other, now)
    with pytest.raises(ApprovalMismatchError):
        redeem(replace(approved, act=other), asker, ACT, now)


def test_a_replay_is_refused(approved: Approval, asker: SignedIn, now: datetime) -> None:
    redeemed = redeem(approved, asker, ACT, now)

    with pytest.raises(ApprovalUsedError):
        redeem(redeemed, asker, ACT, now)


def test_an_approval_that_came_in_time_is_used_too_late(
    approved: Approval, asker: SignedIn
) -> None:
    with pytest.raises(ApprovalExpiredError):
        redeem(approved, asker, ACT, approved.expires_at)


def test_two_devices_asked_for_since_the_decision_are_asked_for(
    approved: Approval, asker: SignedIn, now: datetime
) -> None:
    same = replace(approved, decided_on=approved.requested_on)
    with pytest.raises(ApprovalSameDeviceError):
        redeem(same, asker, ACT, now, distinct_devices=True)
    assert redeem(same, asker, ACT, now).state is ApprovalState.REDEEMED
    other = replace(approved, requested_on="one", decided_on="another")
    assert redeem(other, asker, ACT, now, distinct_devices=True).state is ApprovalState.REDEEMED


def test_who_may_not_ask_does_not_do_it_either(
    approved: Approval, sign_in: Callable[..., SignedIn], now: datetime
) -> None:
    with pytest.raises(PermissionDeniedError):
        redeem(approved, sign_in("auditor", Role.AUDITOR), ACT, now)


# --- every step from every state ----------------------------------------------------------------
@pytest.mark.parametrize("state", ApprovalState)
@pytest.mark.parametrize(
    "target", [target for target in ApprovalState if target is not ApprovalState.REQUESTED]
)
def test_a_step_is_taken_exactly_where_the_table_has_it(  # fixtures and two axes
    approved: Approval,
    asker: SignedIn,
    decider: SignedIn,
    now: datetime,
    state: ApprovalState,
    target: ApprovalState,
) -> None:
    approval = replace(approved, state=state)

    def step() -> Approval:
        match target:
            case ApprovalState.APPROVED:
                return decide(approval, decider, now)
            case ApprovalState.REFUSED:
                return decide(approval, decider, now, decision=NO)
            case ApprovalState.WITHDRAWN:
                return rules.withdraw(approval, asker, note=None)
            case _:
                return redeem(approval, asker, ACT, now)

    if target in APPROVAL_TRANSITIONS[state]:
        assert step().state is target
    else:
        with pytest.raises((ApprovalStateError, ApprovalUsedError)):
            step()
