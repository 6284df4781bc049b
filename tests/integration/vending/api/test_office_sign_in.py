"""Signing in over HTTP: token or cookie, both factors, nothing given away, no foreign page."""

import io
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import pytest
import structlog
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.support.api import Counter, open_counter, problem
from tests.support.authenticators import CodeApp, PasskeyDevice
from tests.support.json_schema import list_faults
from tests.support.people import open_session_for, operator_named, session_token_for, sign_in_as
from tests.support.sign_in import ORIGIN, PASSWORD, STEP
from vending.api.deps import DEVICE_COOKIE, DEVICE_HEADER, REQUEST_HEADER, SESSION_COOKIE
from vending.approvals.model import Decision
from vending.approvals.service import decide
from vending.observability import logs
from vending.operators.passkeys import PasskeySite
from vending.operators.permissions import Role
from vending.operators.rules import FREE_FAILURES
from vending.persistence.engine import Database
from vending.values.clock import FixedClock
from vending.values.identifiers import ApprovalId

OFFICE = "/v1/office"


@dataclass
class Office:
    """The office side of the API, and an operator who activated her account over it."""

    counter: Counter
    client: TestClient
    clock: FixedClock
    app: CodeApp
    activated: dict[str, Any]

    def post(
        self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Response:
        return self.client.post(f"{OFFICE}{path}", json=body, headers=headers)

    def as_amina(self, method: str, path: str, body: object = None) -> Response:
        headers = {"Authorization": f"Bearer {self.activated['token']}"}
        return self.client.request(method, f"{OFFICE}{path}", json=body, headers=headers)

    def as_administrator(self, method: str, path: str, body: object = None) -> Response:
        database = self.counter.shop.database
        token = session_token_for(database, self.clock, Role.ADMINISTRATOR, name="admin")
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.request(method, f"{OFFICE}{path}", json=body, headers=headers)

    def sign_in(self, *, keep: str = "token", headers: Mapping[str, str] | None = None) -> Response:
        self.clock.advance(STEP)
        first = self.post("/sign-in", {"name": "amina", "password": PASSWORD}, headers=headers)
        body = {"ticket": first.json()["ticket"], "code": self.app.code(), "keep": keep}
        return self.post("/sign-in/code", body, headers=headers)


@pytest.fixture
def office(sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Iterator[Office]:
    with open_counter(sqlite_database, fixed_clock, tmp_path) as counter:
        site = PasskeySite("office.example.org", ORIGIN, "Lumen Utility")
        desk = replace(counter.container.sign_in_desk, passkey_site=site)
        object.__setattr__(counter.container, "sign_in_desk", desk)
        with TestClient(counter.app, base_url=ORIGIN, raise_server_exceptions=False) as client:
            office = Office(counter, client, fixed_clock, CodeApp("", fixed_clock), {})
            body = {"name": "amina", "person": "Amina Wanjiru"}
            invited = office.as_administrator("POST", "/operators", body).json()
            begun = office.post("/activation", {"code": invited["code"], "password": PASSWORD})
            office.app = CodeApp(begun.json()["secret"], fixed_clock)
            ticket = begun.json()["ticket"]
            done = office.post("/activation/code", {"ticket": ticket, "code": office.app.code()})
            assert done.status_code == 201
            office.activated = done.json()
            yield office


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged, by us and by every library, down to debug."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    before, level = root.handlers, root.level
    logs.configure_logs(level="debug", log_format="json")
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def cookie_of(answer: Response, name: str) -> str:
    """The whole header that sets a cookie."""
    (header,) = (
        value for value in answer.headers.get_list("set-cookie") if value.startswith(f"{name}=")
    )
    return header


# --- the ways in ---------------------------------------------------------------------------------
def test_activation_and_both_factors_open_sessions(office: Office) -> None:
    assert len(office.activated["recovery_codes"]) == 10
    answer = office.sign_in()
    assert answer.status_code == 201
    told = answer.json()
    assert told["token"].startswith("os_")
    assert told["device_token"].startswith("od_")
    assert "set-cookie" not in answer.headers
    headers = {"Authorization": f"Bearer {told['token']}"}
    account = office.client.get(f"{OFFICE}/account", headers=headers).json()
    assert (account["name"], account["roles"], account["permissions"]) == ("amina", [], [])
    assert account["recovery_codes_left"] == 10


def test_known_device_says_so_in_a_header(office: Office) -> None:
    device = {DEVICE_HEADER: office.activated["device_token"]}
    for _ in range(FREE_FAILURES * 2):
        office.post("/sign-in", {"name": "amina", "password": "wrong wrong wrong"})
    held = office.post("/sign-in", {"name": "amina", "password": PASSWORD})
    assert problem(held)["code"] == "too_many_attempts"
    assert held.headers["retry-after"] == str(problem(held)["facts"]["retry_after_s"])
    assert office.sign_in(headers=device).json()["device_token"] is None


def test_passkey_is_added_signs_in_and_confirms(office: Office) -> None:
    device = PasskeyDevice(ORIGIN)
    begun = office.as_amina("POST", "/authenticators/passkey", {"label": "laptop"}).json()
    body = {"ticket": begun["ticket"], "credential": device.create(begun["options"])}
    assert office.as_amina("POST", "/authenticators/passkey/answer", body).status_code == 201
    asked = office.client.post(f"{OFFICE}/sign-in/passkey").json()
    body = {"ticket": asked["ticket"], "credential": device.get(asked["options"])}
    told = office.post("/sign-in/passkey/answer", body)
    assert (told.status_code, told.json()["name"]) == (201, "amina")
    asked = office.as_amina("POST", "/confirmation/passkey").json()
    body = {"ticket": asked["ticket"], "credential": device.get(asked["options"])}
    assert office.as_amina("POST", "/confirmation/passkey/answer", body).json() == {"done": True}


def test_openid_is_refused_where_there_is_none(office: Office) -> None:
    answer = office.client.post(f"{OFFICE}/sign-in/openid")
    assert problem(answer)["code"] == "openid_not_set_up"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "amina", "password": "wrong wrong wrong"},
        {"name": "nobody", "password": PASSWORD},
        {"name": "AMINA", "password": PASSWORD},
    ],
)
def test_wrong_sign_ins_have_one_answer(office: Office, body: dict[str, str]) -> None:
    answer = office.post("/sign-in", body)
    assert answer.status_code == 401
    assert problem(answer)["code"] == "sign_in_refused"
    assert problem(answer)["facts"] == {}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "amina"},
        {"name": "amina", "password": 5},
        {"name": "amina", "password": ""},
        {"name": "a" * 65, "password": PASSWORD},
        {"name": "amina", "password": "x" * 1025},
        {"name": "amina", "password": PASSWORD, "remember": True},
        [],
    ],
)
def test_body_that_does_not_fit_is_refused_without_its_content(
    office: Office, body: object
) -> None:
    answer = office.post("/sign-in", body)
    assert problem(answer)["code"] == "request_invalid"
    assert PASSWORD not in answer.text


