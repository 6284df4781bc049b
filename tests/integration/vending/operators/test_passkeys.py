"""Passkeys on both databases: made, signed in and confirmed with; altered answers refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.authenticators import (
    USER_PRESENT,
    USER_VERIFIED,
    PasskeyDevice,
    decode,
    encode,
)
from tests.support.people import sign_in_as
from tests.support.policies import FRESHNESS
from tests.support.sign_in import HERE, ORIGIN, Person, activate
from vending.operators.errors import (
    ChallengeRefusedError,
    OperatorInvalidError,
    PasskeyRefusedError,
    PasskeysUnavailableError,
    SecondFactorStaleError,
)
from vending.operators.model import AuthenticatorKind, SignInMethod
from vending.operators.permissions import Role
from vending.operators.repository import sign_in
from vending.operators.service.accounts import lock
from vending.operators.service.desk import SignInDesk
from vending.operators.service.factors import list_own_authenticators, remove_authenticator
from vending.operators.service.passkey_use import (
    PASSKEYS_MAX,
    begin_confirmation,
    begin_passkey,
    begin_passkey_sign_in,
    finish_confirmation,
    finish_passkey,
    finish_passkey_sign_in,
)
from vending.operators.service.sessions import authenticate
from vending.operators.service.sign_in import SignInDone
from vending.operators.service.steps import STEP_LIFETIME

Answer = dict[str, Any]


def add(person: Person, device: PasskeyDevice | None = None) -> PasskeyDevice:
    device = device or PasskeyDevice(ORIGIN)
    ticket, options = begin_passkey(person.desk, person.signed_in, label="laptop")
    finish_passkey(person.desk, person.signed_in, ticket, device.create(options))
    return device


def enter(desk: SignInDesk, device: PasskeyDevice) -> SignInDone:
    ticket, options = begin_passkey_sign_in(desk)
    return finish_passkey_sign_in(desk, ticket, device.get(options), HERE)


# --- right ---------------------------------------------------------------------------------------
def test_passkey_alone_opens_a_session(amina: Person) -> None:
    device = add(amina)
    done = enter(amina.desk, device)
    assert (done.operator.name, done.opened.session.method) == ("amina", SignInMethod.PASSKEY)
    with amina.desk.database.read() as connection:
        held = list_own_authenticators(connection, amina.signed_in)
    assert [each.kind for each in held] == [AuthenticatorKind.TOTP, AuthenticatorKind.PASSKEY]
    assert held[1].used_at == amina.clock.now()


def test_passkey_without_a_counter_works_again_and_again(amina: Person) -> None:
    device = add(amina, PasskeyDevice(ORIGIN, counts=False))
    enter(amina.desk, device)
    enter(amina.desk, device)


def test_passkey_confirms_in_a_session(amina: Person) -> None:
    device = add(amina)
    token = enter(amina.desk, device).opened.token
    amina.clock.advance(FRESHNESS)
    stale = authenticate(amina.desk.database, token, clock=amina.clock)
    ticket, options = begin_confirmation(amina.desk, stale)
    assert [each["id"] for each in options["allowCredentials"]] == [encode(device.credential_id)]
    finish_confirmation(amina.desk, stale, ticket, device.get(options))
    authenticate(amina.desk.database, token, clock=amina.clock).require_fresh(amina.clock.now())


def test_options_ask_for_verification_and_name_nobody(amina: Person) -> None:
    add(amina)
    _, making = begin_passkey(amina.desk, amina.signed_in, label="phone")
    assert making["authenticatorSelection"]["userVerification"] == "required"
    assert making["authenticatorSelection"]["residentKey"] == "required"
    assert len(making["excludeCredentials"]) == 1
    _, asking = begin_passkey_sign_in(amina.desk)
    assert asking["userVerification"] == "required"
    assert asking.get("allowCredentials", []) == []
    assert "amina" not in json.dumps(asking)


# --- wrong answers to the ceremony of making -----------------------------------------------------
BAD_DEVICES: dict[str, Callable[[], PasskeyDevice]] = {
    "another origin": lambda: PasskeyDevice("https://office.example.com"),
    "plain http": lambda: PasskeyDevice("http://office.example.org"),
    "user not verified": lambda: PasskeyDevice(ORIGIN, flags=USER_PRESENT),
    "user not present": lambda: PasskeyDevice(ORIGIN, flags=USER_VERIFIED),
}


@pytest.mark.parametrize("fault", BAD_DEVICES)
def test_passkey_of_a_bad_ceremony_is_not_added(amina: Person, fault: str) -> None:
    with pytest.raises(PasskeyRefusedError):
        add(amina, BAD_DEVICES[fault]())


def test_passkey_for_another_challenge_is_not_added(amina: Person) -> None:
    device = PasskeyDevice(ORIGIN)
    first, _ = begin_passkey(amina.desk, amina.signed_in, label="laptop")
    _, other = begin_passkey(amina.desk, amina.signed_in, label="laptop")
    with pytest.raises(PasskeyRefusedError):
        finish_passkey(amina.desk, amina.signed_in, first, device.create(other))


def test_challenge_is_for_one_answer_even_a_wrong_one(amina: Person) -> None:
    device = PasskeyDevice(ORIGIN)
    ticket, options = begin_passkey(amina.desk, amina.signed_in, label="laptop")
    with pytest.raises(PasskeyRefusedError):
        finish_passkey(amina.desk, amina.signed_in, ticket, {})
    with pytest.raises(ChallengeRefusedError):
        finish_passkey(amina.desk, amina.signed_in, ticket, device.create(options))


def test_passkey_belongs_to_one_account(desk: SignInDesk) -> None:
    amina, brian = activate(desk, "amina"), activate(desk, "brian")
    device = add(amina)
    with pytest.raises(PasskeyRefusedError):
        add(brian, device)
    ticket, options = begin_passkey(desk, amina.signed_in, label="laptop")
    with pytest.raises(ChallengeRefusedError):
        finish_passkey(desk, brian.signed_in, ticket, PasskeyDevice(ORIGIN).create(options))


def test_passkeys_of_an_operator_are_bounded(sqlite_amina: Person) -> None:
    for _ in range(PASSKEYS_MAX):
        add(sqlite_amina)
    with pytest.raises(OperatorInvalidError):
        add(sqlite_amina)


def test_making_one_asks_for_a_fresh_second_factor(amina: Person) -> None:
    by = amina.signed_in
    amina.clock.advance(FRESHNESS)
    with pytest.raises(SecondFactorStaleError):
        begin_passkey(amina.desk, by, label="laptop")


# --- wrong answers to the ceremony of using ------------------------------------------------------
def flipped(text: str, position: int = 40) -> str:
    raw = bytearray(decode(text))
    raw[position % len(raw)] ^= 1
    return encode(bytes(raw))


def with_response(answer: Answer, **changes: object) -> Answer:
    return {**answer, "response": {**answer["response"], **changes}}


ALTERATIONS: dict[str, Callable[[Answer], Answer]] = {
    "signature": lambda a: with_response(a, signature=flipped(a["response"]["signature"])),
    "data": lambda a: with_response(
        a, authenticatorData=flipped(a["response"]["authenticatorData"], 34)
    ),
    "flags": lambda a: with_response(
        a, authenticatorData=flipped(a["response"]["authenticatorData"], 32)
    ),
    "client data": lambda a: with_response(
        a, clientDataJSON=flipped(a["response"]["clientDataJSON"])
    ),
    "cut": lambda a: with_response(a, authenticatorData=a["response"]["authenticatorData"][:30]),
    "no signature": lambda a: with_response(a, signature=None),
    "number for text": lambda a: with_response(a, clientDataJSON=7),
    "list for object": lambda a: {**a, "response": []},
    "no response": lambda a: {key: value for key, value in a.items() if key != "response"},
    "unknown id": lambda a: {**a, "id": encode(bytes(16)), "rawId": encode(bytes(16))},
    "id apart": lambda a: {**a, "id": encode(bytes(16))},
    "id no text": lambda a: {**a, "rawId": 5},
    "id no base64": lambda a: {**a, "rawId": "\ud800"},
    "id empty": lambda a: {**a, "rawId": ""},
    "type": lambda a: {**a, "type": "password"},
    "empty": lambda a: {},  # noqa: ARG005 # as the others
    "deep": lambda a: {**a, "response": {"clientDataJSON": {"a": {"b": []}}}},
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_answer_opens_nothing(amina: Person, alteration: str) -> None:
    device = add(amina)
    ticket, options = begin_passkey_sign_in(amina.desk)
    answer = ALTERATIONS[alteration](device.get(options))
    with pytest.raises(PasskeyRefusedError):
        finish_passkey_sign_in(amina.desk, ticket, answer, HERE)
    with amina.desk.database.read() as connection:
        told = [(each.method, each.outcome) for each in sign_in.list_attempts(connection, limit=9)]
    assert ("passkey", "wrong") in told


def test_answer_is_good_once(amina: Person) -> None:
    device = add(amina)
    ticket, options = begin_passkey_sign_in(amina.desk)
    answer = device.get(options)
    finish_passkey_sign_in(amina.desk, ticket, answer, HERE)
    with pytest.raises(ChallengeRefusedError):
        finish_passkey_sign_in(amina.desk, ticket, answer, HERE)
    other, _ = begin_passkey_sign_in(amina.desk)
    with pytest.raises(PasskeyRefusedError):
        finish_passkey_sign_in(amina.desk, other, answer, HERE)


def test_challenge_ends(amina: Person) -> None:
    device = add(amina)
    ticket, options = begin_passkey_sign_in(amina.desk)
    amina.clock.advance(STEP_LIFETIME)
    with pytest.raises(ChallengeRefusedError):
        finish_passkey_sign_in(amina.desk, ticket, device.get(options), HERE)


def test_copied_passkey_is_found_out_by_its_counter(amina: Person) -> None:
    device = add(amina)
    copied = replace(device)
    enter(amina.desk, device)
    enter(amina.desk, device)
    with pytest.raises(PasskeyRefusedError):
        enter(amina.desk, copied)


@pytest.mark.parametrize("fault", BAD_DEVICES)
def test_bad_ceremony_opens_nothing(amina: Person, fault: str) -> None:
    device = add(amina)
    bad = BAD_DEVICES[fault]()
    device.origin, device.flags = bad.origin, bad.flags
    with pytest.raises(PasskeyRefusedError):
        enter(amina.desk, device)


def test_passkey_that_was_taken_away_opens_nothing(amina: Person) -> None:
    device = add(amina)
    with amina.desk.database.read() as connection:
        _, passkey = list_own_authenticators(connection, amina.signed_in)
    remove_authenticator(amina.desk, amina.signed_in, passkey.id)
    with pytest.raises(PasskeyRefusedError):
        enter(amina.desk, device)


def test_passkey_of_a_locked_account_opens_nothing(amina: Person) -> None:
    device = add(amina)
    admin = sign_in_as(amina.desk.database, amina.clock, Role.ADMINISTRATOR)
    lock(amina.desk.database, admin, amina.signed_in.operator_id, clock=amina.clock)
    with pytest.raises(PasskeyRefusedError):
        enter(amina.desk, device)


def test_passkey_of_another_operator_confirms_nothing(desk: SignInDesk) -> None:
    amina, brian = activate(desk, "amina"), activate(desk, "brian")
    device = add(brian)
    ticket, options = begin_confirmation(desk, amina.signed_in)
    with pytest.raises(PasskeyRefusedError):
        finish_confirmation(desk, amina.signed_in, ticket, device.get(options))


def test_confirmation_is_for_the_session_that_asked(amina: Person) -> None:
    device = add(amina)
    ticket, options = begin_confirmation(amina.desk, amina.signed_in)
    with pytest.raises(PasskeyRefusedError):
        finish_confirmation(amina.desk, amina.enter(), ticket, device.get(options))


def test_ticket_of_a_sign_in_confirms_nothing(amina: Person) -> None:
    device = add(amina)
    ticket, options = begin_passkey_sign_in(amina.desk)
    with pytest.raises(ChallengeRefusedError):
        finish_confirmation(amina.desk, amina.signed_in, ticket, device.get(options))


def test_without_an_address_there_are_no_passkeys(sqlite_amina: Person) -> None:
    desk = replace(sqlite_amina.desk, passkey_site=None)
    by = sqlite_amina.signed_in
    for act in (
        lambda: begin_passkey(desk, by, label="laptop"),
        lambda: finish_passkey(desk, by, "ot_", {}),
        lambda: begin_passkey_sign_in(desk),
        lambda: finish_passkey_sign_in(desk, "ot_", {}, HERE),
        lambda: begin_confirmation(desk, by),
        lambda: finish_confirmation(desk, by, "ot_", {}),
    ):
        with pytest.raises(PasskeysUnavailableError):
            act()
