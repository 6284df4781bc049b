"""A command to a meter, and the one life that deliveries and commands share."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from vending.values.identifiers import CommandId, MeterId, SaleId, TokenId


class CommandKind(StrEnum):
    """What the meter is told to do."""

    ENTER_TOKEN = "enter-token"  # noqa: S105 # the name of an act, not a secret
    DISCONNECT = "disconnect"
    RECONNECT = "reconnect"


class CommandState(StrEnum):
    """Where a command stands; `COMMAND_TRANSITIONS` says what may follow."""

    QUEUED = "queued"
    """Waits for its turn at the meter."""
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
    """Tries are used up; a person decides."""
    EXPIRED = "expired"
    """Its time ran out before it was ever sent."""


_C = CommandState
COMMAND_TRANSITIONS: Final[Mapping[CommandState, frozenset[CommandState]]] = MappingProxyType(
    {
        _C.QUEUED: frozenset({_C.SENT, _C.EXPIRED}),
        _C.SENT: frozenset({_C.DONE, _C.REFUSED, _C.UNKNOWN, _C.RECONCILED}),
        _C.UNKNOWN: frozenset({_C.SENT, _C.NEEDS_HUMAN}),
        _C.NEEDS_HUMAN: frozenset({_C.QUEUED, _C.RECONCILED, _C.REFUSED}),
        _C.DONE: frozenset(),
        _C.REFUSED: frozenset(),
        _C.RECONCILED: frozenset(),
        _C.EXPIRED: frozenset(),
    }
)

WAITING_STATES: Final = frozenset({_C.QUEUED, _C.UNKNOWN})
"""The worker looks for these."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as it is stored."""

    id: CommandId
    kind: CommandKind
    meter_id: MeterId
    sale_id: SaleId | None
    token_id: TokenId | None
    state: CommandState
    reason: str
    requested_by: str
    attempts: int
    doubtful: bool
    """An earlier try ended unknown, so the meter may have applied it."""
    result_code: str | None
    created_at: datetime
    expires_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """What one try ended in: the state it leads to and the meter's word for it."""

    state: CommandState
    code: str