# --- cookies and foreign pages -------------------------------------------------------------------
def test_cookie_holds_the_session_and_the_answer_does_not(office: Office) -> None:
    answer = office.sign_in(keep="cookie")
    assert (answer.json()["token"], answer.json()["device_token"]) == (None, None)
    for name in (SESSION_COOKIE, DEVICE_COOKIE):
        header = cookie_of(answer, name)
        attributes = {part.strip().lower() for part in header.split(";")[1:]}
        assert {"secure", "httponly", "samesite=strict", "path=/"} <= attributes
        assert not any(part.startswith("domain") for part in attributes)
    assert office.client.get(f"{OFFICE}/account").json()["name"] == "amina"


SAME = {"Sec-Fetch-Site": "same-origin"}
CUSTOM = {REQUEST_HEADER: "1"}


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        (SAME, True),
        (CUSTOM, True),
        ({**SAME, **CUSTOM}, True),
        ({}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site", **CUSTOM}, False),
        ({"Origin": "https://evil.example"}, False),
    ],
)
def test_cookie_changes_something_only_from_a_page_of_ours(
    office: Office, headers: dict[str, str], *, is_let_in: bool
) -> None:
    office.sign_in(keep="cookie")
    answer = office.client.delete(f"{OFFICE}/sessions", headers=headers)
    if is_let_in:
        assert answer.json() == {"ended": 1}
    else:
        assert (answer.status_code, problem(answer)["code"]) == (403, "cross_site_request")


def test_bearer_token_needs_no_such_proof(office: Office) -> None:
    assert office.as_amina("DELETE", "/sessions").status_code == 200


def test_bearer_token_goes_before_the_cookie(office: Office) -> None:
    office.sign_in(keep="cookie")
    headers = {"Authorization": "Bearer os_" + "0" * 64}
    assert office.client.get(f"{OFFICE}/account", headers=headers).status_code == 401


@pytest.mark.parametrize("between", ["; ", ";", "; other=1; "])
def test_two_session_cookies_are_none(office: Office, between: str) -> None:
    office.sign_in(keep="cookie")
    own = f"{SESSION_COOKIE}={office.client.cookies[SESSION_COOKIE]}"
    planted = f"{SESSION_COOKIE}=os_{'0' * 64}"
    office.client.cookies.clear()
    for both in (f"{own}{between}{planted}", f"{planted}{between}{own}"):
        answer = office.client.get(f"{OFFICE}/account", headers={"Cookie": both})
        assert (answer.status_code, problem(answer)["code"]) == (401, "sign_in_required")
    answer = office.client.get(f"{OFFICE}/account", headers=[("Cookie", planted), ("Cookie", own)])
    assert answer.status_code == 401
    assert office.client.get(f"{OFFICE}/account", headers={"Cookie": own}).status_code == 200


