"""Kill switches, ceilings and what is counted against them."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NewType, Self
from zoneinfo import ZoneInfo

from vending.custody.errors import CeilingInvalidError, IssuingStoppedError, TargetInvalidError
from vending.keystore.model import KeyReference
from vending.sts import SGC, KeyAttributes
from vending.values.identifiers import ApprovalId, CeremonyId, OperatorId, PartnerId
from vending.values.money import Money

StopId = NewType("StopId", uuid.UUID)
_OUTLET: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?")


class StopScope(StrEnum):
    """What a kill switch stops."""

    KEY = "key"
    SUPPLY_GROUP = "supply-group"
    PARTNER = "partner"
    OUTLET = "outlet"


@dataclass(frozen=True, slots=True, order=True)
class StopTarget:
    """One thing that a switch can stop."""

    scope: StopScope
    name: str
    """`201457/1/DUTK`, `201457`, the partner's id, or `<partner's id>/<outlet>`."""

    @classmethod
    def key(cls, register: KeyReference) -> Self:
        """Return one key."""
        return cls(StopScope.KEY, str(register))

    @classmethod
    def supply_group(cls, sgc: SGC) -> Self:
        """Return every key of a supply group."""
        return cls(StopScope.SUPPLY_GROUP, sgc.digits)

    @classmethod
    def partner(cls, partner_id: PartnerId) -> Self:
        """Return a partner with all of its outlets."""
        return cls(StopScope.PARTNER, str(partner_id))

    @classmethod
    def outlet(cls, partner_id: PartnerId, outlet: str) -> Self:
        """Return one outlet, as its partner names it.

        Raises:
            TargetInvalidError: The outlet's name is empty, too long or not printable ASCII.
        """
        if _OUTLET.fullmatch(outlet) is None:
            raise TargetInvalidError(StopScope.OUTLET)
        return cls(StopScope.OUTLET, f"{partner_id}/{outlet}")

    def __str__(self) -> str:
        return f"{self.scope}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueStop:
    """One time that a switch was put on stop; released, it stays as history."""

    id: StopId
    target: StopTarget
    reason: str
    stopped_at: datetime
    stopped_by: str
    released_at: datetime | None
    released_by: str | None


@dataclass(frozen=True, slots=True)
class Stops:
    """What is stopped at the moment of reading; asked once for a whole batch."""

    targets: frozenset[StopTarget]

    def require_open(
        self,
        register: KeyReference,
        *,
        partner_id: PartnerId | None = None,
        outlet: str | None = None,
    ) -> None:
        """Go on only where no switch stands in the way.

        Raises:
            IssuingStoppedError: One does; names its scope.
        """
        if not self.targets:
            return
        asked = [StopTarget.key(register), StopTarget.supply_group(register.sgc)]
        if partner_id is not None:
            asked.append(StopTarget.partner(partner_id))
        if partner_id is not None and outlet is not None:
            asked.append(StopTarget(StopScope.OUTLET, f"{partner_id}/{outlet}"))
        for target in asked:
            if target in self.targets:
                raise IssuingStoppedError(target.scope)


class UseClass(StrEnum):
    """What a key is used for; each class has ceilings and counts of its own."""

    CREDIT = "credit"
    """Energy that was paid for."""
    FREE = "free"
    """Energy without payment: free units, replacements."""
    MANAGEMENT = "management"
    """Tokens that carry no energy: management tokens and key changes."""


class Measure(StrEnum):
    """What a ceiling is in."""

    ENERGY = "energy"
    MONEY = "money"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One set of tokens to be issued under a key."""

    register: KeyReference
    """The key whose decoder key seals the tokens: of a key change, the old one."""
    use_class: UseClass
    energy_wh: int = 0
    money: Money | None = None
    """What was paid; None: nothing."""
    token_count: int = 1

    def __post_init__(self) -> None:
        assert self.energy_wh >= 0, "a use takes from the ceiling, and gives nothing back"
        assert self.token_count >= 0, "a use takes from the ceiling, and gives nothing back"
        assert self.money is None or self.money.minor >= 0, "a use takes from the ceiling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What a key was used for in one day, in one class."""

    energy_wh: int = 0
    money_minor: Mapping[str, int] = field(default_factory=dict)
    """By currency code."""
    token_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """How much a key may be used for in a day, in one class; None or absent: no ceiling.

    Raises:
        CeilingInvalidError: A number is negative.
    """

    energy_wh: int | None = None
    money_minor: Mapping[str, int] = field(default_factory=dict)
    """By currency code; a currency that is absent has no ceiling."""
    token_count: int | None = None

    def __post_init__(self) -> None:
        if self.energy_wh is not None and self.energy_wh < 0:
            raise CeilingInvalidError(Measure.ENERGY)
        if any(minor < 0 for minor in self.money_minor.values()):
            raise CeilingInvalidError(Measure.MONEY)
        if self.token_count is not None and self.token_count < 0:
            raise CeilingInvalidError(Measure.TOKENS)


NO_CEILING: Final = Ceiling()


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """What the ceilings of this utility go by, as two people have set it."""

    zone: ZoneInfo
    """The utility's: a day begins at its midnight."""
    defaults: Mapping[UseClass, Ceiling] = field(default_factory=dict)
    """For keys that were given no ceiling of their own."""

    def default_of(self, use_class: UseClass) -> Ceiling:
        """Return the ceiling of a key without one."""
        return self.defaults.get(use_class, NO_CEILING)

    def day_of(self, now: datetime) -> date:
        """Return the utility's day."""
        return now.astimezone(self.zone).date()


class AlarmLevel(StrEnum):
    """How near a count came to its ceiling; each is raised once a day."""

    NEAR = "near"
    """`ALARM_PERCENT` of it."""
    REACHED = "reached"
    """Something did not fit under it."""


ALARM_PERCENT: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A count that came near its ceiling."""

    register: str
    day: date
    use_class: UseClass
    measure: Measure
    level: AlarmLevel
    raised_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedToday:
    """How far a key has come under its ceiling today; for lists and gauges."""

    register: str
    use_class: UseClass
    count: Count
    ceiling: Ceiling
    is_own: bool
    """The ceiling was set for this key; otherwise it is the default."""


class CeremonyState(StrEnum):
    """Where a key ceremony stands."""

    OPEN = "open"
    """Components are entered, or the approval is awaited."""
    FINISHED = "finished"
    """The key is in the store."""
    ABORTED = "aborted"
    EXPIRED = "expired"
    """It took longer than `CEREMONY_LIFETIME`; its components were wiped when that was seen."""


CEREMONY_LIFETIME: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredComponent:
    """Who entered which component; the component itself lies sealed beside it."""

    number: int
    """From 1."""
    custodian_id: OperatorId
    custodian: str
    """Login name."""
    person: str = field(repr=False)
    check_value: str
    """6 hexadecimal digits, of the component."""
    entered_at: datetime
    is_held: bool
    """Whether the component is still kept; it is wiped when the ceremony ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """A key that is brought in by several custodians, each with a component."""

    id: CeremonyId
    attributes: KeyAttributes
    component_count: int
    check_value: str
    """6 hexadecimal digits, of the whole key, from the form that came with it."""
    is_demo: bool
    state: CeremonyState
    begun_by: str
    begun_by_id: OperatorId
    begun_at: datetime
    expires_at: datetime
    components: tuple[EnteredComponent, ...]
    approval_id: ApprovalId | None = None
    """Of the approval that was used up; None: the key was not taken in."""
    ended_by: str | None = None
    ended_at: datetime | None = None

    @property
    def register(self) -> KeyReference:
        """Return the register that the key will have."""
        return KeyReference.of(self.attributes)

    @property
    def is_complete(self) -> bool:
        """Say whether every component was entered."""
        return len(self.components) == self.component_count


class Severity(StrEnum):
    """How soon something must be done about a key."""

    OK = "ok"
    SOON = "soon"
    """It expires within the longer of the two times that the settings name."""
    URGENT = "urgent"
    """It expires within the shorter one."""
    STANDING = "standing"
    """It issues nothing: expired, retired or missing, and meters still hold it."""
    UNUSED = "unused"
    """No meter holds it."""


class Suggestion(StrEnum):
    """What to do about the meters of a key."""

    NOTHING = "nothing"
    KEY_REVISION = "key-revision"
    """A campaign to another key of the supply group."""
    BASE_DATE = "base-date"
    """A campaign to a key of a later base date."""
    OBTAIN_KEY = "obtain-key"
    """No key of the supply group outlives it: obtain one, and bring it in by a ceremony."""


@dataclass(frozen=True, slots=True)
class ForecastLimits:
    """From when a key is worth a look, and from when it is worth a hurry."""

    soon: timedelta
    urgent: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyForecast:
    """When a key expires, how many meters hold it, and what to do."""

    register: KeyReference
    check_value: str | None
    """None: meters hold the key, and the store has none of that name."""
    expires_at: datetime | None
    days_left: int | None
    """Whole days, rounded down; negative once it has expired."""
    is_retired: bool
    meter_count: int
    severity: Severity
    suggestion: Suggestion
    target: KeyReference | None
    """The key that a campaign would change to."""
