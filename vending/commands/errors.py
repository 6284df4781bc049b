"""What a command is refused for.

VendingError
├── CommandNotFoundError      no command has this id
├── CommandKeyReusedError     its key was used to queue another command
└── CommandStateError         its state does not allow this
"""

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
