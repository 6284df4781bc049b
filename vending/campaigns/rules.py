"""Pure decisions of a campaign: what would become of a meter, and how filters are written down."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, TypeVar

from vending.campaigns.errors import CampaignInvalidError
from vending.campaigns.model import (
    STEP_TARGETS,
    CampaignTarget,
    MeterStep,
    Obstacle,
    Outlook,
)
from vending.keystore.model import KeyDescription, KeyReference
from vending.meters.model import Meter, MeterFilter, MeterHolding, MeterKey, MeterState
from vending.sts.errors import STSError
from vending.sts.key_change import require_key_type_change
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.tcdu import TokenCarrierType
from vending.sts.tid import BaseDate, is_key_expired_at

CHANGEABLE_STATES: Final = frozenset(
    {MeterState.INSTALLED, MeterState.COMMISSIONED, MeterState.BLOCKED}
)
"""A meter that hangs at a customer's; one in stock, at repair or gone has nobody to enter a set."""

Parsed = TypeVar("Parsed")
Describe = Callable[[KeyReference], KeyDescription | None]
"""Returns what may be shown of a key; None: the module has none of that name."""


def register_of(meter: Meter) -> KeyReference:
    """Return the register of the key a meter is known to hold."""
    return KeyReference(meter.sgc, meter.krn, meter.kt)


def register_of_key(key: MeterKey) -> KeyReference:
    """Return the register of a meter's key."""
    return KeyReference(key.sgc, key.krn, key.kt)


def holds(held: MeterHolding, key: MeterKey) -> bool:
    """Return whether the register says that a meter holds this key."""
    return (held.sgc, held.krn, held.kt, held.ti, held.base_date) == (
        key.sgc.digits,
        key.krn,
        key.kt.value,
        key.ti.digits,
        key.base_date.value,
    )


def look_at(
    meter: Meter,
    target: CampaignTarget,
    describe: Describe,
    *,
    now: datetime,
    is_other_set_out: bool = False,
) -> Outlook:
    """Return what would happen to a meter now, or the first reason why nothing would."""
    old, new = register_of(meter), target.register_of(register_of(meter))
    new_ti = target.ti or meter.ti
    obstacle: Obstacle | None
    if meter.state not in CHANGEABLE_STATES:
        obstacle = Obstacle.METER_STATE
    elif is_other_set_out:
        obstacle = Obstacle.OTHER_SET_OUT
    elif (old, meter.ti) == (new, new_ti):
        obstacle = Obstacle.ALREADY_THERE
    else:
        obstacle = _find_key_obstacle(meter, target, describe(old), describe(new), now)
    return Outlook(
        meter.id, meter.pan, meter.key, new, new_ti, obstacle, is_linked=meter.link is not None
    )


def _find_key_obstacle(
    meter: Meter,
    target: CampaignTarget,
    old: KeyDescription | None,
    new: KeyDescription | None,
    now: datetime,
) -> Obstacle | None:
    if old is None:
        return Obstacle.OLD_KEY_MISSING
    if new is None:
        return Obstacle.NEW_KEY_MISSING
    to = new.attributes
    findings = (
        (new.retired_at is not None, Obstacle.NEW_KEY_RETIRED),
        (is_key_expired_at(now, to.base_date, to.ken), Obstacle.NEW_KEY_EXPIRED),
        (old.attributes.base_date is not meter.base_date, Obstacle.REGISTER_MISMATCH),
        ((target.base_date or to.base_date) is not to.base_date, Obstacle.BASE_DATE_MISMATCH),
        (not _fits(meter.ea, to.dkga, to.kt), Obstacle.DERIVATION_MISMATCH),
        (not _may_change(old.attributes.kt, to.kt), Obstacle.KEY_TYPE_CHANGE),
    )
    return next((obstacle for applies, obstacle in findings if applies), None)


def _may_change(old: KeyType, new: KeyType) -> bool:
    """Return whether a keypad meter may be sent from one type of key to another."""
    try:
        require_key_type_change(old, new, tct=TokenCarrierType.NUMERIC)
    except STSError:
        return False
    return True


