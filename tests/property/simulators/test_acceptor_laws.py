"""The laws of the token acceptor, over any sequence of entries."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from simulators.token_acceptor import (
    TID_MEMORY_SIZE,
    AcceptorState,
    KeyState,
    MeterKind,
    accept,
)
from vending.sts import (
    SGC,
    TI,
    ClearTamperCondition,
    DecoderKey,
    EncryptionAlgorithm,
    KeyChange,
    KeyType,
    Resource,
    TokenIdentifier,
    TokenResult,
    TransferCredit,
    ValidationResult,
    encode,
    encode_key_change_set,
)

KEY = DecoderKey(bytes.fromhex("0123456789abcdef"), EncryptionAlgorithm.STA)
NEW_KEY = DecoderKey(bytes.fromhex("fedcba9876543210"), EncryptionAlgorithm.STA)
ROOM = 1_000_000
HELD = {
    TokenResult.FIRST_KCT,
    TokenResult.SECOND_KCT,
    TokenResult.THIRD_KCT,
    TokenResult.FOURTH_KCT,
}


def _new_acceptor(ea: EncryptionAlgorithm = EncryptionAlgorithm.STA) -> AcceptorState:
    key = DecoderKey(bytes(range(ea.key_size_bytes)), ea) if ea is not KEY.ea else KEY
    keys = KeyState(key, SGC("123456"), KeyType.DUTK, krn=1, ken=255, ti=TI("01"))
    return AcceptorState(MeterKind(), keys)


def _credit(tid: int) -> str:
    token = TransferCredit(resource=Resource.ELECTRICITY, rnd=1, tid=TokenIdentifier(tid), units=1)
    return encode(token, KEY)


def _clear_tamper(tid: int) -> str:
    return encode(ClearTamperCondition(rnd=1, tid=TokenIdentifier(tid)), KEY)


TIDS = st.lists(st.integers(0, 140), min_size=60, max_size=100)
DIGITS = st.text(alphabet="0123456789", min_size=20, max_size=20)


@given(TIDS)
def test_a_tid_is_taken_once_whatever_token_carries_it(tids: list[int]) -> None:
    state = _new_acceptor()
    taken: Counter[int] = Counter()
    for index, tid in enumerate(tids):
        digits = _credit(tid) if (tid + index) % 2 else _clear_tamper(tid)
        acceptance = accept(state, digits, at_ms=0, room=ROOM)
        taken[tid] += acceptance.result is TokenResult.ACCEPT
        state = acceptance.state
    assert all(count <= 1 for count in taken.values())


@given(TIDS)
def test_the_memory_follows_its_rule(tids: list[int]) -> None:
    state = _new_acceptor()
    memory: set[int] = set()
    for tid in tids:
        if len(memory) == TID_MEMORY_SIZE and tid < min(memory):
            expected: object = ValidationResult.OLD_ERROR
        elif tid in memory:
            expected = ValidationResult.USED_ERROR
        else:
            expected = TokenResult.ACCEPT
            if len(memory) == TID_MEMORY_SIZE:
                memory.remove(min(memory))
            memory.add(tid)
        acceptance = accept(state, _credit(tid), at_ms=0, room=ROOM)
        assert acceptance.result is expected
        state = acceptance.state
        assert state.tids == tuple(sorted(memory))


@given(
    st.text(alphabet="0123456789", min_size=20, max_size=20), st.sampled_from(EncryptionAlgorithm)
)
def test_any_twenty_digits_have_a_result_and_a_refusal_changes_no_memory(
    digits: str, ea: EncryptionAlgorithm
) -> None:
    state = _new_acceptor(ea)
    acceptance = accept(state, digits, at_ms=0, room=ROOM)
    if acceptance.token is None:
        assert acceptance.result is not TokenResult.ACCEPT
        assert acceptance.state.tids == state.tids
        assert acceptance.state.keys == state.keys
        assert acceptance.state.sections == state.sections


@given(st.text(max_size=30))
def test_any_text_has_a_result(text: str) -> None:
    assert accept(_new_acceptor(), text, at_ms=0, room=ROOM).result is not TokenResult.ACCEPT


@given(
    steps=st.lists(st.sampled_from(["first", "second", "credit"]), max_size=8),
    rollover=st.booleans(),
)
def test_a_key_changes_when_and_only_when_its_set_is_whole(
    steps: list[str], *, rollover: bool
) -> None:
    change = KeyChange(
        key=NEW_KEY, kt=KeyType.DUTK, krn=2, ken=255, ti=TI("02"), sgc=None, rollover=rollover
    )
    first, second = encode_key_change_set(change, KEY)
    state = _new_acceptor()
    held: set[str] = set()
    for tid, step in enumerate(steps):
        digits = {"first": first, "second": second, "credit": _credit(tid)}[step]
        acceptance = accept(state, digits, at_ms=0, room=ROOM)
        if step != "credit":
            held.add(step)
        state = acceptance.state
        if held == {"first", "second"}:
            assert acceptance.result is TokenResult.ACCEPT
            assert state.keys.decoder_key == NEW_KEY
            assert state.keys.krn == 2
            assert (state.tids == ()) is (rollover or "credit" not in steps[: tid + 1])
            return
        assert state.keys.decoder_key == KEY
        assert acceptance.result is TokenResult.ACCEPT or acceptance.result in HELD
