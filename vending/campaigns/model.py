"""A key-change campaign, its life, and the life of each meter in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from vending.campaigns.errors import CampaignInvalidError
from vending.keystore.model import KeyReference
from vending.meters.model import KRN_MAX, MeterFilter, MeterKey
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate
from vending.values.identifiers import ApprovalId, CampaignId, KeyChangeSetId, MeterId

NAME_LENGTH_MAX: Final = 80
NOTE_LENGTH_MAX: Final = 200
CHASE_AFTER_DAYS: Final = 14
CHASE_AFTER_DAYS_MAX: Final = 366


class CampaignState(StrEnum):
    """Where a campaign stands; `CAMPAIGN_TRANSITIONS` says what may follow."""

    DRAFT = "draft"
    """Filter and target are fixed, nothing was issued; its meters are chosen while it starts."""
    RUNNING = "running"
    """Approved by another person; its meters are chosen, and sets are issued."""
    PAUSED = "paused"
    """Nothing more is issued or taken to a meter; what is out stays valid."""
    FINISHED = "finished"
    """No meter waits for anything any more."""
    CANCELLED = "cancelled"
    """Nothing more is issued; what may have reached a meter is still chased."""


class MeterStep(StrEnum):
    """Where a meter stands in a campaign; `STEP_TRANSITIONS` says what may follow."""

    PLANNED = "planned"
    """Chosen; no set was made, and none is before the campaign runs."""
    ISSUED = "issued"
    """Its set is made and sealed, and is not known to have left us."""
    DELIVERED = "delivered"
    """The set is in the world: printed, on a receipt, or sent without an answer."""
    NEEDS_CHASE = "needs-chase"
    """The meter refused it, or nobody can say what it did; somebody looks."""
    ENTERED = "entered"
    """The meter changed, and the register has its new key."""
    SKIPPED = "skipped"
    """A rule kept the set from being made; the reason is kept."""
    FAILED = "failed"
    """The security module would not make the set; the reason is kept."""
    WITHDRAWN = "withdrawn"
    """The set is handed out no more, and the meter is taken to hold its old key."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from a state to another, and what takes it."""

    origin: StrEnum
    target: StrEnum
    act: str


_C = CampaignState
_M = MeterStep
CAMPAIGN_TRANSITIONS: Final = (
    Transition(_C.DRAFT, _C.RUNNING, "start, with an approval"),
    Transition(_C.DRAFT, _C.CANCELLED, "cancel"),
    Transition(_C.RUNNING, _C.PAUSED, "pause"),
    Transition(_C.PAUSED, _C.RUNNING, "resume"),
    Transition(_C.RUNNING, _C.FINISHED, "no meter waits any more"),
    Transition(_C.RUNNING, _C.CANCELLED, "cancel"),
    Transition(_C.PAUSED, _C.CANCELLED, "cancel"),
)
STEP_TRANSITIONS: Final = (
    Transition(_M.PLANNED, _M.ISSUED, "set made"),
    Transition(_M.PLANNED, _M.SKIPPED, "a rule says no"),
    Transition(_M.PLANNED, _M.FAILED, "module refuses"),
    Transition(_M.PLANNED, _M.WITHDRAWN, "cancelled, or left the filter before the start"),
    Transition(_M.FAILED, _M.PLANNED, "resume, with a retry"),
    Transition(_M.ISSUED, _M.DELIVERED, "printed, sold with, or sent"),
    Transition(_M.ISSUED, _M.ENTERED, "meter took it"),
    Transition(_M.ISSUED, _M.NEEDS_CHASE, "meter refused it"),
    Transition(_M.ISSUED, _M.WITHDRAWN, "cancelled, or not entered"),
    Transition(_M.DELIVERED, _M.ENTERED, "meter took it, or the customer says so"),
    Transition(_M.DELIVERED, _M.NEEDS_CHASE, "meter refused it"),
    Transition(_M.DELIVERED, _M.WITHDRAWN, "clerk: not entered"),
    Transition(_M.NEEDS_CHASE, _M.ENTERED, "meter took it, or the customer says so"),
    Transition(_M.NEEDS_CHASE, _M.WITHDRAWN, "clerk: not entered"),
    Transition(_M.WITHDRAWN, _M.ENTERED, "found to have been entered"),
    Transition(_M.WITHDRAWN, _M.PLANNED, "fits the filter again before the start"),
)


