"""Which passwords may be chosen, and how one is stored and compared."""

import threading
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.people import CHEAP_PASSWORDS
from vending.operators.errors import PasswordRefusedError
from vending.operators.passwords import (
    LENGTH_MAX,
    LENGTH_MIN,
    PASSWORD_FAULTS,
    RFC_9106_LOW_MEMORY,
    PasswordCost,
    PasswordFault,
    Passwords,
    check_new_password,
    common_passwords,
    find_fault,
    normalise,
)

GOOD = "lamp river cedar 71"
OWN = ("amina.wanjiru", "S-1042 Amina Wanjiru", "Lumen Utility")


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "correct horse battery staple",
        "\u00f6dl\u00e4ndische Br\u00fccke",
        "x9#Lq!v2Zr@t",
        "the meter on the third floor hums",
        "\u7535\u8868\u5728\u4e09\u697c\u8d70\u5eca\u7684\u53f3\u624b\u8fb9\u5899\u4e0a",
        GOOD + " " * (LENGTH_MAX - len(GOOD)),
    ],
)
def test_good_password_may_be_chosen(password: str) -> None:
    check_new_password(password, own_words=OWN)


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("", PasswordFault.LENGTH),
        ("x9#Lq!v2Zr@", PasswordFault.LENGTH),
        ("x9#Lq!v2Zr@t" * 11, PasswordFault.LENGTH),
        ("lamp river\ud800 cedar", PasswordFault.CHARACTERS),
        ("aaaaaaaaaaaa", PasswordFault.PATTERN),
        ("abababababab", PasswordFault.PATTERN),
        ("abcdefghijkl", PasswordFault.PATTERN),
        ("987654321098", PasswordFault.PATTERN),
        ("password1234", PasswordFault.COMMON),
        ("!!Dragon2026!!", PasswordFault.COMMON),
        ("passwordpassword", PasswordFault.COMMON),
        ("q1w2e3r4t5y6", PasswordFault.COMMON),
        ("\uff30\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234", PasswordFault.COMMON),
        ("amina.wanjiru1", PasswordFault.CONTEXT),
        ("WanjiruAmina99", PasswordFault.CONTEXT),
        ("LumenUtility1!", PasswordFault.CONTEXT),
        ("electricity2026", PasswordFault.CONTEXT),
        ("VendingToken!1", PasswordFault.CONTEXT),
    ],
)
def test_weak_password_is_refused_with_its_reason(password: str, fault: PasswordFault) -> None:
    assert find_fault(password, own_words=OWN) is fault
    with pytest.raises(PasswordRefusedError) as told:
        check_new_password(password, own_words=OWN)
    assert told.value.facts == {"reason": fault.value}
    assert PASSWORD_FAULTS[fault] in str(told.value)


def test_every_fault_has_its_words() -> None:
    assert PASSWORD_FAULTS.keys() == set(PasswordFault)


def test_list_of_common_passwords_is_there_in_its_form() -> None:
    common = common_passwords()
    assert len(common) > 4000
    assert {"password", "qwerty", "dragon", "q1w2e3r4t5y6"} <= common
    assert all(word == word.casefold() == normalise(word).strip() for word in common)


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    fault = find_fault(text, own_words=[text[:20]])
    if fault is None:
        assert LENGTH_MIN <= len(normalise(text)) <= LENGTH_MAX


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_password_matches_itself_however_it_is_composed(text: str) -> None:
    stored = CHEAP_PASSWORDS.hash(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        again = unicodedata.normalize(form, text)
        assert CHEAP_PASSWORDS.matches(again, stored)
    assert not CHEAP_PASSWORDS.matches(f"{text}x", stored)


@pytest.mark.parametrize("stored", [None, "", "no hash", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"])
def test_nothing_matches_what_is_no_hash(stored: str | None) -> None:
    assert not CHEAP_PASSWORDS.matches("the password of an account that does not exist", stored)


def test_same_password_is_stored_differently_each_time() -> None:
    first, second = CHEAP_PASSWORDS.hash(GOOD), CHEAP_PASSWORDS.hash(GOOD)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=8,t=1,p=1$")


def test_cost_is_that_of_the_standard_and_an_older_one_is_outdated() -> None:
    assert (RFC_9106_LOW_MEMORY.memory_kib, RFC_9106_LOW_MEMORY.passes) == (64 * 1024, 3)
    assert RFC_9106_LOW_MEMORY.lanes == 4
    dearer = Passwords(PasswordCost(memory_kib=16, passes=1, lanes=1))
    stored = CHEAP_PASSWORDS.hash(GOOD)
    assert dearer.is_outdated(stored)
    assert not CHEAP_PASSWORDS.is_outdated(stored)
    assert dearer.matches(GOOD, stored)


def test_standard_cost_is_what_a_process_uses() -> None:
    stored = Passwords().hash(GOOD)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_hashing_at_once_waits_and_finishes() -> None:
    right: list[bool] = []
    stored = CHEAP_PASSWORDS.hash(GOOD)
    threads = [
        threading.Thread(target=lambda: right.append(CHEAP_PASSWORDS.matches(GOOD, stored)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 8
