from vending.sts.explain import MeterTest, explain
from vending.sts.keys import TI, KeyType
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import (
    ClearTamperCondition,
    InitiateMeterTest,
    Resource,
    Set1stSectionDecoderKey,
    Set2ndSectionDecoderKey,
    Token,
    TransferCredit,
    TransferCurrency,
)


def lines(token: Token, base_date: BaseDate | None = None) -> list[tuple[str, str]]:
    return [(line.label, line.value) for line in explain(token, base_date=base_date)]


def test_credit_is_told_with_unit_and_time(tid: TokenIdentifier) -> None:
    credit = TransferCredit(resource=Resource.WATER, rnd=5, tid=tid, units=16384)
    assert lines(credit, BaseDate.Y2014) == [
        ("token", "TransferCredit"),
        ("class", "0 CREDIT"),
        ("subclass", "1 (resource WATER)"),
        ("random number (RND)", "5"),
        ("token identifier (TID)", "85740 minutes from the base date"),
        ("amount", "1638.4"),
        ("unit", "m3"),
        ("issued", "2014-03-01 13:00 UTC"),
    ]


def test_currency_amount_is_told_once_though_it_stands_in_two_places(tid: TokenIdentifier) -> None:
    currency = TransferCurrency(resource=Resource.ELECTRICITY, tid=tid, amount=-100_000)
    assert lines(currency)[2:] == [
        ("subclass", "4 (resource ELECTRICITY)"),
        ("amount in currency", "-1.00000"),
        ("token identifier (TID)", "85740 minutes from the base date"),
    ]


def test_token_without_variant_tells_its_subclass_alone(tid: TokenIdentifier) -> None:
    assert lines(ClearTamperCondition(rnd=5, tid=tid))[2] == ("subclass", "5")


def test_key_material_is_named_and_not_shown() -> None:
    first = Set1stSectionDecoderKey(
        ken_high=15, krn=1, rollover=True, kt=KeyType.DUTK, nkho=b"abcd"
    )
    assert lines(first)[3:] == [
        ("key expiry number, high half (KENHO)", "15"),
        ("key revision number (KRN)", "1"),
        ("base date changes (RO)", "yes"),
        ("key type (KT)", "2 DUTK"),
        ("new key, bytes 1 to 4 (NKHO)", "key material, not shown"),
    ]
    second = Set2ndSectionDecoderKey(ken_low=15, ti=TI("07"), nklo=b"abcd")
    assert ("tariff index (TI)", "07") in lines(second, BaseDate.Y2014)


def test_meter_tests_are_told_by_name() -> None:
    control = MeterTest.LOAD_SWITCH | MeterTest.TI
    assert lines(InitiateMeterTest(control=control))[-1] == ("tests", "LOAD_SWITCH, TI")
    assert lines(InitiateMeterTest(control=0))[-1] == ("tests", "none")
    assert lines(InitiateMeterTest(control=1 << 11))[-1] == ("tests", "others of the maker's")


def test_all_ones_ask_for_all_tests_of_either_width() -> None:
    assert lines(InitiateMeterTest(control=(1 << 36) - 1))[-1] == ("tests", "all")
    four_digits = InitiateMeterTest(control=(1 << 28) - 1, manufacturer_digits=4)
    assert lines(four_digits)[-1] == ("tests", "all")
    assert lines(four_digits)[2] == ("subclass", "1 (manufacturer digits 4)")
