"""Bodies of every wrong kind: each is answered with a problem document and never with a 5xx."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response

from tests.support.api import QUOTES, SALES, Counter, problem
from vending.api.errors import FIELDS_REPORTED_MAX
from vending.api.middleware import BODY_BYTES_MAX

ANY_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 0.1, -0.0, 1e308, 10**12, 10**12 + 1, 10**30, -(10**30),
    "", " ", "0", "1", "-1", "1.5", "5000", "NaN", "\x00", "a\x00b", "\u0660\u0661\u0662",
    "\uff10\uff11", "\u202e", "\ud800", "\U0001f4a1", "x" * 300, "' OR 1=1 --", "{{7*7}}",
    "../../etc/passwd", "KES", "kes", "XXX", "ZZZ", "KESS",
    [], [1], ["KES"], {}, {"minor": 1}, [[[]]],
)  # fmt: skip
FIELDS = (
    ("meter",), ("tender",), ("tender", "minor"), ("tender", "currency"), ("quote_id",),
    ("terminal",), ("operator",),
)  # fmt: skip


def mutations(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field in turn with each value, left out, and with a stranger beside it."""
    for path in FIELDS:
        name = ".".join(path)
        for value in ANY_VALUES:
            yield f"{name} = {value!r:.40}", changed(body, path, value)
        if path[-1] in parent_of(body, path):
            without = copy.deepcopy(body)
            del parent_of(without, path)[path[-1]]
            yield f"without {name}", without
        yield f"stranger beside {name}", changed(body, (*path[:-1], "stranger"), 1)
        yield f"{name} in capitals", changed(body, (*path[:-1], path[-1].upper()), 1)
    yield "surrogate as a name", changed(body, ("\ud800" * 300,), 1)


def parent_of(body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path[:-1]:
        body = body[name]
    return body


def changed(body: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    other = copy.deepcopy(body)
    parent_of(other, path)[path[-1]] = value
    return other


ACCEPTED = {
    f"{name} = {value!r:.40}"
    for name, values in {
        "tender.minor": (10**12,),
        "tender.currency": ("KES",),
        "quote_id": (None,),
        "terminal": (None, " ", "0", "1", "-1", "1.5", "5000", "NaN", "' OR 1=1 --", "{{7*7}}",
                     "../../etc/passwd", "KES", "kes", "XXX", "ZZZ", "KESS"),
    }.items()
    for value in values
}  # fmt: skip
ACCEPTED |= {name.replace("terminal", "operator") for name in ACCEPTED}


@pytest.mark.parametrize("path", [SALES, QUOTES])
def test_mutated_body_is_a_problem_of_the_caller(counter: Counter, path: str) -> None:
    seen = set()
    for name, body in mutations(counter.body()):
        answer = counter.send(path, json.dumps(body).encode())
        seen.add(answer.status_code)
        if answer.status_code < 300:
            assert name in ACCEPTED, name
            continue
        document = problem(answer)
        assert answer.status_code in {400, 404, 422}, (name, document)
        assert document["outcome"] == "none", name
        assert document["code"] != "internal_error", name
    assert {201, 422} <= seen


def test_field_at_fault_is_named(sqlite_counter: Counter) -> None:
    body = sqlite_counter.body(terminal="", stranger=1)
    body["tender"]["minor"] = 1.5
    document = problem(sqlite_counter.sell("k-1", body))
    named = {fault["field"] for fault in document["errors"]}
    assert named == {"terminal", "stranger", "tender.minor"}
    assert document["facts"] == {"count": 3}


def test_only_the_first_faults_are_told_and_long_names_cut(sqlite_counter: Counter) -> None:
    strangers = {f"{number:04}{'x' * 300}": 1 for number in range(100)}
    document = problem(sqlite_counter.sell("k-1", sqlite_counter.body(**strangers)))
    assert len(document["errors"]) == FIELDS_REPORTED_MAX
    assert max(len(fault["field"]) for fault in document["errors"]) == 100


GOOD = b'{"meter": "1", "tender": {"minor": 1, "currency": "KES"}}'


@pytest.mark.parametrize(
    "content",
    [
        b"{", b"not json", b"\xff\xfe", b'{"meter": "\xff"}', b"\xef\xbb\xbf{}",
        '{"meter": "1"}'.encode("utf-16"), GOOD + b"{}", GOOD + b"\x00",
        b"[" * 10_000, b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"tender": {"minor": NaN}}', b'{"tender": {"minor": Infinity}}', b"-Infinity",
        b'{"tender": {"minor": ' + b"9" * 5_000 + b"}}",
        b'{"meter": "1", "meter": "2"}', b'{"tender": {"minor": 1, "minor": 2}}',
        b"{'meter': '1'}", b'{"meter": "1",}', b'{"meter": "\n"}',
    ],
    ids=lambda content: repr(content[:24]),
)  # fmt: skip
def test_body_that_is_no_json_is_malformed(sqlite_counter: Counter, content: bytes) -> None:
    answer = sqlite_counter.send(SALES, content)
    assert (answer.status_code, problem(answer)["code"]) == (400, "request_malformed")


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'"text"', b"1", b"true", b"{}"])
def test_json_that_is_no_request_is_invalid(sqlite_counter: Counter, content: bytes) -> None:
    answer = sqlite_counter.send(SALES, content)
    assert (answer.status_code, problem(answer)["code"]) == (422, "request_invalid")


