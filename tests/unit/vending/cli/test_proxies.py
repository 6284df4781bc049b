"""Whose word counts for where a caller is."""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
import yaml
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.support.documents import ROOT
from vending.cli.service import server_config
from vending.settings import Settings

SPOOFED = "203.0.113.9"


async def tell_caller(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    client = Request(scope).client
    assert client is not None
    await PlainTextResponse(client.host)(scope, receive, send)


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    config = server_config(tell_caller, settings)
    config.port, config.lifespan = 0, "off"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def ask(url: str, forwarded_for: str) -> str:
    request = urllib.request.Request(url, headers={"X-Forwarded-For": forwarded_for})
    with urllib.request.urlopen(request) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize("trusted", ["127.0.0.1", "192.0.2.1,127.0.0.0/8", "127.0.0.1,::1"])
def test_address_that_a_trusted_proxy_tells_is_the_callers(trusted: str) -> None:
    with serving(Settings(trusted_proxies=trusted)) as url:
        assert ask(url, SPOOFED) == SPOOFED


def test_address_that_anybody_else_tells_counts_for_nothing() -> None:
    with serving(Settings(trusted_proxies="192.0.2.1")) as url:
        assert ask(url, SPOOFED) == "127.0.0.1"


def test_caller_behind_the_proxy_cannot_put_another_address_before_its_own() -> None:
    with serving(Settings(trusted_proxies="127.0.0.1")) as url:
        assert ask(url, f"{SPOOFED}, 198.51.100.7") == "198.51.100.7"


def test_environment_of_the_server_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with serving(Settings(trusted_proxies="192.0.2.1")) as url:
        assert ask(url, SPOOFED) == "127.0.0.1"


def test_containers_trust_the_network_of_the_proxy_alone() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    subnet = compose["networks"]["edge"]["ipam"]["config"][0]["subnet"]
    environment = compose["services"]["service"]["environment"]
    assert environment["VENDING_TRUSTED_PROXIES"] == subnet
    on_edge = {n for n, one in compose["services"].items() if "edge" in one.get("networks", [])}
    assert on_edge == {"proxy", "service"}
