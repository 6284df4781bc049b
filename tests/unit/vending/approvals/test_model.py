"""Every use case has its rule, and nobody's rule lets one permission do both."""

from datetime import timedelta

import pytest

from vending.approvals.model import (
    APPROVAL_TRANSITIONS,
    USE_CASE_RULES,
    ApprovalState,
    UseCase,
    draw_state_diagram,
)
from vending.operators.permissions import ROLE_PERMISSIONS, Permission


@pytest.mark.parametrize("use_case", UseCase)
def test_a_use_case_says_who_asks_who_decides_and_for_how_long(use_case: UseCase) -> None:
    rule = USE_CASE_RULES[use_case]

    assert rule.ask is not rule.decide
    assert timedelta(hours=1) <= rule.lifetime <= timedelta(days=7)


@pytest.mark.parametrize("use_case", UseCase)
def test_whoever_decides_a_use_case_can_read_what_is_decided(use_case: UseCase) -> None:
    deciding = [
        role
        for role, permissions in ROLE_PERMISSIONS.items()
        if USE_CASE_RULES[use_case].decide in permissions
    ]

    assert deciding
    for role in deciding:
        assert Permission.APPROVALS_READ in ROLE_PERMISSIONS[role]


def test_every_state_has_a_row_and_leads_to_states() -> None:
    assert set(APPROVAL_TRANSITIONS) == set(ApprovalState)


def test_the_diagram_draws_every_step() -> None:
    drawn = draw_state_diagram()

    assert drawn.count("-->") == 1 + 5 + 3
    assert "approved --> redeemed: exactly this act is done, in time" in drawn
