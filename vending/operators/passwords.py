"""Passwords: which are refused, how one is stored, and how one is compared.

Stored as Argon2id (RFC 9106) in the PHC form, with the parameters of RFC 9106, 4, second
recommended option. A password is normalised first (NFKC, NIST SP 800-63B-4, 3.1.1.2), so that
the same keys give the same password on every machine. There is no rule of composition and no
expiry (OWASP ASVS 5, 6.2): length, the common ones and the obvious ones decide.
"""

import threading
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from vending.operators.errors import PasswordRefusedError

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 128
"""Characters after normalisation; longer ones cost work and add nothing."""

CONTEXT_WORD_LENGTH_MIN: Final = 4
CONTEXT_WORDS: Final = frozenset(
    {"prepaid", "vending", "electric", "electricity", "utility", "meter", "token", "kilowatt"}
)
"""Words that anyone would try here (OWASP ASVS 5, 6.2.11); the account's own come to them."""

DISTINCT_CHARACTERS_MIN: Final = 5
LEFT_OVER_MIN: Final = 6
"""Characters that must be left when a common word or one of the context is taken away."""

HASHES_AT_ONCE: Final = 2
"""Each takes 64 MiB and a core; a flood of sign-ins waits here instead of exhausting memory."""


@dataclass(frozen=True, slots=True)
class PasswordCost:
    """What one hash costs."""

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4


RFC_9106_LOW_MEMORY: Final = PasswordCost()
"""RFC 9106, 4: t = 3, p = 4, m = 2^16 KiB."""


class PasswordFault(StrEnum):
    """Why a password may not be chosen."""

    LENGTH = "length"
    CHARACTERS = "characters"
    PATTERN = "pattern"
    COMMON = "common"
    CONTEXT = "context"


PASSWORD_FAULTS: Final[Mapping[PasswordFault, str]] = MappingProxyType(
    {
        PasswordFault.LENGTH: f"between {LENGTH_MIN} and {LENGTH_MAX} characters are wanted",
        PasswordFault.CHARACTERS: "it holds half of a character",
        PasswordFault.PATTERN: "it repeats or counts",
        PasswordFault.COMMON: "it is among the passwords that are tried first",
        PasswordFault.CONTEXT: "it is little more than a name or a word of the trade",
    }
)


class Passwords:
    """Hashes and compares passwords at one cost; one a process, safe between threads."""

    __slots__ = ("_free", "_hasher", "_nobodys")

    def __init__(self, cost: PasswordCost = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = argon2.PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=cost.lanes,
            hash_len=32,
            salt_len=16,
            type=argon2.Type.ID,
        )
        self._free = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self._nobodys = self._hasher.hash("the password of an account that does not exist")

    def hash(self, password: str) -> str:
        """Return the hash of a password that was seen to be acceptable."""
        with self._free:
            return self._hasher.hash(normalise(password))

    def matches(self, password: str, stored: str | None) -> bool:
        """Return whether it is the password; None takes as long and never matches."""
        # Half of a surrogate pair can be sent and cannot be encoded: it matches nothing.
        text = normalise(password).encode("utf-8", "surrogatepass")[: LENGTH_MAX * 4 + 1]
        with self._free:
            try:
                self._hasher.verify(self._nobodys if stored is None else stored, text)
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash was made at another cost, so that it is to be made anew."""
        return self._hasher.check_needs_rehash(stored)


def normalise(password: str) -> str:
    """Return the password in the form that is hashed."""
    return unicodedata.normalize("NFKC", password)


def check_new_password(password: str, *, own_words: Iterable[str] = ()) -> None:
    """Go on only with a password that may be chosen; `own_words` are of the account.

    Raises:
        PasswordRefusedError: It is too short or long, common, repetitive, a sequence, or made of
            the account's own words; the error names which.
    """
    fault = find_fault(password, own_words=own_words)
    if fault is not None:
        raise PasswordRefusedError(fault.value, PASSWORD_FAULTS[fault])


def find_fault(password: str, *, own_words: Iterable[str] = ()) -> PasswordFault | None:
    """Return the first reason for which a password may not be chosen; None: there is none."""
    normal = normalise(password)
    folded = normal.casefold()
    if not LENGTH_MIN <= len(normal) <= LENGTH_MAX:
        return PasswordFault.LENGTH
    if any("\ud800" <= character <= "\udfff" for character in normal):
        return PasswordFault.CHARACTERS
    if len(set(folded)) < DISTINCT_CHARACTERS_MIN or _is_sequence(folded):
        return PasswordFault.PATTERN
    if _is_common(folded):
        return PasswordFault.COMMON
    if _leans_on(folded, {*CONTEXT_WORDS, *_words_of(own_words)}):
        return PasswordFault.CONTEXT
    return None


@cache
def common_passwords() -> frozenset[str]:
    """Return the passwords and words that are tried first."""
    source = resources.files("vending.operators").joinpath("common_passwords.txt")
    lines = source.read_text("utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def _is_common(folded: str) -> bool:
    unit = _repeated_unit(folded)
    return bool({folded, unit, _core_of(folded), _core_of(unit)} & common_passwords())


def _core_of(folded: str) -> str:
    """Return it without the digits and signs at its ends, where too few of them are there."""
    letters = [index for index, character in enumerate(folded) if character.isalpha()]
    if not letters or len(folded) - (letters[-1] - letters[0] + 1) >= LEFT_OVER_MIN * 2:
        return folded
    return folded[letters[0] : letters[-1] + 1]


def _repeated_unit(folded: str) -> str:
    """Return what it repeats; itself when nothing."""
    period = (folded * 2).find(folded, 1)
    return folded[:period]


def _is_sequence(folded: str) -> bool:
    """Return whether most characters follow their neighbour, as in `abcdefghijkl`."""
    steps = [ord(second) - ord(first) for first, second in pairwise(folded)]
    return any(sum(step == wanted for step in steps) >= len(steps) * 2 // 3 for wanted in (-1, 1))


def _words_of(texts: Iterable[str]) -> set[str]:
    words = {
        word
        for text in texts
        for word in "".join(
            character if character.isalnum() else " " for character in normalise(text).casefold()
        ).split()
    }
    return {word for word in words if len(word) >= CONTEXT_WORD_LENGTH_MIN}


def _leans_on(folded: str, words: Iterable[str]) -> bool:
    """Return whether little is left once the words are taken away."""
    rest = folded
    for word in sorted(words, key=len, reverse=True):
        rest = rest.replace(word, "")
    if rest == folded:
        return False
    letters = {character for character in rest if character.isalpha()}
    return len(letters) < DISTINCT_CHARACTERS_MIN
