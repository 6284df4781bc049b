import asyncio
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from httpx2 import Headers, Response

from tests.support.api import SALES, Counter, problem
from vending.api.recent_proofs import REMEMBERED_S
from vending.api.sales import _vend
from vending.commands.model import CommandKind, NewCommand
from vending.commands.service import queue_commands
from vending.partners.service import revoke_api_key
from vending.partners.tables import partners
from vending.sales.model import Answer, VendOutcome, VendRequest
from vending.sales.service.lane import LANE_QUEUE_MAX
from vending.sales.service.vend import vend_soon
from vending.values.actor import SYSTEM
from vending.values.identifiers import IdempotencyKey, SaleId
from vending.values.money import Currency, Money

UNKNOWN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def test_sale_is_answered_once_and_repeated_byte_for_byte(counter: Counter) -> None:
    first = counter.sell("k-1")
    again = counter.sell("k-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(first.json()["tokens"][0]["digits"]) == 20


def test_refusal_that_will_not_change_is_repeated_byte_for_byte(counter: Counter) -> None:
    first = counter.sell("k-1", counter.body(minor=1))
    again = counter.sell("k-1", counter.body(minor=1))
    assert problem(first)["code"] == "amount_too_low"
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "change",
    [{"minor": 5001}, {"meter": 1}, {"terminal": "T-1"}, {"operator": "O-1"}],
    ids=lambda change: next(iter(change)),
)
def test_key_with_another_body_is_refused_and_the_first_answer_stays(
    counter: Counter, change: dict[str, Any]
) -> None:
    first = counter.sell("k-1")
    other = counter.sell("k-1", counter.body(**change))
    assert problem(other)["code"] == "idempotency_key_reused"
    assert counter.sell("k-1").content == first.content


def test_quote_is_sold_under_its_id(counter: Counter) -> None:
    quoted = counter.quote()
    assert quoted.status_code == 201
    sold = counter.sell("k-1", counter.body(quote_id=quoted.json()["id"]))
    assert sold.status_code == 201
    assert sold.json()["lines"] == quoted.json()["lines"]


def test_blanks_in_a_meter_number_do_not_make_another_request(counter: Counter) -> None:
    sold = counter.sell("k-1")
    drn = counter.shop.meters[0].pan.iain
    spaced = counter.sell("k-1", counter.body() | {"meter": f"{drn[:4]} {drn[4:8]}-{drn[8:]}"})
    assert spaced.content == sold.content
    assert spaced.headers["idempotency-replayed"] == "true"


def test_sale_is_found_by_its_key_after_the_answer_was_lost(counter: Counter) -> None:
    sold = counter.sell("k-1").json()
    by_key = counter.get(SALES, params={"idempotency_key": "k-1"}).json()
    by_id = counter.get(f"{SALES}/{sold['id']}").json()
    assert by_key == by_id
    assert by_key["sale"] == sold
    assert by_key["state"] == "released"
    assert by_key["delivery"] is None


def test_status_tells_how_far_the_token_has_come(counter: Counter) -> None:
    sold = counter.sell("k-1").json()
    order = NewCommand(
        kind=CommandKind.DISCONNECT,
        meter_id=counter.shop.meters[0].id,
        dedupe_key="d",
        reason="r",
        requested_by="test",
        sale_id=SaleId(uuid.UUID(sold["id"])),
    )
    with counter.shop.database.unit_of_work() as uow:
        queue_commands(uow.connection, [order], counter.shop.clock)
        uow.commit()
    told = counter.get(f"{SALES}/{sold['id']}").json()
    assert told["delivery"] == {"state": "queued", "result_code": None, "attempts": 0}


def test_reprint_is_the_same_token_marked_as_a_copy(counter: Counter) -> None:
    sold = counter.sell("k-1").json()
    path = f"{SALES}/{sold['id']}/reprints"
    copy = counter.client.post(path, headers=counter.headers())
    assert copy.status_code == 200
    assert copy.json()["copy"] is True
    assert copy.json()["tokens"] == sold["tokens"]


def test_meter_is_confirmed_with_its_customer_masked(counter: Counter) -> None:
    meter = counter.shop.meters[0]
    shown = counter.get(f"/v1/meters/{meter.pan.iain}").json()
    assert shown["pan"] == meter.pan.digits
    assert shown["can_vend"] is True
    assert shown["customer"] is not None
    assert "Amina" not in shown["customer"]


def test_unknown_query_parameter_changes_nothing(counter: Counter) -> None:
    sold = counter.sell("k-1").json()
    answer = counter.get(f"{SALES}/{sold['id']}", params={"partner_id": UNKNOWN_ID})
    assert answer.json()["sale"] == sold