def test_signing_out_ends_the_session_and_the_cookie(office: Office) -> None:
    office.sign_in(keep="cookie")
    kept = office.client.cookies[SESSION_COOKIE]
    answer = office.client.post(f"{OFFICE}/sign-out", headers=SAME)
    assert "max-age=0" in cookie_of(answer, SESSION_COOKIE).lower()
    headers = {"Authorization": f"Bearer {kept}"}
    assert problem(office.client.get(f"{OFFICE}/account", headers=headers))["code"] == (
        "sign_in_required"
    )


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer pk_1_2", "os_" + "0" * 64]
)
def test_no_session_no_answer(office: Office, authorization: str) -> None:
    answer = office.client.get(f"{OFFICE}/account", headers={"Authorization": authorization})
    assert (answer.status_code, problem(answer)["code"]) == (401, "sign_in_required")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_partner_key_opens_no_office_and_a_session_sells_nothing(office: Office) -> None:
    key = {"Authorization": f"Bearer {office.counter.shop.api_key}"}
    assert office.client.get(f"{OFFICE}/account", headers=key).status_code == 401
    sale = office.counter.sell(
        "k-1", headers={"Authorization": f"Bearer {office.activated['token']}"}
    )
    assert sale.status_code == 401


# --- one's own account ---------------------------------------------------------------------------
def test_own_sessions_are_listed_and_ended(office: Office) -> None:
    other = office.sign_in().json()["token"]
    listed = office.as_amina("GET", "/sessions").json()["sessions"]
    assert [each["is_this"] for each in listed] == [False, True]
    assert {each["method"] for each in listed} == {"totp", "activation"}
    office.as_amina("DELETE", f"/sessions/{listed[0]['id']}")
    headers = {"Authorization": f"Bearer {other}"}
    assert office.client.get(f"{OFFICE}/account", headers=headers).status_code == 401
    gone = office.as_amina("DELETE", f"/sessions/{listed[0]['id']}")
    assert problem(gone)["code"] == "session_not_found"


def test_stale_second_factor_is_asked_for_again(office: Office) -> None:
    office.clock.advance(timedelta(minutes=10))
    refused = office.as_amina("POST", "/recovery-codes")
    assert (refused.status_code, problem(refused)["code"]) == (403, "second_factor_stale")
    wrong = office.as_amina("POST", "/confirmation", {"code": "000000"})
    assert problem(wrong)["code"] == "code_refused"
    assert office.as_amina("POST", "/confirmation", {"code": office.app.code()}).status_code == 200
    fresh = office.as_amina("POST", "/recovery-codes")
    assert (fresh.status_code, len(fresh.json()["recovery_codes"])) == (201, 10)


def test_password_and_apps_are_changed(office: Office) -> None:
    body = {"present": PASSWORD, "new": "harbour violet 8 tin"}
    assert office.as_amina("POST", "/password", body).json() == {"done": True}
    begun = office.as_amina("POST", "/authenticators/app", {"label": "tablet"}).json()
    code = CodeApp(begun["secret"], office.clock).code()
    body = {"ticket": begun["ticket"], "code": code}
    added = office.as_amina("POST", "/authenticators/app/answer", body)
    assert (added.status_code, added.json()["label"]) == (201, "tablet")
    gone = office.as_amina("DELETE", f"/authenticators/{added.json()['id']}")
    assert gone.json() == {"done": True}


# --- operators -----------------------------------------------------------------------------------
def test_operators_are_listed_locked_and_reset(office: Office) -> None:
    listed = office.as_administrator("GET", "/operators").json()["operators"]
    assert {"admin", "amina"} <= {each["name"] for each in listed}
    after = office.as_administrator("GET", "/operators?after=admin&limit=1").json()["operators"]
    identity = after[0]["id"]
    for act, state in (("lock", "locked"), ("unlock", "active")):
        assert office.as_administrator("POST", f"/operators/{identity}/{act}").json()["state"] == (
            state
        )
    assert office.as_amina("GET", "/account").status_code == 401
    reset = office.as_administrator("POST", f"/operators/{identity}/reset")
    assert (reset.status_code, reset.json()["operator"]["state"]) == (201, "invited")
    shown = office.as_administrator("GET", f"/operators/{identity}").json()
    assert shown["state"] == "invited"
    assert office.as_administrator("POST", f"/operators/{identity}/sign-out").json() == {"ended": 0}


