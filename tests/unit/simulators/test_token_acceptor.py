"""Every result of the acceptor, in the order of its tests."""

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest

from simulators.token_acceptor import (
    LOCKOUT_MS,
    LOCKOUT_MS_MAX,
    TID_MEMORY_SIZE,
    WRONG_ENTRIES_MAX,
    Acceptance,
    AcceptorState,
    EntryResult,
    Lockout,
    MeterKind,
    accept,
)
from vending.sts import (
    SGC,
    TI,
    AuthenticationResult,
    ClearCredit,
    ClearTamperCondition,
    CreditRegister,
    DecoderKey,
    EncryptionAlgorithm,
    ExtendedToken,
    InitiateMeterTest,
    KeyChange,
    KeyType,
    Resource,
    Set3rdSectionDecoderKey,
    Set4thSectionDecoderKey,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
    Token,
    TokenIdentifier,
    TokenResult,
    TransferCurrency,
    ValidationResult,
    encode,
    encode_key_change_set,
)

ROOM = 1_000_000
TID = TokenIdentifier(1_000_000)
CRC_ERROR_DIGITS = "12345678901234567890"
NEW_KEY = DecoderKey(bytes.fromhex("fedcba9876543210"), EncryptionAlgorithm.STA)
NEW_MISTY_KEY = DecoderKey(bytes(range(100, 116)), EncryptionAlgorithm.MISTY1)

MakeAcceptor = Callable[..., AcceptorState]
MakeDigits = Callable[[Token], str]
MakeCredit = Callable[..., str]


def enter(state: AcceptorState, digits: str, *, at_ms: int = 0, room: int = ROOM) -> Acceptance:
    return accept(state, digits, at_ms=at_ms, room=room)


def make_change(
    key: DecoderKey = NEW_KEY,
    *,
    kt: KeyType = KeyType.DUTK,
    sgc: SGC | None = None,
    rollover: bool = False,
) -> KeyChange:
    return KeyChange(key=key, kt=kt, krn=2, ken=0xA5, ti=TI("07"), sgc=sgc, rollover=rollover)


# --- step 1: the digits -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("digits", "result"),
    [
        ("", TokenResult.FORMAT_ERROR),
        ("1234567890123456789", TokenResult.FORMAT_ERROR),
        ("73786976294838206464", TokenResult.FORMAT_ERROR),
        (CRC_ERROR_DIGITS, AuthenticationResult.CRC_ERROR),
        (f"{3 << 27:020}", TokenResult.FUNCTION_ERROR),
    ],
)
def test_digits_that_are_no_token_are_refused(
    acceptor: AcceptorState, digits: str, result: EntryResult
) -> None:
    acceptance = enter(acceptor, digits)
    assert acceptance.result is result
    assert acceptance.token is None


def test_a_token_of_another_key_is_refused_by_its_crc(
    make_acceptor: MakeAcceptor, credit: MakeCredit
) -> None:
    state = make_acceptor(key=NEW_KEY)
    assert enter(state, credit(1)).result is AuthenticationResult.CRC_ERROR


@pytest.mark.parametrize(
    ("token", "result"),
    [
        (ExtendedToken(rnd=1, tid=TID, index=1, value=1), TokenResult.FUNCTION_ERROR),
        (SetWaterMeterFactor(rnd=1, tid=TID, wmf=1), TokenResult.FUNCTION_ERROR),
        (
            ClearCredit(rnd=1, tid=TID, register=CreditRegister.WATER),
            TokenResult.RANGE_ERROR,
        ),
        (Set3rdSectionDecoderKey(sgc_low=1, nkmo2=bytes(4)), TokenResult.FUNCTION_ERROR),
        (Set4thSectionDecoderKey(sgc_high=1, nkmo1=bytes(4)), TokenResult.FUNCTION_ERROR),
    ],
)
def test_what_an_electricity_meter_of_ea07_does_not_know_is_refused(
    acceptor: AcceptorState, digits_of: MakeDigits, token: Token, result: EntryResult
) -> None:
    acceptance = enter(acceptor, digits_of(token))
    assert (acceptance.result, acceptance.state) == (result, acceptor)


