"""Laws of DL/T 645 and IEC 62056-21 over frames, portions, damage and purchases of any kind."""

from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.protocols.dlt645.bcd import decode_number, encode_number
from meter_drivers.protocols.dlt645.frames import CONTROLS, Address, Frame, FrameReader
from meter_drivers.protocols.dlt645.prepaid import (
    Authentication,
    SecurityFunction,
    SessionOpened,
)
from meter_drivers.protocols.dlt645.purchases import Purchase, PurchaseTerms
from meter_drivers.protocols.dlt645.recharge import (
    Taken,
    Wallet,
    begin_session,
    take_purchase,
)
from meter_drivers.protocols.dlt645.refusals import SecurityError
from meter_drivers.protocols.dlt645.signing import Session
from meter_drivers.protocols.iec62056_21.messages import Block, Damaged, Message, MessageReader

NOW = datetime(2026, 11, 25, 12)  # noqa: DTZ001
CUSTOMER = "000000000042"
SESSION = Session(
    Address.parse("161"),
    Authentication(bytes(8), bytes(8), bytes(8)),
    SessionOpened(bytes(4), bytes(8)),
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    control = draw(st.sampled_from(sorted(CONTROLS)))
    return Frame(
        Address.parse(draw(st.text("0123456789", min_size=12, max_size=12))),
        CONTROLS[control],
        draw(st.binary(max_size=200)),
        is_reply=bool(control & 0x80),
        is_error=bool(control & 0x40),
        has_more=bool(control & 0x20),
    )


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(octets) + 1) for place in places), len(octets)]
    return [octets[a:b] for a, b in pairwise(edges)]


def read_frames(portions: list[bytes]) -> list[Frame]:
    reader = FrameReader()
    found = []
    for portion in portions:
        reader.receive_data(portion)
        while frame := reader.next_frame():
            found.append(frame)
    return found


@given(st.lists(frames(), max_size=4), st.lists(st.integers(min_value=0), max_size=9))
def test_frames_survive_any_portions(sent: list[Frame], places: list[int]) -> None:
    octets = b"".join(frame.to_bytes(leader_count=4) for frame in sent)
    assert read_frames(cut(octets, places)) == sent


@given(st.binary(max_size=300))
def test_garbage_never_breaks_the_frame_reader(octets: bytes) -> None:
    reader = FrameReader()
    reader.receive_data(octets)
    while reader.next_frame():
        pass
    reader.receive_silence()
    while reader.next_frame():
        pass
    assert not reader._buffer


@given(st.integers(-7_999_999, 7_999_999))
def test_signed_numbers_go_both_ways(number: int) -> None:
    assert decode_number(encode_number(number, 4, signed=True), signed=True) == number


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126)), max_size=4))
def test_blocks_survive_as_they_were(texts: list[str]) -> None:
    reader = MessageReader()
    for octet in b"".join(Block(text).to_bytes() for text in texts):
        reader.receive_data(bytes([octet]))
    found: list[Message | Damaged] = []
    while message := reader.next_message():
        found.append(message)
    assert found == [Block(text) for text in texts]


@given(octets=st.binary(max_size=300), has_parity=st.booleans(), expects_option=st.booleans())
def test_garbage_never_breaks_the_message_reader(
    octets: bytes,
    *,
    has_parity: bool,
    expects_option: bool,
) -> None:
    reader = MessageReader(has_parity=has_parity)
    reader.expects_option = expects_option
    reader.receive_data(octets)
    while reader.next_message():
        pass
    reader.receive_silence()
    while reader.next_message():
        pass
    assert not reader._buffer


@given(
    st.integers(0, 500),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3_000), st.booleans()), max_size=20),
)
def test_credit_is_what_was_taken_and_each_count_is_taken_once(
    overdraft: int, attempts: list[tuple[int, int, bool]]
) -> None:
    start = Wallet(
        customer_number=CUSTOMER,
        is_open=True,
        overdraft_minor=overdraft,
        hoarding_limit_minor=10_000,
    )
    wallet, taken_minor, counts = start, 0, []
    for count, amount, is_genuine in attempts:
        wallet, _ = begin_session(wallet, SESSION, now=NOW)
        terms = PurchaseTerms(SecurityFunction.RECHARGE, amount, count, CUSTOMER)
        purchase = Purchase(terms, bytes(4), bytes(4))
        before = wallet
        wallet, outcome = take_purchase(wallet, purchase, is_genuine=is_genuine, now=NOW)
        if isinstance(outcome, Taken):
            taken_minor += amount
            counts.append(count)
            assert is_genuine
            assert outcome.repaid_minor + outcome.credited_minor == amount
        else:
            assert isinstance(outcome, SecurityError)
            assert replace(wallet, open_session=None, mac_failures=0, mac_failures_on=None) == (
                replace(before, open_session=None, mac_failures=0, mac_failures_on=None)
            )
    assert wallet.balance_minor - wallet.overdraft_minor == taken_minor - overdraft
    assert wallet.balance_minor <= start.hoarding_limit_minor
    assert counts == list(range(1, len(counts) + 1))
