"""Decisions on approvals: what can be bound, who may decide, which step leads on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from vending.approvals.errors import (
    ApprovalContentError,
    ApprovalExpiredError,
    ApprovalMismatchError,
    ApprovalNotYoursError,
    ApprovalOwnError,
    ApprovalSameDeviceError,
    ApprovalStateError,
    ApprovalUsedError,
)
from vending.approvals.model import (
    APPROVAL_TRANSITIONS,
    USE_CASE_RULES,
    Act,
    Approval,
    ApprovalState,
    Decision,
)
from vending.errors import canonical_json
from vending.operators.model import SignedIn, person_key
from vending.values.identifiers import ApprovalId

PAYLOAD_BYTES_MAX: Final = 65_536
"""As canonical JSON; a person is to read it, a list of many is bound by a hash of its own."""
PAYLOAD_DEPTH_MAX: Final = 8
TEXT_LENGTH_MAX: Final = 500
"""Characters of a subject, a reason, a note."""
NUMBER_MAX: Final = 2**63 - 1
_PAYLOAD: Final = "payload"


def request(
    act: Act, by: SignedIn, *, reason: str, approval_id: ApprovalId, now: datetime
) -> Approval:
    """Return an approval as it is asked for.

    Raises:
        PermissionDeniedError: The operator may not ask for this use case.
        ApprovalContentError: Subject, payload or reason cannot be bound or shown.
    """
    rule = USE_CASE_RULES[act.use_case]
    by.require(rule.ask)
    return Approval(
        id=approval_id,
        act=act,
        digest=compute_digest(act),
        reason=check_text(reason, "reason"),
        state=ApprovalState.REQUESTED,
        requested_by=by.operator_id,
        requested_at=now,
        requested_on=by.device_id,
        expires_at=now + rule.lifetime,
    )


def compute_digest(act: Act) -> str:
    """Return SHA-256 over the canonical JSON of use case, subject and payload, hexadecimal.

    Raises:
        ApprovalContentError: The subject is no line of text, or the payload is no JSON of text,
            whole numbers, lists and objects, or too large.
    """
    check_text(act.subject, "subject")
    _check_value(act.payload, depth=0)
    document = {
        "use_case": act.use_case.value,
        "subject": act.subject,
        "payload": act.payload,
    }
    octets = canonical_json(document)
    if len(octets) > PAYLOAD_BYTES_MAX:
        wanted = f"at most {PAYLOAD_BYTES_MAX} bytes"
        raise ApprovalContentError(_PAYLOAD, wanted=wanted)
    return sha256(octets).hexdigest()


def check_text(text: str, part: str) -> str:
    """Return a line that a terminal, a log and both databases show as it is.

    Raises:
        ApprovalContentError: It is empty, too long, or has a character that does not print.
    """
    if not text.strip() or len(text) > TEXT_LENGTH_MAX or not text.isprintable():
        wanted = f"1 to {TEXT_LENGTH_MAX} printable characters"
        raise ApprovalContentError(part, wanted=wanted)
    return text


def decide(
    approval: Approval,
    by: SignedIn,
    *,
    requester_person: str,
    decision: Decision,
    distinct_devices: bool,
    now: datetime,
) -> Approval:
    """Return the approval as decided.

    Raises:
        PermissionDeniedError: The operator may not decide this use case.
        ApprovalOwnError: The operator asked for it, or is the person who did.
        ApprovalSameDeviceError: Two devices are asked for, and it is not certain that two took
            part; to refuse, one is enough.
        ApprovalExpiredError: Its time is over.
        ApprovalStateError: It was decided or withdrawn before.
        ApprovalContentError: The note cannot be shown.
    """
    by.require(USE_CASE_RULES[approval.act.use_case].decide)
    if by.operator_id == approval.requested_by:
        raise ApprovalOwnError(approval.id)
    require_two_people(approval, requester_person, by.person)
    if (
        decision.approve
        and distinct_devices
        and not _are_distinct(approval.requested_on, by.device_id)
    ):
        raise ApprovalSameDeviceError(approval.id)
    target = ApprovalState.APPROVED if decision.approve else ApprovalState.REFUSED
    _require_step(approval, target)
    _require_time(approval, now)
    decided = replace(
        approval, state=target, decided_by=by.operator_id, decided_at=now, decided_on=by.device_id
    )
    return _with_note(decided, decision.note)


def withdraw(approval: Approval, by: SignedIn, *, note: str | None) -> Approval:
    """Return the approval withdrawn by who asked for it or who approved it.

    Raises:
        ApprovalNotYoursError: The operator is neither of the two.
        ApprovalStateError: It was refused, withdrawn or used before.
        ApprovalContentError: The note cannot be shown.
    """
    if by.operator_id not in {approval.requested_by, approval.decided_by}:
        raise ApprovalNotYoursError(approval.id)
    _require_step(approval, ApprovalState.WITHDRAWN)
    return _with_note(replace(approval, state=ApprovalState.WITHDRAWN), note)


def redeem(
    approval: Approval, by: SignedIn, act: Act, *, distinct_devices: bool, now: datetime
) -> Approval:
    """Return the approval used up by exactly the act it was given for.

    Raises:
        PermissionDeniedError: The operator may not ask for this use case, hence not do it.
        ApprovalMismatchError: The act is another one, or what is stored was changed.
        ApprovalUsedError: It was used before.
        ApprovalStateError: It is not approved.
        ApprovalExpiredError: Its time is over.
        ApprovalSameDeviceError: Two devices are asked for by now, and it is not certain that two
            took part.
        ApprovalContentError: The act cannot be bound.
    """
    by.require(USE_CASE_RULES[act.use_case].ask)
    digest = compute_digest(act)
    is_stored_whole = compare_digest(compute_digest(approval.act), approval.digest)
    if not (is_stored_whole and compare_digest(digest, approval.digest)):
        raise ApprovalMismatchError(approval.id)
    if approval.state is ApprovalState.REDEEMED:
        raise ApprovalUsedError(approval.id)
    _require_step(approval, ApprovalState.REDEEMED)
    _require_time(approval, now)
    if distinct_devices and not _are_distinct(approval.requested_on, approval.decided_on):
        raise ApprovalSameDeviceError(approval.id)
    return replace(
        approval, state=ApprovalState.REDEEMED, redeemed_by=by.operator_id, redeemed_at=now
    )


def require_two_people(approval: Approval, requester_person: str, approver_person: str) -> None:
    """Go on only if two people stand behind the approval.

    Raises:
        ApprovalOwnError: It is one.
    """
    if person_key(requester_person) == person_key(approver_person):
        raise ApprovalOwnError(approval.id)


def is_over(approval: Approval, now: datetime) -> bool:
    """Return whether the approval's time is over."""
    return now >= approval.expires_at


