"""Ceremonies, switches, ceilings, forecast and rotation from the command line."""

from pathlib import Path

import pytest

from tests.support.command_line import ANNA, BEN, CommandLine, sign_in
from tests.support.vending_keys import DKGA04_HEX, DUTK_2014
from vending.keystore.components import compute_check_value
from vending.keystore.redaction import Secret
from vending.keystore.unlocking import KeyFile
from vending.operators.permissions import Role

KEY = "201457/1/DUTK"
WHOLE = bytes.fromhex(DKGA04_HEX)
FIRST = bytes(range(1, 21))
SECOND = bytes(a ^ b for a, b in zip(WHOLE, FIRST, strict=True))


def check_value(material: bytes) -> str:
    return compute_check_value(Secret(material), DUTK_2014.attributes)


def begin(shell: CommandLine) -> str:
    told = shell.json(
        *("keys", "ceremony", "begin", "--sgc", "201457", "--krn", "1"),
        *("--check-value", check_value(WHOLE)),
    )
    ceremony_id: str = told.document["id"]
    return ceremony_id


def enter(shell: CommandLine, ceremony_id: str, number: int, *, by: str) -> str:
    material = FIRST if number == 1 else SECOND
    path = shell.write(f"component-{number}", f"{material.hex()} {check_value(material)}\n")
    told = shell.json(
        *("keys", "ceremony", "enter", ceremony_id),
        *("--component", str(number), "--file", path),
        by=by,
    )
    assert material.hex() not in told.out + told.err
    return told.out if told.code == 0 else told.error


def finish(shell: CommandLine, ceremony_id: str) -> str:
    asked: str = shell.json("keys", "ceremony", "finish", ceremony_id).document["approval"]
    assert shell.json("approvals", "approve", asked, by=BEN).code == 0
    told = shell.json("keys", "ceremony", "finish", ceremony_id, "--approval", asked)
    assert told.document["check_value"] == check_value(WHOLE)
    return asked


def test_ceremony_brings_in_a_key_and_its_record_is_printed(
    shell: CommandLine, tmp_path: Path
) -> None:
    held = begin(shell)
    enter(shell, held, 1, by=ANNA)
    assert enter(shell, held, 2, by=ANNA) == "custodian_repeated"
    enter(shell, held, 2, by=BEN)
    finish(shell, held)
    assert shell.json("keys", "list").document[0]["check_value"] == check_value(WHOLE)
    shown = shell.json("keys", "ceremony", "show", held).document
    assert (shown["state"], shell.json("keys", "ceremony", "list").document) == (
        "finished",
        [shown],
    )
    for language in ("en", "zh-CN"):
        pdf = tmp_path / f"{language}.pdf"
        arguments = ("keys", "ceremony", "record", held, "--pdf", str(pdf), "--language", language)
        assert shell.json(*arguments).code == 0
        assert pdf.read_bytes().startswith(b"%PDF")
    told = shell.json("keys", "ceremony", "record", held, "--pdf", str(tmp_path))
    assert told.error == "argument_invalid"


def test_record_of_an_open_ceremony_has_no_approval(shell: CommandLine, tmp_path: Path) -> None:
    held = begin(shell)
    pdf = tmp_path / "record.pdf"
    assert shell.json("keys", "ceremony", "record", held, "--pdf", str(pdf)).code == 0


def test_ceremony_is_aborted(shell: CommandLine) -> None:
    held = begin(shell)
    assert shell.json("keys", "ceremony", "abort", held, by=BEN).document["state"] == "aborted"
    assert enter(shell, held, 1, by=ANNA) == "ceremony_ended"


def test_component_comes_from_a_terminal_or_a_file(shell: CommandLine) -> None:
    held = begin(shell)
    arguments = ("keys", "ceremony", "enter", held, "--component", "1")
    assert shell.json(*arguments).error == "key_components_missing"
    assert shell.json(*arguments, "--file", "missing").error == "key_components_missing"
    empty = shell.write("empty", "")
    assert shell.json(*arguments, "--file", empty).error == "key_components_missing"
    bare = shell.write("bare", FIRST.hex())
    assert shell.json(*arguments, "--file", bare).error == "key_check_value_missing"


