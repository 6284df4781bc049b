"""What tokens and bus orders do to the whole meter."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from meter_drivers.protocols.modbus.credit import (
    CreditOperation,
    CreditOrder,
    CreditResult,
    SignedCreditOrder,
    SiteKey,
)
from meter_drivers.protocols.modbus.token_entry import compute_entry_digest
from simulators.meter import EventKind, RelayPosition, Tamper, raise_tamper
from simulators.prepaid_meter import (
    PrepaidMeter,
    enter_token,
    pass_time,
    steer_relay,
    take_credit_order,
    with_electric,
)
from simulators.token_acceptor import AcceptorState, MeterKind
from vending.sts import (
    TI,
    AuthenticationResult,
    ClearCredit,
    ClearTamperCondition,
    CreditRegister,
    DecoderKey,
    EncryptionAlgorithm,
    InitiateMeterTest,
    KeyChange,
    KeyType,
    MeterTest,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
    Token,
    TokenIdentifier,
    TokenResult,
    ValidationResult,
    encode,
    encode_key_change_set,
)
from vending.sts import Resource as StsResource

TID = TokenIdentifier(7)
Sign = Callable[..., SignedCreditOrder]


@pytest.fixture
def sign(meter: PrepaidMeter, site_key: SiteKey) -> Sign:
    def make(
        seq: int, operation: int = CreditOperation.ADD_CREDIT, **fields: int
    ) -> SignedCreditOrder:
        return CreditOrder(seq, operation, **fields).sign(site_key, drn=meter.drn.digits)

    return make


# --- tokens -------------------------------------------------------------------------------------
def test_a_credit_token_adds_its_units(meter: PrepaidMeter, credit: Callable[..., str]) -> None:
    digits = credit(9, units=123)
    after, entry = enter_token(meter, digits)
    assert entry.result is TokenResult.ACCEPT
    assert entry.is_accepted
    assert after.electric.balance_wh == 10_000 + 12_300
    assert after.electric.purchase_count == 1
    assert after.entries.last_credit_tid == 9
    assert after.entries.digest == compute_entry_digest(digits)


def test_a_used_token_changes_nothing_but_the_log(
    meter: PrepaidMeter, credit: Callable[..., str]
) -> None:
    once, _ = enter_token(meter, credit(9))
    twice, entry = enter_token(once, credit(9))
    assert entry.result is ValidationResult.USED_ERROR
    assert not entry.is_accepted
    assert twice.acceptor == once.acceptor
    assert twice.electric.balance_wh == once.electric.balance_wh
    assert twice.electric.events[-1].kind is EventKind.TOKEN_REFUSED
    assert (twice.entries.count, twice.entries.last_credit_tid) == (2, 9)


def test_credit_that_overflows_is_refused(meter: PrepaidMeter, credit: Callable[..., str]) -> None:
    rating = replace(meter.electric.rating, credit_max_wh=10_099)
    full = with_electric(meter, replace(meter.electric, rating=rating))
    _, entry = enter_token(full, credit(9, units=1))
    assert entry.result is TokenResult.OVERFLOW_ERROR


def test_what_no_digits_are_is_a_format_error(meter: PrepaidMeter) -> None:
    after, entry = enter_token(meter, "\uff11\uff12\uff13")
    assert entry.result is TokenResult.FORMAT_ERROR
    assert after.entries.digest == 0


@pytest.mark.parametrize(
    ("token", "setting", "value"),
    [
        (SetMaximumPowerLimit(rnd=1, tid=TID, limit_w=5000), "power_limit_w", 5000),
        (
            SetMaximumPhasePowerUnbalanceLimit(rnd=1, tid=TID, limit_w=300),
            "phase_unbalance_limit_w",
            300,
        ),
        (SetTariffRate(rnd=1, tid=TID, rate=77), "tariff_rate", 77),
    ],
)
def test_management_tokens_set(
    meter: PrepaidMeter, digits_of: Callable[[Token], str], token: Token, setting: str, value: int
) -> None:
    after, _ = enter_token(meter, digits_of(token))
    assert getattr(after.electric.settings, setting) == value


def test_a_water_meter_sets_its_factor(
    meter: PrepaidMeter, digits_of: Callable[[Token], str]
) -> None:
    kind = MeterKind(StsResource.WATER)
    water = replace(meter, acceptor=replace(meter.acceptor, kind=kind))
    after, _ = enter_token(water, digits_of(SetWaterMeterFactor(rnd=1, tid=TID, wmf=3)))
    assert after.electric.settings.water_meter_factor == 3


def test_clear_credit_empties_the_register(
    meter: PrepaidMeter, digits_of: Callable[[Token], str]
) -> None:
    token = ClearCredit(rnd=1, tid=TID, register=CreditRegister.ALL)
    after, _ = enter_token(meter, digits_of(token))
    assert (after.electric.balance_wh, after.electric.cleared_wh) == (0, 10_000)


def test_clear_tamper_ends_the_disconnection(
    meter: PrepaidMeter, digits_of: Callable[[Token], str]
) -> None:
    tampered = with_electric(meter, raise_tamper(meter.electric, Tamper.COVER))
    after, _ = enter_token(tampered, digits_of(ClearTamperCondition(rnd=1, tid=TID)))
    assert not after.electric.tamper


def test_a_key_change_is_logged_when_it_is_whole(
    meter: PrepaidMeter, decoder_key: DecoderKey
) -> None:
    new_key = DecoderKey(bytes(8), EncryptionAlgorithm.STA)
    change = KeyChange(
        key=new_key, kt=KeyType.DUTK, krn=3, ken=255, ti=TI("02"), sgc=None, rollover=False
    )
    first, second = encode_key_change_set(change, decoder_key)
    held, entry = enter_token(meter, first)
    assert (entry.result, entry.is_accepted) == (TokenResult.FIRST_KCT, True)
    whole, _ = enter_token(held, second)
    last = whole.electric.events[-1]
    assert (last.kind, last.detail) == (EventKind.KEY_CHANGED, 3)


def test_a_test_token_shows_what_was_asked(meter: PrepaidMeter) -> None:
    token = InitiateMeterTest(control=MeterTest.KRN | MeterTest.TI)
    after, entry = enter_token(meter, encode(token, None))
    assert dict(entry.displays) == {MeterTest.KRN: 12, MeterTest.TI: 1}
    assert after.electric.events[-1].kind is EventKind.METER_TESTED


def test_all_ones_ask_for_all_tests(meter: PrepaidMeter) -> None:
    _, entry = enter_token(meter, encode(InitiateMeterTest(control=(1 << 36) - 1), None))
    assert set(entry.displays) == set(MeterTest)


@pytest.mark.parametrize(
    ("digits", "test"),
    [
        ("00000000000150997584", MeterTest.LOAD_SWITCH),
        ("00000000000167774880", MeterTest.DISPLAY),
        ("00000000000201328896", MeterTest.CUMULATIVE_KWH),
        ("18446744073843772416", MeterTest.KRN),
        ("36893488147553322496", MeterTest.TI),
        ("00000000001207974400", MeterTest.POWER_LIMIT),
    ],
)
def test_the_test_tokens_of_a_makers_leaflet_show_what_it_says(
    meter: PrepaidMeter, digits: str, test: MeterTest
) -> None:
    _, entry = enter_token(meter, digits)
    assert set(entry.displays) == {test}


def test_a_currency_meter_has_no_register_here(
    meter: PrepaidMeter, make_acceptor: Callable[..., AcceptorState]
) -> None:
    with pytest.raises(AssertionError, match="energy"):
        replace(meter, acceptor=make_acceptor(kind=MeterKind(in_currency=True)))


# --- the bus ------------------------------------------------------------------------------------
def test_an_order_is_carried_out_once(meter: PrepaidMeter, sign: Sign) -> None:
    once = take_credit_order(meter, sign(1, amount=250))
    twice = take_credit_order(once, sign(1, amount=250))
    assert once.electric.balance_wh == 12_500
    assert once.orders.attempt_result is CreditResult.DONE
    assert twice == once


@pytest.mark.parametrize(
    ("seq", "fields", "result"),
    [
        (1, {"amount": 251}, CreditResult.SEQUENCE_REUSED),
        (3, {"amount": 250}, CreditResult.SEQUENCE_GAP),
        (2, {"amount": 0}, CreditResult.RANGE_ERROR),
        (2, {"operation": 99}, CreditResult.OPERATION_UNKNOWN),
        (2, {"amount": 2_000_000_000}, CreditResult.OVERFLOW_ERROR),
    ],
)
def test_a_refused_order_leaves_only_its_attempt(
    meter: PrepaidMeter, sign: Sign, seq: int, fields: dict[str, int], result: CreditResult
) -> None:
    before = take_credit_order(meter, sign(1, amount=250))
    after = take_credit_order(before, sign(seq, **fields))
    assert (after.orders.attempt_seq, after.orders.attempt_result) == (seq, result)
    assert after.orders.done == before.orders.done
    assert after.electric == before.electric
    again = take_credit_order(after, sign(1, amount=250))
    assert again == before


def test_an_order_signed_by_another_key_is_refused(meter: PrepaidMeter) -> None:
    order = CreditOrder(1, CreditOperation.ADD_CREDIT, amount=1)
    forged = order.sign(SiteKey(bytes(32)), drn=meter.drn.digits)
    after = take_credit_order(meter, forged)
    assert after.orders.attempt_result is CreditResult.MAC_ERROR


def test_a_meter_without_site_key_takes_no_orders(meter: PrepaidMeter, sign: Sign) -> None:
    local = replace(meter, site_key=None)
    after = take_credit_order(local, sign(1, amount=1))
    assert after.orders.attempt_result is CreditResult.LOCAL_ONLY


def test_orders_clear_credit_and_set_the_limit(meter: PrepaidMeter, sign: Sign) -> None:
    limited = take_credit_order(meter, sign(1, CreditOperation.SET_POWER_LIMIT, argument=900))
    assert limited.electric.settings.power_limit_w == 900
    cleared = take_credit_order(limited, sign(2, CreditOperation.CLEAR_CREDIT))
    assert cleared.electric.balance_wh == 0


def test_time_and_the_relay_pass_through(meter: PrepaidMeter) -> None:
    opened = pass_time(steer_relay(meter, RelayPosition.OPEN), elapsed_ms=500, load_w=10)
    assert opened.electric.actual is RelayPosition.OPEN


def test_wrong_entries_lock_the_meter_for_its_own_time(
    meter: PrepaidMeter, credit: Callable[..., str]
) -> None:
    for _ in range(5):
        meter, entry = enter_token(meter, "12345678901234567890")
        assert entry.result is AuthenticationResult.CRC_ERROR
    meter, locked = enter_token(meter, credit(1))
    assert locked.result.value == "LockedOut"
    meter, entry = enter_token(pass_time(meter, elapsed_ms=20_000, load_w=0), credit(1))
    assert entry.is_accepted
