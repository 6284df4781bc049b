"""What /openapi.json promises, held against what the API answers."""

from typing import Any

import pytest

from tests.support.api import SALES, Counter, problem
from tests.support.json_schema import list_faults, resolve
from vending.api.access import PUBLIC_ROUTES


@pytest.fixture
def document(sqlite_counter: Counter) -> dict[str, Any]:
    answer = sqlite_counter.client.get("/openapi.json")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def schema_of(document: dict[str, Any], path: str, method: str, status: int) -> dict[str, Any]:
    content = document["paths"][path][method]["responses"][str(status)]["content"]
    (media,) = content.values()
    schema: dict[str, Any] = media["schema"]
    return schema


def test_document_is_openapi_3_1_with_one_error_form(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (path, method)
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])


def test_every_route_needs_the_key_of_a_partner_or_a_session(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        scheme = "OperatorSession" if path.startswith("/v1/office/") else "PartnerKey"
        for method, operation in item.items():
            is_public = f"{method.upper()} {path}" in PUBLIC_ROUTES
            assert operation.get("security") == (None if is_public else [{scheme: []}])
            assert operation["description"]


def test_every_answer_fits_its_schema(counter: Counter) -> None:
    document = counter.client.get("/openapi.json").json()
    drn = counter.shop.meters[0].pan.iain
    quoted = counter.quote()
    sold = counter.sell("k-1", counter.body(quote_id=quoted.json()["id"]))
    again = counter.sell("k-2", counter.body(minor=7001))
    sale_id = sold.json()["id"]
    with_sale = "/v1/sales/{sale_id}"
    answers = [
        ("/v1/quotes", "post", quoted),
        (SALES, "post", sold),
        (SALES, "post", again),
        (SALES, "get", counter.get(SALES, params={"idempotency_key": "k-2"})),
        (with_sale, "get", counter.get(f"{SALES}/{sale_id}")),
        ("/v1/meters/{number}", "get", counter.get(f"/v1/meters/{drn}")),
        (
            f"{with_sale}/reprints",
            "post",
            counter.client.post(f"{SALES}/{sale_id}/reprints", headers=counter.headers()),
        ),
    ]
    for path, method, answer in answers:
        assert answer.status_code in {200, 201}
        assert answer.headers["content-type"] == "application/json"
        schema = schema_of(document, path, method, answer.status_code)
        assert list_faults(answer.json(), schema, document) == [], (path, method)


def test_every_problem_fits_its_schema(counter: Counter) -> None:
    document = counter.client.get("/openapi.json").json()
    schema = document["components"]["schemas"]["ProblemOut"]
    counter.sell("k-1")
    answers = [
        counter.sell("k-1", counter.body(minor=1)),
        counter.sell("k-2", counter.body(minor=1)),
        counter.sell("k-3", counter.body(terminal="")),
        counter.sell("k-4", {"meter": "01234567897", "tender": {"minor": 1, "currency": "KES"}}),
        counter.sell("k-5", {"meter": "1", "tender": {"minor": 1, "currency": "KES"}}),
        counter.sell("k-6", counter.body(minor=10**12)),
        counter.sell("k 7"),
        counter.send(SALES, b"{"),
        counter.client.get(SALES),
        counter.get("/nowhere"),
        counter.client.delete(SALES),
    ]
    for answer in answers:
        assert list_faults(problem(answer), schema, document) == []


def test_status_of_every_refusal_is_promised(counter: Counter) -> None:
    document = counter.client.get("/openapi.json").json()
    promised = document["paths"][SALES]["post"]["responses"]
    counter.sell("k-1")
    for answer in (
        counter.client.post(SALES, json=counter.body(), headers=counter.headers()),
        counter.client.post(SALES, json=counter.body()),
        counter.sell("k-1", counter.body(minor=9999)),
        counter.sell("k-2", {"meter": "47000000003", "tender": {"minor": 1, "currency": "KES"}}),
    ):
        assert str(answer.status_code) in promised


def test_value_that_is_no_json_fits_no_schema() -> None:
    assert list_faults(object(), {}, {}) == ["$: teach the validator object"]


# --- examples ------------------------------------------------------------------------------------
def leaves(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every property and parameter that holds a plain value the schema does not spell out."""
    found = [
        (f"{name}.{field}", schema)
        for name, model in document["components"]["schemas"].items()
        for field, schema in model.get("properties", {}).items()
    ]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", []):
                own = {**parameter["schema"]}
                if "example" in parameter or "examples" in parameter:
                    own["examples"] = parameter.get("examples") or [parameter["example"]]
                found.append((f"{method} {path} {parameter['name']}", own))
    return [(name, schema) for name, schema in found if is_leaf(schema)]


def is_leaf(schema: dict[str, Any]) -> bool:
    if "anyOf" in schema:
        return all(is_leaf(one) for one in schema["anyOf"] if one != {"type": "null"})
    if "$ref" in schema or "const" in schema or "enum" in schema:
        return False
    is_container = schema["type"] == "object" or "$ref" in schema.get("items", {})
    return schema["type"] != "boolean" and not is_container


def test_every_plain_field_has_an_example(document: dict[str, Any]) -> None:
    assert [name for name, schema in leaves(document) if not schema.get("examples")] == []


def test_every_example_fits_its_field(document: dict[str, Any]) -> None:
    for name, schema in leaves(document):
        for example in schema.get("examples", []):
            assert list_faults(example, schema, document) == [], name


def test_request_made_of_the_examples_is_taken(sqlite_counter: Counter) -> None:
    document = sqlite_counter.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    body = made_of_examples(schemas["SaleIn"], document)
    assert isinstance(body, dict)
    body["meter"] = sqlite_counter.shop.meters[0].pan.iain
    del body["quote_id"]
    assert sqlite_counter.sell("k-1", body).status_code == 201


def made_of_examples(schema: dict[str, Any], document: dict[str, Any]) -> object:
    whole = dict(resolve(schema, document))
    if "examples" in whole:
        return whole["examples"][0]
    if "anyOf" in whole:
        return None
    return {name: made_of_examples(inner, document) for name, inner in whole["properties"].items()}
