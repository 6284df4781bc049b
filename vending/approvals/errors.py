"""What an approval is refused for.

VendingError
├── ApprovalNotFoundError       no approval has this id
├── ApprovalRequiredError       the act takes two people, and no approval came with it
├── ApprovalContentError        what is asked for cannot be bound by a hash or shown
├── ApprovalOwnError            asked for and decided by one operator or one person
├── ApprovalSameDeviceError     asked for and approved on one device, where policy forbids it
├── ApprovalNotYoursError       withdrawn by somebody who neither asked nor decided
├── ApprovalExpiredError        its time is over
├── ApprovalStateError          its state does not allow this
├── ApprovalUsedError           it allowed its act already
├── ApprovalMismatchError       it was given for something else
└── ApprovalStandingError       one of the two may not ask or decide any more
"""

from datetime import datetime

from vending.errors import ErrorKind, VendingError
from vending.values.identifiers import ApprovalId


class ApprovalNotFoundError(VendingError):
    """No approval has this id."""

    kind = ErrorKind.NOT_FOUND
    code = "approval_not_found"
    remedy = "List the approvals with `vending approvals list` and take the id from there."

    def __init__(self, approval_id: ApprovalId) -> None:
        super().__init__(f"there is no approval {approval_id}", approval_id=str(approval_id))


class ApprovalRequiredError(VendingError):
    """The act takes two people, and no approval came with it."""

    kind = ErrorKind.REFUSED
    code = "approval_required"
    remedy = "Ask for an approval, have someone else decide it, then repeat the act with its id."

    def __init__(self, use_case: str, subject: str) -> None:
        super().__init__(
            f"{use_case} of {subject} takes an approval", use_case=use_case, subject=subject
        )


class ApprovalContentError(VendingError):
    """A part of the request cannot be bound by a hash, or not be shown to who decides."""

    kind = ErrorKind.INVALID
    code = "approval_content_invalid"
    remedy = "Correct the part named; text is one line of printable characters."

    def __init__(self, part: str, *, wanted: str) -> None:
        super().__init__(f"{part}: {wanted}", part=part, wanted=wanted)


class ApprovalOwnError(VendingError):
    """Who asked cannot decide, nor can another account of the same person."""

    kind = ErrorKind.FORBIDDEN
    code = "approval_own"
    remedy = "Have another person decide it; who asked may withdraw it."

    def __init__(self, approval_id: ApprovalId) -> None:
        super().__init__(
            f"approval {approval_id} was asked for by the same person",
            approval_id=str(approval_id),
        )


class ApprovalSameDeviceError(VendingError):
    """It is not certain that two devices took part, which the policy here asks for."""

    kind = ErrorKind.FORBIDDEN
    code = "approval_same_device"
    remedy = "Decide it from a session on another device than the one it was asked for on."

    def __init__(self, approval_id: ApprovalId) -> None:
        super().__init__(
            f"approval {approval_id} was not certainly asked for on another device",
            approval_id=str(approval_id),
        )


class ApprovalNotYoursError(VendingError):
    """Only who asked or who approved withdraws."""

    kind = ErrorKind.FORBIDDEN
    code = "approval_not_yours"
    remedy = "Ask one of the two to withdraw it; before it is decided, refuse it."

    def __init__(self, approval_id: ApprovalId) -> None:
        super().__init__(f"approval {approval_id} belongs to others", approval_id=str(approval_id))


class ApprovalExpiredError(VendingError):
    """The time of the approval is over."""

    kind = ErrorKind.CONFLICT
    code = "approval_expired"
    remedy = "Ask for a new approval."

    def __init__(self, approval_id: ApprovalId, expired_at: datetime) -> None:
        super().__init__(
            f"approval {approval_id} expired at {expired_at.isoformat(timespec='seconds')}",
            approval_id=str(approval_id),
            expired_at=expired_at.isoformat(),
        )


class ApprovalStateError(VendingError):
    """An approval is in a state from which this step does not lead on."""

    kind = ErrorKind.CONFLICT
    code = "approval_state"
    remedy = "Read the approval again; it may have been decided meanwhile, or wait for a decision."

    def __init__(self, approval_id: ApprovalId, *, state: str, target: str) -> None:
        super().__init__(
            f"approval {approval_id} is {state} and cannot become {target}",
            approval_id=str(approval_id),
            state=state,
            target=target,
        )


class ApprovalUsedError(VendingError):
    """The approval allowed its act once and is used up."""

    kind = ErrorKind.CONFLICT
    code = "approval_used"
    remedy = "Look whether the act was done; for another one, ask for a new approval."

    def __init__(self, approval_id: ApprovalId) -> None:
        super().__init__(f"approval {approval_id} was used before", approval_id=str(approval_id))


class ApprovalMismatchError(VendingError):
    """The approval was given for something else than what is to be done now."""

    kind = ErrorKind.MISMATCH
    code = "approval_mismatch"
    remedy = "Compare with `vending approvals show`; what has changed since needs a new approval."

    def __init__(self, approval_id: ApprovalId) -> None:
        super().__init__(
            f"approval {approval_id} was given for something else, or it has changed since",
            approval_id=str(approval_id),
        )


class ApprovalStandingError(VendingError):
    """Who asked or who approved has been locked since, or has lost the role for it."""

    kind = ErrorKind.REFUSED
    code = "approval_standing_lost"
    remedy = "Ask for a new approval, between two people who may ask and decide today."

    def __init__(self, approval_id: ApprovalId, *, party: str) -> None:
        super().__init__(
            f"approval {approval_id} counts no more: its {party} may not do this today",
            approval_id=str(approval_id),
            party=party,
        )
