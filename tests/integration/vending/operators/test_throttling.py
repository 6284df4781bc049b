"""Guessing is slowed down on both databases, and shuts no operator out of a device of theirs."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.sign_in import ELSEWHERE, HERE, Person, activate
from vending.operators.errors import SignInRefusedError, TooManyAttemptsError
from vending.operators.repository import sign_in
from vending.operators.rules import (
    FORGOTTEN_AFTER,
    FREE_FAILURES,
    FREE_FAILURES_OF_SOURCE,
    WAIT_MAX,
)
from vending.operators.service.desk import Caller, SignInDesk
from vending.operators.service.sign_in import ATTEMPTS_KEPT, begin_sign_in, finish_sign_in
from vending.operators.tables import sign_in_throttles
from vending.persistence.engine import Database

WRONG_PASSWORD = "lamp river cedar 72"


def outcomes(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        found = sign_in.list_attempts(connection, limit=100)
    return [(attempt.method, attempt.outcome) for attempt in found]


def refused(act: Callable[..., object], *arguments: object) -> str:
    with pytest.raises((SignInRefusedError, TooManyAttemptsError)) as told:
        act(*arguments)
    return told.value.code


def guess(desk: SignInDesk, name: str, caller: Caller) -> str:
    return refused(begin_sign_in, desk, name, WRONG_PASSWORD, caller)


@pytest.mark.parametrize("name", ["amina", "nobody"])
def test_wrong_passwords_on_an_account_are_slowed_down(amina: Person, name: str) -> None:
    told = [guess(amina.desk, name, ELSEWHERE) for _ in range(FREE_FAILURES + 1)]
    assert told == ["sign_in_refused"] * FREE_FAILURES + ["too_many_attempts"]
    for seconds in (1, 2, 4, 8):
        amina.clock.advance(timedelta(seconds=seconds))
        assert guess(amina.desk, name, ELSEWHERE) == "sign_in_refused"
        assert guess(amina.desk, name, ELSEWHERE) == "too_many_attempts"
    assert ("password", "held-back") in outcomes(amina.desk.database)


def test_right_password_has_to_wait_as_well(amina: Person) -> None:
    for _ in range(FREE_FAILURES):
        guess(amina.desk, "amina", ELSEWHERE)
    with pytest.raises(TooManyAttemptsError) as told:
        amina.begin(ELSEWHERE)
    assert told.value.facts == {"retry_after_s": 1}


def test_wait_is_never_longer_than_its_bound(amina: Person) -> None:
    for _ in range(60):
        guess(amina.desk, "amina", ELSEWHERE)
        amina.clock.advance(WAIT_MAX)
    amina.begin(ELSEWHERE)


def test_known_device_lets_the_operator_in_however_others_guess(amina: Person) -> None:
    for _ in range(FREE_FAILURES * 4):
        guess(amina.desk, "amina", HERE)
    assert refused(amina.begin, HERE) == "too_many_attempts"
    amina.sign_in(amina.device)


def test_known_device_is_slowed_down_for_its_own_guesses(amina: Person) -> None:
    for _ in range(FREE_FAILURES):
        guess(amina.desk, "amina", amina.device)
    assert guess(amina.desk, "amina", amina.device) == "too_many_attempts"


def test_device_of_another_operator_is_not_known(desk: SignInDesk) -> None:
    amina, brian = activate(desk, "amina"), activate(desk, "brian")
    for _ in range(FREE_FAILURES):
        guess(desk, "amina", brian.device)
    assert guess(desk, "amina", brian.device) == "too_many_attempts"
    assert guess(desk, "amina", Caller("203.0.113.1", "od_" + "0" * 64)) == "too_many_attempts"
    amina.sign_in(amina.device)


def test_one_address_cannot_try_many_names(desk: SignInDesk) -> None:
    told = [guess(desk, f"name{number}", ELSEWHERE) for number in range(30)]
    assert told.count("sign_in_refused") == FREE_FAILURES_OF_SOURCE
    assert guess(desk, "another", Caller("203.0.113.9")) == "sign_in_refused"


def test_codes_count_on_the_account_whoever_knows_the_password(amina: Person) -> None:
    for _ in range(FREE_FAILURES):
        ticket = amina.begin(ELSEWHERE)
        refused(finish_sign_in, amina.desk, ticket, "000000", ELSEWHERE)
    assert refused(amina.begin, ELSEWHERE) == "too_many_attempts"


def test_code_has_to_wait_too(amina: Person) -> None:
    ticket = amina.begin(ELSEWHERE)
    for _ in range(FREE_FAILURES):
        guess(amina.desk, "amina", Caller("203.0.113.5"))
    code = amina.app.code(steps_away=1)
    assert refused(finish_sign_in, amina.desk, ticket, code, ELSEWHERE) == "too_many_attempts"
    amina.clock.advance(timedelta(seconds=1))
    finish_sign_in(amina.desk, ticket, code, ELSEWHERE)


def test_signing_in_clears_the_count_of_the_account(amina: Person) -> None:
    for _ in range(FREE_FAILURES - 1):
        guess(amina.desk, "amina", ELSEWHERE)
    amina.sign_in(ELSEWHERE)
    for _ in range(FREE_FAILURES):
        assert guess(amina.desk, "amina", ELSEWHERE) == "sign_in_refused"


def test_count_is_forgotten_after_a_day(amina: Person) -> None:
    for _ in range(FREE_FAILURES):
        guess(amina.desk, "amina", ELSEWHERE)
    amina.clock.advance(FORGOTTEN_AFTER)
    for _ in range(FREE_FAILURES):
        assert guess(amina.desk, "amina", ELSEWHERE) == "sign_in_refused"


def test_attempts_and_counts_are_forgotten_in_time(amina: Person) -> None:
    guess(amina.desk, "amina", ELSEWHERE)
    amina.clock.advance(ATTEMPTS_KEPT + timedelta(seconds=1))
    guess(amina.desk, "nobody", HERE)
    assert outcomes(amina.desk.database) == [("password", "wrong")]
    with amina.desk.database.read() as connection:
        assert len(connection.execute(sign_in_throttles.select()).all()) == 2


def together(count: int, act: Callable[[], str]) -> list[str]:
    """What the same act tells when it is done at one moment many times."""
    told: list[str] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        told.append(act())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_many_guesses_at_one_moment_count_as_many(amina: Person) -> None:
    told = together(FREE_FAILURES * 3, lambda: guess(amina.desk, "amina", ELSEWHERE))
    assert told.count("sign_in_refused") == FREE_FAILURES
    assert told.count("too_many_attempts") == FREE_FAILURES * 2


def test_one_code_at_one_moment_opens_one_session(amina: Person) -> None:
    code = amina.fresh_code()
    tickets = [amina.begin(amina.device) for _ in range(4)]

    def enter() -> str:
        try:
            finish_sign_in(amina.desk, tickets.pop(), code, amina.device)
        except (SignInRefusedError, TooManyAttemptsError) as refusal:
            return refusal.code
        return "opened"

    assert together(4, enter).count("opened") == 1


def test_one_recovery_code_at_one_moment_opens_one_session(amina: Person) -> None:
    code = amina.activated.recovery_codes[0]
    tickets = [amina.begin(amina.device) for _ in range(4)]

    def enter() -> str:
        try:
            finish_sign_in(amina.desk, tickets.pop(), code, amina.device)
        except (SignInRefusedError, TooManyAttemptsError) as refusal:
            return refusal.code
        return "opened"

    assert together(4, enter).count("opened") == 1
