"""Who does something: the name under which every change is recorded."""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ActorKind(StrEnum):
    """What kind of party acts."""

    OPERATOR = "operator"
    """A person of the utility, signed in."""
    PARTNER = "partner"
    """A seller, by its API key."""
    SYSTEM = "system"
    """A job of the worker; its name says which."""
    HOST = "host"
    """Whoever may run commands on the machine, where no operator is asked for: `vending init`."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One party, as the audit log names it."""

    kind: ActorKind
    name: str
    """Login name, partner's name, job's name, or the user of the machine."""
    id: uuid.UUID | None = None
    """Of the operator or partner; None for the others."""
    session_id: uuid.UUID | None = None
    """Of the operator's session; None for the others."""

    @classmethod
    def system(cls, job: str) -> "Actor":
        """Return a job of the worker."""
        return cls(ActorKind.SYSTEM, job)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


SYSTEM: Final = Actor.system("service")
"""The service itself, where no job has a name of its own."""