def _targets(
    transitions: tuple[Transition, ...], states: type[StrEnum]
) -> Mapping[StrEnum, frozenset[StrEnum]]:
    return MappingProxyType(
        {s: frozenset(t.target for t in transitions if t.origin is s) for s in states}
    )


CAMPAIGN_TARGETS: Final = _targets(CAMPAIGN_TRANSITIONS, CampaignState)
STEP_TARGETS: Final = _targets(STEP_TRANSITIONS, MeterStep)
"""The states that each state may become."""

OUTSTANDING_STEPS: Final = (_M.ISSUED, _M.DELIVERED, _M.NEEDS_CHASE)
"""A set is out: the meter holds its old key or its new one, and both stay valid."""
SETTLED_STEPS: Final = frozenset({_M.ENTERED, _M.SKIPPED, _M.FAILED, _M.WITHDRAWN})
"""Nothing more is waited for."""


class Channel(StrEnum):
    """How sets reach meters, beside the next sale, which always carries the set."""

    DRIVER = "driver"
    """The worker enters the set where the meter has a link."""
    PRINT = "print"
    """Field staff get a list."""


class Evidence(StrEnum):
    """What moved a meter on; the step keeps it."""

    SET_MADE = "set-made"
    RULE = "rule"
    MODULE = "module"
    PRINTED = "printed"
    SALE = "sale"
    """The set went out with the answer and the receipt of a sale."""
    TOKEN_ORDER = "token-order"  # noqa: S105 # a word, not a secret
    """The set went out with a token that no sale made."""
    SENT = "sent"
    """Sent to the meter, and no answer that can be believed came back."""
    METER_ACCEPTED = "meter-accepted"
    """The meter took every section."""
    CREDIT_ACCEPTED = "credit-accepted"
    """The meter took credit, or a management token, that was made under the new key."""
    CUSTOMER_SAID = "customer-said"
    """Somebody says so; weaker than the meter's word, and marked in every list."""
    METER_REFUSED = "meter-refused"
    CLERK = "clerk"
    CANCELLED = "cancelled"
    RETRIED = "retried"