def test_one_stops_and_two_release(shell: CommandLine) -> None:
    sign_in(shell.folder, "eve", Role.ENGINEER)
    stopped = shell.json(*("switches", "stop", "key", KEY, "--reason", "theft"), by="eve").document
    assert shell.json("switches", "list").document == [stopped]
    assert shell.json("switches", "release", stopped["id"], by="eve").error == "permission_denied"
    asked = shell.json("switches", "release", stopped["id"]).document["approval"]
    release = ("switches", "release", stopped["id"], "--approval", asked)
    assert shell.json(*release).error == "approval_state"
    assert shell.json("approvals", "approve", asked, by=BEN).code == 0
    assert shell.json(*release).document["released_by"] == ANNA
    assert shell.json("switches", "list").document == []
    assert len(shell.json("switches", "list", "--all").document) == 1


@pytest.mark.parametrize(
    "arguments", [("key", "201457"), ("partner", "nobody"), ("outlet", "nobody", "--outlet", "x")]
)
def test_switch_of_nothing_is_refused(shell: CommandLine, arguments: tuple[str, ...]) -> None:
    told = shell.json("switches", "stop", *arguments, "--reason", "theft")
    assert told.error == "stop_target_invalid"


def test_one_lowers_and_two_raise_a_ceiling(shell: CommandLine) -> None:
    lower = ("ceilings", "set", KEY, "--tokens", "5", "--energy-kwh", "2", "--lower")
    assert shell.json(*lower, "--money-minor", "KES=100").code == 0
    (row,) = shell.json("ceilings", "list").document
    assert (row["tokens_ceiling"], row["energy_ceiling_wh"], row["own"]) == (5, 2000, True)
    higher = ("ceilings", "set", KEY, "--tokens", "6")
    assert shell.json(*higher, "--lower").error == "ceiling_needs_approval"
    asked = shell.json(*higher).document["approval"]
    assert shell.json("approvals", "approve", asked, by=BEN).code == 0
    other = ("ceilings", "set", KEY, "--tokens", "7", "--approval", asked)
    assert shell.json(*other).error == "approval_mismatch"
    assert shell.json(*higher, "--approval", asked).code == 0
    assert shell.json("ceilings", "list").document[0]["tokens_ceiling"] == 6


@pytest.mark.parametrize("money", ["KES", "KES=x", "KES=-1", "ABC=5"])
def test_money_that_is_none_is_refused(shell: CommandLine, money: str) -> None:
    told = shell.json("ceilings", "set", KEY, "--money-minor", money, "--lower")
    assert told.error == "argument_invalid"


def test_forecast_lists_the_keys(shell: CommandLine) -> None:
    held = begin(shell)
    enter(shell, held, 1, by=ANNA)
    enter(shell, held, 2, by=BEN)
    finish(shell, held)
    (row,) = shell.json("keys", "forecast").document
    assert (row["key"], row["severity"], row["do"]) == (KEY, "unused", "nothing")


def test_rotation_takes_two_people(shell: CommandLine) -> None:
    asked = shell.json("keys", "rotate").document["approval"]
    rotate = ("keys", "rotate", "--approval", asked, "--wait-s", "0")
    assert shell.json(*rotate).error == "approval_state"
    assert shell.json("approvals", "approve", asked, by=BEN).code == 0
    assert shell.json(*rotate).document == {"root": 2}
    assert shell.json(*rotate).code == 1
    assert shell.json("keys", "check").document == {"key_store": "whole"}
    roots = shell.json("keys", "roots").document
    assert {row["root"] for row in roots if row["seals"]} == {2}
    assert {row["root"] for row in roots} == {1, 2}
    needing = {row["needed_by"] for row in roots if row["root"] == 1}
    assert not needing & {"vending keys", "secret of the audit log", "authenticator apps"}


def test_another_key_file_takes_two_people(
    shell: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "another.key", tmp_path / "third.key"
    assert shell.json("keys", "change-unlock").error == "argument_invalid"
    ask = ("keys", "change-unlock", "--key-file", str(file))
    asked = shell.json(*ask).document["approval"]
    assert shell.json("approvals", "approve", asked, by=BEN).code == 0
    change = ("keys", "change-unlock", "--approval", asked)
    missing = shell.json(*change, "--passphrase-file", "missing")
    assert missing.error == "argument_invalid"
    assert shell.json(*change, "--key-file", str(other)).error == "key_file_refused"
    KeyFile.create(other)
    assert shell.json(*change, "--key-file", str(other)).error == "approval_mismatch"
    assert shell.json(*change, "--key-file", str(file)).code == 0
    assert shell.json("keys", "list").error == "wrong_key_file"
    monkeypatch.setenv("VENDING_KEY_STORE_KEY_FILE", str(file))
    assert shell.json("keys", "list").code == 0
