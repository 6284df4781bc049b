from collections.abc import Callable
from dataclasses import replace

import pytest

from meter_drivers.capabilities import (
    CreditReceipt,
    Done,
    Meter,
    Refused,
    RelayReport,
    RelayState,
    TokenAcceptance,
    Unknown,
)
from meter_drivers.drivers.modbus_orders import TOKEN_POLLS_MAX
from meter_drivers.errors import DriverError, LocalProtocolError
from meter_drivers.profiles.loader import load_profile
from meter_drivers.profiles.modbus_part import ModbusPart, ModbusProfile
from meter_drivers.profiles.model import narrow_profile
from meter_drivers.protocols.modbus.status import RelayCode, TripCause
from meter_drivers.protocols.modbus.token_entry import (
    TAKEN,
    TOKEN_OUTCOME_NAMES,
    UNDECIDED,
    TokenOutcome,
    TokenResultBlock,
    compute_entry_digest,
)
from tests.support.modbus_lines import PaperLine, answer_rtu
from tests.support.modbus_meter import PaperMeter, PrepayMeter, rtu
from tests.support.profiles import with_part

Connect = Callable[[PaperMeter, ModbusProfile], Meter]
TOKEN = "09123456789012345678"


@pytest.fixture
def meter(connect: Connect, prepay_meter: PrepayMeter, reference: ModbusProfile) -> Meter:
    return connect(prepay_meter, reference)


def lose_answers_to_writes(
    paper_line: PaperLine, meter: PaperMeter, *, is_applied: bool, answer: bytes = b""
) -> None:
    """Let writes reach the meter, or not, and its answer be lost or replaced."""

    def reply(frame: bytes) -> list[tuple[float, bytes]]:
        if frame[1] == 0x10:
            if is_applied:
                answer_rtu(meter, frame)
            return [(0.01, answer)] if answer else []
        return [(0.01, answer_rtu(meter, frame))]

    paper_line.reply = reply


GATEWAY_GAVE_UP = rtu(1, b"\x90\x0b")


# --- tokens -------------------------------------------------------------------------------------
@pytest.mark.parametrize("outcome", sorted(TAKEN))
def test_token_taken_is_done_with_the_standard_name(
    meter: Meter, prepay_meter: PrepayMeter, outcome: TokenOutcome
) -> None:
    prepay_meter.outcomes[TOKEN] = outcome
    expected = TokenAcceptance(TOKEN_OUTCOME_NAMES[outcome], 1, 777)
    assert meter.enter_token(TOKEN) == Done(expected)


@pytest.mark.parametrize("outcome", sorted(set(TokenOutcome) - TAKEN - UNDECIDED))
def test_token_not_taken_is_refused_with_its_reason(
    meter: Meter, prepay_meter: PrepayMeter, outcome: TokenOutcome
) -> None:
    prepay_meter.outcomes[TOKEN] = outcome
    result = meter.enter_token(TOKEN)
    assert isinstance(result, Refused)
    assert result.reason == outcome.name.lower()
    assert len(prepay_meter.writes) == 1


def test_token_entered_again_is_used(meter: Meter, prepay_meter: PrepayMeter) -> None:
    prepay_meter.outcomes[TOKEN] = TokenOutcome.ACCEPT
    assert isinstance(meter.enter_token(TOKEN), Done)
    result = meter.enter_token(TOKEN)
    assert isinstance(result, Refused)
    assert result.reason == "used_error"


@pytest.mark.parametrize("answer", [b"", GATEWAY_GAVE_UP], ids=["silence", "0x0b"])
def test_token_whose_answer_is_lost_is_found_by_reading_back(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine, answer: bytes
) -> None:
    prepay_meter.outcomes[TOKEN] = TokenOutcome.ACCEPT
    lose_answers_to_writes(paper_line, prepay_meter, is_applied=True, answer=answer)
    assert isinstance(meter.enter_token(TOKEN), Done)
    assert len(prepay_meter.writes) == 1


