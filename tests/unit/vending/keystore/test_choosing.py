"""From settings to the security module, and every setting that is wrong told by its name."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.support.softhsm import LIBRARY
from tests.support.vending_keys import store_in_memory
from vending.keystore.attached import RegisterSetting
from vending.keystore.choosing import (
    MetricsWatch,
    attach,
    choose_module,
    keep_where_chosen,
    parse_registers,
    token_of,
)
from vending.keystore.guarded import BreakerState, GuardedSecurityModule
from vending.keystore.model import KeyReference
from vending.keystore.module_errors import ModuleSettingError
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore
from vending.observability.metrics import Metrics
from vending.settings import Settings
from vending.sts.keys import SGC, KeyType
from vending.values.clock import FixedClock

REGISTERS = "3=600727/1/2/2014, 12=600727/2/2/2014/retired,7=990001/1/2/2014/demo"


@pytest.fixture
def store(tmp_path: Path) -> OpenKeyStore:
    return store_in_memory(tmp_path)


def test_software_is_chosen_unless_another_is_named(
    store: OpenKeyStore, fixed_clock: FixedClock
) -> None:
    chosen = choose_module(Settings(), store, clock=fixed_clock, metrics=Metrics())
    assert isinstance(chosen.module, SoftwareSecurityModule)
    assert chosen.module.is_local
    chosen.module.require_ready()
    chosen.use(store)
    chosen.close()
    assert keep_where_chosen(Settings(), store) is store


def test_attached_module_comes_behind_queue_and_breaker(
    store: OpenKeyStore, fixed_clock: FixedClock
) -> None:
    settings = Settings(
        security_module="attached", module_port="/dev/none", module_registers=REGISTERS
    )
    chosen = choose_module(settings, store, clock=fixed_clock, metrics=Metrics())
    assert isinstance(chosen.module, GuardedSecurityModule)
    assert "/dev/none (9600 8N1), 3 registers" in repr(chosen.module)
    chosen.module.inner.require_ready()
    chosen.use(store)
    chosen.close()


def test_token_comes_behind_queue_and_breaker(store: OpenKeyStore, fixed_clock: FixedClock) -> None:
    settings = Settings(
        security_module="pkcs11",
        pkcs11_library=LIBRARY,
        pkcs11_token="keys",
        pkcs11_pin=SecretStr("1234-abcd"),
    )
    chosen = choose_module(settings, store, clock=fixed_clock, metrics=Metrics())
    assert isinstance(chosen.module, GuardedSecurityModule)
    assert "PKCS11Token('keys')" in repr(chosen.module)
    assert "1234" not in repr(chosen.module)
    chosen.module.inner.require_ready()
    chosen.use(store)
    chosen.close()
    assert keep_where_chosen(settings, store).list_keys() == store.list_keys()


def test_registers_are_read_with_what_is_known_of_each() -> None:
    assert parse_registers(REGISTERS) == [
        RegisterSetting(number=3, key=KeyReference(SGC("600727"), 1, KeyType.DUTK), base_year=2014),
        RegisterSetting(
            number=12,
            key=KeyReference(SGC("600727"), 2, KeyType.DUTK),
            base_year=2014,
            is_retired=True,
        ),
        RegisterSetting(
            number=7,
            key=KeyReference(SGC("990001"), 1, KeyType.DUTK),
            base_year=2014,
            is_demo=True,
        ),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "missing"),
        (" , ", "missing"),
        ("3", "no NUMBER=SGC/KRN/KT/BASE"),
        ("3=600727/1/2", "no NUMBER=SGC/KRN/KT/BASE"),
        ("3=600727/0/2/2014", "no NUMBER=SGC/KRN/KT/BASE"),
        ("3=600727/1/2/2015", "base date"),
        ("3=600727/1/2/2014/gone", "no NUMBER=SGC/KRN/KT/BASE"),
        ("3=600727/1/2/2014,3=600728/1/2/2014", "twice"),
        ("3=600727/1/2/2014,4=600727/1/2/2014", "twice"),
    ],
)
def test_registers_that_cannot_be_read_are_refused(text: str | None, problem: str) -> None:
    with pytest.raises(ModuleSettingError, match=problem) as refused:
        parse_registers(text)
    assert refused.value.facts["setting"] == "VENDING_MODULE_REGISTERS"


@pytest.mark.parametrize(
    "port", [None, "tcp://", "tcp://host", "tcp://host:99999", "udp://host:1", "tcp://:7"]
)
def test_line_that_cannot_be_read_is_refused(port: str | None, fixed_clock: FixedClock) -> None:
    settings = Settings(module_port=port, module_registers=REGISTERS)
    with pytest.raises(ModuleSettingError) as refused:
        attach(settings, clock=fixed_clock)
    assert refused.value.facts["setting"] == "VENDING_MODULE_PORT"


def test_line_may_be_a_port_of_a_terminal_server(fixed_clock: FixedClock) -> None:
    settings = Settings(module_port="tcp://127.0.0.1:5030", module_registers=REGISTERS)
    assert attach(settings, clock=fixed_clock).link == "tcp 127.0.0.1:5030"


@pytest.mark.parametrize("missing", ["pkcs11_library", "pkcs11_token", "pkcs11_pin"])
def test_token_takes_all_of_its_settings(missing: str) -> None:
    given = {"pkcs11_library": LIBRARY, "pkcs11_token": "keys", "pkcs11_pin": SecretStr("1234")}
    del given[missing]
    with pytest.raises(ModuleSettingError, match="takes all three"):
        token_of(Settings.model_validate(given))


def test_watch_shows_queue_breaker_and_durations() -> None:
    metrics = Metrics()
    watch = MetricsWatch(metrics)
    watch.queue_is(3)
    watch.breaker_is(BreakerState.HALF_OPEN)
    watch.answered("ok", 0.1)
    shown = metrics.render().decode()
    assert "vending_security_module_queue 3.0" in shown
    assert "vending_security_module_open 1.0" in shown
    assert 'vending_security_module_duration_seconds_count{outcome="ok"} 1.0' in shown
    watch.breaker_is(BreakerState.CLOSED)
    assert "vending_security_module_open 0.0" in metrics.render().decode()
