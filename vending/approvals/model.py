"""An approval, the acts that need one, and who may ask and decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from vending.operators.permissions import Permission
from vending.values.identifiers import ApprovalId, OperatorId

Payload = Mapping[str, object]
"""What exactly is approved: JSON of text, whole numbers, lists and objects; never a secret."""


class UseCase(StrEnum):
    """An act that takes two people."""

    KEY_IMPORT = "key-import"
    KEY_CHANGE = "key-change"
    """Retirement of a key, rotation of the store's own key, custodians of backups."""
    TARIFF_ACTIVATION = "tariff-activation"
    CREDIT_LINE = "credit-line"
    PARTNER_KEY = "partner-key"
    """Of a partner that can sell with it at once."""
    REFUND = "refund"
    REPLACEMENT = "replacement"
    FREE_TOKEN = "free-token"  # noqa: S105 # the name of an act, not a secret
    MANAGEMENT_TOKEN = "management-token"  # noqa: S105 # the name of an act, not a secret
    DISCONNECTION = "disconnection"
    """Outside the rule."""
    ROLE_CHANGE = "role-change"
    CAMPAIGN = "campaign"
    SWITCH_RELEASE = "switch-release"
    CEILING_CHANGE = "ceiling-change"
    ERASURE = "erasure"
    POLICY_CHANGE = "policy-change"
    """Of a rule that says what one person may do alone."""


@dataclass(frozen=True, slots=True)
class UseCaseRule:
    """Who may ask, who may decide, and for how long a decision holds."""

    ask: Permission
    decide: Permission
    lifetime: timedelta


_P = Permission
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
USE_CASE_RULES: Final[Mapping[UseCase, UseCaseRule]] = MappingProxyType(
    {
        UseCase.KEY_IMPORT: UseCaseRule(_P.KEYS_WRITE, _P.KEYS_APPROVE, _DAY),
        UseCase.KEY_CHANGE: UseCaseRule(_P.KEYS_WRITE, _P.KEYS_APPROVE, _DAY),
        UseCase.TARIFF_ACTIVATION: UseCaseRule(_P.TARIFFS_WRITE, _P.TARIFFS_APPROVE, _WEEK),
        UseCase.CREDIT_LINE: UseCaseRule(_P.PARTNERS_CREDIT, _P.PARTNERS_APPROVE, _WEEK),
        UseCase.PARTNER_KEY: UseCaseRule(_P.PARTNERS_WRITE, _P.PARTNERS_APPROVE, _DAY),
        UseCase.REFUND: UseCaseRule(_P.SALES_REFUND, _P.SALES_APPROVE, _WEEK),
        UseCase.REPLACEMENT: UseCaseRule(_P.SALES_REPLACE, _P.SALES_APPROVE, _DAY),
        UseCase.FREE_TOKEN: UseCaseRule(_P.TOKENS_FREE, _P.TOKENS_APPROVE, _DAY),
        UseCase.MANAGEMENT_TOKEN: UseCaseRule(_P.TOKENS_MANAGE, _P.TOKENS_APPROVE, _DAY),
        UseCase.DISCONNECTION: UseCaseRule(_P.COMMANDS_WRITE, _P.COMMANDS_APPROVE, _DAY),
        UseCase.ROLE_CHANGE: UseCaseRule(_P.OPERATORS_WRITE, _P.OPERATORS_APPROVE, _WEEK),
        UseCase.CAMPAIGN: UseCaseRule(_P.CAMPAIGNS_WRITE, _P.CAMPAIGNS_APPROVE, _WEEK),
        UseCase.SWITCH_RELEASE: UseCaseRule(_P.SWITCHES_RELEASE, _P.LIMITS_APPROVE, _DAY),
        UseCase.CEILING_CHANGE: UseCaseRule(_P.CEILINGS_WRITE, _P.LIMITS_APPROVE, _DAY),
        UseCase.ERASURE: UseCaseRule(_P.CUSTOMERS_ERASE, _P.CUSTOMERS_APPROVE, _WEEK),
        UseCase.POLICY_CHANGE: UseCaseRule(_P.POLICIES_WRITE, _P.POLICIES_APPROVE, _WEEK),
    }
)


class ApprovalState(StrEnum):
    """Where an approval stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REDEEMED = "redeemed"
    """Used up by the act it allowed; expiry is no state but a time that has passed."""


APPROVAL_TRANSITIONS: Final[Mapping[ApprovalState, Mapping[ApprovalState, str]]] = MappingProxyType(
    {
        ApprovalState.REQUESTED: MappingProxyType(
            {
                ApprovalState.APPROVED: "another person approves, in time",
                ApprovalState.REFUSED: "another person refuses",
                ApprovalState.WITHDRAWN: "who asked withdraws",
            }
        ),
        ApprovalState.APPROVED: MappingProxyType(
            {
                ApprovalState.REDEEMED: "exactly this act is done, in time",
                ApprovalState.WITHDRAWN: "either of the two withdraws",
            }
        ),
        ApprovalState.REFUSED: MappingProxyType({}),
        ApprovalState.WITHDRAWN: MappingProxyType({}),
        ApprovalState.REDEEMED: MappingProxyType({}),
    }
)
"""Each state, where it leads, and by which act; triggers of the database hold the same table."""


@dataclass(frozen=True, slots=True)
class Act:
    """What exactly is to be done; an approval is bound to it by a hash."""

    use_case: UseCase
    subject: str
    """What it is done to, as the audit log names it."""
    payload: Payload


@dataclass(frozen=True, slots=True)
class Decision:
    """What the other person says."""

    approve: bool
    note: str | None = None
    """One line for who asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An act that was asked for, and what became of it."""

    id: ApprovalId
    act: Act
    digest: str
    """SHA-256 over use case, subject and payload, hexadecimal."""
    reason: str
    state: ApprovalState
    requested_by: OperatorId
    requested_at: datetime
    requested_on: str | None
    """Device of the session that asked; None: it did not say."""
    expires_at: datetime
    decided_by: OperatorId | None = None
    decided_at: datetime | None = None
    decided_on: str | None = None
    """Device of the session that decided; None: it did not say, or nobody decided yet."""
    note: str | None = None
    """Of who decided or withdrew."""
    redeemed_by: OperatorId | None = None
    redeemed_at: datetime | None = None


def draw_state_diagram() -> str:
    """Return the states and their transitions as a Mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {ApprovalState.REQUESTED}: one person asks"]
    lines += [
        f"    {state} --> {target}: {act}"
        for state, steps in APPROVAL_TRANSITIONS.items()
        for target, act in steps.items()
    ]
    lines += [f"    {state} --> [*]" for state, steps in APPROVAL_TRANSITIONS.items() if not steps]
    return "\n".join(lines) + "\n"
