import uuid

import pytest

from vending.persistence.idempotency import Claim
from vending.values.identifiers import IdempotencyKey, PartnerId

PARTNER = PartnerId(uuid.UUID(int=1))


@pytest.mark.parametrize("key", ["a", "k" * 255])
def test_claim_takes_a_key_of_1_to_255_characters(key: str) -> None:
    assert Claim(PARTNER, IdempotencyKey(key), bytes(32)).key == key


@pytest.mark.parametrize(
    ("key", "fingerprint"), [("", bytes(32)), ("k" * 256, bytes(32)), ("a", bytes(31))]
)
def test_claim_refuses_what_the_edge_should_have(key: str, fingerprint: bytes) -> None:
    with pytest.raises(AssertionError):
        Claim(PARTNER, IdempotencyKey(key), fingerprint)