@pytest.mark.parametrize("answer", [b"", GATEWAY_GAVE_UP], ids=["silence", "0x0b"])
def test_token_that_shows_no_effect_is_unknown_and_not_repeated(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine, answer: bytes
) -> None:
    lose_answers_to_writes(paper_line, prepay_meter, is_applied=False, answer=answer)
    assert isinstance(meter.enter_token(TOKEN), Unknown)
    assert len([frame for _, frame in paper_line.written if frame[1] == 0x10]) == 1


def test_token_after_which_the_meter_falls_silent_is_unknown(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine
) -> None:
    def reply(frame: bytes) -> list[tuple[float, bytes]]:
        is_over = bool(prepay_meter.writes)
        return [] if is_over else [(0.01, answer_rtu(prepay_meter, frame))]

    paper_line.reply = reply
    result = meter.enter_token(TOKEN)
    assert isinstance(result, Unknown)
    assert "cannot be read" in result.why


def test_verdict_on_another_token_is_not_taken_for_ours(
    meter: Meter, prepay_meter: PrepayMeter
) -> None:
    take = prepay_meter.on_write
    assert take is not None

    def type_at_the_keypad(address: int, words: tuple[int, ...]) -> int | None:
        code = take(address, words)
        digest = compute_entry_digest("1" * 20)
        prepay_meter.token_result = TokenResultBlock(9, TokenOutcome.ACCEPT, 5, digest)
        prepay_meter.show()
        return code

    prepay_meter.on_write = type_at_the_keypad
    assert isinstance(meter.enter_token(TOKEN), Unknown)


@pytest.mark.parametrize("outcome", sorted(UNDECIDED))
def test_meter_that_never_decides_leaves_it_unknown(
    meter: Meter, prepay_meter: PrepayMeter, outcome: TokenOutcome
) -> None:
    prepay_meter.outcomes[TOKEN] = outcome
    assert isinstance(meter.enter_token(TOKEN), Unknown)
    assert len(prepay_meter.pdus) == 2 + TOKEN_POLLS_MAX


def test_token_the_meter_does_not_take_over_the_line_is_refused(
    meter: Meter, prepay_meter: PrepayMeter
) -> None:
    prepay_meter.on_write = lambda _address, _words: 6
    result = meter.enter_token(TOKEN)
    assert isinstance(result, Refused)
    assert result.reason == "device_busy"


def test_text_that_is_no_token_never_leaves(meter: Meter, prepay_meter: PrepayMeter) -> None:
    with pytest.raises(LocalProtocolError):
        meter.enter_token("1234")
    assert prepay_meter.pdus == []


def test_meter_that_does_not_answer_before_a_token_raises_and_nothing_leaves(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine
) -> None:
    paper_line.reply = lambda _: []
    with pytest.raises(DriverError):
        meter.enter_token(TOKEN)
    assert prepay_meter.writes == []


# --- credit orders ------------------------------------------------------------------------------
def test_credit_is_added_once_however_often_it_is_ordered(
    meter: Meter, prepay_meter: PrepayMeter
) -> None:
    expected = Done(CreditReceipt(seq=1, balance_wh=22_340, purchase_count=3))
    for _ in range(3):
        assert meter.add_credit(10_000, seq=1) == expected
    assert prepay_meter.status.balance == 2234


@pytest.mark.parametrize(
    ("seq", "amount_wh", "reason"),
    [(1, 20, "sequence_reused"), (0, 10, "sequence_gap"), (3, 10, "sequence_gap")],
)
def test_credit_against_the_sequence_is_refused(
    meter: Meter, prepay_meter: PrepayMeter, seq: int, amount_wh: int, reason: str
) -> None:
    meter.add_credit(10, seq=1)
    result = meter.add_credit(amount_wh, seq=seq)
    assert isinstance(result, Refused)
    assert result.reason == reason
    assert prepay_meter.status.balance == 1235


def test_credit_past_the_register_is_refused(meter: Meter, prepay_meter: PrepayMeter) -> None:
    prepay_meter.credit_room = 1240
    result = meter.add_credit(1000, seq=1)
    assert isinstance(result, Refused)
    assert result.reason == "overflow_error"


def test_credit_with_the_wrong_key_is_refused(meter: Meter, prepay_meter: PrepayMeter) -> None:
    prepay_meter.drn = "99999999999"
    result = meter.add_credit(10, seq=1)
    assert isinstance(result, Refused)
    assert result.reason == "mac_error"


