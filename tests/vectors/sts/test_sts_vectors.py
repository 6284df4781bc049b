"""Every vector through the product, and through the second implementation."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.vectors.sts import naive_sts
from vending.sts import DecoderKey, EncryptionAlgorithm, Rejection, decode
from vending.sts.conformance import check_document, check_vector

HERE = Path(__file__).parent
TOKEN_FILES = ("published.json", "leaflet.json", "ours.json")


def load(name: str) -> list[dict[str, Any]]:
    document = json.loads((HERE / name).read_text(encoding="utf-8"))
    assert document["source"]
    return list(document["vectors"])


TOKENS = [vector for name in TOKEN_FILES for vector in load(name)]
REFUSALS = load("refusals.json")


@pytest.mark.parametrize("vector", TOKENS, ids=lambda v: v["id"])
def test_vector_encodes_and_decodes(vector: dict[str, Any]) -> None:
    outcome = check_vector(vector)
    assert outcome.passed, outcome.message
    assert outcome.got == outcome.expected


@pytest.mark.parametrize("vector", TOKENS, ids=lambda v: v["id"])
def test_second_implementation_agrees(vector: dict[str, Any]) -> None:
    expected = vector["tokens"] if "tokens" in vector else [vector["token"]]
    assert naive_sts.encode_vector(vector) == expected


@pytest.mark.parametrize("vector", REFUSALS, ids=lambda v: v["id"])
def test_refused_digits_give_the_standards_result(vector: dict[str, Any]) -> None:
    key = DecoderKey(bytes.fromhex(vector["decoder_key"]), EncryptionAlgorithm(vector["ea"]))
    answer = decode(vector["digits"], key)
    assert isinstance(answer, Rejection)
    assert answer.result == vector["expect"]


def test_vectors_have_ids_of_their_own_and_name_their_clause() -> None:
    vectors = TOKENS + REFUSALS
    assert len({vector["id"] for vector in vectors}) == len(vectors)
    assert all(vector["clause"] for vector in vectors)


def test_whole_published_file_passes() -> None:
    document = json.loads((HERE / "published.json").read_text(encoding="utf-8"))
    outcomes = list(check_document(document))
    assert len(outcomes) == 42
    assert all(outcome.passed for outcome in outcomes)


def test_every_token_kind_has_a_vector() -> None:
    subclasses = {(v["kind"], v["subclass"]) for v in TOKENS if "subclass" in v}
    assert {("credit", n) for n in range(4)} <= subclasses
    assert {("currency", n) for n in range(4, 8)} <= subclasses
    assert {("management", n) for n in (0, 1, 2, 5, 6, 7, 10)} <= subclasses
    assert {("class1", n) for n in (0, 1)} <= subclasses
    sections = {len(v["tokens"]) for v in TOKENS if v["kind"] == "key_change"}
    assert sections == {2, 4}