@pytest.mark.parametrize(
    "content_type",
    [
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "application/xml", "application/json; charset=latin-1", "application/jsonp", "json",
    ],
)  # fmt: skip
def test_other_content_types_are_refused(sqlite_counter: Counter, content_type: str) -> None:
    content = json.dumps(sqlite_counter.body()).encode()
    answer = sqlite_counter.send(SALES, content, headers={"Content-Type": content_type})
    assert (answer.status_code, problem(answer)["code"]) == (400, "request_malformed")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json;charset=UTF-8",
     'application/json; charset="utf-8"'],
)  # fmt: skip
def test_content_type_of_json_is_taken_in_every_spelling(
    sqlite_counter: Counter, content_type: str
) -> None:
    content = json.dumps(sqlite_counter.body()).encode()
    answer = sqlite_counter.send(SALES, content, headers={"Content-Type": content_type})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "number", ["1", "0123456789", "x", "01234567890123456789", "%00", "..%2f..", "%F0%9F%92%A1",
               "1" * 41, "' OR 1=1", "\u0660" * 11],
)  # fmt: skip
def test_meter_number_in_the_path_is_refused(sqlite_counter: Counter, number: str) -> None:
    answer = sqlite_counter.get(f"/v1/meters/{number}")
    assert answer.status_code in {404, 422}
    assert problem(answer)["outcome"] == "none"


@pytest.mark.parametrize("sale_id", ["1", "not-a-uuid", "%00", "x" * 3000])
def test_sale_id_in_the_path_is_refused(sqlite_counter: Counter, sale_id: str) -> None:
    answer = sqlite_counter.get(f"{SALES}/{sale_id}")
    assert (answer.status_code, problem(answer)["code"]) == (422, "request_invalid")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"idempotency_key": ""},
        {"idempotency_key": "a b"},
        {"idempotency_key": "k" * 256},
        {"Idempotency-Key": "k"},
    ],
)
def test_search_without_a_usable_key_is_refused(
    sqlite_counter: Counter, params: dict[str, str]
) -> None:
    answer = sqlite_counter.get(SALES, params=params)
    assert (answer.status_code, problem(answer)["code"]) == (422, "request_invalid")


# --- size ----------------------------------------------------------------------------------------
def padded(counter: Counter, size: int) -> bytes:
    content = json.dumps(counter.body()).encode()
    return content + b" " * (size - len(content))


def in_chunks(content: bytes, size: int = 10_000) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
def test_body_at_the_limit_is_taken_and_one_byte_more_refused(
    sqlite_counter: Counter, *, is_chunked: bool
) -> None:
    def send(size: int) -> Response:
        content = padded(sqlite_counter, size)
        return sqlite_counter.client.post(
            SALES,
            content=in_chunks(content) if is_chunked else content,
            headers={"Content-Type": "application/json", **sqlite_counter.headers(key=f"k-{size}")},
        )

    assert send(BODY_BYTES_MAX).status_code == 201
    refused = send(BODY_BYTES_MAX + 1)
    assert (refused.status_code, problem(refused)["code"]) == (413, "request_too_large")
    assert refused.headers["connection"] == "close"


def test_size_is_refused_before_the_key_is_looked_at(sqlite_counter: Counter) -> None:
    answer = sqlite_counter.client.post(SALES, content=b"x" * (BODY_BYTES_MAX + 1))
    assert answer.status_code == 413
