"""The module in this process keeps few derived keys, shares them safely, and shows none."""

import copy
import dataclasses
import logging
import pickle
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import structlog
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from tests.support.vending_keys import (
    DCTK_2014,
    DKGA04_HEX,
    DUTK_2014,
    register_of,
    store_in_memory,
)
from vending.keystore.errors import KeyRetiredError, KeyStoreCorruptError, MeterConfigurationError
from vending.keystore.port import CreditTokenRequest, KeyReference, VerifyRequest
from vending.keystore.software import DecoderKeyCache, MeterKeyName, SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore
from vending.sts.keys import TI, DecoderKey, EncryptionAlgorithm
from vending.sts.pan import DRN, MeterPAN, luhn_check_digit
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import Resource

REGISTER = register_of(DUTK_2014)
STA = EncryptionAlgorithm.STA
# What must never be seen: the vending key, and the decoder key of METER (STS 531-1-07, CTSA01-1).
METER = MeterPAN("600727000000000009")
DECODER_KEY_HEX = "87f3ecbb2e46b48f"


def every_spelling(key_hex: str) -> list[str]:
    """How a key may turn up in a text: hexadecimal, as Python prints bytes, or as a number."""
    key = bytes.fromhex(key_hex)
    return [
        key_hex.lower(),
        key_hex.upper(),
        repr(key)[2:-1],
        repr(key[:8])[2:-1],
        str(int.from_bytes(key)),
        str(int.from_bytes(key[:8])),
        repr(list(key))[1:-1],
    ]


CANARIES = every_spelling(DKGA04_HEX) + every_spelling(DECODER_KEY_HEX)


def shows_a_key(text: str) -> bool:
    return any(canary in text for canary in CANARIES)


def rendered_with_locals(error: BaseException) -> str:
    out = StringIO()
    shown = Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=1000
    )
    Console(file=out, width=250).print(shown)
    plain = traceback.TracebackException.from_exception(error, capture_locals=True)
    return out.getvalue() + "".join(plain.format())


@pytest.fixture
def module(store: OpenKeyStore) -> SoftwareSecurityModule:
    return SoftwareSecurityModule(store, demo_allowed=False, cache_count_max=4)


@pytest.fixture
def request_for() -> Callable[[int], CreditTokenRequest]:
    def make(serial: int) -> CreditTokenRequest:
        drn = f"00{serial:08}"
        iain = DRN(drn + luhn_check_digit(drn)).digits
        pan = f"600727{iain}"
        return CreditTokenRequest(
            pan=MeterPAN(pan + luhn_check_digit(pan)),
            ti=TI("01"),
            ea=STA,
            base_date=BaseDate.Y2014,
            resource=Resource.ELECTRICITY,
            units=100,
            tid=TokenIdentifier(1_000_000),
            rnd=5,
        )

    return make


@pytest.fixture
def request_one() -> CreditTokenRequest:
    return CreditTokenRequest(
        pan=METER,
        ti=TI("01"),
        ea=STA,
        base_date=BaseDate.Y2014,
        resource=Resource.ELECTRICITY,
        units=1,
        tid=TokenIdentifier(85_740),
        rnd=5,
    )


# --- the cache ---------------------------------------------------------------------------------
def test_tokens_are_the_same_with_a_cache_that_overflows(
    store: OpenKeyStore, request_for: Callable[[int], CreditTokenRequest]
) -> None:
    small = SoftwareSecurityModule(store, demo_allowed=False, cache_count_max=2)
    large = SoftwareSecurityModule(store, demo_allowed=False)
    for serial in [1, 2, 3, 1, 2, 3, 3, 2, 1]:
        request = request_for(serial)
        assert small.vend(REGISTER, request) == large.vend(REGISTER, request)


def test_cache_holds_no_more_than_its_bound_and_drops_the_least_used() -> None:
    cache = DecoderKeyCache(2)
    derived: list[str] = []

    def ask(ti: str) -> None:
        def derive() -> DecoderKey:
            derived.append(ti)
            return DecoderKey(bytes(8), STA)

        cache.find_or_derive(MeterKeyName(REGISTER, METER, TI(ti), STA), derive)

    for ti in ["01", "02", "01", "03", "01", "02"]:
        ask(ti)
    assert derived == ["01", "02", "03", "02"]
    assert len(cache) == 2
    assert repr(cache) == "DecoderKeyCache(2 keys)"


def test_module_serves_many_threads_alike(
    module: SoftwareSecurityModule, request_for: Callable[[int], CreditTokenRequest]
) -> None:
    requests = [request_for(serial % 7) for serial in range(200)]
    expected = [module.vend(REGISTER, request) for request in requests]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda request: module.vend(REGISTER, request), requests))
    assert found == expected


