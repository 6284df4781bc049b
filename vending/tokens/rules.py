"""Pure decisions on tokens: their identifiers, what an order puts into one, what it is worth."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from vending.approvals.model import Act, UseCase
from vending.custody.model import Use, UseClass
from vending.keystore.port import CreditTokenRequest, ManagementTokenRequest
from vending.ledger.model import Account, AccountKind, JournalEntry, Posting, account_code
from vending.meters.model import Meter, MeterState
from vending.sts import (
    BaseDate,
    BeforeBaseDateError,
    ClearCredit,
    ClearTamperCondition,
    InitiateMeterTest,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
    STSError,
    TIDAheadError,
    TIDExhaustedError,
    TokenIdentifier,
    next_tid,
)
from vending.sts.tokens import CreditRegister, ManagementToken
from vending.tokens.errors import (
    BaseDateExhaustedError,
    BaseDateNotStartedError,
    MeterTakesNoTokenError,
    TokenRequestInvalidError,
    TooManyTokensError,
)
from vending.tokens.model import MANAGEMENT_KINDS, OrderPurpose, TokenKind, TokenOrder
from vending.values.energy import Energy
from vending.values.identifiers import EntryId
from vending.values.money import Currency, Money

FREE_UNITS_ENTRY: Final = "free-units"
FREE_UNITS_MAX: Final = 180_223
"""One token codes up to here within 1 kWh, as a sale's does."""
REASON_LENGTH_MAX: Final = 200

IN_USE_STATES: Final = frozenset(
    {MeterState.INSTALLED, MeterState.COMMISSIONED, MeterState.BLOCKED, MeterState.FAULTY}
)
"""A meter on a wall: an engineer may stand before it with a token."""

_ANY_TID: Final = TokenIdentifier(0)
_MANAGEMENT: Final[Mapping[TokenKind, Callable[[int, TokenIdentifier, int], ManagementToken]]] = (
    MappingProxyType(
        {
            TokenKind.SET_MAXIMUM_POWER_LIMIT: lambda value, tid, rnd: SetMaximumPowerLimit(
                rnd=rnd, tid=tid, limit_w=value
            ),
            TokenKind.CLEAR_CREDIT: lambda value, tid, rnd: ClearCredit(
                rnd=rnd, tid=tid, register=CreditRegister(value)
            ),
            TokenKind.SET_TARIFF_RATE: lambda value, tid, rnd: SetTariffRate(
                rnd=rnd, tid=tid, rate=value
            ),
            TokenKind.CLEAR_TAMPER_CONDITION: lambda _, tid, rnd: ClearTamperCondition(
                rnd=rnd, tid=tid
            ),
            TokenKind.SET_MAXIMUM_PHASE_POWER_UNBALANCE_LIMIT: lambda value, tid, rnd: (
                SetMaximumPhasePowerUnbalanceLimit(rnd=rnd, tid=tid, limit_w=value)
            ),
            TokenKind.SET_WATER_METER_FACTOR: lambda value, tid, rnd: SetWaterMeterFactor(
                rnd=rnd, tid=tid, wmf=value
            ),
        }
    )
)
"""The class 2 tokens that an order makes, from its value, identifier and random number."""


def choose_tid(
    now: datetime, base_date: BaseDate, *, last: int | None, ahead_limit_min: int
) -> TokenIdentifier:
    """Return the identifier of the meter's next token.

    Raises:
        TooManyTokensError: The meter's identifiers run ahead of the clock.
        BaseDateExhaustedError: The base date has run out.
        BaseDateNotStartedError: The base date lies in the future.
    """
    try:
        return next_tid(now, base_date, last=last, ahead_limit_min=ahead_limit_min)
    except TIDAheadError as error:
        raise TooManyTokensError(str(error)) from error
    except TIDExhaustedError as error:
        raise BaseDateExhaustedError(int(base_date)) from error
    except BeforeBaseDateError as error:
        raise BaseDateNotStartedError(int(base_date)) from error


def takes_two(kind: TokenKind) -> bool:
    """Return whether a management token needs an approval: all but the test of class 1."""
    return kind is not TokenKind.INITIATE_METER_TEST


def require_management(kind: TokenKind, value: int) -> None:
    """Check that a management token of this kind carries this value.

    Raises:
        TokenRequestInvalidError: It is no management token, or cannot carry the value.
    """
    if kind not in MANAGEMENT_KINDS:
        raise TokenRequestInvalidError(field="kind", wanted="a management token")
    if kind is TokenKind.CLEAR_TAMPER_CONDITION and value != 0:
        raise TokenRequestInvalidError(field="value", wanted="none: this token carries no value")
    try:
        _make_management(kind, value, _ANY_TID, 0)
    except (STSError, ValueError) as error:
        raise TokenRequestInvalidError(field="value", wanted=str(error)) from error


