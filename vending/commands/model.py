"""A command to a meter, and the table of the states of its life."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from vending.values.identifiers import (
    ApprovalId,
    CommandId,
    KeyChangeSetId,
    MeterId,
    SaleId,
    TokenId,
)


class CommandKind(StrEnum):
    """What the meter is told to do."""

    ENTER_TOKEN = "enter-token"  # noqa: S105 # the name of an act, not a secret
    ENTER_KEY_CHANGE = "enter-key-change"
    """All sections of one key-change set, in their order."""
    DISCONNECT = "disconnect"
    RECONNECT = "reconnect"


ENTRY_KINDS: Final = frozenset({CommandKind.ENTER_TOKEN, CommandKind.ENTER_KEY_CHANGE})
"""They go through the token entry of a meter: before and after a key change is not the same."""
RELAY_KINDS: Final = frozenset({CommandKind.DISCONNECT, CommandKind.RECONNECT})
"""They set the one relay of a meter: only the newest of them counts."""


class CommandState(StrEnum):
    """Where a command stands; `TRANSITIONS` says what may follow."""

    QUEUED = "queued"
    """Waits for its turn at the meter; no byte of it can have reached the meter."""
    SENT = "sent"
    """Recorded before the first byte leaves; what the meter did is not known yet."""
    DONE = "done"
    """The meter said so, or a read-back showed it."""
    REFUSED = "refused"
    """The meter said no; the reason is kept."""
    UNKNOWN = "unknown"
    """No answer, or none that can be believed; the same command will be sent again."""
    RECONCILED = "reconciled"
    """Found to have been applied before: by the doubtful try, or by hand at the keypad."""
    NEEDS_HUMAN = "needs-human"
    """Tries or time are used up while in doubt; a person decides."""
    EXPIRED = "expired"
    """Its time ran out before it ever reached the meter."""
    SUPERSEDED = "superseded"
    """A newer order for the same relay took its place, or its key-change set was withdrawn."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from a state to another, and what takes it."""

    origin: CommandState
    target: CommandState
    act: str


_C = CommandState
TRANSITIONS: Final = (
    Transition(_C.QUEUED, _C.SENT, "its turn comes"),
    Transition(_C.QUEUED, _C.EXPIRED, "time runs out"),
    Transition(_C.QUEUED, _C.SUPERSEDED, "newer order for the relay, or set withdrawn"),
    Transition(_C.SENT, _C.DONE, "meter accepts"),
    Transition(_C.SENT, _C.RECONCILED, "meter has it already"),
    Transition(_C.SENT, _C.REFUSED, "meter refuses"),
    Transition(_C.SENT, _C.QUEUED, "nothing reached the meter"),
    Transition(_C.SENT, _C.UNKNOWN, "no answer"),
    Transition(_C.SENT, _C.NEEDS_HUMAN, "tries run out, or the answer does not tell"),
    Transition(_C.UNKNOWN, _C.SENT, "the same command again"),
    Transition(_C.UNKNOWN, _C.NEEDS_HUMAN, "time runs out"),
    Transition(_C.UNKNOWN, _C.SUPERSEDED, "newer order for the relay"),
    Transition(_C.NEEDS_HUMAN, _C.UNKNOWN, "person: try again"),
    Transition(_C.NEEDS_HUMAN, _C.RECONCILED, "person: it was applied"),
    Transition(_C.NEEDS_HUMAN, _C.REFUSED, "person: it was not applied"),
)


def _list_targets() -> Mapping[CommandState, frozenset[CommandState]]:
    return MappingProxyType(
        {
            state: frozenset(each.target for each in TRANSITIONS if each.origin is state)
            for state in CommandState
        }
    )


COMMAND_TRANSITIONS: Final = _list_targets()
"""The states that each state may become; none for a finished command."""

FINISHED_STATES: Final = frozenset(
    state for state, targets in COMMAND_TRANSITIONS.items() if not targets
)
"""A command in one of them never changes again; a trigger of the database sees to it."""

WAITING_STATES: Final = frozenset({_C.QUEUED, _C.UNKNOWN})
"""The worker looks for these."""


class TryOutcome(StrEnum):
    """What one try at the meter ended in."""

    DONE = "done"
    """The meter accepted it, and a read-back agrees where there is one."""
    APPLIED_BEFORE = "applied-before"
    """The meter has it already."""
    REFUSED = "refused"
    """The meter said no, for good."""
    REFUSED_UNSEEN = "refused-unseen"
    """The meter said no without looking at, or no longer knowing, what it took before."""
    UNKNOWN = "unknown"
    """Something was sent and no believable answer came back."""
    NOT_REACHED = "not-reached"
    """Nothing that could change the meter was sent."""
    NOT_NOW = "not-now"
    """The meter said that it takes no command for a while; it did nothing."""


@dataclass(frozen=True, slots=True)
class TryResult:
    """What one try ended in, and the meter's or the line's word for it."""

    outcome: TryOutcome
    code: str


class Verdict(StrEnum):
    """What a person found out about a command in doubt."""

    APPLIED = "applied"
    NOT_APPLIED = "not-applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommand:
    """A command to queue; the same `dedupe_key` is queued once."""

    kind: CommandKind
    meter_id: MeterId
    dedupe_key: str
    reason: str
    requested_by: str
    sale_id: SaleId | None = None
    token_id: TokenId | None = None
    key_change_set_id: KeyChangeSetId | None = None
    approval_id: ApprovalId | None = None
    """Of a disconnection outside the rule; None: it waits for the hours of the rule."""

    def __post_init__(self) -> None:
        has_token = self.token_id is not None
        assert has_token == (self.kind is CommandKind.ENTER_TOKEN), "a token is entered, else none"
        has_set = self.key_change_set_id is not None
        assert has_set == (self.kind is CommandKind.ENTER_KEY_CHANGE), "a set is entered, else none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as it is stored."""

    id: CommandId
    kind: CommandKind
    meter_id: MeterId
    sale_id: SaleId | None
    token_id: TokenId | None
    key_change_set_id: KeyChangeSetId | None
    dedupe_key: str
    state: CommandState
    reason: str
    requested_by: str
    version: int
    """Counts the changes from 1; whoever holds an older version has no say any more."""
    attempts: int
    """How often it was given to a worker to send."""
    unknown_tries: int
    """How many tries ended unknown since it was queued, or since a person asked for more."""
    doubtful: bool
    """A try ended unknown, so the meter may have applied it."""
    result_code: str | None
    """The word for the last change; None: nothing has happened yet."""
    created_at: datetime
    due_at: datetime
    """Not sent before."""
    expires_at: datetime
    changed_at: datetime
    approval_id: ApprovalId | None = None
    """What allows a disconnection at any time; None: the rule's hours count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandChange:
    """One step in the history of a command; never edited."""

    command_id: CommandId
    version: int
    at: datetime
    origin: CommandState
    target: CommandState
    attempt: int
    code: str
    actor: str


@dataclass(frozen=True, slots=True)
class RelayOrder:
    """A relay that somebody wants open or closed."""

    meter: str
    """DRN or MeterPAN as it was written."""
    reason: str


def draw_state_diagram() -> str:
    """Return the states and their transitions as a Mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {_name(CommandState.QUEUED)}"]
    lines += [f"    {_name(t.origin)} --> {_name(t.target)}: {t.act}" for t in TRANSITIONS]
    lines += [f"    {_name(state)} --> [*]" for state in CommandState if state in FINISHED_STATES]
    return "\n".join(lines) + "\n"


def _name(state: CommandState) -> str:
    # Mermaid reads a hyphen in a state's name as the start of an arrow.
    return state.value.replace("-", "_")
