"""What a meter does with 20 digits: the order of its tests, its memory, its key changes.

IEC 62055-41, token acceptance. The tests come in this order, and a refused token stores nothing:

    1  FormatError, CRCError, FunctionError, RangeError     what the digits say
    2  DDTKError, KeyExpiredError, KeyTypeError             what the key allows
    3  OldError, UsedError                                  the memory of TIDs
    4  OverflowError                                        the credit register

Reading the digits is `vending.sts.codec`'s; the rules of acceptance stand here and nowhere else.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from vending.sts import (
    KEY_TYPE_CHANGES,
    SECTION_COUNTS,
    SGC,
    TI,
    AuthenticationResult,
    ClearCredit,
    ClearTamperCondition,
    CreditRegister,
    DecoderKey,
    InitiateMeterTest,
    KeyChange,
    KeyType,
    Rejection,
    Resource,
    Result,
    SectionToken,
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
    Token,
    TokenIdentifier,
    TokenResult,
    TransferCredit,
    TransferCurrency,
    ValidationResult,
    assemble_key_change,
    decode,
    is_key_expired,
)

TID_MEMORY_SIZE: Final = 50
"""The least that IEC 62055-41 asks for."""

WRONG_ENTRIES_MAX: Final = 5
LOCKOUT_MS: Final = 20_000
"""The first lock-out, as one maker has it; each further one in a row is twice as long (ours)."""
LOCKOUT_MS_MAX: Final = 3_600_000

_WRONG_ENTRIES: Final = frozenset({TokenResult.FORMAT_ERROR, AuthenticationResult.CRC_ERROR})
"""What counts as a guess at a token; a used or an expired one is authentic."""

_SECTIONS: Final[dict[type[SectionToken], tuple[int, TokenResult]]] = {
    Set1stSectionDecoderKey: (1, TokenResult.FIRST_KCT),
    Set2ndSectionDecoderKey: (2, TokenResult.SECOND_KCT),
    Set3rdSectionDecoderKey: (3, TokenResult.THIRD_KCT),
    Set4thSectionDecoderKey: (4, TokenResult.FOURTH_KCT),
}
_DEFAULT_KEYS: Final = frozenset({KeyType.DITK, KeyType.DDTK})
"""Keys of meters in stock, which take no credit."""


class Lockout(StrEnum):
    """A result of the meter's maker, not of the standard."""

    LOCKED_OUT = "LockedOut"
    """The digits were not looked at: too many wrong entries came before."""


EntryResult = Result | Lockout

ENTRY_RESULTS: Final[dict[str, EntryResult]] = {
    result.value: result
    for results in (AuthenticationResult, ValidationResult, TokenResult, Lockout)
    for result in results
}
"""Every result by its name."""

ManagementRecord = (
    SetMaximumPowerLimit
    | ClearCredit
    | SetTariffRate
    | ClearTamperCondition
    | SetMaximumPhasePowerUnbalanceLimit
    | SetWaterMeterFactor
)


@dataclass(frozen=True, slots=True)
class MeterKind:
    """What kind of meter takes the tokens: its resource, whether in currency, its maker."""

    resource: Resource = Resource.ELECTRICITY
    in_currency: bool = False
    manufacturer: str = "00"
    """The maker's code as in the DRN, 2 or 4 digits."""


@dataclass(frozen=True, slots=True)
class KeyState:
    """The decoder key and what was stored with it; a key change replaces it whole."""

    decoder_key: DecoderKey
    sgc: SGC
    kt: KeyType
    krn: int
    ken: int
    ti: TI