def require_units(units: int) -> None:
    """Check that the units fit on one credit token.

    Raises:
        TokenRequestInvalidError: They are none, or too many.
    """
    if not 1 <= units <= FREE_UNITS_MAX:
        raise TokenRequestInvalidError(field="units", wanted=f"1 to {FREE_UNITS_MAX}, in 0.1 kWh")


def require_reason(text: str) -> str:
    """Return the text, why somebody does something.

    Raises:
        TokenRequestInvalidError: It is empty, too long or does not print.
    """
    if not (1 <= len(text.strip()) <= REASON_LENGTH_MAX and text.isprintable()):
        raise TokenRequestInvalidError(
            field="reason", wanted=f"1 to {REASON_LENGTH_MAX} printable characters"
        )
    return text


def require_in_use(meter: Meter) -> Meter:
    """Return the meter when somebody can enter a token at it.

    Raises:
        MeterTakesNoTokenError: It lies in store, or is gone.
    """
    if meter.state not in IN_USE_STATES:
        raise MeterTakesNoTokenError(meter.pan.iain, meter.state.value)
    return meter


def management_request(order: TokenOrder) -> ManagementTokenRequest:
    """Return what the security module is asked for a management token, the same every time."""
    tid = _ANY_TID if order.tid is None else TokenIdentifier(order.tid)
    return ManagementTokenRequest(
        pan=order.meter_pan,
        ti=order.ti,
        ea=order.ea,
        base_date=order.base_date,
        token=_make_management(order.kind, order.value, tid, order.rnd or 0),
    )


def credit_request(order: TokenOrder) -> CreditTokenRequest:
    """Return what the security module is asked for a credit token, the same every time."""
    assert order.tid is not None, "credit carries an identifier"
    assert order.rnd is not None, "credit carries a random number"
    return CreditTokenRequest(
        pan=order.meter_pan,
        ti=order.ti,
        ea=order.ea,
        base_date=order.base_date,
        resource=order.resource,
        units=order.value,
        tid=TokenIdentifier(order.tid),
        rnd=order.rnd,
    )


def key_use(order: TokenOrder) -> Use:
    """Return what the order counts for against the ceilings of its key."""
    if order.kind is TokenKind.TRANSFER_CREDIT:
        energy = Energy.from_sts_units(order.value)
        return Use(register=order.register, use_class=UseClass.FREE, energy_wh=energy.wh)
    return Use(register=order.register, use_class=UseClass.MANAGEMENT)


def management_act(meter: Meter, kind: TokenKind, value: int) -> Act:
    """Return what two people agree to: this token for this meter under the key in use now."""
    return Act(
        UseCase.MANAGEMENT_TOKEN,
        meter_subject(meter),
        {"kind": kind.value, "value": value, **key_facts(meter)},
    )


def free_units_act(meter: Meter, units: int) -> Act:
    """Return what two people agree to: these units for this meter under the key in use now."""
    return Act(UseCase.FREE_TOKEN, meter_subject(meter), {"units": units, **key_facts(meter)})


def key_facts(meter: Meter) -> dict[str, object]:
    """Return the key that tokens of a meter are made under now, as an approval binds it."""
    return {
        "sgc": meter.sgc.digits,
        "krn": meter.krn,
        "kt": int(meter.kt),
        "ti": meter.ti.digits,
        "base_date": int(meter.base_date),
    }


def meter_subject(meter: Meter) -> str:
    """Return the meter as the audit log names it."""
    return f"meter:{meter.pan.digits}"


def month_start(now: datetime, timezone: str) -> datetime:
    """Return when the month began in the utility's time zone."""
    local = now.astimezone(ZoneInfo(timezone))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def free_units_accounts(currency: Currency) -> list[Account]:
    """Return the accounts that free units are posted to."""
    return [
        Account(
            code=account_code("expense", "free-units", currency),
            kind=AccountKind.EXPENSE,
            currency=currency,
        ),
        Account(
            code=account_code("revenue", "energy", currency),
            kind=AccountKind.INCOME,
            currency=currency,
        ),
    ]


def free_units_entry(order: TokenOrder, entry_id: EntryId) -> JournalEntry | None:
    """Return the entry of units given away; None: they are worth less than half a minor unit.

    Energy that is given away is revenue and expense alike, as where STS coding rounds up.
    """
    worth: Money | None = order.worth
    if order.purpose is not OrderPurpose.FREE_UNITS or worth is None or worth.minor == 0:
        return None
    expense, revenue = (account.code for account in free_units_accounts(worth.currency))
    return JournalEntry(
        id=entry_id,
        at=order.created_at,
        kind=FREE_UNITS_ENTRY,
        reference=str(order.id),
        currency=worth.currency,
        postings=(Posting(expense, worth.minor), Posting(revenue, -worth.minor)),
    )


def _make_management(
    kind: TokenKind, value: int, tid: TokenIdentifier, rnd: int
) -> ManagementToken | InitiateMeterTest:
    if kind is TokenKind.INITIATE_METER_TEST:
        return InitiateMeterTest(control=value)
    return _MANAGEMENT[kind](value, tid, rnd)