def _with_note(approval: Approval, note: str | None) -> Approval:
    """Return the approval with the words of who decided or withdrew, if there are any.

    Raises:
        ApprovalContentError: The note cannot be shown.
    """
    return approval if note is None else replace(approval, note=check_text(note, "note"))


def _are_distinct(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _require_step(approval: Approval, target: ApprovalState) -> None:
    if target not in APPROVAL_TRANSITIONS[approval.state]:
        raise ApprovalStateError(approval.id, state=approval.state.value, target=target.value)


def _require_time(approval: Approval, now: datetime) -> None:
    if is_over(approval, now):
        raise ApprovalExpiredError(approval.id, approval.expires_at)


def _check_value(value: object, *, depth: int) -> None:
    """Accept text, whole numbers, flags, nothing, and lists and objects of these.

    Raises:
        ApprovalContentError: It holds anything else, or is nested too deeply.
    """
    if depth > PAYLOAD_DEPTH_MAX:
        raise ApprovalContentError(_PAYLOAD, wanted=f"at most {PAYLOAD_DEPTH_MAX} levels")
    match value:
        case None | bool():
            return
        case int() if abs(value) <= NUMBER_MAX:
            return
        case str() if value.isprintable():
            return
        case Mapping():
            for name, inner in value.items():
                _check_name(name)
                _check_value(inner, depth=depth + 1)
        case list():
            for inner in value:
                _check_value(inner, depth=depth + 1)
        case _:
            wanted = "printable text, whole numbers of 64 bits, lists and objects"
            raise ApprovalContentError(_PAYLOAD, wanted=wanted)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isprintable():
        raise ApprovalContentError(_PAYLOAD, wanted="names are printable text")
