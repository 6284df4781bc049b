"""An operator, the operator who is signed in, and what stands behind a session."""

import re
import unicodedata
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from vending.operators.errors import (
    OperatorInvalidError,
    PermissionDeniedError,
    SecondFactorStaleError,
)
from vending.operators.permissions import Permission, Role, permissions_of
from vending.values.actor import Actor, ActorKind
from vending.values.identifiers import OperatorId

NAME: Final = re.compile(r"[a-z][a-z0-9._-]{1,63}")
PERSON_LENGTH_MAX: Final = 120
_SHOWS_NOTHING: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point of Unicode, and the empty Braille pattern."""
LABEL_LENGTH_MAX: Final = 60


class OperatorState(StrEnum):
    """Whether an account can sign in."""

    INVITED = "invited"
    """Waits for its holder to choose a password and a second factor."""
    ACTIVE = "active"
    LOCKED = "locked"
    """By an administrator; nothing of it signs in until it is unlocked."""


class SignInMethod(StrEnum):
    """What a session was opened with."""

    TOTP = "totp"
    """Password and a code of the authenticator app."""
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery-code"
    """Password and a recovery code."""
    OPENID = "openid"
    ACTIVATION = "activation"
    """Activation code, and the first code of the app that was just set up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """An account of one of the utility's people; never deleted, never renamed.

    Raises:
        OperatorInvalidError: Name or person is outside its limits.
    """

    id: OperatorId
    name: str
    """Login name: a small letter, then 1 to 63 of `a-z 0-9 . _ -`."""
    person: str
    """Whose it is: a staff number or a name; two accounts of one person count as one person."""
    state: OperatorState
    roles: frozenset[Role]
    created_at: datetime

    def __post_init__(self) -> None:
        if NAME.fullmatch(self.name) is None:
            raise OperatorInvalidError(
                field="name", wanted="a small letter, then 1 to 63 of a-z 0-9 . _ -"
            )
        is_clean = self.person.isprintable() and self.person == self.person.strip()
        is_seen = bool(person_key(self.person))
        if not (is_clean and is_seen and len(self.person) <= PERSON_LENGTH_MAX):
            raise OperatorInvalidError(
                field="person",
                wanted=f"1 to {PERSON_LENGTH_MAX} printable characters, no space at either end",
            )

    @property
    def is_active(self) -> bool:
        """Return whether it can sign in."""
        return self.state is OperatorState.ACTIVE

    @property
    def subject(self) -> str:
        """Return how the audit log names the account."""
        return f"operator:{self.id}"


@dataclass(frozen=True, slots=True)
class NewOperator:
    """Somebody to be taken on."""

    name: str
    person: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """A fresh account, and the code with which its holder activates it, shown once."""

    operator: Operator
    code: str = field(repr=False)
    ends_at: datetime


def person_key(person: str) -> str:
    """Return the person in the form in which two are compared: case, width and spacing apart.

    What shows nothing is taken away, so that two names that look alike for it are one person
    (Unicode, 3.13.3: toNFKC_Casefold).
    """
    shown = _SHOWS_NOTHING.sub("", unicodedata.normalize("NFKC", person)).casefold()
    return " ".join(unicodedata.normalize("NFKC", shown).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """An operator behind a session that holds; every use case of the back office takes one."""

    operator_id: OperatorId
    name: str
    """Login name."""
    person: str
    """Whom the account belongs to; two accounts of one person count as one person."""
    roles: frozenset[Role]
    session_id: uuid.UUID
    device_id: str | None
    """What the session was opened on: passkey, terminal or browser; None: it did not say."""
    fresh_until: datetime
    """Until when the last second factor counts as given just now."""
    permissions: frozenset[Permission] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "permissions", permissions_of(self.roles))

    @property
    def actor(self) -> Actor:
        """Return how the audit log names the operator."""
        return Actor(ActorKind.OPERATOR, self.name, self.operator_id, self.session_id)

    def require(self, permission: Permission) -> None:
        """Go on only with the permission.

        Raises:
            PermissionDeniedError: None of the operator's roles carries it.
        """
        if permission not in self.permissions:
            raise PermissionDeniedError(permission.value)

    def require_fresh(self, now: datetime) -> None:
        """Go on only when the second factor was given a short while ago.

        Raises:
            SecondFactorStaleError: It was not.
        """
        if now >= self.fresh_until:
            raise SecondFactorStaleError

    def is_same_person(self, person: str) -> bool:
        """Return whether an account of `person` is one of this operator's own."""
        return person_key(person) == person_key(self.person)


class AuthenticatorKind(StrEnum):
    """What a second factor is."""

    TOTP = "totp"
    """An app that shows codes."""
    PASSKEY = "passkey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """A second factor of an operator, as its holder sees it.

    Raises:
        OperatorInvalidError: The label is outside its limits.
    """

    id: uuid.UUID
    operator_id: OperatorId
    kind: AuthenticatorKind
    label: str
    """By which its holder tells it from others."""
    added_at: datetime
    used_at: datetime | None

    def __post_init__(self) -> None:
        is_clean = self.label.isprintable() and self.label == self.label.strip()
        if not (is_clean and 1 <= len(self.label) <= LABEL_LENGTH_MAX):
            raise OperatorInvalidError(
                field="label",
                wanted=f"1 to {LABEL_LENGTH_MAX} printable characters, no space at either end",
            )


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session holds."""

    idle: timedelta = timedelta(minutes=15)
    """Without a request."""
    lifetime: timedelta = timedelta(hours=12)
    """Whatever is done in it."""
    freshness: timedelta = timedelta(minutes=10)
    """How long a second factor counts as given just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session, as its holder sees it; its token is stored as a digest alone."""

    id: uuid.UUID
    operator_id: OperatorId
    device_id: str | None
    source: str
    """Network address it was opened from; `command line` for the machine's own."""
    method: SignInMethod
    opened_at: datetime
    seen_at: datetime
    idle_limit: timedelta
    fresh_until: datetime
    ends_at: datetime
    revoked_at: datetime | None

    def holds(self, now: datetime) -> bool:
        """Return whether it lets its holder in at `now`."""
        return self.revoked_at is None and now < min(self.ends_at, self.seen_at + self.idle_limit)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A fresh session with its token, which is shown once."""

    session: Session
    token: str = field(repr=False)