@dataclass(frozen=True, slots=True)
class AcceptorState:
    """All that decides about the next token; small enough to be stored as a whole."""

    kind: MeterKind
    keys: KeyState
    tids: tuple[int, ...] = ()
    """The TIDs accepted last, in ascending order, at most `TID_MEMORY_SIZE`."""
    sections: tuple[SectionToken, ...] = ()
    """The sections of a key-change set received so far, one of each number."""
    wrong_entry_count: int = 0
    lockout_count: int = 0
    locked_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What became of an entry: the result, the token to apply (if accepted), the next state."""

    result: EntryResult
    state: AcceptorState
    token: Token | None = None


def accept(state: AcceptorState, digits: str, *, at_ms: int, room: int) -> Acceptance:
    """Return what becomes of 20 digits entered at a time.

    `room` is what the credit register still takes, in the unit of the meter's credit tokens:
    0.1 kWh, or 0.00001 of the currency. An accepted token must be applied together with
    storing the new state.
    """
    if at_ms < state.locked_until_ms:
        return Acceptance(Lockout.LOCKED_OUT, state)
    token = decode(digits, state.keys.decoder_key)
    if isinstance(token, Rejection):
        return _refuse(state, token.result, at_ms)
    match token:
        case TransferCredit() | TransferCurrency():
            return _take_credit(state, token, at_ms=at_ms, room=room)
        case InitiateMeterTest():
            return _take_test(state, token, at_ms)
        case (
            SetMaximumPowerLimit()
            | ClearCredit()
            | SetTariffRate()
            | ClearTamperCondition()
            | SetMaximumPhasePowerUnbalanceLimit()
            | SetWaterMeterFactor()
        ):
            return _take_management(state, token, at_ms)
        case (
            Set1stSectionDecoderKey()
            | Set2ndSectionDecoderKey()
            | Set3rdSectionDecoderKey()
            | Set4thSectionDecoderKey()
        ):
            return _take_section(state, token, at_ms)
        case _:
            return _refuse(state, TokenResult.FUNCTION_ERROR, at_ms)


# --- the four kinds of token --------------------------------------------------------------------
def _take_credit(
    state: AcceptorState, token: TransferCredit | TransferCurrency, *, at_ms: int, room: int
) -> Acceptance:
    is_currency = isinstance(token, TransferCurrency)
    if is_currency and not state.kind.in_currency:
        # Such a meter computes the plain CRC, which CRC_C was made to differ from.
        return _refuse(state, AuthenticationResult.CRC_ERROR, at_ms)
    if is_currency is not state.kind.in_currency or token.resource is not state.kind.resource:
        return _refuse(state, TokenResult.FUNCTION_ERROR, at_ms)
    if state.keys.kt in _DEFAULT_KEYS:
        return _refuse(state, AuthenticationResult.DDTK_ERROR, at_ms)
    if (refusal := _find_refusal_by_tid(state, token.tid)) is not None:
        return _refuse(state, refusal, at_ms)
    amount = token.amount if isinstance(token, TransferCurrency) else token.units
    if amount > room:
        return _refuse(state, TokenResult.OVERFLOW_ERROR, at_ms)
    return Acceptance(TokenResult.ACCEPT, _remember(state, token.tid), token)


def _take_test(state: AcceptorState, token: InitiateMeterTest, at_ms: int) -> Acceptance:
    """Accept a test for every maker (code 0) or for this one; it proves no key, so no count."""
    own = state.kind.manufacturer
    is_ours = token.manufacturer_digits == len(own) and token.manufacturer == int(own)
    if token.manufacturer != 0 and not is_ours:
        return _refuse(state, TokenResult.RANGE_ERROR, at_ms)
    return Acceptance(TokenResult.ACCEPT, state, token)


def _take_management(state: AcceptorState, token: ManagementRecord, at_ms: int) -> Acceptance:
    if not _is_supported(state.kind, token):
        return _refuse(state, TokenResult.FUNCTION_ERROR, at_ms)
    if isinstance(token, ClearCredit) and not _is_own_register(state.kind, token.register):
        return _refuse(state, TokenResult.RANGE_ERROR, at_ms)
    if (refusal := _find_refusal_by_tid(state, token.tid)) is not None:
        return _refuse(state, refusal, at_ms)
    return Acceptance(TokenResult.ACCEPT, _remember(state, token.tid), token)


def _is_supported(kind: MeterKind, token: ManagementRecord) -> bool:
    if isinstance(token, SetMaximumPowerLimit | SetMaximumPhasePowerUnbalanceLimit):
        return kind.resource is Resource.ELECTRICITY
    if isinstance(token, SetWaterMeterFactor):
        return kind.resource is Resource.WATER
    return True


def _is_own_register(kind: MeterKind, register: CreditRegister) -> bool:
    own = kind.resource + len(Resource) * kind.in_currency
    return register in (own, CreditRegister.ALL)


def _take_section(state: AcceptorState, token: SectionToken, at_ms: int) -> Acceptance:
    """Hold a section, in place of one of its number; with the last one the whole key changes."""
    section, held_result = _SECTIONS[type(token)]
    count = SECTION_COUNTS[state.keys.decoder_key.ea]
    if section > count:
        return _refuse(state, TokenResult.FUNCTION_ERROR, at_ms)
    if isinstance(token, Set1stSectionDecoderKey) and not _may_change(state.keys.kt, token.kt):
        return _refuse(state, TokenResult.KEY_TYPE_ERROR, at_ms)
    others = tuple(other for other in state.sections if type(other) is not type(token))
    sections = (*others, token)
    if len(sections) < count:
        return Acceptance(held_result, replace(state, sections=sections), token)
    change = assemble_key_change(sections, state.keys.decoder_key.ea)
    if isinstance(change, Rejection):
        return _refuse(state, change.result, at_ms)
    return Acceptance(TokenResult.ACCEPT, _change_key(state, change), token)


def _may_change(old: KeyType, new: KeyType) -> bool:
    """Say whether a keypad meter takes a key of this type; a DCTK needs a magnetic card."""
    return new is not KeyType.DCTK and new in KEY_TYPE_CHANGES[old]


def _change_key(state: AcceptorState, change: KeyChange) -> AcceptorState:
    keys = KeyState(
        decoder_key=change.key,
        sgc=change.sgc or state.keys.sgc,
        kt=change.kt,
        krn=change.krn,
        ken=change.ken,
        ti=change.ti,
    )
    tids = () if change.rollover else state.tids
    return replace(_forgive(state), keys=keys, sections=(), tids=tids)


# --- memory -------------------------------------------------------------------------------------
def _find_refusal_by_tid(state: AcceptorState, tid: TokenIdentifier) -> Result | None:
    if is_key_expired(tid, state.keys.ken):
        return AuthenticationResult.KEY_EXPIRED_ERROR
    if len(state.tids) == TID_MEMORY_SIZE and tid.minutes < state.tids[0]:
        return ValidationResult.OLD_ERROR
    if tid.minutes in state.tids:
        return ValidationResult.USED_ERROR
    return None


def _remember(state: AcceptorState, tid: TokenIdentifier) -> AcceptorState:
    """Store a TID; in a full memory it replaces the smallest."""
    place = bisect_left(state.tids, tid.minutes)
    tids = (*state.tids[:place], tid.minutes, *state.tids[place:])
    return replace(_forgive(state), tids=tids[-TID_MEMORY_SIZE:])


def _forgive(state: AcceptorState) -> AcceptorState:
    """Forget the wrong entries: whoever enters a new authentic token does not guess.

    Tests, used tokens and single sections do not count, since they can be entered at will.
    """
    return replace(state, wrong_entry_count=0, lockout_count=0, locked_until_ms=0)


def _refuse(state: AcceptorState, result: Result, at_ms: int) -> Acceptance:
    if result not in _WRONG_ENTRIES:
        return Acceptance(result, state)
    count = state.wrong_entry_count + 1
    if count < WRONG_ENTRIES_MAX:
        return Acceptance(result, replace(state, wrong_entry_count=count))
    lockout_ms = min(LOCKOUT_MS << state.lockout_count, LOCKOUT_MS_MAX)
    locked = replace(
        state,
        wrong_entry_count=0,
        lockout_count=state.lockout_count + 1,
        locked_until_ms=at_ms + lockout_ms,
    )
    return Acceptance(result, locked)
