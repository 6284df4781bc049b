from collections.abc import Callable
from pathlib import Path

import pytest

from meter_drivers.protocols.modbus.credit import SiteKey
from simulators.clock import StillClock
from simulators.fleet_file import FleetPlan, parse_fleet
from simulators.meter import MeterState, start_meter
from simulators.prepaid_meter import PrepaidMeter
from simulators.token_acceptor import AcceptorState, KeyState, MeterKind
from vending.sts import (
    DRN,
    SGC,
    TI,
    DecoderKey,
    EncryptionAlgorithm,
    KeyType,
    Resource,
    Token,
    TokenIdentifier,
    TransferCredit,
    encode,
)


@pytest.fixture
def decoder_key() -> DecoderKey:
    return DecoderKey(bytes.fromhex("0123456789abcdef"), EncryptionAlgorithm.STA)


@pytest.fixture
def misty_key() -> DecoderKey:
    return DecoderKey(bytes(range(16)), EncryptionAlgorithm.MISTY1)


@pytest.fixture
def make_acceptor(decoder_key: DecoderKey) -> Callable[..., AcceptorState]:
    def make(
        *,
        kt: KeyType = KeyType.DUTK,
        ken: int = 255,
        kind: MeterKind | None = None,
        key: DecoderKey | None = None,
        tids: tuple[int, ...] = (),
    ) -> AcceptorState:
        keys = KeyState(key or decoder_key, SGC("123456"), kt, krn=1, ken=ken, ti=TI("01"))
        return AcceptorState(kind or MeterKind(), keys, tids=tids)

    return make


@pytest.fixture
def acceptor(make_acceptor: Callable[..., AcceptorState]) -> AcceptorState:
    return make_acceptor()


@pytest.fixture
def credit(decoder_key: DecoderKey) -> Callable[..., str]:
    def make(tid: int, units: int = 100, resource: Resource = Resource.ELECTRICITY) -> str:
        token = TransferCredit(resource=resource, rnd=5, tid=TokenIdentifier(tid), units=units)
        return encode(token, decoder_key)

    return make


@pytest.fixture
def digits_of(decoder_key: DecoderKey) -> Callable[[Token], str]:
    return lambda token: encode(token, decoder_key)


@pytest.fixture
def site_key() -> SiteKey:
    return SiteKey(bytes(range(32)))


@pytest.fixture
def electric() -> MeterState:
    return start_meter(at_ms=0, credit_wh=10_000)


@pytest.fixture
def meter(electric: MeterState, acceptor: AcceptorState, site_key: SiteKey) -> PrepaidMeter:
    return PrepaidMeter(DRN("01234567897"), electric, acceptor, site_key)


FLEET_TEXT = """
format = 1
seed = 5

[[lines]]
name = "gateway"
kind = "tcp"
port = 0

[[lines]]
name = "cabinet"
kind = "pty"
link = "run/cabinet"

[[meters]]
drn = "01234567897"
line = "gateway"
unit = 1
decoder_key = "0123456789abcdef"
sgc = "123456"
site_key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
credit_wh = 10000
load = "none"

[[meters]]
drn = "00000000000"
line = "cabinet"
unit = 7
decoder_key = "0123456789abcdef"
sgc = "123456"
credit_wh = 5000
load = "constant"
mean_w = 1000
"""


@pytest.fixture
def fleet_text() -> str:
    return FLEET_TEXT


@pytest.fixture
def plan(tmp_path: Path, fleet_text: str) -> FleetPlan:
    return parse_fleet(fleet_text, file="fleet.toml", folder=tmp_path)


@pytest.fixture
def clock() -> StillClock:
    return StillClock(1_800_000_000_000)
