import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vending.partners.errors import UnauthenticatedError
from vending.partners.model import IssuedAPIKey
from vending.partners.rules import check_api_key, make_api_key, parse_prefix
from vending.values.identifiers import PartnerId

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
PARTNER = PartnerId(UUID(int=1))


@pytest.fixture
def issued() -> IssuedAPIKey:
    return make_api_key(PARTNER, prefix=bytes(6), secret=bytes(range(32)), created_at=START)


def test_a_key_has_a_prefix_and_a_secret(issued: IssuedAPIKey) -> None:
    assert issued.secret_text == f"pk_{'00' * 6}_{bytes(range(32)).hex()}"
    assert issued.key.prefix == "000000000000"
    assert issued.key.last_four == "1e1f"
    assert parse_prefix(issued.secret_text) == issued.key.prefix


def test_only_the_digest_is_kept(issued: IssuedAPIKey) -> None:
    assert issued.key.digest == hashlib.sha256(issued.secret_text.encode()).digest()
    assert bytes(range(32)).hex() not in repr(issued)
    assert issued.key.digest.hex() not in repr(issued.key)


@pytest.mark.parametrize(("prefix", "secret"), [(bytes(5), bytes(32)), (bytes(6), bytes(16))])
def test_a_key_of_too_few_bytes_is_our_own_fault(prefix: bytes, secret: bytes) -> None:
    with pytest.raises(AssertionError):
        make_api_key(PARTNER, prefix=prefix, secret=secret, created_at=START)


def test_the_right_key_opens(issued: IssuedAPIKey) -> None:
    assert check_api_key(issued.secret_text, issued.key, START) is issued.key


def test_a_key_opens_until_it_is_revoked(issued: IssuedAPIKey) -> None:
    revoked = replace(issued.key, revoked_at=START + timedelta(hours=1))
    text = issued.secret_text
    assert check_api_key(text, revoked, START + timedelta(minutes=59)) is revoked
    with pytest.raises(UnauthenticatedError):
        check_api_key(text, revoked, START + timedelta(hours=1))


def test_a_wrong_secret_and_an_unknown_prefix_look_alike(issued: IssuedAPIKey) -> None:
    wrong = f"{issued.secret_text[:-1]}0"
    with pytest.raises(UnauthenticatedError) as of_wrong:
        check_api_key(wrong, issued.key, START)
    with pytest.raises(UnauthenticatedError) as of_unknown:
        check_api_key(issued.secret_text, None, START)
    assert of_wrong.value.problem() == of_unknown.value.problem()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pk_000000000000_",
        "sk_000000000000_" + "0" * 64,
        "pk_000000000000_" + "0" * 63,
        "pk_000000000000_" + "0" * 64 + "\n",
        "pk_00000000000G_" + "0" * 64,
        "pk_000000000000_" + "\u0660" * 64,
    ],
)
def test_what_has_not_the_form_of_a_key_is_refused(text: str) -> None:
    with pytest.raises(UnauthenticatedError, match="the API key is not valid"):
        parse_prefix(text)