def test_roles_take_two(office: Office) -> None:
    database, clock = office.counter.shop.database, office.clock
    amina = operator_named(database, clock, "amina")
    wanted = {"roles": ["cashier"]}
    asked = office.as_administrator(
        "POST", f"/operators/{amina.id}/role-proposals", {**wanted, "reason": "till 3"}
    )
    assert asked.status_code == 201
    approval_id = asked.json()["approval_id"]
    change = {**wanted, "approval_id": approval_id}
    alone = office.as_administrator("POST", f"/operators/{amina.id}/roles", change)
    assert alone.status_code in {409, 422}
    second = sign_in_as(database, clock, Role.ADMINISTRATOR, name="second")
    with database.unit_of_work() as uow:
        decide(
            uow.connection,
            second,
            ApprovalId(UUID(approval_id)),
            Decision(approve=True),
            clock=clock,
        )
        uow.commit()
    done = office.as_administrator("POST", f"/operators/{amina.id}/roles", change)
    assert done.json()["roles"] == ["cashier"]
    assert office.as_amina("GET", "/account").json()["roles"] == ["cashier"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/operators", None),
        ("GET", "/operators/{id}", None),
        ("POST", "/operators", {"name": "brian", "person": "Brian"}),
        ("POST", "/operators/{id}/lock", None),
        ("POST", "/operators/{id}/unlock", None),
        ("POST", "/operators/{id}/sign-out", None),
        ("POST", "/operators/{id}/reset", None),
        ("POST", "/operators/{id}/role-proposals", {"roles": ["cashier"], "reason": "x"}),
        (
            "POST",
            "/operators/{id}/roles",
            {"roles": [], "approval_id": "01890a5d-ac96-774b-bcce-b302099a8057"},
        ),
    ],
)
def test_operators_are_the_business_of_administrators(
    office: Office, method: str, path: str, body: object
) -> None:
    database, clock = office.counter.shop.database, office.clock
    amina = operator_named(database, clock, "amina")
    answer = office.as_amina(method, path.replace("{id}", str(amina.id)), body)
    assert problem(answer)["code"] == "permission_denied"


# --- secrets -------------------------------------------------------------------------------------
def test_no_secret_of_an_operator_is_logged_or_told(office: Office, capture: io.StringIO) -> None:
    signed_in = office.sign_in().json()
    paper = office.activated["recovery_codes"][0]
    begun = office.as_amina("POST", "/authenticators/app", {"label": "tablet"}).json()
    office.post("/sign-in", {"name": PASSWORD, "password": paper})
    office.post("/sign-in", {"name": "amina", "password": [PASSWORD]})
    office.post("/sign-in/code", {"ticket": begun["ticket"], "code": paper})
    office.client.get(f"{OFFICE}/{signed_in['token']}")

    def fail() -> NoReturn:
        raise RuntimeError(f"sealing failed for {begun['ticket']}")

    desk = replace(office.counter.container.sign_in_desk, sealer=fail)
    object.__setattr__(office.counter.container, "sign_in_desk", desk)
    failed = office.post("/sign-in", {"name": "amina", "password": PASSWORD})
    assert failed.status_code == 500
    secrets = [
        PASSWORD,
        paper,
        begun["secret"],
        begun["ticket"],
        signed_in["token"],
        signed_in["device_token"],
    ]
    places = capture.getvalue() + failed.text + office.client.get("/metrics").text
    assert "request_failed" in places
    assert [secret for secret in secrets if secret in places] == []


# --- the contract --------------------------------------------------------------------------------
def test_answers_fit_their_schemas(office: Office) -> None:
    document = office.client.get("/openapi.json").json()
    answers = {
        ("/sign-in/code", "post"): office.sign_in(),
        ("/account", "get"): office.as_amina("GET", "/account"),
        ("/sessions", "get"): office.as_amina("GET", "/sessions"),
        ("/recovery-codes", "post"): office.as_amina("POST", "/recovery-codes"),
        ("/operators", "get"): office.as_administrator("GET", "/operators"),
        ("/operators", "post"): office.as_administrator(
            "POST", "/operators", {"name": "brian", "person": "Brian Otieno"}
        ),
    }
    for (path, method), answer in answers.items():
        told = document["paths"][f"{OFFICE}{path}"][method]["responses"][str(answer.status_code)]
        schema = told["content"]["application/json"]["schema"]
        assert list_faults(answer.json(), schema, document) == [], path


def test_session_of_the_machine_s_own_shop_opens_the_same_office(office: Office) -> None:
    database, clock = office.counter.shop.database, office.clock
    operator = operator_named(database, clock, "amina")
    token = open_session_for(database, clock, operator).token
    headers = {"Authorization": f"Bearer {token}"}
    assert json.loads(office.client.get(f"{OFFICE}/account", headers=headers).content)["id"] == (
        str(operator.id)
    )
