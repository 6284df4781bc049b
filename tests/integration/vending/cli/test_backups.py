from pathlib import Path

from tests.support.command_line import CommandLine


def make_key(shell: CommandLine, name: str) -> dict[str, str]:
    passphrase = shell.write(f"{name}.pass", f"passphrase of {name}\n")
    key_file = str(shell.folder.parent / f"{name}.key")
    told = shell.json(
        "backup", "custodian", "new", name, "--out", key_file, "--passphrase-file", passphrase,
        data=False,
    )  # fmt: skip
    document: dict[str, str] = told.document
    return document


def test_a_custodians_key_is_made_without_an_installation(shell: CommandLine) -> None:
    made = make_key(shell, "anna")
    assert len(made["public_key"]) == 64
    assert Path(made["key_file"]).stat().st_mode & 0o077 == 0


def test_a_backup_without_custodians_is_refused(shell: CommandLine) -> None:
    told = shell.json("backup", "create", str(shell.folder.parent / "one.vbackup"))
    assert told.error == "custodian_count"
    assert not (shell.folder.parent / "one.vbackup").exists()
    assert shell.json("backup", "create").error == "argument_invalid"


def test_what_is_no_backup_restores_nothing(shell: CommandLine) -> None:
    keys = [make_key(shell, name) for name in ("anna", "bela")]
    file = shell.write("one.vbackup", "this is no backup")
    options = []
    for key in keys:
        options += ["--custodian", key["key_file"]]
        options += ["--passphrase-file", str(shell.folder.parent / f"{key['name']}.pass")]
    assert shell.json("backup", "verify", file, *options, data=False).error == "backup_damaged"
    empty = CommandLine(shell.folder.parent / "empty", shell.capture)
    assert empty.json("restore", file, *options).error == "backup_damaged"


def test_an_installation_that_was_never_restored_has_no_gap(shell: CommandLine) -> None:
    assert shell.json("restore", "gap").error in {"restoration_not_found", "permission_denied"}