def _fits(ea: EncryptionAlgorithm, dkga: KeyDerivation, kt: KeyType) -> bool:
    if ea is EncryptionAlgorithm.MISTY1 and dkga is not KeyDerivation.DKGA04:
        return False
    return not (kt is KeyType.DCTK and dkga is KeyDerivation.DKGA04)


def may_become(step: MeterStep, target: MeterStep) -> bool:
    """Return whether the table of a meter's states has this step."""
    return target in STEP_TARGETS[step]


# --- how filters and targets are written down -----------------------------------------------------
def filter_document(wanted: MeterFilter) -> dict[str, object]:
    """Return the filter as it is stored and approved; what it leaves open is left out."""
    told: dict[str, object | None] = {
        "sgc": None if wanted.sgc is None else wanted.sgc.digits,
        "krn": wanted.krn,
        "kt": None if wanted.kt is None else wanted.kt.name,
        "ti": None if wanted.ti is None else wanted.ti.digits,
        "base_date": None if wanted.base_date is None else int(wanted.base_date),
        "tariff": wanted.tariff_code,
        "location_prefix": wanted.location_prefix or None,
        "meters": [pan.digits for pan in wanted.pans] or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def target_document(target: CampaignTarget) -> dict[str, object]:
    """Return the target as it is stored and approved."""
    told: dict[str, object | None] = {
        "sgc": None if target.sgc is None else target.sgc.digits,
        "krn": target.krn,
        "kt": None if target.kt is None else target.kt.name,
        "ti": None if target.ti is None else target.ti.digits,
        "base_date": None if target.base_date is None else int(target.base_date),
    }
    return {name: value for name, value in told.items() if value is not None}


def parse_filter(document: Mapping[str, object]) -> MeterFilter:
    """Return the filter that was written down so.

    Raises:
        CampaignInvalidError: It is none.
        MeterInvalidError: Its list of meters is too long.
    """
    read = _Reader("filter", document)
    found = MeterFilter(
        sgc=read.optional("sgc", lambda text: SGC(str(text))),
        krn=read.optional("krn", _whole),
        kt=read.optional("kt", lambda text: KeyType[str(text)]),
        ti=read.optional("ti", lambda text: TI(str(text))),
        base_date=read.optional("base_date", lambda year: BaseDate(_whole(year))),
        tariff_code=read.optional("tariff", str),
        location_prefix=read.optional("location_prefix", str) or "",
        pans=read.optional("meters", _pans) or (),
    )
    read.finish()
    return found


def parse_target(document: Mapping[str, object]) -> CampaignTarget:
    """Return the target that was written down so.

    Raises:
        CampaignInvalidError: It is none.
    """
    read = _Reader("target", document)
    found = CampaignTarget(
        sgc=read.optional("sgc", lambda text: SGC(str(text))),
        krn=read.optional("krn", _whole),
        kt=read.optional("kt", lambda text: KeyType[str(text)]),
        ti=read.optional("ti", lambda text: TI(str(text))),
        base_date=read.optional("base_date", lambda year: BaseDate(_whole(year))),
    )
    read.finish()
    return found


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _pans(value: object) -> tuple[MeterPAN, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(MeterPAN(str(each)) for each in value)


class _Reader:
    """Reads a document of ours field by field, and names the one that is wrong."""

    def __init__(self, name: str, document: Mapping[str, object]) -> None:
        self._name = name
        self._document = dict(document)

    def optional(self, field: str, parse: Callable[[object], Parsed]) -> Parsed | None:
        value = self._document.pop(field, None)
        if value is None:
            return None
        try:
            return parse(value)
        except (KeyError, TypeError, ValueError, STSError) as error:
            raise CampaignInvalidError(
                field=f"{self._name}.{field}", wanted="a value of the register"
            ) from error

    def finish(self) -> None:
        if self._document:
            wanted = f"no {', '.join(sorted(self._document))}"
            raise CampaignInvalidError(field=self._name, wanted=wanted)
