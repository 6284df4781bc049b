"""The API over a shop with a real key store, as a partner sees it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.support.key_store_place import KeyStorePlace
from tests.support.partners import add_unlimited_partner, issue_key
from tests.support.shop import Shop, build_desk, build_shop
from tests.support.vending_keys import DUTK_2014
from vending.app import create_app
from vending.bootstrap import Container
from vending.keystore.following import KeyStoreFollower
from vending.keystore.software import SoftwareSecurityModule
from vending.persistence.engine import Database
from vending.values.clock import FixedClock

SALES = "/v1/sales"
QUOTES = "/v1/quotes"


@dataclass
class Counter:
    """A partner's side of the API: what it sends, and what stands behind."""

    shop: Shop
    place: KeyStorePlace
    container: Container
    app: FastAPI
    client: TestClient

    def headers(self, *, key: str | None = None, api_key: str | None = None) -> dict[str, str]:
        told = {"Authorization": f"Bearer {api_key or self.shop.api_key}"}
        return told if key is None else {**told, "Idempotency-Key": key}

    def body(self, *, minor: int = 5000, meter: int = 0, **more: object) -> dict[str, Any]:
        drn = self.shop.meters[meter].pan.iain
        return {"meter": drn, "tender": {"minor": minor, "currency": "KES"}, **more}

    def sell(
        self,
        key: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        told = {**self.headers(key=key), **(headers or {})}
        return self.client.post(SALES, json=body or self.body(), headers=told)

    def quote(self, body: Mapping[str, Any] | None = None) -> Response:
        return self.client.post(QUOTES, json=body or self.body(), headers=self.headers())

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Response:
        return self.client.get(path, headers=self.headers(), params=params)

    def send(
        self, path: str, content: bytes, *, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send bytes as they are; the key is taken from the bytes, so that none repeats."""
        told = {"Content-Type": "application/json", **self.headers(key=f"k-{hash(content)}")}
        return self.client.post(path, content=content, headers={**told, **(headers or {})})

    def rival_key(self, name: str = "Rival Kiosk") -> str:
        """The API key of another partner."""
        database, clock = self.shop.database, self.shop.clock
        rival = add_unlimited_partner(database, name, self.shop.partner.currency, clock=clock)
        return issue_key(database, rival.id, clock=clock).secret_text


@contextmanager
def open_counter(database: Database, clock: FixedClock, folder: Path) -> Iterator[Counter]:
    shop = build_shop(database, clock, folder)
    home = folder / "keys"
    home.mkdir()
    place = KeyStorePlace(database, home, clock)
    store = place.take_in(place.create(), DUTK_2014)
    shop = replace(shop, store=store, desk=build_desk(database, clock, store))
    module = shop.desk.security_module
    assert isinstance(module, SoftwareSecurityModule)
    container = replace(
        shop.container(), key_store=KeyStoreFollower(database, store, use=module.use)
    )
    app = create_app(container)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Counter(shop, place, container, app, client)


def problem(answer: Response) -> dict[str, Any]:
    """The problem document of an answer, seen to be one."""
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(answer.content)
    assert document["status"] == answer.status_code
    assert document["type"] == f"urn:prepaid-vending:problem:{document['code']}"
    return document
