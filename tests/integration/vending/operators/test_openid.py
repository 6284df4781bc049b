"""OpenID Connect against a provider on a loopback port: linked beforehand, and nothing else."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.support.openid_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    REDIRECT_URI,
    Provider,
    make_key,
    running_provider,
)
from tests.support.people import sign_in_as
from tests.support.policies import FRESHNESS
from tests.support.sign_in import HERE, Person, activate
from vending.operators.errors import (
    ChallengeRefusedError,
    OpenIDNotSetUpError,
    OpenIDRefusedError,
    OpenIDUnavailableError,
    SecondFactorStaleError,
    SignInRefusedError,
)
from vending.operators.model import SignInMethod
from vending.operators.openid import DOCUMENT_BYTES_MAX, OpenIDClient, OpenIDProvider
from vending.operators.permissions import Role
from vending.operators.repository import accounts
from vending.operators.service.accounts import lock
from vending.operators.service.desk import SignInDesk
from vending.operators.service.openid_use import (
    OpenIDAnswer,
    begin_openid,
    finish_openid,
    link_openid,
    unlink_openid,
)
from vending.operators.service.sign_in import SignInDone
from vending.values.clock import FixedClock


@pytest.fixture
def provider(fixed_clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setattr("vending.operators.openid.TIMEOUT_S", 100)
    with running_provider(fixed_clock) as running:
        yield running


def with_client(desk: SignInDesk, provider: Provider, **changes: Any) -> SignInDesk:  # noqa: ANN401 # fields
    told = OpenIDProvider(
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri=REDIRECT_URI,
        accepted_amr=frozenset({"mfa"}),
    )
    return replace(desk, openid=OpenIDClient(replace(told, **changes), desk.clock))


@pytest.fixture
def open_desk(sqlite_desk: SignInDesk, provider: Provider) -> Iterator[SignInDesk]:
    desk = with_client(sqlite_desk, provider)
    yield desk
    assert desk.openid is not None
    desk.openid.close()


@pytest.fixture
def linked(open_desk: SignInDesk, provider: Provider) -> Person:
    amina = activate(open_desk, "amina")
    link(open_desk, amina, provider)
    return amina


def link(desk: SignInDesk, person: Person, provider: Provider) -> None:
    begun = begin_openid(desk, person.signed_in)
    code, state = provider.visit(begun.url)
    link_openid(desk, person.signed_in, begun.ticket, OpenIDAnswer(code, state))


def enter(desk: SignInDesk, provider: Provider) -> SignInDone:
    begun = begin_openid(desk)
    code, state = provider.visit(begun.url)
    return finish_openid(desk, begun.ticket, OpenIDAnswer(code, state, provider.issuer), HERE)


def reason_of(act: Callable[[], object]) -> object:
    with pytest.raises(OpenIDRefusedError) as told:
        act()
    return told.value.facts["reason"]


# --- right ---------------------------------------------------------------------------------------
def test_linked_operator_signs_in_on_both_databases(desk: SignInDesk, provider: Provider) -> None:
    desk = with_client(desk, provider)
    amina = activate(desk, "amina")
    link(desk, amina, provider)
    done = enter(desk, provider)
    assert (done.operator.name, done.opened.session.method) == ("amina", SignInMethod.OPENID)
    assert desk.openid is not None
    desk.openid.close()


def test_class_of_authentication_will_do_as_well(
    sqlite_desk: SignInDesk, provider: Provider
) -> None:
    desk = with_client(
        sqlite_desk, provider, accepted_amr=frozenset(), accepted_acr=frozenset({"high"})
    )
    amina = activate(desk, "amina")
    provider.claims = {"acr": "high", "amr": None}
    link(desk, amina, provider)
    enter(desk, provider)
    provider.claims = {"acr": "low"}
    assert reason_of(lambda: enter(desk, provider)) == "method"
    assert desk.openid is not None
    desk.openid.close()


@pytest.mark.usefixtures("linked")
def test_documents_are_fetched_once_an_hour(
    open_desk: SignInDesk, provider: Provider, fixed_clock: FixedClock
) -> None:
    for _ in range(3):
        enter(open_desk, provider)
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    assert provider.asked.count("/keys") == 1
    fixed_clock.elapsed_s += 3600
    enter(open_desk, provider)
    assert provider.asked.count("/.well-known/openid-configuration") == 2


@pytest.mark.usefixtures("linked")
def test_changed_keys_are_fetched_again_but_not_at_will(
    open_desk: SignInDesk, provider: Provider, fixed_clock: FixedClock
) -> None:
    provider.key = make_key("second")
    assert reason_of(lambda: enter(open_desk, provider)) == "signature"
    fixed_clock.elapsed_s += 60
    enter(open_desk, provider)
    provider.header = {"kid": "made-up"}
    for _ in range(3):
        assert reason_of(lambda: enter(open_desk, provider)) == "signature"
    assert provider.asked.count("/keys") == 2


# --- who it lets in ------------------------------------------------------------------------------
@pytest.mark.usefixtures("linked")
def test_person_who_is_not_linked_gets_no_account(
    open_desk: SignInDesk, provider: Provider
) -> None:
    provider.subject = "person-2"
    with pytest.raises(SignInRefusedError):
        enter(open_desk, provider)


def test_locked_account_stays_out(
    open_desk: SignInDesk, provider: Provider, linked: Person
) -> None:
    admin = sign_in_as(open_desk.database, linked.clock, Role.ADMINISTRATOR)
    lock(open_desk.database, admin, linked.signed_in.operator_id, clock=linked.clock)
    with pytest.raises(SignInRefusedError):
        enter(open_desk, provider)


def test_one_person_of_the_provider_is_one_account(
    open_desk: SignInDesk, provider: Provider, linked: Person
) -> None:
    brian = activate(open_desk, "brian")
    assert reason_of(lambda: link(open_desk, brian, provider)) == "linked"
    unlink_openid(open_desk, linked.signed_in)
    link(open_desk, brian, provider)
    assert enter(open_desk, provider).operator.name == "brian"


def test_person_links_two_accounts_at_once_and_gets_one(
    desk: SignInDesk, provider: Provider
) -> None:
    desk = with_client(desk, provider)
    amina, brian = (activate(desk, name) for name in ("amina", "brian"))
    with ThreadPoolExecutor(1) as other:
        with desk.database.unit_of_work() as uow:
            accounts.update_openid(
                uow.connection, amina.signed_in.operator_id, provider.issuer, provider.subject
            )
            second = other.submit(reason_of, lambda: link(desk, brian, provider))
            with pytest.raises(TimeoutError):
                second.result(timeout=1)
            uow.commit()
        assert second.result(timeout=100) == "linked"
    assert desk.openid is not None
    desk.openid.close()


def test_linking_asks_for_a_fresh_second_factor(
    open_desk: SignInDesk, provider: Provider, linked: Person
) -> None:
    assert provider.asked
    by = linked.signed_in
    linked.clock.advance(FRESHNESS)
    with pytest.raises(SecondFactorStaleError):
        begin_openid(open_desk, by)
    with pytest.raises(SecondFactorStaleError):
        unlink_openid(open_desk, by)


def test_ticket_of_a_sign_in_links_nothing(
    open_desk: SignInDesk, provider: Provider, linked: Person
) -> None:
    begun = begin_openid(open_desk)
    answer = OpenIDAnswer(*provider.visit(begun.url))
    with pytest.raises(ChallengeRefusedError):
        link_openid(open_desk, linked.signed_in, begun.ticket, answer)


def test_without_a_provider_there_is_no_such_way(sqlite_desk: SignInDesk) -> None:
    with pytest.raises(OpenIDNotSetUpError):
        begin_openid(sqlite_desk)


# --- what came back ------------------------------------------------------------------------------
@pytest.mark.usefixtures("linked")
def test_answer_is_good_once_and_for_its_own_browser(
    open_desk: SignInDesk, provider: Provider
) -> None:
    begun, other = begin_openid(open_desk), begin_openid(open_desk)
    answer = OpenIDAnswer(*provider.visit(begun.url))
    assert reason_of(lambda: finish_openid(open_desk, other.ticket, answer, HERE)) == "state"
    finish_openid(open_desk, begun.ticket, answer, HERE)
    with pytest.raises(ChallengeRefusedError):
        finish_openid(open_desk, begun.ticket, answer, HERE)


@pytest.mark.usefixtures("linked")
def test_answer_of_another_provider_is_refused(open_desk: SignInDesk, provider: Provider) -> None:
    begun = begin_openid(open_desk)
    answer = OpenIDAnswer(*provider.visit(begun.url), issuer="https://evil.example")
    assert reason_of(lambda: finish_openid(open_desk, begun.ticket, answer, HERE)) == "issuer"


@pytest.mark.usefixtures("linked")
def test_code_of_another_sign_in_is_refused(open_desk: SignInDesk, provider: Provider) -> None:
    begun, other = begin_openid(open_desk), begin_openid(open_desk)
    _, state = provider.visit(begun.url)
    stolen, _ = provider.visit(other.url)  # its challenge belongs to another verifier
    answer = OpenIDAnswer(stolen, state)
    assert reason_of(lambda: finish_openid(open_desk, begun.ticket, answer, HERE)) == "code"


CLAIM_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "issuer": ({"iss": "https://evil.example"}, "issuer"),
    "audience": ({"aud": "another"}, "audience"),
    "audiences without party": ({"aud": [CLIENT_ID, "another"]}, "audience"),
    "another party": ({"aud": [CLIENT_ID, "another"], "azp": "another"}, "audience"),
    "no audience": ({"aud": None}, "audience"),
    "expired": ({"exp": 1_700_000_000}, "expired"),
    "no end": ({"exp": None}, "expired"),
    "end is text": ({"exp": "tomorrow"}, "expired"),
    "end is true": ({"exp": True}, "expired"),
    "old": ({"iat": 1_700_000_000}, "issued"),
    "of the future": ({"iat": 2_000_000_000}, "issued"),
    "nonce": ({"nonce": "another"}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "signed in long ago": ({"auth_time": 1_700_000_000}, "authentication_age"),
    "never signed in": ({"auth_time": None}, "authentication_age"),
    "one factor": ({"amr": ["pwd"]}, "method"),
    "no factor": ({"amr": None}, "method"),
    "factor as text": ({"amr": "mfa"}, "method"),
    "no subject": ({"sub": None}, "subject"),
    "empty subject": ({"sub": ""}, "subject"),
    "subject is a number": ({"sub": 5}, "subject"),
    "long subject": ({"sub": "x" * 256}, "subject"),
}


@pytest.mark.usefixtures("linked")
@pytest.mark.parametrize("fault", CLAIM_FAULTS)
def test_token_with_a_wrong_claim_is_refused(
    open_desk: SignInDesk, provider: Provider, fault: str
) -> None:
    provider.claims, reason = CLAIM_FAULTS[fault]
    assert reason_of(lambda: enter(open_desk, provider)) == reason


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    parts = ({**header, "alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b""]).decode()


def under_our_secret(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    key = OctKey.import_key(CLIENT_SECRET.encode() * 2)
    return jwt.encode({**header, "alg": "HS256"}, dict(claims), key, algorithms=["HS256"])


def under_another_key(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return jwt.encode(dict(header), dict(claims), make_key("second"), algorithms=["RS256"])


FORGERIES: dict[str, tuple[Callable[[Mapping[str, Any], Mapping[str, Any]], str], str]] = {
    "unsigned": (unsigned, "signature"),
    "under our secret": (under_our_secret, "signature"),
    "under another key": (under_another_key, "signature"),
    "no token": (lambda _header, _claims: "x", "form"),
    "five parts": (lambda _header, _claims: "a.b.c.d.e", "form"),
    "garbage": (lambda _header, _claims: "a.b.c", "signature"),
    "endless": (lambda _header, _claims: "a.b." + "c" * 20_000, "form"),
}


@pytest.mark.usefixtures("linked")
@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_token_is_refused(open_desk: SignInDesk, provider: Provider, forgery: str) -> None:
    provider.sign, reason = FORGERIES[forgery]
    assert reason_of(lambda: enter(open_desk, provider)) == reason


@pytest.mark.usefixtures("linked")
def test_token_of_another_kind_is_refused(open_desk: SignInDesk, provider: Provider) -> None:
    provider.header = {"typ": "at+jwt"}
    assert reason_of(lambda: enter(open_desk, provider)) == "form"


# --- a provider that does not behave -------------------------------------------------------------
DISCOVERY_FAULTS: dict[str, dict[str, Any]] = {
    "another issuer": {"issuer": "https://evil.example"},
    "plain endpoint": {"authorization_endpoint": "http://login.example.org/authorize"},
    "no endpoint": {"authorization_endpoint": None},
    "another scheme": {"authorization_endpoint": "file:///etc/passwd"},
    "user in the address": {"authorization_endpoint": "https://a@login.example.org/"},
}


@pytest.mark.parametrize("fault", DISCOVERY_FAULTS)
def test_discovery_that_does_not_fit_is_refused(
    open_desk: SignInDesk, provider: Provider, fault: str
) -> None:
    provider.discovery = DISCOVERY_FAULTS[fault]
    with pytest.raises(OpenIDUnavailableError):
        begin_openid(open_desk)


ANSWERS: dict[str, tuple[int, bytes]] = {
    "error": (500, b"{}"),
    "no JSON": (200, b"<html>"),
    "list": (200, b"[]"),
    "no UTF-8": (200, b"\xff\xfe"),
    "too long": (200, b" " * (DOCUMENT_BYTES_MAX + 1)),
    "redirect": (302, b""),
}


@pytest.mark.parametrize("fault", ANSWERS)
def test_provider_that_answers_otherwise_is_unavailable(
    open_desk: SignInDesk, provider: Provider, fault: str
) -> None:
    provider.answer = lambda _path: ANSWERS[fault]
    with pytest.raises(OpenIDUnavailableError):
        begin_openid(open_desk)


def test_provider_that_is_gone_is_unavailable(
    sqlite_desk: SignInDesk, fixed_clock: FixedClock
) -> None:
    with running_provider(fixed_clock) as gone:
        desk = with_client(sqlite_desk, gone)
    with pytest.raises(OpenIDUnavailableError):
        begin_openid(desk)
    assert desk.openid is not None
    desk.openid.close()


@pytest.mark.usefixtures("linked")
@pytest.mark.parametrize("keys", [b'{"keys": 5}', b'{"keys": [{"kty": "RSA", "n": 5}]}', b"{}"])
def test_key_set_that_does_not_fit_lets_nobody_in(
    open_desk: SignInDesk, provider: Provider, fixed_clock: FixedClock, keys: bytes
) -> None:
    fixed_clock.elapsed_s += 3600
    provider.answer = lambda path: (200, keys) if path == "/keys" else None
    assert reason_of(lambda: enter(open_desk, provider)) == "signature"