def test_module_serves_from_the_store_it_is_given(
    module: SoftwareSecurityModule, store: OpenKeyStore, request_one: CreditTokenRequest
) -> None:
    assert module.vend(REGISTER, request_one)
    at = datetime(2026, 11, 25, tzinfo=UTC)
    retired = store.retired_row(REGISTER, at=at)
    rows = [row for row in store._rows() if row.name != retired.name]
    module.use(store.reread(store.header_with(retired), [*rows, retired]))
    with pytest.raises(KeyRetiredError):
        module.vend(REGISTER, request_one)


# --- nothing shows a key -----------------------------------------------------------------------
def test_canaries_are_the_keys_in_use(
    module: SoftwareSecurityModule, request_one: CreditTokenRequest
) -> None:
    assert module.vend(REGISTER, request_one) == "70630503470028726114"
    held = list(module._session.cache._keys.values())
    assert [key.material.hex() for key in held] == [DECODER_KEY_HEX]
    assert shows_a_key(f"{held[0].material!r}")


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        pretty_repr,
        lambda module: repr({"module": [module], "session": module._session}),
        lambda module: repr(module._session.cache),
        lambda module: repr(list(module._session.cache._keys.items())),
        lambda module: pretty_repr(list(module._session.cache._keys.items())),
        lambda module: repr(module._session.store.vending_key(REGISTER)),
        lambda module: pretty_repr(module._session.store.vending_key(REGISTER)),
        lambda module: repr(dataclasses.asdict(module.describe(REGISTER))),
        lambda module: repr(module._session.store.list_keys()),
    ],
)
def test_module_and_what_it_holds_print_no_key(
    module: SoftwareSecurityModule,
    request_one: CreditTokenRequest,
    show: Callable[[SoftwareSecurityModule], str],
) -> None:
    module.vend(REGISTER, request_one)
    assert not shows_a_key(show(module))


@pytest.mark.parametrize("carry", [pickle.dumps, copy.deepcopy])
def test_module_is_neither_pickled_nor_copied(
    module: SoftwareSecurityModule, carry: Callable[[object], object]
) -> None:
    with pytest.raises(TypeError):
        carry(module)


def test_session_does_not_come_apart_as_a_dictionary(module: SoftwareSecurityModule) -> None:
    with pytest.raises(TypeError):
        dataclasses.asdict(module._session)


def test_logs_show_no_key(
    module: SoftwareSecurityModule,
    request_one: CreditTokenRequest,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module.vend(REGISTER, request_one)
    structured = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
    )
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("keystore").error("module %s %r", module, module._session)
        structured.error("module", module=module, session=module._session, request=request_one)
    text = caplog.text + capsys.readouterr().out
    assert "SoftwareSecurityModule" in text
    assert not shows_a_key(text)


def test_refusal_out_of_the_arithmetic_shows_no_key_in_a_traceback(
    module: SoftwareSecurityModule, request_one: CreditTokenRequest
) -> None:
    with pytest.raises(MeterConfigurationError) as refused:
        module.vend(register_of(DCTK_2014), request_one)
    text = rendered_with_locals(refused.value)
    assert "_derive_dkga04" in text
    assert not shows_a_key(text)


def test_fault_inside_the_arithmetic_shows_no_key_in_a_traceback(
    module: SoftwareSecurityModule, request_one: CreditTokenRequest
) -> None:
    module.vend(REGISTER, request_one)
    broken = replace(request_one, units="many")  # type: ignore[arg-type]  # a fault of ours
    with pytest.raises(TypeError) as failed:
        module.vend(REGISTER, broken)
    assert not shows_a_key(rendered_with_locals(failed.value))


def test_fault_inside_the_derivation_shows_no_key_in_a_traceback(
    module: SoftwareSecurityModule, request_one: CreditTokenRequest
) -> None:
    broken = replace(request_one, pan=None)  # type: ignore[arg-type]  # a fault of ours
    with pytest.raises(AttributeError) as failed:
        module.vend(REGISTER, broken)
    assert not shows_a_key(rendered_with_locals(failed.value))


def test_record_whose_seal_broke_in_memory_is_refused_without_a_token(
    store: OpenKeyStore, request_one: CreditTokenRequest, tmp_path: Path
) -> None:
    other = store_in_memory(tmp_path)
    store._vending_key_sealer = other._vending_key_sealer
    module = SoftwareSecurityModule(store, demo_allowed=False)
    with pytest.raises(KeyStoreCorruptError) as refused:
        module.vend(REGISTER, request_one)
    assert refused.value.register == "201457/1/DUTK"
    assert not shows_a_key(rendered_with_locals(refused.value))


def test_request_to_verify_prints_no_token() -> None:
    request = VerifyRequest(pan=METER, ti=TI("01"), ea=STA, digits="70630503470028726114")
    assert "7063" not in repr(request)


def test_module_names_the_generation_it_serves(module: SoftwareSecurityModule) -> None:
    assert repr(module) == "SoftwareSecurityModule(OpenKeyStore(generation 2, 9 keys))"


def test_register_is_named_by_group_revision_and_type() -> None:
    assert str(KeyReference(REGISTER.sgc, 1, REGISTER.kt)) == "201457/1/DUTK"