@pytest.mark.parametrize(
    "token",
    [
        SetMaximumPowerLimit(rnd=1, tid=TID, limit_w=1),
        SetMaximumPhasePowerUnbalanceLimit(rnd=1, tid=TID, limit_w=1),
    ],
)
def test_a_water_meter_knows_no_power(
    make_acceptor: MakeAcceptor, digits_of: MakeDigits, token: Token
) -> None:
    state = make_acceptor(kind=MeterKind(Resource.WATER))
    assert enter(state, digits_of(token)).result is TokenResult.FUNCTION_ERROR


def test_a_water_meter_takes_its_factor(make_acceptor: MakeAcceptor, digits_of: MakeDigits) -> None:
    state = make_acceptor(kind=MeterKind(Resource.WATER))
    token = SetWaterMeterFactor(rnd=1, tid=TID, wmf=9)
    assert enter(state, digits_of(token)).token == token


def test_credit_of_another_resource_is_refused(acceptor: AcceptorState, credit: MakeCredit) -> None:
    digits = credit(1, resource=Resource.GAS)
    assert enter(acceptor, digits).result is TokenResult.FUNCTION_ERROR


def test_currency_is_a_crc_error_to_a_meter_that_counts_energy(
    acceptor: AcceptorState, digits_of: MakeDigits
) -> None:
    token = TransferCurrency(resource=Resource.ELECTRICITY, tid=TID, amount=100)
    assert enter(acceptor, digits_of(token)).result is AuthenticationResult.CRC_ERROR


def test_a_meter_that_counts_currency_takes_currency_only(
    make_acceptor: MakeAcceptor, digits_of: MakeDigits, credit: MakeCredit
) -> None:
    state = make_acceptor(kind=MeterKind(in_currency=True))
    token = TransferCurrency(resource=Resource.ELECTRICITY, tid=TID, amount=100)
    assert enter(state, digits_of(token)).token == token
    assert enter(state, digits_of(token), room=99).result is TokenResult.OVERFLOW_ERROR
    assert enter(state, credit(1)).result is TokenResult.FUNCTION_ERROR


@pytest.mark.parametrize(
    ("own", "token", "result"),
    [
        ("00", InitiateMeterTest(control=1), TokenResult.ACCEPT),
        ("12", InitiateMeterTest(control=1), TokenResult.ACCEPT),
        ("12", InitiateMeterTest(control=1, manufacturer=12), TokenResult.ACCEPT),
        ("12", InitiateMeterTest(control=1, manufacturer=13), TokenResult.RANGE_ERROR),
        (
            "0012",
            InitiateMeterTest(control=1, manufacturer=12),
            TokenResult.RANGE_ERROR,
        ),
        (
            "0012",
            InitiateMeterTest(control=1, manufacturer=12, manufacturer_digits=4),
            TokenResult.ACCEPT,
        ),
    ],
)
def test_a_test_token_is_for_every_maker_or_for_one(
    make_acceptor: MakeAcceptor, own: str, token: InitiateMeterTest, result: EntryResult
) -> None:
    state = make_acceptor(kind=MeterKind(manufacturer=own))
    assert enter(state, encode(token, None)).result is result


# --- step 2: the key ----------------------------------------------------------------------------
@pytest.mark.parametrize("kt", [KeyType.DITK, KeyType.DDTK])
def test_a_meter_in_stock_takes_management_but_no_credit(
    make_acceptor: MakeAcceptor, credit: MakeCredit, digits_of: MakeDigits, kt: KeyType
) -> None:
    state = make_acceptor(kt=kt)
    assert enter(state, credit(1)).result is AuthenticationResult.DDTK_ERROR
    token = ClearTamperCondition(rnd=1, tid=TID)
    assert enter(state, digits_of(token)).result is TokenResult.ACCEPT


def test_a_meter_in_stock_names_the_key_before_the_memory(
    make_acceptor: MakeAcceptor, credit: MakeCredit
) -> None:
    state = make_acceptor(kt=KeyType.DDTK, ken=0, tids=(70_000,))
    assert enter(state, credit(70_000)).result is AuthenticationResult.DDTK_ERROR


