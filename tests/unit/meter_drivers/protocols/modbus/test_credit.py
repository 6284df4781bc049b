import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.errors import LocalProtocolError
from meter_drivers.protocols.modbus.credit import (
    CreditOperation,
    CreditOrder,
    CreditResult,
    SignedCreditOrder,
    SiteKey,
    Verdict,
    judge_credit_order,
)

KEY = SiteKey(bytes(range(32)))
DRN = "12345678903"
ORDER = CreditOrder(8, CreditOperation.ADD_CREDIT, 1234)
LAST = CreditOrder(7, CreditOperation.ADD_CREDIT, 500).sign(KEY, drn=DRN)


def judge(order: CreditOrder, last: SignedCreditOrder | None = LAST) -> Verdict | CreditResult:
    return judge_credit_order(order.sign(KEY, drn=DRN), key=KEY, drn=DRN, last=last)


def test_block_is_the_one_computed_by_hand() -> None:
    # Ours; the MAC was computed once with `openssl dgst -sha256 -mac HMAC` over the same bytes.
    words = ORDER.sign(KEY, drn=DRN).to_registers()
    assert words[:7] == (0, 8, 1, 0, 1234, 0, 0)
    assert b"".join(word.to_bytes(2, "big") for word in words[7:]).hex() == "5327e7ccfe2ecde5"


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 0xFFFF),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**32 - 1),
)
def test_order_survives_the_way_there_and_back(
    seq: int, operation: int, amount: int, argument: int
) -> None:
    signed = CreditOrder(seq, operation, amount, argument).sign(KEY, drn=DRN)
    read = SignedCreditOrder.from_registers(signed.to_registers())
    assert read == signed
    assert read.is_from(KEY, drn=DRN)


def test_block_with_any_bit_flipped_is_refused() -> None:
    words = ORDER.sign(KEY, drn=DRN).to_registers()
    for index in range(16 * len(words)):
        flipped = list(words)
        flipped[index // 16] ^= 1 << index % 16
        signed = SignedCreditOrder.from_registers(flipped)
        verdict = judge_credit_order(signed, key=KEY, drn=DRN, last=LAST)
        assert verdict is CreditResult.MAC_ERROR


def test_block_of_another_meter_or_key_is_refused() -> None:
    signed = ORDER.sign(KEY, drn=DRN)
    other_key = SiteKey(bytes(32))
    refused = CreditResult.MAC_ERROR
    assert judge_credit_order(signed, key=KEY, drn="12345678911", last=LAST) is refused
    assert judge_credit_order(signed, key=other_key, drn=DRN, last=LAST) is refused


def test_next_order_is_carried_out() -> None:
    assert judge(ORDER) is Verdict.CARRY_OUT
    assert judge(CreditOrder(1, CreditOperation.ADD_CREDIT, 1), None) is Verdict.CARRY_OUT


def test_last_order_again_repeats_its_answer() -> None:
    assert judge(LAST.order) is Verdict.REPEAT_ANSWER


@pytest.mark.parametrize(
    ("order", "result"),
    [
        (CreditOrder(7, CreditOperation.ADD_CREDIT, 501), CreditResult.SEQUENCE_REUSED),
        (CreditOrder(6, CreditOperation.ADD_CREDIT, 500), CreditResult.SEQUENCE_GAP),
        (CreditOrder(9, CreditOperation.ADD_CREDIT, 500), CreditResult.SEQUENCE_GAP),
        (CreditOrder(0, CreditOperation.ADD_CREDIT, 500), CreditResult.SEQUENCE_GAP),
        (CreditOrder(8, 99, 500), CreditResult.OPERATION_UNKNOWN),
        (CreditOrder(8, CreditOperation.ADD_CREDIT, 0), CreditResult.RANGE_ERROR),
        (CreditOrder(8, CreditOperation.ADD_CREDIT, -1), CreditResult.RANGE_ERROR),
        (CreditOrder(8, CreditOperation.ADD_CREDIT, 1, 1), CreditResult.RANGE_ERROR),
        (CreditOrder(8, CreditOperation.CLEAR_CREDIT, 1), CreditResult.RANGE_ERROR),
        (CreditOrder(8, CreditOperation.SET_POWER_LIMIT), CreditResult.RANGE_ERROR),
    ],
)
def test_order_against_the_rules_is_refused(order: CreditOrder, result: CreditResult) -> None:
    assert judge(order) is result


@pytest.mark.parametrize(
    "order",
    [
        CreditOrder(8, CreditOperation.CLEAR_CREDIT),
        CreditOrder(8, CreditOperation.SET_POWER_LIMIT, 0, 5000),
    ],
)
def test_other_operations_are_carried_out(order: CreditOrder) -> None:
    assert judge(order) is Verdict.CARRY_OUT


def test_seq_zero_is_refused_by_a_new_meter() -> None:
    order = CreditOrder(0, CreditOperation.ADD_CREDIT, 1)
    assert judge(order, None) is CreditResult.SEQUENCE_GAP


def test_order_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="does not fit"):
        CreditOrder(1, CreditOperation.ADD_CREDIT, 2**31).sign(KEY, drn=DRN)


def test_site_key_is_checked_and_never_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        SiteKey(bytes(31))
    assert repr(KEY) == "SiteKey()"
