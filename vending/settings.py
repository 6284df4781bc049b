"""The settings of the service: the only reader of the environment.

One value may come from four places; the first that has it wins:

1. an environment variable `VENDING_<NAME>`
2. a file named by `VENDING_<NAME>_FILE` (a secret mounted by systemd or a container engine)
3. the file `.env` in the working folder
4. the TOML file named by `VENDING_CONFIG`, or `vending.toml` in the working folder

A variable that is set to nothing counts as not set: that is how compose files leave one out.

`docs/settings.md` lists every setting; a test compares the two.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tomllib import TOMLDecodeError
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from vending.settings_sources import (
    PREFIX,
    SECRET_FILE_LENGTH_MAX,
    DotEnvSource,
    SecretFileSource,
    SettingMovedError,
    SettingsError,
)

__all__ = [
    "MOVED",
    "PREFIX",
    "SECRET_FILE_LENGTH_MAX",
    "SettingMovedError",
    "SettingOrigin",
    "Settings",
    "SettingsError",
    "list_origins",
    "load_settings",
    "toml_path",
    "unknown_variables",
]

_DEFAULT_TOML: Final = "vending.toml"

MOVED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "approval_distinct_devices": "distinct-devices",
        "ceiling_energy_kwh": "ceiling-credit-wh",
        "ceiling_free_energy_kwh": "ceiling-free-wh",
        "ceiling_free_tokens": "ceiling-free-tokens",
        "ceiling_management_tokens": "ceiling-management-tokens",
        "ceiling_money_minor": "ceiling-credit-minor",
        "ceiling_tokens": "ceiling-credit-tokens",
        "disconnect_holidays": "disconnection-holidays",
        "disconnect_hours": "disconnection-hours",
        "disconnect_weekdays": "disconnection-weekdays",
        "free_units_month_max_kwh": "free-units-month-wh",
        "refund_limit_minor": "refund-limit-minor",
        "replacement_limit_wh": "replacement-limit-wh",
        "retention_months": "retention-months",
        "session_fresh_min": "session-fresh-min",
        "session_idle_min": "session-idle-min",
        "session_lifetime_h": "session-lifetime-h",
    }
)
"""Settings of before, and the policy that each became: one person must not set them."""


class Settings(BaseSettings):
    """Every setting of the service, validated; secrets never show in a repr."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
    )

    data_dir: Annotated[
        Path,
        Field(description="Folder of the embedded database and the key store's companion file"),
    ] = Path("vending-data")
    database_url: Annotated[
        SecretStr | None,
        Field(description="`postgresql://user:password@host/name`; empty: SQLite in `data_dir`"),
    ] = None
    audit_heads_dir: Annotated[
        Path | None,
        Field(
            description="Folder of the signed heads of the audit chain; empty: `audit-heads` in "
            "`data_dir`"
        ),
    ] = None
    host: Annotated[str, Field(description="Address the HTTP service listens on")] = "127.0.0.1"
    port: Annotated[
        int,
        Field(ge=0, le=65_535, description="Port the HTTP service listens on; 0 picks a free one"),
    ] = 8080
    trusted_proxies: Annotated[
        str,
        Field(
            pattern=r"^[0-9A-Fa-f.:/]+(,[0-9A-Fa-f.:/]+)*$",
            description="Addresses or networks whose `X-Forwarded-For` says where a caller is, "
            "by commas; nobody else's counts",
        ),
    ] = "127.0.0.1,::1"
    key_store_passphrase: Annotated[
        SecretStr | None,
        Field(description="Opens the key store; give it as `VENDING_KEY_STORE_PASSPHRASE_FILE`"),
    ] = None
    key_store_key_file: Annotated[
        Path | None, Field(description="File of 32 bytes that opens the key store, mode 0600")
    ] = None
    security_module: Annotated[
        Literal["software", "pkcs11", "attached"],
        Field(description="What makes tokens: this process, a PKCS#11 token, a module on a line"),
    ] = "software"
    module_port: Annotated[
        str | None,
        Field(description="Line of the attached module: `/dev/ttyUSB0`, or `tcp://host:port`"),
    ] = None
    module_registers: Annotated[
        str | None,
        Field(
            description="Its registers, `NUMBER=SGC/KRN/KT/BASE` each, as `3=600727/1/2/2014`; "
            "commas between; `/retired` at the end: it issues no more"
        ),
    ] = None
    module_timeout_ms: Annotated[
        int, Field(ge=100, le=60_000, description="Deadline of one answer of the attached module")
    ] = 5000
    module_queue_length: Annotated[
        int,
        Field(ge=1, le=32, description="How many requests wait for a module before one is refused"),
    ] = 16
    pkcs11_library: Annotated[
        Path | None, Field(description="The PKCS#11 library of the token's maker, a `.so` file")
    ] = None
    pkcs11_token: Annotated[
        str | None, Field(description="Label of the PKCS#11 token that holds the keys")
    ] = None
    pkcs11_pin: Annotated[
        SecretStr | None,
        Field(description="User PIN of the token; give it as `VENDING_PKCS11_PIN_FILE`"),
    ] = None
    demo: Annotated[
        bool,
        Field(description="Accept demo keys; set by `metersim demo` alone, never in production"),
    ] = False
    utility_name: Annotated[
        str, Field(min_length=1, max_length=80, description="Name printed on receipts")
    ] = "Utility"
    currency: Annotated[
        str,
        Field(pattern=r"^[A-Z]{3}$", description="Currency of new tariffs and accounts, ISO 4217"),
    ] = "KES"
    timezone: Annotated[
        str, Field(description="Time zone in which receipts and records are printed, IANA name")
    ] = "UTC"
    language: Annotated[
        Literal["en", "zh-CN"], Field(description="Language of receipts when the customer has none")
    ] = "en"
    office_origin: Annotated[
        str | None,
        Field(
            description="Address of the office's pages, as `https://office.example.org`; "
            "passkeys and OpenID need it"
        ),
    ] = None
    office_rp_id: Annotated[
        str | None,
        Field(description="Host that passkeys are bound to; empty: the host of `office_origin`"),
    ] = None
    openid_issuer: Annotated[
        str | None,
        Field(description="OpenID provider through which operators may sign in; empty: none"),
    ] = None
    openid_client_id: Annotated[
        str | None, Field(description="Under which the OpenID provider knows this service")
    ] = None
    openid_client_secret: Annotated[
        SecretStr | None,
        Field(
            description="For the OpenID provider; give it as `VENDING_OPENID_CLIENT_SECRET_FILE`"
        ),
    ] = None
    openid_amr: Annotated[
        str,
        Field(description="Methods of the provider, one of which counts as two factors; commas"),
    ] = "mfa"
    openid_acr: Annotated[
        str,
        Field(description="Or classes of the provider that count as two factors; commas"),
    ] = ""
    tid_ahead_limit_min: Annotated[
        int,
        Field(ge=1, le=1440, description="How far a token identifier may run ahead of the clock"),
    ] = 60
    quote_lifetime_s: Annotated[
        int, Field(ge=10, le=86_400, description="How long a quote holds its price")
    ] = 600
    clock_backward_limit_s: Annotated[
        int, Field(ge=1, le=3600, description="A clock set back by more stops vending")
    ] = 300
    clock_forward_limit_s: Annotated[
        int, Field(ge=60, description="A clock set forward by more stops vending")
    ] = 86_400
    key_expiry_soon_days: Annotated[
        int,
        Field(ge=1, le=3660, description="A key that expires within it is worth a look"),
    ] = 365
    key_expiry_urgent_days: Annotated[
        int,
        Field(ge=1, le=3660, description="A key that expires within it is worth a hurry"),
    ] = 90
    worker_poll_ms: Annotated[
        int, Field(ge=10, le=60_000, description="Pause of the worker when nothing waits")
    ] = 500
    worker_metrics_port: Annotated[
        int | None,
        Field(ge=1, le=65_535, description="Port on `host` where the worker serves its metrics"),
    ] = None
    meter_timeout_ms: Annotated[
        int, Field(ge=50, le=60_000, description="Deadline of one answer from a meter")
    ] = 3000
    otlp_endpoint: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s/@]+(/[^\s@?#]*)?$",
            description="OpenTelemetry collector that takes traces over HTTP, `http://host:4318`",
        ),
    ] = None
    session_file: Annotated[
        Path | None,
        Field(
            description="Where `vending sign-in` keeps its session, mode 0600; default: one file "
            "for each data folder under `$XDG_STATE_HOME/vending`, else `~/.local/state/vending`"
        ),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Least level that is logged"),
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"], Field(description="`json` for machines, `console` for people")
    ] = "json"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in their order; see the module's docstring."""
        del dotenv_settings, file_secret_settings
        return (
            init_settings,
            env_settings,
            SecretFileSource(settings_cls),
            DotEnvSource(settings_cls),
            TomlConfigSettingsSource(settings_cls, toml_file=toml_path()),
        )

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            message = f"{value!r} is no IANA time zone; write one such as Africa/Nairobi"
            raise ValueError(message) from error
        return value

    @property
    def own_key_file(self) -> Path:
        """Return the key file that `vending init` makes when no other secret is set."""
        return self.data_dir / "keystore.key"

    @property
    def effective_session_file(self) -> Path:
        """Return where the command line keeps its session with this installation."""
        return self.session_file or self._state_folder / f"session-{self._installation}"

    @property
    def effective_device_file(self) -> Path:
        """Return where the command line keeps what it is known by, whoever signs in here."""
        return self.effective_session_file.parent / f"device-{self._installation}"

    @property
    def _state_folder(self) -> Path:
        state_home = os.environ.get("XDG_STATE_HOME")
        return Path(state_home or "~/.local/state").expanduser() / "vending"

    @property
    def _installation(self) -> str:
        """Return a short name of the data folder: each has a session of its own."""
        return sha256(str(self.data_dir.absolute()).encode()).hexdigest()[:16]

    @property
    def effective_audit_heads_dir(self) -> Path:
        """Return where signed heads of the audit chain are written."""
        return self.audit_heads_dir or self.data_dir / "audit-heads"

    @property
    def own_database_file(self) -> Path | None:
        """Return the SQLite file in the data folder; None: another database is named."""
        return None if self.database_url is not None else self.data_dir / "vending.sqlite3"

    @property
    def effective_database_url(self) -> str:
        """Return the database to open: the one named, or SQLite in the data folder."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data_dir / 'vending.sqlite3').absolute()}"


@dataclass(frozen=True, slots=True)
class SettingOrigin:
    """One setting as `vending doctor` shows it; a secret shows only that it is set."""

    name: str
    value: str
    source: str


def toml_path() -> Path:
    """Return the configuration file that is read when it exists."""
    return Path(os.environ.get(f"{PREFIX}CONFIG") or _DEFAULT_TOML)


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401 # one per field, checked by Pydantic
    """Return the settings of this process; `overrides` come from the command line.

    Raises:
        SettingsError: A value is malformed, unknown, or its file cannot be read.
        SettingMovedError: One is set that became a policy.
    """
    _refuse_moved_variables()
    named = os.environ.get(f"{PREFIX}CONFIG")
    if named and not Path(named).is_file():
        message = f"{PREFIX}CONFIG names {named}, which is no file"
        raise SettingsError(message, setting="config")
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        # Not `from error`: pydantic's holds every value that was read, the passphrase too.
        _refuse_moved_entries(error)
        message, facts = _describe_first_fault(error, given)
        raise SettingsError(message, **facts) from None
    except TOMLDecodeError as error:
        message = f"{toml_path()} is no TOML: {error}"
        raise SettingsError(message) from error
    except (OSError, UnicodeDecodeError) as error:
        message = f"{toml_path()} or .env cannot be read: {_reason(error)}"
        raise SettingsError(message) from error


def list_origins(settings: Settings, overrides: Mapping[str, object]) -> list[SettingOrigin]:
    """Return each setting, its value (hidden when secret) and where it came from."""
    return [
        SettingOrigin(name, _shown(getattr(settings, name)), _source_of(name, overrides))
        for name in Settings.model_fields
    ]


def unknown_variables() -> list[str]:
    """Return the `VENDING_…` variables that no setting answers to, such as a misspelt one."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known |= {f"{name}_FILE" for name in known} | {f"{PREFIX}CONFIG"}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _refuse_moved_variables() -> None:
    """Refuse those of the environment.

    Raises:
        SettingMovedError: There is one.
    """
    for variable, value in os.environ.items():
        name = variable.upper().removeprefix(PREFIX).removesuffix("_FILE").lower()
        if value and variable.upper().startswith(PREFIX) and name in MOVED:
            raise SettingMovedError(name, source=f"environment {variable}", policy=MOVED[name])