@pytest.mark.parametrize(
    ("tid", "result"),
    [
        ((11 << 16) - 1, TokenResult.ACCEPT),
        (11 << 16, AuthenticationResult.KEY_EXPIRED_ERROR),
    ],
)
def test_a_key_expires_by_the_high_bits_of_the_tid(
    make_acceptor: MakeAcceptor,
    credit: MakeCredit,
    digits_of: MakeDigits,
    tid: int,
    result: EntryResult,
) -> None:
    state = make_acceptor(ken=10)
    assert enter(state, credit(tid)).result is result
    token = SetTariffRate(rnd=1, tid=TokenIdentifier(tid), rate=1)
    assert enter(state, digits_of(token)).result is result


def test_an_expired_key_still_takes_its_successor(
    make_acceptor: MakeAcceptor, decoder_key: DecoderKey
) -> None:
    state = make_acceptor(ken=0)
    for digits in encode_key_change_set(make_change(), decoder_key):
        state = enter(state, digits).state
    assert state.keys.decoder_key == NEW_KEY


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        (KeyType.DITK, KeyType.DDTK, TokenResult.FIRST_KCT),
        (KeyType.DITK, KeyType.DUTK, TokenResult.FIRST_KCT),
        (KeyType.DDTK, KeyType.DUTK, TokenResult.FIRST_KCT),
        (KeyType.DUTK, KeyType.DDTK, TokenResult.FIRST_KCT),
        (KeyType.DUTK, KeyType.DITK, TokenResult.KEY_TYPE_ERROR),
        (KeyType.DUTK, KeyType.DCTK, TokenResult.KEY_TYPE_ERROR),
        (KeyType.DITK, KeyType.DCTK, TokenResult.KEY_TYPE_ERROR),
        (KeyType.DCTK, KeyType.DCTK, TokenResult.KEY_TYPE_ERROR),
    ],
)
def test_a_key_type_changes_by_the_table_and_never_to_a_common_one(
    make_acceptor: MakeAcceptor,
    decoder_key: DecoderKey,
    old: KeyType,
    new: KeyType,
    result: EntryResult,
) -> None:
    first, _ = encode_key_change_set(make_change(kt=new), decoder_key)
    assert enter(make_acceptor(kt=old), first).result is result


# --- step 3: the memory -------------------------------------------------------------------------
def test_a_token_is_used_once(acceptor: AcceptorState, credit: MakeCredit) -> None:
    digits = credit(1000)
    first = enter(acceptor, digits)
    again = enter(first.state, digits)
    assert first.result is TokenResult.ACCEPT
    assert (again.result, again.state) == (ValidationResult.USED_ERROR, first.state)


def test_one_memory_serves_credit_and_management(
    acceptor: AcceptorState, credit: MakeCredit, digits_of: MakeDigits
) -> None:
    state = enter(acceptor, digits_of(SetTariffRate(rnd=1, tid=TID, rate=1))).state
    assert enter(state, credit(TID.minutes)).result is ValidationResult.USED_ERROR


def test_any_unused_tid_passes_while_the_memory_is_not_full(
    make_acceptor: MakeAcceptor, credit: MakeCredit
) -> None:
    state = make_acceptor(tids=tuple(range(1000, 1000 + TID_MEMORY_SIZE - 1)))
    acceptance = enter(state, credit(0))
    assert acceptance.result is TokenResult.ACCEPT
    assert acceptance.state.tids[0] == 0


@pytest.mark.parametrize(
    ("tid", "result"),
    [
        (999, ValidationResult.OLD_ERROR),
        (1000, ValidationResult.USED_ERROR),
        (1001, TokenResult.ACCEPT),
    ],
)
def test_a_full_memory_refuses_what_is_older_than_its_oldest(
    make_acceptor: MakeAcceptor, credit: MakeCredit, tid: int, result: EntryResult
) -> None:
    state = make_acceptor(tids=tuple(range(1000, 1000 + 2 * TID_MEMORY_SIZE, 2)))
    assert enter(state, credit(tid)).result is result


def test_in_a_full_memory_a_new_tid_replaces_the_smallest(
    make_acceptor: MakeAcceptor, credit: MakeCredit
) -> None:
    state = make_acceptor(tids=tuple(range(1000, 1000 + TID_MEMORY_SIZE)))
    after = enter(state, credit(5000)).state
    assert after.tids == (*range(1001, 1000 + TID_MEMORY_SIZE), 5000)
    assert enter(after, credit(1000)).result is ValidationResult.OLD_ERROR


def test_a_reserved_tid_is_not_refused(acceptor: AcceptorState, credit: MakeCredit) -> None:
    assert enter(acceptor, credit(1441)).result is TokenResult.ACCEPT


