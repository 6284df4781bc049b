from collections.abc import Callable

import pytest

from meter_drivers.protocols.modbus.credit import SiteKey
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
