from typing import Any

import pytest

from tests.support.command_line import ANNA, BEN, CommandLine, session_file
from tests.support.terminal import Terminal
from tests.support.vending_keys import DKGA02_HEX, DKGA04_HEX, DUTK_2014
from vending.keystore.components import compute_check_value
from vending.keystore.redaction import Secret


@pytest.fixture(autouse=True)
def demonstration(monkeypatch: pytest.MonkeyPatch) -> None:
    """One person imports keys in a demonstration alone."""
    monkeypatch.setenv("VENDING_DEMO", "true")


KEY = ("--sgc", "201457", "--krn", "1")


def parts_of(key_hex: str) -> tuple[str, str]:
    whole = bytes.fromhex(key_hex)
    part = bytes(range(1, len(whole) + 1))
    return part.hex(), bytes(a ^ b for a, b in zip(whole, part, strict=True)).hex()


FIRST, SECOND = parts_of(DKGA04_HEX)


def import_key(
    shell: CommandLine, *more: str, text: str = f"{FIRST}\n{SECOND}\n"
) -> dict[str, Any]:
    path = shell.write("components", text)
    document = shell.json("keys", "import", "--demo", *KEY, "--components", path, *more).document
    assert isinstance(document, dict)
    return document


def test_components_from_a_file_make_a_key(shell: CommandLine) -> None:
    shown = import_key(shell, text=f"{FIRST}\n\n{SECOND.upper()}\n")
    assert shown == shell.json("keys", "list").document[0]
    assert {k: shown[k] for k in ("sgc", "krn", "kt", "ken", "base_date", "dkga")} == {
        "sgc": "201457", "krn": 1, "kt": "DUTK", "ken": 255, "base_date": 2014, "dkga": 4,
    }  # fmt: skip
    assert len(shown["check_value"]) == 6
    assert (shown["demo"], shown["retired"]) == (True, False)


def test_check_values_are_held_against_the_components(shell: CommandLine) -> None:
    wrong = import_key(shell, text=f"{FIRST} 000000\n{SECOND}\n")
    assert wrong["error"]["code"] == "key_check_value_wrong"
    whole = import_key(shell, "--check-value", "000000")
    assert whole["error"]["code"] == "key_check_value_wrong"
    assert len(import_key(shell)["check_value"]) == 6


def test_key_of_the_older_derivation_is_taken(shell: CommandLine) -> None:
    first, second = parts_of(DKGA02_HEX)
    shown = import_key(
        shell, "--dkga", "2", "--base-date", "1993", "--ken", "10", text=f"{first}\n{second}"
    )
    assert (shown["dkga"], shown["base_date"], shown["ken"]) == (2, 1993, 10)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--kt", "9"), "sts_field_range"),
        (("--dkga", "1"), "sts_unsupported"),
        (("--base-date", "2000"), "sts_field_range"),
        (("--ken", "256"), "sts_field_range"),
        (("--krn", "10"), "sts_field_range"),
        (("--sgc", "1"), "sts_field_format"),
        (("--krn", "x"), "usage"),
        (("--kt", "0"), "meter_configuration"),
    ],
)
def test_option_out_of_bounds_is_refused(
    shell: CommandLine, more: tuple[str, str], code: str
) -> None:
    path = shell.write("components", f"{FIRST}\n{SECOND}\n")
    told = shell.json("keys", "import", "--demo", *KEY, *more, "--components", path)
    assert told.error == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "key_component_count"),
        (f"{FIRST}\nnonsense\n", "key_component_invalid"),
        (f"{FIRST}\n{SECOND}\u00e9\n", "key_component_invalid"),
        (f"{FIRST}\n{SECOND[:-2]}\n", "key_component_invalid"),
        (f"{FIRST}\n{FIRST}\n", "key_weak"),
    ],
)
def test_components_that_make_no_key_are_refused(shell: CommandLine, text: str, code: str) -> None:
    document = import_key(shell, text=text)
    assert document["error"]["code"] == code
    assert FIRST not in str(document)