# --- step 4: the register -----------------------------------------------------------------------
def test_credit_that_overflows_the_register_is_not_stored(
    acceptor: AcceptorState, credit: MakeCredit
) -> None:
    refused = enter(acceptor, credit(1, units=101), room=100)
    assert (refused.result, refused.state) == (TokenResult.OVERFLOW_ERROR, acceptor)
    assert enter(refused.state, credit(1, units=100), room=100).result is TokenResult.ACCEPT


# --- management ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "token",
    [
        SetMaximumPowerLimit(rnd=1, tid=TID, limit_w=5000),
        ClearCredit(rnd=1, tid=TID, register=CreditRegister.ELECTRICITY),
        ClearCredit(rnd=1, tid=TID, register=CreditRegister.ALL),
        SetTariffRate(rnd=1, tid=TID, rate=7),
        ClearTamperCondition(rnd=1, tid=TID),
        SetMaximumPhasePowerUnbalanceLimit(rnd=1, tid=TID, limit_w=100),
    ],
)
def test_management_tokens_are_accepted_and_remembered(
    acceptor: AcceptorState, digits_of: MakeDigits, token: Token
) -> None:
    acceptance = enter(acceptor, digits_of(token))
    assert (acceptance.result, acceptance.token) == (TokenResult.ACCEPT, token)
    assert acceptance.state.tids == (TID.minutes,)


def test_a_meter_in_currency_clears_its_own_register(
    make_acceptor: MakeAcceptor, digits_of: MakeDigits
) -> None:
    state = make_acceptor(kind=MeterKind(in_currency=True))
    own = ClearCredit(rnd=1, tid=TID, register=CreditRegister.ELECTRICITY_CURRENCY)
    other = ClearCredit(rnd=1, tid=TID, register=CreditRegister.ELECTRICITY)
    assert enter(state, digits_of(own)).result is TokenResult.ACCEPT
    assert enter(state, digits_of(other)).result is TokenResult.RANGE_ERROR


# --- key change ---------------------------------------------------------------------------------
@pytest.mark.parametrize("order", list(permutations(range(2))))
def test_two_sections_change_the_key_in_any_order(
    make_acceptor: MakeAcceptor, decoder_key: DecoderKey, order: tuple[int, ...]
) -> None:
    state = make_acceptor(tids=(5,))
    tokens = encode_key_change_set(make_change(), decoder_key)
    held = (TokenResult.FIRST_KCT, TokenResult.SECOND_KCT)
    pending = enter(state, tokens[order[0]])
    assert pending.result is held[order[0]]
    assert pending.state.keys == state.keys
    whole = enter(pending.state, tokens[order[1]])
    assert whole.result is TokenResult.ACCEPT
    keys = whole.state.keys
    assert keys.decoder_key == NEW_KEY
    assert (keys.kt, keys.krn, keys.ken, keys.ti) == (KeyType.DUTK, 2, 0xA5, TI("07"))
    assert keys.sgc == SGC("123456")
    assert whole.state.tids == (5,)
    assert whole.state.sections == ()


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_four_sections_change_the_key_and_the_supply_group_in_any_order(
    make_acceptor: MakeAcceptor, misty_key: DecoderKey, order: tuple[int, ...]
) -> None:
    state = make_acceptor(key=misty_key)
    tokens = encode_key_change_set(make_change(NEW_MISTY_KEY, sgc=SGC("654321")), misty_key)
    held = (
        TokenResult.FIRST_KCT,
        TokenResult.SECOND_KCT,
        TokenResult.THIRD_KCT,
        TokenResult.FOURTH_KCT,
    )
    for section in order[:3]:
        acceptance = enter(state, tokens[section])
        assert acceptance.result is held[section]
        state = acceptance.state
    whole = enter(state, tokens[order[3]])
    assert whole.result is TokenResult.ACCEPT
    assert whole.state.keys.decoder_key == NEW_MISTY_KEY
    assert whole.state.keys.sgc == SGC("654321")


