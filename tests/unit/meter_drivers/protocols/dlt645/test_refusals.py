import pytest

from meter_drivers.protocols.dlt645.refusals import (
    MEANINGS,
    ControlRefusal,
    PlainError,
    Refusal,
    SecurityError,
    explain,
)


@pytest.mark.parametrize("kind", [PlainError, SecurityError, ControlRefusal])
def test_every_bit_has_a_meaning(kind: type[Refusal]) -> None:
    assert set(MEANINGS[kind]) == {member.name for member in kind}


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (PlainError(0), "no reason given"),
        (PlainError.PASSWORD, "wrong password or no right"),
        (SecurityError.REPEATED_RECHARGE, "repeated recharge"),
        (
            SecurityError.NO_SESSION | SecurityError.HOARDING,
            "no valid identity session; the balance would pass the hoarding limit",
        ),
        (PlainError(0x80), "bit 0x0080"),
    ],
)
def test_refusal_is_told_in_words(refusal: Refusal, words: str) -> None:
    assert explain(refusal) == words
