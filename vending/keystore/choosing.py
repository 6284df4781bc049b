"""Builds the security module that the settings choose."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from meter_drivers.transports.port import ByteStream, SystemTimer
from meter_drivers.transports.serial import SerialStream
from meter_drivers.transports.tcp import TCPStream
from vending.keystore.attached import AttachedSecurityModule, RegisterSetting
from vending.keystore.guarded import BreakerState, GuardedSecurityModule, GuardLimits
from vending.keystore.model import KeyReference
from vending.keystore.module_errors import ModuleSettingError
from vending.keystore.module_line import ModuleLine
from vending.keystore.pkcs11 import PKCS11Token
from vending.keystore.port import SecurityModule
from vending.keystore.redaction import Secret
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore
from vending.keystore.token_module import PKCS11SecurityModule
from vending.observability.metrics import Metrics
from vending.settings import Settings
from vending.sts.errors import STSError
from vending.sts.keys import SGC, KeyType
from vending.sts.tid import BaseDate
from vending.values.clock import Clock

BAUD: Final = 9600
_MS_PER_S: Final = 1000
_REGISTER: Final = re.compile(
    r"(?P<number>\d{1,5})=(?P<sgc>\d{6})/(?P<krn>[1-9])/(?P<kt>[1-3])/(?P<base>\d{4})"
    r"(?P<demo>/demo)?(?P<retired>/retired)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class ChosenModule:
    """The module, and what it wants to be told."""

    module: SecurityModule
    use: Callable[[OpenKeyStore], None]
    """Called with each new generation of the key store."""
    close: Callable[[], None]


class MetricsWatch:
    """Counts what becomes of requests to a module that computes elsewhere."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def queue_is(self, length: int) -> None:
        """Take the number of requests that wait or are being answered."""
        self._metrics.module_queue.set(length)

    def breaker_is(self, state: BreakerState) -> None:
        """Take the state of the breaker."""
        self._metrics.module_open.set(state is not BreakerState.CLOSED)

    def answered(self, outcome: str, span_s: float) -> None:
        """Take the end of a request."""
        self._metrics.module_duration.labels(outcome).observe(span_s)


def choose_module(
    settings: Settings, store: OpenKeyStore, *, clock: Clock, metrics: Metrics
) -> ChosenModule:
    """Return the module of the settings; what computes elsewhere comes behind queue and breaker.

    Nothing is asked of it yet: a module that is away keeps no service from starting.

    Raises:
        ModuleSettingError: A setting is missing or malformed.
    """
    match settings.security_module:
        case "software":
            software = SoftwareSecurityModule(store, demo_allowed=settings.demo)
            return ChosenModule(software, software.use, _do_nothing)
        case "pkcs11":
            token = token_of(settings)
            held = PKCS11SecurityModule(store, token, demo_allowed=settings.demo)
            return ChosenModule(_guard(held, settings, metrics), held.use, token.close)
        case "attached":
            attached = attach(settings, clock=clock)
            return ChosenModule(_guard(attached, settings, metrics), _ignore, _do_nothing)


def keep_where_chosen(settings: Settings, store: OpenKeyStore) -> OpenKeyStore:
    """Return the store, which takes new keys into the token where one is chosen.

    Raises:
        ModuleSettingError: A setting is missing.
    """
    if settings.security_module != "pkcs11":
        return store
    return store.with_keeper(token_of(settings).store_key)


def token_of(settings: Settings) -> PKCS11Token:
    """Return the PKCS#11 token of the settings, not yet opened.

    Raises:
        ModuleSettingError: A setting is missing.
    """
    library, label, pin = settings.pkcs11_library, settings.pkcs11_token, settings.pkcs11_pin
    if library is None or label is None or pin is None:
        name = "VENDING_PKCS11_LIBRARY, VENDING_PKCS11_TOKEN and VENDING_PKCS11_PIN_FILE"
        raise ModuleSettingError(name, problem="a PKCS#11 token takes all three")
    return PKCS11Token(library, label, Secret(pin.get_secret_value().encode()))


def attach(settings: Settings, *, clock: Clock) -> AttachedSecurityModule:
    """Return the module on the line of the settings, the line not yet open.

    Raises:
        ModuleSettingError: A setting is missing or malformed.
    """
    registers = parse_registers(settings.module_registers)
    timeout_s = settings.module_timeout_ms / _MS_PER_S
    line = ModuleLine(
        _stream_of(settings.module_port, timeout_s),
        probe_register=registers[0].number,
        timeout_s=timeout_s,
        timer=SystemTimer(),
    )
    return AttachedSecurityModule(line, registers, demo_allowed=settings.demo, clock=clock)


def parse_registers(text: str | None) -> list[RegisterSetting]:
    """Return the registers of the setting.

    Raises:
        ModuleSettingError: There is none, one is malformed, or a number or key stands twice.
    """
    name = "VENDING_MODULE_REGISTERS"
    found = [_parse_register(part.strip()) for part in (text or "").split(",") if part.strip()]
    if not found:
        raise ModuleSettingError(name, problem="the registers of the module are missing")
    if len({one.number for one in found}) < len(found) or len({o.key for o in found}) < len(found):
        raise ModuleSettingError(name, problem="a number or a key stands twice")
    return found


def _parse_register(text: str) -> RegisterSetting:
    name = "VENDING_MODULE_REGISTERS"
    match = _REGISTER.fullmatch(text)
    if match is None:
        problem = f"{text!r} is no NUMBER=SGC/KRN/KT/BASE, such as 3=600727/1/2/2014"
        raise ModuleSettingError(name, problem=problem)
    try:
        base_date = BaseDate(int(match["base"]))
    except STSError as error:
        raise ModuleSettingError(name, problem=f"{text!r}: {error}") from error
    return RegisterSetting(
        number=int(match["number"]),
        key=KeyReference(SGC(match["sgc"]), int(match["krn"]), KeyType(int(match["kt"]))),
        base_year=base_date.value,
        is_retired=match["retired"] is not None,
        is_demo=match["demo"] is not None,
    )


def _stream_of(port: str | None, timeout_s: float) -> ByteStream:
    name = "VENDING_MODULE_PORT"
    if port is None:
        raise ModuleSettingError(name, problem="the line of the module is missing")
    if "://" not in port:
        return SerialStream(port, baud=BAUD, parity="N", stop_bits=1)
    try:
        address = urlsplit(port)
        host, number = address.hostname, address.port
    except ValueError as error:
        raise ModuleSettingError(name, problem=f"{port!r}: {error}") from error
    if address.scheme != "tcp" or host is None or number is None:
        raise ModuleSettingError(name, problem=f"{port!r} is no tcp://host:port and no path")
    return TCPStream(host, number, connect_timeout_s=timeout_s)


def _guard(module: SecurityModule, settings: Settings, metrics: Metrics) -> GuardedSecurityModule:
    limits = GuardLimits(
        queue_length_max=settings.module_queue_length,
        wait_s=settings.module_timeout_ms / _MS_PER_S,
    )
    return GuardedSecurityModule(
        module, now_s=SystemTimer().now_s, limits=limits, watch=MetricsWatch(metrics)
    )


def _do_nothing() -> None:
    """Close nothing."""


def _ignore(_store: OpenKeyStore) -> None:
    """Take no notice of the store: the keys lie in the module."""