class Obstacle(StrEnum):
    """Why a meter cannot be changed; the dry run names the first that applies."""

    METER_STATE = "meter_state"
    OLD_KEY_MISSING = "old_key_missing"
    NEW_KEY_MISSING = "new_key_missing"
    NEW_KEY_RETIRED = "new_key_retired"
    NEW_KEY_EXPIRED = "new_key_expired"
    BASE_DATE_MISMATCH = "base_date_mismatch"
    """The key of the target register counts from another base date than the target says."""
    REGISTER_MISMATCH = "register_mismatch"
    """The meter's base date is not that of its own key: correct the register first."""
    DERIVATION_MISMATCH = "derivation_mismatch"
    """EA 11 takes its key from DKGA04, and a common key from DKGA02."""
    KEY_TYPE_CHANGE = "key_type_change"
    ALREADY_THERE = "already_there"
    OTHER_SET_OUT = "other_set_out"
    """Another campaign's set is out: two must never be mixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignTarget:
    """What the meters are to become; what is None stays as each meter has it.

    Raises:
        CampaignInvalidError: Nothing changes, or a number is out of range.
    """

    sgc: SGC | None = None
    krn: int | None = None
    kt: KeyType | None = None
    ti: TI | None = None
    base_date: BaseDate | None = None
    """Told for the second look: the key of the register decides, and must agree."""

    def __post_init__(self) -> None:
        given = (self.sgc, self.krn, self.kt, self.ti)
        if all(each is None for each in given):
            raise CampaignInvalidError(
                field="target", wanted="a key revision, tariff index, supply group or key type"
            )
        if self.krn is not None and not 1 <= self.krn <= KRN_MAX:
            raise CampaignInvalidError(field="krn", wanted=f"1 to {KRN_MAX}")
        if self.kt is KeyType.DITK:
            raise CampaignInvalidError(field="kt", wanted="no key of the meter's maker")

    def register_of(self, held: KeyReference) -> KeyReference:
        """Return the register a meter on `held` goes to."""
        return KeyReference(
            self.sgc or held.sgc,
            held.krn if self.krn is None else self.krn,
            held.kt if self.kt is None else self.kt,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCampaign:
    """A campaign to draft.

    Raises:
        CampaignInvalidError: A field is outside its limits.
    """

    name: str
    wanted: MeterFilter
    target: CampaignTarget
    channels: frozenset[Channel] = frozenset(Channel)
    chase_after_days: int = CHASE_AFTER_DAYS
    reason: str

    def __post_init__(self) -> None:
        for name, text, longest in (
            ("name", self.name, NAME_LENGTH_MAX),
            ("reason", self.reason, NOTE_LENGTH_MAX),
        ):
            require_text(name, text, longest)
        if not 1 <= self.chase_after_days <= CHASE_AFTER_DAYS_MAX:
            raise CampaignInvalidError(
                field="chase_after_days", wanted=f"1 to {CHASE_AFTER_DAYS_MAX}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign(NewCampaign):
    """A campaign as it is stored."""

    id: CampaignId
    state: CampaignState
    meter_count: int | None
    """Meters chosen at the start; None: not started."""
    digest: str | None
    """Of the meters chosen and what each held, SHA-256, hexadecimal."""
    approval_id: ApprovalId | None
    created_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Chosen:
    """How many meters a filter finds now, and the digest over them and what each holds."""

    count: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignMeter:
    """A meter's place in a campaign."""

    campaign_id: CampaignId
    meter_id: MeterId
    step: MeterStep
    code: str | None
    """The rule, the module's or the meter's word for the last step."""
    evidence: Evidence | None
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChangeSet:
    """The set made for a meter, without its digits; it is never made again in another way."""

    id: KeyChangeSetId
    campaign_id: CampaignId
    meter_id: MeterId
    pan: MeterPAN
    ea: EncryptionAlgorithm
    old: MeterKey
    new: MeterKey
    new_dkga: KeyDerivation
    section_count: int
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedSet:
    """A set with its digits, 1st section first; no repr shows them."""

    set: KeyChangeSet
    sections: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would happen to one meter, or why nothing would."""

    meter_id: MeterId
    pan: MeterPAN
    old: MeterKey
    new: KeyReference
    new_ti: TI
    obstacle: Obstacle | None
    is_linked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of a meter in a campaign: from where to where, on what evidence, by whom."""

    campaign_id: CampaignId
    meter_id: MeterId
    at: datetime
    origin: MeterStep
    target: MeterStep
    evidence: Evidence
    code: str | None
    actor: str


def require_text(field_name: str, text: str, longest: int) -> str:
    """Return the text, if it is one line that says something.

    Raises:
        CampaignInvalidError: It is empty, too long, or not printable.
    """
    if not 1 <= len(text.strip()) <= longest or not text.isprintable():
        raise CampaignInvalidError(field=field_name, wanted=f"1 to {longest} printable characters")
    return text


def draw_campaign_states() -> str:
    """Return the states of a campaign as a Mermaid diagram."""
    return _draw(CAMPAIGN_TRANSITIONS, CampaignState, CampaignState.DRAFT)


def draw_meter_steps() -> str:
    """Return the states of a meter in a campaign as a Mermaid diagram."""
    return _draw(STEP_TRANSITIONS, MeterStep, MeterStep.PLANNED)


def _draw(transitions: tuple[Transition, ...], states: type[StrEnum], first: StrEnum) -> str:
    lines = ["stateDiagram-v2", f"    [*] --> {_name(first)}"]
    lines += [f"    {_name(t.origin)} --> {_name(t.target)}: {t.act}" for t in transitions]
    origins = {t.origin for t in transitions}
    lines += [f"    {_name(state)} --> [*]" for state in states if state not in origins]
    return "\n".join(lines) + "\n"


def _name(state: StrEnum) -> str:
    # Mermaid reads a hyphen in a state's name as the start of an arrow.
    return state.value.replace("-", "_")
