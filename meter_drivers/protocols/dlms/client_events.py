"""What an APDU from a server means to the client that receives it."""

from dataclasses import dataclass, field

from meter_drivers.protocols.dlms.acse import AssociationResult, Diagnostic
from meter_drivers.protocols.dlms.initiate import Conformance, InitiateError
from meter_drivers.protocols.dlms.responses import Outcome
from meter_drivers.protocols.dlms.results import (
    ActionResult,
    DataAccessResult,
    ServiceError,
    StateError,
)


@dataclass(frozen=True, slots=True)
class Associated:
    """The association stands, and with HLS-5 both sides have proved themselves."""

    conformance: Conformance
    send_size_bytes: int
    """The longest APDU that the server takes; 65,535 where it sets no limit."""


@dataclass(frozen=True, slots=True)
class AssociationRefused:
    """The server does not take the association."""

    result: AssociationResult
    diagnostic: Diagnostic
    error: InitiateError | None = None


@dataclass(frozen=True, slots=True)
class AuthenticationFailed:
    """The server refuses our proof, or has not proved itself; the association does not stand."""

    why: str


@dataclass(frozen=True, slots=True)
class Continue:
    """The exchange goes on: this APDU is to be sent now."""

    apdu: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Got:
    """The answer to GET."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class GotList:
    """The answer to GET of a list, in its order."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class SetDone:
    """The answer to SET."""

    result: DataAccessResult


@dataclass(frozen=True, slots=True)
class ActionDone:
    """The answer to ACTION; `returned` is what the method returned, or why it could not."""

    result: ActionResult
    returned: Outcome | None


@dataclass(frozen=True, slots=True)
class ServiceRefused:
    """The server sent an exception instead of an answer.

    Where `is_authentic` is false although ciphered APDUs are agreed on, anybody on the line can
    have sent it: it proves nothing about what became of an order.
    """

    state: StateError
    service: ServiceError
    counter: int | None
    is_authentic: bool


@dataclass(frozen=True, slots=True)
class Released:
    """The server confirms the end of the association."""


@dataclass(frozen=True, slots=True)
class AnswerIgnored:
    """An answer to a request that nobody waits for any more."""

    invoke_id: int


ClientEvent = (
    Associated
    | AssociationRefused
    | AuthenticationFailed
    | Continue
    | Got
    | GotList
    | SetDone
    | ActionDone
    | ServiceRefused
    | Released
    | AnswerIgnored
)