def test_credit_whose_answer_is_lost_is_found_by_reading_back(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine
) -> None:
    lose_answers_to_writes(paper_line, prepay_meter, is_applied=True)
    assert isinstance(meter.add_credit(10_000, seq=1), Done)
    assert len(prepay_meter.writes) == 1


def test_credit_that_shows_no_effect_is_unknown_and_the_same_order_ends_it(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine
) -> None:
    lose_answers_to_writes(paper_line, prepay_meter, is_applied=False)
    assert isinstance(meter.add_credit(10_000, seq=1), Unknown)
    paper_line.reply = lambda frame: [(0.01, answer_rtu(prepay_meter, frame))]
    assert isinstance(meter.add_credit(10_000, seq=1), Done)
    assert prepay_meter.status.balance == 2234


def test_refusal_of_an_earlier_attempt_is_not_taken_for_an_answer_that_is_lost(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine
) -> None:
    prepay_meter.credit_room = 1240
    assert isinstance(meter.add_credit(1000, seq=1), Refused)
    lose_answers_to_writes(paper_line, prepay_meter, is_applied=False)
    assert isinstance(meter.add_credit(1000, seq=1), Unknown)


def test_refusal_whose_answer_is_lost_is_found_by_reading_back(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine
) -> None:
    prepay_meter.credit_room = 1240
    lose_answers_to_writes(paper_line, prepay_meter, is_applied=True)
    result = meter.add_credit(1000, seq=1)
    assert isinstance(result, Refused)
    assert result.reason == "overflow_error"


def test_credit_confirmed_without_effect_is_unknown(
    meter: Meter, prepay_meter: PrepayMeter
) -> None:
    prepay_meter.on_write = lambda _address, _words: None
    result = meter.add_credit(1000, seq=1)
    assert isinstance(result, Unknown)
    assert "no effect" in result.why


def test_credit_carried_out_with_another_result_is_refused(
    meter: Meter, prepay_meter: PrepayMeter
) -> None:
    def carry_out_badly(_address: int, _words: tuple[int, ...]) -> None:
        prepay_meter.status = replace(prepay_meter.status, last_seq=1, last_result=7)
        prepay_meter.show()

    prepay_meter.on_write = carry_out_badly
    result = meter.add_credit(1000, seq=1)
    assert isinstance(result, Refused)
    assert result.reason == "overflow_error"


def test_credit_the_meter_cannot_take_over_the_line_is_refused(
    meter: Meter, prepay_meter: PrepayMeter
) -> None:
    prepay_meter.on_write = lambda _address, _words: 2
    result = meter.add_credit(1000, seq=1)
    assert isinstance(result, Refused)
    assert result.reason == "illegal_address"


@pytest.mark.parametrize("code", [None, 6], ids=["confirmed", "busy"])
def test_credit_after_which_the_meter_falls_silent_keeps_what_was_answered(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine, code: int | None
) -> None:
    prepay_meter.on_write = lambda _address, _words: code

    def reply(frame: bytes) -> list[tuple[float, bytes]]:
        is_over = bool(prepay_meter.writes)
        return [] if is_over else [(0.01, answer_rtu(prepay_meter, frame))]

    paper_line.reply = reply
    assert isinstance(meter.add_credit(1000, seq=1), Unknown if code is None else Refused)


@pytest.mark.parametrize("amount_wh", [0, -10, 5, 1001])
def test_amount_that_the_register_cannot_hold_never_leaves(
    meter: Meter, prepay_meter: PrepayMeter, amount_wh: int
) -> None:
    with pytest.raises(LocalProtocolError, match="steps of 10 Wh"):
        meter.add_credit(amount_wh, seq=1)
    assert prepay_meter.pdus == []


# --- relay --------------------------------------------------------------------------------------
def test_relay_is_switched_and_read_back(meter: Meter) -> None:
    assert meter.open_relay() == Done(RelayReport(RelayState.OPEN, RelayState.OPEN))
    assert meter.read_relay().actual is RelayState.OPEN
    assert meter.close_relay() == Done(RelayReport(RelayState.CLOSED, RelayState.CLOSED))


