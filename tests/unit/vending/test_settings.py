import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr

from vending.policies.model import PolicyName
from vending.settings import (
    MOVED,
    SettingMovedError,
    Settings,
    SettingsError,
    list_origins,
    load_settings,
    toml_path,
    unknown_variables,
)

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working folder and no variable of ours."""
    import os  # noqa: PLC0415 # the one reading of the environment, to clear it

    for name in [name for name in os.environ if name.upper().startswith("VENDING_")]:  # noqa: TID251 # the same
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


def refusal(**overrides: object) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(**overrides)
    return caught.value


def source_of(name: str, **overrides: object) -> str:
    settings = load_settings(**overrides)
    (origin,) = [one for one in list_origins(settings, overrides) if one.name == name]
    return origin.source


def test_every_setting_has_a_default_and_a_description() -> None:
    load_settings()
    assert all(field.description for field in Settings.model_fields.values())
    assert {origin.source for origin in list_origins(load_settings(), {})} == {"default"}


def test_first_source_that_has_a_value_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    write("vending.toml", "port = 1\n")
    assert (load_settings().port, source_of("port")) == (1, "vending.toml")
    write(".env", "VENDING_PORT=2\n")
    assert (load_settings().port, source_of("port")) == (2, ".env")
    monkeypatch.setenv("VENDING_PORT_FILE", str(write("port", "3\n")))
    assert (load_settings().port, source_of("port")) == (3, "file named by VENDING_PORT_FILE")
    monkeypatch.setenv("VENDING_PORT", "4")
    assert (load_settings().port, source_of("port")) == (4, "environment VENDING_PORT")
    assert load_settings(port=5).port == 5
    assert source_of("port", port=5) == "command line"


def test_option_that_was_not_given_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDING_PORT", "4")
    assert load_settings(port=None).port == 4


def test_variable_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDING_PORT", "")
    monkeypatch.setenv("VENDING_DATABASE_URL", "")
    monkeypatch.setenv("VENDING_KEY_STORE_PASSPHRASE_FILE", "")
    write(".env", "VENDING_HOST=\n")
    settings = load_settings()
    assert (settings.port, settings.host) == (8080, "127.0.0.1")
    assert settings.database_url is None
    assert source_of("port") == "default"


def test_named_configuration_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDING_CONFIG", str(write("other.toml", 'utility_name = "Lumen"\n')))
    assert toml_path() == Path("other.toml")
    assert load_settings().utility_name == "Lumen"


def test_named_configuration_file_that_is_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VENDING_CONFIG", "missing.toml")
    assert "missing.toml, which is no file" in str(refusal())


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("vending.toml", "port = = 1", "vending.toml is no TOML"),
        ("vending.toml", "prt = 1", "setting prt: there is none of that name"),
        ("vending.toml", "[port]\nx = 1", "setting port, from vending.toml"),
        (".env", "VENDING_PRT=1", "there is none of that name"),
        (".env", "VENDING_PORT=x", "setting port, from .env"),
    ],
)
def test_fault_in_a_file_names_setting_and_file(name: str, text: str, told: str) -> None:
    write(name, text)
    assert told in str(refusal())


@pytest.mark.parametrize("name", [".env", "vending.toml"])
def test_file_that_is_not_utf_8_is_refused(name: str) -> None:
    Path(name).write_bytes(b"VENDING_PORT=\xff\xfe")
    assert "cannot be read: it is not UTF-8" in str(refusal())


@pytest.mark.parametrize("name", MOVED)
def test_setting_that_became_a_policy_is_refused_wherever_it_is_set(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable = f"VENDING_{name.upper()}"
    for told in (variable, f"{variable}_FILE", variable.lower()):
        with monkeypatch.context() as patch:
            patch.setenv(told, "1")
            error = refusal()
        assert isinstance(error, SettingMovedError)
        assert error.facts == {
            "setting": name, "source": f"environment {told}", "policy": MOVED[name],
        }  # fmt: skip
    for file, text in ((".env", f"{variable}=1\n"), ("vending.toml", f"{name} = 1\n")):
        path = write(file, text)
        assert isinstance(refusal(), SettingMovedError)
        path.unlink()
    monkeypatch.setenv(variable, "")
    assert load_settings() is not None, "set to nothing is not set"


def test_every_setting_that_moved_became_a_policy() -> None:
    assert set(MOVED.values()) <= {name.value for name in PolicyName}
    assert not set(MOVED) & set(Settings.model_fields)


def test_foreign_variables_in_env_file_are_left_alone() -> None:
    write(".env", "DATABASE_URL=postgresql://elsewhere\nFOO=1\nVENDING_PORT=9\n")
    assert load_settings().port == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"), ("PORT", "-1"), ("PORT", "http"), ("CURRENCY", "kes"),
        ("CURRENCY", "KESH"), ("TIMEZONE", "Mars/Olympus"), ("TIMEZONE", "../etc/passwd"),
        ("LANGUAGE", "fr"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml"), ("DEMO", "perhaps"),
        ("TID_AHEAD_LIMIT_MIN", "0"), ("QUOTE_LIFETIME_S", "9"), ("WORKER_POLL_MS", "1"),
        ("METER_TIMEOUT_MS", "1"), ("CLOCK_BACKWARD_LIMIT_S", "0"), ("CLOCK_FORWARD_LIMIT_S", "1"),
    ],
)  # fmt: skip
def test_value_out_of_bounds_is_refused_with_setting_source_and_wanted_form(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"VENDING_{name}", value)
    error = refusal()
    setting = name.lower()
    assert str(error).startswith(f"setting {setting}, from environment VENDING_{name}: ")
    assert str(Settings.model_fields[setting].description) in str(error)
    assert error.facts["setting"] == setting


def test_secret_comes_from_a_file_without_its_line_end(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("secret", f"{SECRET}\r\n")
    monkeypatch.setenv("VENDING_KEY_STORE_PASSPHRASE_FILE", str(path))
    secret = load_settings().key_store_passphrase
    assert secret is not None
    assert secret.get_secret_value() == SECRET


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_secret_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = Path("secret")
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("VENDING_KEY_STORE_PASSPHRASE_FILE", str(path))
    assert "VENDING_KEY_STORE_PASSPHRASE_FILE names secret" in str(refusal())


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDING_KEY_STORE_PASSPHRASE", SECRET)
    monkeypatch.setenv("VENDING_DATABASE_URL", f"postgresql://u:{SECRET}@h/d")
    settings = load_settings()
    shown = {origin.name: origin.value for origin in list_origins(settings, {})}
    assert shown["key_store_passphrase"] == shown["database_url"] == "(set)"
    assert SECRET not in repr(settings) + str(settings) + repr(shown)


def test_no_secret_is_in_the_trace_of_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDING_KEY_STORE_PASSPHRASE", SECRET)
    monkeypatch.setenv("VENDING_PORT", "x")
    assert SECRET not in "".join(traceback.format_exception(refusal()))


def test_settings_do_not_change() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VENDING_PROT", "VENDING_PORT", "VENDING_PORT_FILE", "VENDING_CONFIG", "OTHER"):
        monkeypatch.setenv(name, "")
    assert unknown_variables() == ["VENDING_PROT"]


def test_database_is_in_the_data_folder_unless_named() -> None:
    own = load_settings(data_dir=Path("d"))
    assert own.own_database_file == Path("d/vending.sqlite3")
    assert own.effective_database_url == f"sqlite:///{Path('d/vending.sqlite3').absolute()}"
    named = load_settings(database_url=SecretStr("postgresql://h/d"))
    assert named.own_database_file is None
    assert named.effective_database_url == "postgresql://h/d"


def test_own_key_file_is_in_the_data_folder() -> None:
    assert load_settings(data_dir=Path("d")).own_key_file == Path("d/keystore.key")