def test_file_that_is_missing_and_no_terminal_are_refused(shell: CommandLine) -> None:
    told = shell.json("keys", "import", "--demo", *KEY, "--components", "missing")
    assert told.error == "key_components_missing"
    assert shell.json("keys", "import", "--demo", *KEY).error == "key_components_missing"


def test_key_is_brought_in_once(shell: CommandLine) -> None:
    import_key(shell)
    assert import_key(shell)["error"]["code"] == "key_exists"


def test_retirement_takes_two_people(shell: CommandLine) -> None:
    import_key(shell)
    asked = shell.json("keys", "retire", *KEY, "--reason", "stolen").document["approval"]
    assert shell.json("keys", "retire", *KEY, "--approval", asked).error == "approval_state"
    assert shell.json("approvals", "approve", asked, by=ANNA).error == "approval_own"
    assert shell.json("approvals", "approve", asked, by=BEN).code == 0
    assert shell.json("keys", "retire", *KEY, "--approval", asked).code == 0
    assert shell.json("keys", "list").document[0]["retired"] is True
    assert shell.json("keys", "retire", "--sgc", "1", "--krn", "1").error == "sts_field_format"
    assert shell.json("keys", "retire", "--sgc", "999999", "--krn", "1").error == "key_not_found"


def test_one_person_imports_no_real_key(
    shell: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shell.write("components", f"{FIRST}\n{SECOND}\n")
    told = shell.json("keys", "import", *KEY, "--components", path)
    assert told.error == "key_import_alone"
    monkeypatch.delenv("VENDING_DEMO")
    assert import_key(shell)["error"]["code"] == "key_import_alone"
    assert shell.json("keys", "list").document == []


def test_list_for_people_is_readable_at_80_columns(shell: CommandLine) -> None:
    import_key(shell)
    told = shell.run("keys", "list")
    assert max(len(line) for line in told.out.splitlines()) <= 80
    assert "sgc: 201457" in told.out
    assert FIRST not in told.out


def test_damage_is_listed_and_exits_with_1(shell: CommandLine) -> None:
    import_key(shell)
    assert shell.json("keys", "check").document == {"key_store": "whole"}
    database = shell.database()
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("UPDATE vending_keys SET ken = 254")
        uow.commit()
    database.close()
    told = shell.json("keys", "check")
    assert told.error == "key_store_damaged"
    assert "201457" in str(told.document["damage"])
    assert "201457" in shell.run("keys", "check").out
    assert shell.json("keys", "list").error == "key_store_corrupt"


def test_store_on_a_new_machine_is_adopted(shell: CommandLine) -> None:
    (shell.folder / "keystore.generation").unlink()
    assert shell.json("keys", "list").error == "key_store_generation_unknown"
    assert shell.json("keys", "adopt").document == {"key_store": "adopted"}
    assert shell.json("keys", "list").code == 0


def test_store_is_made_by_hand_where_there_is_none(shell: CommandLine) -> None:
    assert shell.json("keys", "create").error == "key_store_exists"
    database = shell.database()
    with database.unit_of_work() as uow:
        uow.connection.exec_driver_sql("DELETE FROM key_store_header")
        uow.commit()
    database.close()
    (shell.folder / "keystore.generation").unlink()
    assert shell.json("keys", "create").document == {"key_store": "created"}


# --- typed at a terminal -------------------------------------------------------------------------
def test_component_typed_is_not_shown(shell: CommandLine) -> None:
    value = compute_check_value(Secret(bytes.fromhex(FIRST)), DUTK_2014.attributes)
    begun = shell.json("keys", "ceremony", "begin", *KEY, "--check-value", "ABCDEF").document
    arguments = [
        *("keys", "ceremony", "enter", begun["id"], "--component", "1"),
        *("--json", "--data", str(shell.folder)),
    ]
    terminal = Terminal(arguments, shell.folder.parent, session_file(shell.folder, ANNA))
    terminal.answer("component: ", FIRST)
    terminal.answer("its check value", value)
    out = terminal.finish()
    assert f"1: anna ({value})" in out
    assert out.count("\n") == 1
    assert FIRST not in terminal.screen + out
