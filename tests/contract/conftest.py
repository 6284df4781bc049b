"""Every security module, running; a new one joins `MODULES` and `running`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from meter_drivers.transports.port import SystemTimer
from tests.support.attached_module import attached_bench
from tests.support.slow_security_module import SlowSecurityModule
from tests.support.softhsm import SoftHSM
from tests.support.vending_keys import store_in_memory
from vending.keystore.guarded import GuardedSecurityModule
from vending.keystore.pkcs11 import PKCS11Token
from vending.keystore.port import SecurityModule
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore
from vending.keystore.token_module import PKCS11SecurityModule

MODULES = ("software", "software, slow", "pkcs11", "attached", "attached and guarded")


@dataclass(frozen=True)
class Stores:
    """The published keys, in a store of their own and in a token."""

    software: OpenKeyStore
    in_token: OpenKeyStore
    token: PKCS11Token


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, softhsm: SoftHSM) -> Stores:
    token = softhsm.token()
    return Stores(
        software=store_in_memory(tmp_path_factory.mktemp("store")),
        in_token=store_in_memory(tmp_path_factory.mktemp("store"), keeper=token.store_key),
        token=token,
    )


@contextmanager
def running(name: str, stores: Stores, *, demo_allowed: bool) -> Iterator[SecurityModule]:
    software = SoftwareSecurityModule(stores.software, demo_allowed=demo_allowed)
    match name:
        case "software":
            yield software
        case "software, slow":
            yield SlowSecurityModule(software)
        case "pkcs11":
            yield PKCS11SecurityModule(stores.in_token, stores.token, demo_allowed=demo_allowed)
        case _:
            with attached_bench(demo_allowed=demo_allowed) as bench:
                guarded = GuardedSecurityModule(bench.module, now_s=SystemTimer().now_s)
                yield bench.module if name == "attached" else guarded


@pytest.fixture(params=MODULES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def module(name: str, stores: Stores) -> Iterator[SecurityModule]:
    with running(name, stores, demo_allowed=False) as module:
        yield module


@pytest.fixture
def demo_module(name: str, stores: Stores) -> Iterator[SecurityModule]:
    with running(name, stores, demo_allowed=True) as module:
        yield module