def test_relay_that_stays_where_it_was_is_not_done(meter: Meter, prepay_meter: PrepayMeter) -> None:
    prepay_meter.relay_follows = False
    result = meter.open_relay()
    assert isinstance(result, Refused)
    assert result.reason == "not_moved"


def test_relay_that_the_meter_holds_open_says_why(meter: Meter, prepay_meter: PrepayMeter) -> None:
    prepay_meter.relay_follows = False
    prepay_meter.status = replace(
        prepay_meter.status, relay_actual=RelayCode.OPEN, trip_cause=TripCause.NO_CREDIT
    )
    result = meter.close_relay()
    assert isinstance(result, Refused)
    assert (result.reason, "no_credit" in result.meaning) == ("held_open", True)


@pytest.mark.parametrize("answer", [b"", GATEWAY_GAVE_UP], ids=["silence", "0x0b"])
@pytest.mark.parametrize("is_applied", [True, False])
def test_relay_whose_answer_is_lost_is_read_back(
    meter: Meter,
    prepay_meter: PrepayMeter,
    paper_line: PaperLine,
    answer: bytes,
    *,
    is_applied: bool,
) -> None:
    lose_answers_to_writes(paper_line, prepay_meter, is_applied=is_applied, answer=answer)
    assert isinstance(meter.open_relay(), Done if is_applied else Unknown)
    assert len([frame for _, frame in paper_line.written if frame[1] == 0x10]) == 1


def test_relay_order_that_the_meter_refuses_is_refused(
    meter: Meter, prepay_meter: PrepayMeter
) -> None:
    prepay_meter.on_write = lambda _address, _words: 3
    result = meter.open_relay()
    assert isinstance(result, Refused)
    assert result.reason == "illegal_value"


def test_relay_that_cannot_be_read_back_is_unknown(
    meter: Meter, prepay_meter: PrepayMeter, paper_line: PaperLine
) -> None:
    paper_line.reply = lambda frame: (
        [(0.01, answer_rtu(prepay_meter, frame))] if frame[1] == 0x10 else []
    )
    result = meter.open_relay()
    assert isinstance(result, Unknown)
    assert "position cannot be read" in result.why


@pytest.mark.parametrize(("value", "state"), [(0, RelayState.OPEN), (1, RelayState.CLOSED)])
def test_relay_of_a_hiking_is_its_order_and_says_so(
    connect: Connect, value: int, state: RelayState
) -> None:
    paper = PaperMeter(holding={0x1A: value})
    report = connect(
        paper, narrow_profile(load_profile("hiking_dds238_zn_sr"), ModbusPart)
    ).read_relay()
    assert report == RelayReport(state, state, is_position_measured=False)


def test_relay_of_a_hiking_is_written_by_function_16_only(connect: Connect) -> None:
    paper = PaperMeter(holding={0x1A: 1})
    meter = connect(paper, narrow_profile(load_profile("hiking_dds238_zn_sr"), ModbusPart))
    assert isinstance(meter.open_relay(), Done)
    assert paper.writes == [bytes.fromhex("10 001A 0001 02 0000")]


def test_relay_register_that_is_neither_open_nor_closed_is_unknown(connect: Connect) -> None:
    paper = PaperMeter(holding={0x1A: 7})
    paper.on_write = lambda _address, _words: None
    meter = connect(paper, narrow_profile(load_profile("hiking_dds238_zn_sr"), ModbusPart))
    assert isinstance(meter.open_relay(), Done)
    paper.holding[0x1A] = 7
    with pytest.raises(DriverError, match="neither open nor closed"):
        meter.read_relay()


def test_relay_with_a_register_for_order_and_one_for_position_is_read_from_both(
    connect: Connect,
) -> None:
    profile = narrow_profile(load_profile("hiking_dds238_zn_sr"), ModbusPart)
    assert profile.part.relay is not None
    apart = with_part(
        replace(profile, quirks=frozenset()),
        relay=replace(profile.part.relay, actual=0x1B, settle_ms=200),
    )
    meter = connect(PaperMeter(holding={0x1A: 1, 0x1B: 0}), apart)
    assert meter.read_relay() == RelayReport(RelayState.CLOSED, RelayState.OPEN)
