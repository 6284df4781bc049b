"""What a command is refused for.

VendingError
├── CommandNotFoundError      no command has this id
├── CommandKeyReusedError     its key was used to queue another command
├── CommandStateError         its state does not allow this
├── CommandReasonError        no reason is given, or one that does not print
├── MeterUnreachableError     the register does not say how the meter is reached
└── DisconnectionHoursError   the rule allows no disconnection now without a second person
"""

from datetime import datetime

from vending.errors import ErrorKind, VendingError
from vending.values.identifiers import CommandId


class CommandNotFoundError(VendingError):
    """No command has this id."""

    kind = ErrorKind.NOT_FOUND
    code = "command_not_found"
    remedy = "List the commands of the meter and take the id from there."

    def __init__(self, command_id: CommandId) -> None:
        super().__init__(f"there is no command {command_id}", command_id=str(command_id))


class CommandKeyReusedError(VendingError):
    """The key that makes a command happen once belongs to another command."""

    kind = ErrorKind.MISMATCH
    code = "command_key_reused"
    remedy = "Ask for the first command again, or use a new key for a new command."

    def __init__(self, command_id: CommandId) -> None:
        super().__init__(
            f"this key was used before to queue command {command_id}, which differs",
            command_id=str(command_id),
        )


class CommandStateError(VendingError):
    """A command is in a state from which this step does not lead on."""

    kind = ErrorKind.CONFLICT
    code = "command_state"
    remedy = "Read the command again; it may have been settled meanwhile."

    def __init__(self, command_id: CommandId, *, state: str, target: str) -> None:
        super().__init__(
            f"command {command_id} is {state} and cannot become {target}",
            command_id=str(command_id),
            state=state,
            target=target,
        )


class CommandReasonError(VendingError):
    """An order to a meter says why."""

    kind = ErrorKind.INVALID
    code = "command_reason_invalid"
    remedy = "Say why, in one line of printable characters."

    def __init__(self, length_max: int) -> None:
        super().__init__(f"reason: 1 to {length_max} printable characters", length_max=length_max)


class MeterUnreachableError(VendingError):
    """The register does not say how the meter is reached."""

    kind = ErrorKind.REFUSED
    code = "meter_unreachable"
    remedy = "Say how it is reached with `vending meters link`, then order again."

    def __init__(self, drn: str) -> None:
        super().__init__(f"meter {drn} has no link", drn=drn)


class DisconnectionHoursError(VendingError):
    """The rule allows no disconnection now, unless two people agree to it."""

    kind = ErrorKind.REFUSED
    code = "disconnection_outside_rule"
    remedy = "Wait for the hours of the rule, or ask for an approval and repeat with its id."

    def __init__(self, drn: str, at: datetime) -> None:
        super().__init__(
            f"one person may not disconnect meter {drn} at {at.isoformat(timespec='seconds')}",
            drn=drn,
            at=at.isoformat(),
        )