def test_a_repeated_section_replaces_the_one_held(
    acceptor: AcceptorState, decoder_key: DecoderKey
) -> None:
    stale, _ = encode_key_change_set(
        make_change(DecoderKey(bytes(8), EncryptionAlgorithm.STA)), decoder_key
    )
    first, second = encode_key_change_set(make_change(), decoder_key)
    state = enter(acceptor, stale).state
    replaced = enter(state, first)
    assert replaced.result is TokenResult.FIRST_KCT
    assert len(replaced.state.sections) == 1
    assert enter(replaced.state, second).state.keys.decoder_key == NEW_KEY


def test_credit_under_the_old_key_goes_on_until_the_set_is_whole(
    acceptor: AcceptorState, decoder_key: DecoderKey, credit: MakeCredit
) -> None:
    first, second = encode_key_change_set(make_change(), decoder_key)
    state = enter(acceptor, first).state
    paid = enter(state, credit(1))
    assert paid.result is TokenResult.ACCEPT
    changed = enter(paid.state, second).state
    assert enter(changed, credit(2)).result is AuthenticationResult.CRC_ERROR


def test_rollover_clears_the_memory(make_acceptor: MakeAcceptor, decoder_key: DecoderKey) -> None:
    state = make_acceptor(tids=(5, 6))
    for digits in encode_key_change_set(make_change(rollover=True), decoder_key):
        state = enter(state, digits).state
    assert state.tids == ()


def test_a_supply_group_above_six_digits_is_refused_with_its_last_half(
    make_acceptor: MakeAcceptor, misty_key: DecoderKey
) -> None:
    state = make_acceptor(key=misty_key)
    first, second, _, fourth = encode_key_change_set(
        make_change(NEW_MISTY_KEY, sgc=SGC("999999")), misty_key
    )
    too_high = encode(Set3rdSectionDecoderKey(sgc_low=4095, nkmo2=bytes(4)), misty_key)
    for digits in (first, second, fourth):
        state = enter(state, digits).state
    refused = enter(state, too_high)
    assert (refused.result, refused.state) == (TokenResult.RANGE_ERROR, state)


# --- lock-out -----------------------------------------------------------------------------------
def enter_wrongly(state: AcceptorState, times: int, at_ms: int) -> AcceptorState:
    for _ in range(times):
        acceptance = enter(state, CRC_ERROR_DIGITS, at_ms=at_ms)
        assert acceptance.result is AuthenticationResult.CRC_ERROR
        state = acceptance.state
    return state


def test_wrong_entries_lock_the_keypad_for_a_time(
    acceptor: AcceptorState, credit: MakeCredit
) -> None:
    locked = enter_wrongly(acceptor, WRONG_ENTRIES_MAX, at_ms=1000)
    refused = enter(locked, credit(1), at_ms=1000 + LOCKOUT_MS - 1)
    assert (refused.result, refused.state) == (Lockout.LOCKED_OUT, locked)
    freed = enter(locked, credit(1), at_ms=1000 + LOCKOUT_MS)
    assert freed.result is TokenResult.ACCEPT
    assert freed.state.lockout_count == 0


def test_each_lockout_in_a_row_is_twice_as_long_up_to_a_limit(acceptor: AcceptorState) -> None:
    state, at_ms, lengths_ms = acceptor, 0, []
    for _ in range(10):
        state = enter_wrongly(state, WRONG_ENTRIES_MAX, at_ms)
        lengths_ms.append(state.locked_until_ms - at_ms)
        at_ms = state.locked_until_ms
    assert lengths_ms[:3] == [LOCKOUT_MS, 2 * LOCKOUT_MS, 4 * LOCKOUT_MS]
    assert lengths_ms[-1] == LOCKOUT_MS_MAX


@pytest.mark.parametrize("is_new", [True, False])
def test_only_a_new_authentic_token_forgives_wrong_entries(
    make_acceptor: MakeAcceptor, credit: MakeCredit, *, is_new: bool
) -> None:
    state = make_acceptor(tids=() if is_new else (1,))
    state = enter_wrongly(state, WRONG_ENTRIES_MAX - 1, at_ms=0)
    state = enter(state, credit(1)).state
    assert state.wrong_entry_count == (0 if is_new else WRONG_ENTRIES_MAX - 1)


def test_a_test_token_does_not_forgive_wrong_entries(acceptor: AcceptorState) -> None:
    state = replace(acceptor, wrong_entry_count=3)
    digits = encode(InitiateMeterTest(control=1), None)
    assert enter(state, digits).state.wrong_entry_count == 3
