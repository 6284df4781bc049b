import stat
from pathlib import Path

import pytest

from tests.support.command_line import INIT, CommandLine


def test_init_makes_folder_tables_key_store_and_two_administrators(bare: CommandLine) -> None:
    made = bare.json(*INIT).document
    key_file = Path(made["key_file"])
    assert key_file.is_absolute()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(bare.folder.stat().st_mode) == 0o700
    assert [one["operator"] for one in made["administrators"]] == ["alice", "bob"]
    assert len({one["activation_code"] for one in made["administrators"]}) == 2
    assert bare.json("keys", "check").document == {"key_store": "whole"}


@pytest.mark.parametrize("names", [(), ("alice",), ("alice", "bob", "carol")])
def test_init_without_two_administrators_makes_nothing(
    bare: CommandLine, names: tuple[str, ...]
) -> None:
    arguments = [part for name in names for part in ("--administrator", name)]
    assert bare.json("init", *arguments).error == "administrators_missing"
    assert not bare.folder.exists()


@pytest.mark.parametrize("pair", [("alice=Ann", "bob=ANN"), ("alice", "alice"), ("alice", "B b")])
def test_init_wants_two_people(bare: CommandLine, pair: tuple[str, str]) -> None:
    first, second = pair
    told = bare.json("init", "--administrator", first, "--administrator", second)
    assert told.error == "operator_invalid"


def test_init_makes_new_codes_until_both_are_active(bare: CommandLine) -> None:
    first = bare.json(*INIT).document["administrators"]
    second = bare.json(*INIT).document["administrators"]
    assert {one["activation_code"] for one in first}.isdisjoint(
        one["activation_code"] for one in second
    )


def test_init_makes_no_third_administrator(shell: CommandLine) -> None:
    assert shell.json(*INIT).error == "administrators_exist"


def test_init_says_where_the_key_file_belongs(bare: CommandLine) -> None:
    told = bare.run(*INIT)
    assert told.code == 0
    assert "Move the key file away" in " ".join(told.out.split())


def test_init_twice_changes_nothing(shell: CommandLine) -> None:
    key = (shell.folder / "keystore.key").read_bytes()
    told = shell.run("init")
    assert told.code == 0
    assert "stays as it is" in told.out
    assert (shell.folder / "keystore.key").read_bytes() == key
    assert shell.json("keys", "check").document == {"key_store": "whole"}


def test_init_uses_the_passphrase_that_is_set(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bare.write("passphrase", "correct horse battery staple\n")
    monkeypatch.setenv("VENDING_KEY_STORE_PASSPHRASE_FILE", path)
    assert bare.json(*INIT).document["key_file"] is None
    assert not (bare.folder / "keystore.key").exists()
    assert bare.json("keys", "check").code == 0
    bare.write("passphrase", "another passphrase entirely")
    assert bare.json("keys", "check").error == "wrong_passphrase"


def test_init_refuses_a_short_passphrase(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDING_KEY_STORE_PASSPHRASE", "short")
    told = bare.json(*INIT)
    assert told.error == "weak_passphrase"
    assert "short" not in told.document["error"]["remedy"].split()


def test_init_makes_the_key_file_that_is_named_and_finds_it_again(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bare.folder.parent / "elsewhere.key"
    monkeypatch.setenv("VENDING_KEY_STORE_KEY_FILE", str(path))
    assert bare.json(*INIT).document["key_file"] == str(path)
    assert bare.json("init").code == 0
    assert bare.json("keys", "check").document == {"key_store": "whole"}
    assert not (bare.folder / "keystore.key").exists()


def test_named_key_file_wins_over_the_passphrase_and_that_over_the_own_file(
    shell: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell.json("keys", "list").code == 0
    monkeypatch.setenv("VENDING_KEY_STORE_PASSPHRASE", "correct horse battery staple")
    assert shell.json("keys", "list").error == "wrong_unlock_kind"
    monkeypatch.setenv("VENDING_KEY_STORE_KEY_FILE", str(shell.folder / "keystore.key"))
    assert shell.json("keys", "list").code == 0


def test_nothing_that_opens_the_store_is_told_with_the_way_out(shell: CommandLine) -> None:
    (shell.folder / "keystore.key").unlink()
    told = shell.json("keys", "list")
    assert told.error == "key_store_secret_missing"
    assert "VENDING_KEY_STORE_PASSPHRASE_FILE" in told.document["error"]["remedy"]


def test_init_refuses_an_unknown_currency_before_it_makes_anything(
    bare: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDING_CURRENCY", "ZZZ")
    assert bare.json(*INIT).error == "argument_invalid"
    assert not bare.folder.exists()


def test_init_refuses_a_folder_that_cannot_be_made(bare: CommandLine) -> None:
    path = bare.write("file", "")
    told = bare.json(*INIT, "--data", f"{path}/data", data=False)
    assert told.error == "data_folder_unusable"


@pytest.mark.parametrize(
    "command", [("keys", "list"), ("ledger", "verify"), ("migrate",), ("serve",), ("worker",)]
)
def test_commands_before_init_say_what_to_do_and_make_nothing(
    bare: CommandLine, command: tuple[str, ...]
) -> None:
    told = bare.json(*command)
    assert told.error == "not_initialised"
    assert "vending init" in told.document["error"]["remedy"]
    assert not bare.folder.exists()


def test_migrations_go_down_and_up(shell: CommandLine) -> None:
    head = shell.json("migrate").document["schema"]
    down = shell.json("migrate", "--", "-1", "--down")
    assert shell.json("migrate", "base", "--down").document == {"schema": None}
    assert shell.json("ledger", "verify").error == "schema_mismatch"
    assert shell.json("migrate").document == {"schema": head}
    assert shell.json("ledger", "verify").code == 0
    del down


def test_unknown_revision_is_refused(shell: CommandLine) -> None:
    assert shell.json("migrate", "9999").error == "revision_unknown"