# --- who may ask ---------------------------------------------------------------------------------
def routes(counter: Counter, sale_id: str) -> list[tuple[str, str, dict[str, Any]]]:
    meter = counter.shop.meters[0].pan.iain
    return [
        ("GET", f"/v1/meters/{meter}", {}),
        ("POST", "/v1/quotes", {"json": counter.body()}),
        ("POST", SALES, {"json": counter.body(), "headers": {"Idempotency-Key": "k-9"}}),
        ("GET", f"{SALES}/{sale_id}", {}),
        ("GET", SALES, {"params": {"idempotency_key": "k-1"}}),
        ("POST", f"{SALES}/{sale_id}/reprints", {}),
    ]


def ask(
    counter: Counter, route: tuple[str, str, dict[str, Any]], authorization: str | None
) -> Response:
    method, path, more = route
    headers = dict(more.get("headers", {}))
    if authorization is not None:
        headers["Authorization"] = authorization.encode("latin-1")
    return counter.client.request(method, path, **{**more, "headers": headers})


def test_every_route_is_in_the_matrix_of_callers(sqlite_counter: Counter) -> None:
    listed = {
        (method.upper(), path.replace("{number}", "M").replace("{sale_id}", "S"))
        for path, item in sqlite_counter.app.openapi()["paths"].items()
        for method in item
        if not path.startswith("/v1/office/")  # routes of operators have a matrix of their own
    }
    meter = sqlite_counter.shop.meters[0].pan.iain
    asked = {(m, p.replace(meter, "M")) for m, p, _ in routes(sqlite_counter, "S")}
    assert listed == asked


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer ", "Basic cGs6cGs=", "Bearer pk_000000000000_00", "Bearer x y",
        "Bearer pk_\u00e9", "Bearer " + "p" * 4000,
    ],
)  # fmt: skip
def test_caller_without_a_valid_key_is_told_nothing(
    sqlite_counter: Counter, authorization: str | None
) -> None:
    sale_id = sqlite_counter.sell("k-1").json()["id"]
    for route in routes(sqlite_counter, sale_id):
        answer = ask(sqlite_counter, route, authorization)
        assert answer.status_code == 401, route
        assert problem(answer)["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_wrong_secret_under_a_right_prefix_is_the_same_refusal(counter: Counter) -> None:
    key = counter.shop.api_key
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    for route in routes(counter, UNKNOWN_ID):
        assert problem(ask(counter, route, f"Bearer {wrong}"))["code"] == "unauthenticated"


def test_revoked_key_is_refused_everywhere(counter: Counter) -> None:
    sale_id = counter.sell("k-1").json()["id"]
    prefix = counter.shop.api_key.split("_")[1]
    revoke_api_key(counter.shop.database, prefix, by=SYSTEM, clock=counter.shop.clock)
    counter.shop.clock.advance(timedelta(seconds=REMEMBERED_S))
    for route in routes(counter, sale_id):
        answer = ask(counter, route, f"Bearer {counter.shop.api_key}")
        assert problem(answer)["code"] == "unauthenticated", route


def test_suspended_partner_is_refused_everywhere(counter: Counter) -> None:
    sale_id = counter.sell("k-1").json()["id"]
    with counter.shop.database.unit_of_work() as uow:
        uow.connection.execute(partners.update().values(status="suspended"))
        uow.commit()
    counter.shop.clock.advance(timedelta(seconds=REMEMBERED_S))
    for route in routes(counter, sale_id):
        answer = ask(counter, route, f"Bearer {counter.shop.api_key}")
        assert (answer.status_code, problem(answer)["code"]) == (403, "partner_suspended"), route


def test_sale_of_another_partner_does_not_exist(counter: Counter) -> None:
    sale_id = counter.sell("k-1").json()["id"]
    rival = f"Bearer {counter.rival_key()}"
    for route in routes(counter, sale_id)[3:]:
        foreign = ask(counter, route, rival)
        assert (foreign.status_code, problem(foreign)["code"]) == (404, "sale_not_found"), route
    missing = [ask(counter, route, rival) for route in routes(counter, UNKNOWN_ID)[3:]]
    assert {answer.status_code for answer in missing} == {404}


def test_key_of_another_partner_is_a_key_of_its_own(counter: Counter) -> None:
    first = counter.sell("k-1").json()
    theirs = counter.client.post(
        SALES, json=counter.body(), headers=counter.headers(key="k-1", api_key=counter.rival_key())
    )
    assert theirs.status_code == 201
    assert theirs.json()["id"] != first["id"]


def test_quote_of_another_partner_cannot_be_sold(counter: Counter) -> None:
    quote_id = counter.quote().json()["id"]
    rival = counter.headers(key="k-1", api_key=counter.rival_key())
    answer = counter.client.post(SALES, json=counter.body(quote_id=quote_id), headers=rival)
    assert problem(answer)["code"] == "quote_not_found"


# --- the idempotency key -------------------------------------------------------------------------
def test_sale_without_a_key_is_refused(sqlite_counter: Counter) -> None:
    answer = sqlite_counter.client.post(
        SALES, json=sqlite_counter.body(), headers=sqlite_counter.headers()
    )
    assert (answer.status_code, problem(answer)["code"]) == (400, "idempotency_key_missing")


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", "k" * 256, "\u00e9"])
def test_key_of_another_form_is_refused(sqlite_counter: Counter, key: str) -> None:
    headers = Headers(sqlite_counter.headers(key=key), encoding="latin-1")
    answer = sqlite_counter.client.post(SALES, json=sqlite_counter.body(), headers=headers)
    assert (answer.status_code, problem(answer)["code"]) == (400, "idempotency_key_invalid")


def test_longest_key_is_taken(sqlite_counter: Counter) -> None:
    assert sqlite_counter.sell("k" * 255).status_code == 201


def test_repeat_meanwhile_is_told_so_and_the_answer_follows(counter: Counter) -> None:
    begun, go_on = threading.Event(), threading.Event()
    draw = counter.shop.desk.draw_rnd

    def slow_draw() -> int:
        begun.set()
        assert go_on.wait(100)
        return draw()

    object.__setattr__(counter.container.desk, "draw_rnd", slow_draw)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(counter.sell, "k-1")
        assert begun.wait(100)
        meanwhile = counter.sell("k-1")
        looked_up = counter.client.get(f"{SALES}?idempotency_key=k-1", headers=counter.headers())
        go_on.set()
        answered = first.result()
    assert problem(looked_up)["code"] == "sale_in_flight"
    refusal = problem(meanwhile)
    assert (meanwhile.status_code, refusal["code"]) == (409, "sale_in_flight")
    assert refusal["retryable"] is True
    assert meanwhile.headers["retry-after"] == "1"
    assert answered.status_code == 201
    assert counter.sell("k-1").content == answered.content


def test_many_repeats_at_once_make_one_sale(counter: Counter) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: counter.sell("k-1"), range(16)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1


def test_full_lane_refuses_at_once_and_the_same_key_sells_later(sqlite_counter: Counter) -> None:
    lane, begun, go = sqlite_counter.container.desk.lane, threading.Event(), threading.Event()

    def hold(requests: Sequence[VendRequest]) -> list[VendOutcome]:
        begun.set()
        assert go.wait(100)
        return [Answer(500, b"") for _ in requests]

    request = VendRequest(
        sqlite_counter.shop.partner.id, IdempotencyKey("held"), "1", Money(1, Currency("KES"))
    )
    held = lane.submit([request], hold)
    assert begun.wait(100)
    filling = lane.submit([request] * LANE_QUEUE_MAX, hold)
    refused = sqlite_counter.sell("k-1")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert problem(refused)["code"] == "lane_full"
    assert problem(refused)["outcome"] == "none"
    go.set()
    held.result(100)
    filling.result(100)
    sold = sqlite_counter.sell("k-1")
    assert sold.status_code == 201
    assert "idempotency-replayed" not in sold.headers


async def _give_up(counter: Counter, request: VendRequest) -> None:
    """Ask for a sale and be cancelled while it waits, as at the forced end of a server."""
    task = asyncio.create_task(_vend(request, counter.container.desk))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_sale_goes_on_when_nobody_waits_for_it_any_more(counter: Counter) -> None:
    desk, begun, go_on = counter.container.desk, threading.Event(), threading.Event()
    draw = desk.draw_rnd

    def slow_draw() -> int:
        begun.set()
        assert go_on.wait(100)
        return draw()

    object.__setattr__(desk, "draw_rnd", slow_draw)
    body = counter.body()
    tender = Money(body["tender"]["minor"], Currency("KES"))
    request = VendRequest(counter.shop.partner.id, IdempotencyKey("k-1"), body["meter"], tender)
    vend_soon([replace(request, key=IdempotencyKey("before"))], desk)
    assert begun.wait(100)
    asyncio.run(_give_up(counter, request))
    after = vend_soon([replace(request, key=IdempotencyKey("after"))], desk)
    go_on.set()
    after.result(100)
    answer = counter.sell("k-1")
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (201, "true")