def _refuse_moved_entries(error: ValidationError) -> None:
    """Refuse those of the two files, which came out as settings that there are none of.

    Raises:
        SettingMovedError: There is one.
    """
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0]).lower().removeprefix(PREFIX.lower())
        if name in MOVED:
            source = f"{toml_path()} or .env"
            raise SettingMovedError(name, source=source, policy=MOVED[name])


def _source_of(name: str, overrides: Mapping[str, object]) -> str:
    variable = f"{PREFIX}{name.upper()}"
    if overrides.get(name) is not None:
        return "command line"
    if name in EnvSettingsSource(Settings)():
        return f"environment {variable}"
    if os.environ.get(f"{variable}_FILE"):
        return f"file named by {variable}_FILE"
    if name in DotEnvSource(Settings)():
        return ".env"
    if toml_path().is_file() and name in TomlConfigSettingsSource(Settings, toml_path())():
        return str(toml_path())
    return "default"


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return "(set)"
        case _:
            return str(value)


def _describe_first_fault(
    error: ValidationError, overrides: Mapping[str, object]
) -> tuple[str, dict[str, str]]:
    fault = error.errors(include_input=False, include_url=False)[0]
    name = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        message = f"setting {name}: there is none of that name in {toml_path()} or .env"
        return message, {"setting": name}
    source = _source_of(name, overrides)
    wanted = Settings.model_fields[name].description
    message = f"setting {name}, from {source}: {fault['msg']} ({wanted})"
    return message, {"setting": name, "source": source}


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return "it is not UTF-8" if isinstance(error, ValueError) else error.strerror or "unreadable"
