import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.attached_module import SETTINGS, AttachedBench, attached_bench
from tests.support.command_line import BEN, CommandLine, Outcome
from tests.support.installed import bring_in_a_key
from tests.support.softhsm import LIBRARY, PIN, SoftHSM
from vending.cli import doctor
from vending.persistence import outbox
from vending.persistence.outbox import Failure, Message
from vending.sales.service.clock_guard import confirm_clock
from vending.settings import Settings
from vending.values.clock import FixedClock, SystemClock
from vending.values.identifiers import OutboxId, new_uuid7


@pytest.fixture
def well(shell: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """An installation in which all is well: the key file lies elsewhere, and any port will do."""
    bring_in_a_key(shell)
    key_file = shell.folder.parent / "elsewhere.key"
    (shell.folder / "keystore.key").rename(key_file)
    monkeypatch.setenv("VENDING_KEY_STORE_KEY_FILE", key_file.name)  # the working folder is there
    monkeypatch.setenv("VENDING_PORT", "0")
    return shell


def verdicts(told: Outcome) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in told.document["checks"]}


def failed(told: Outcome) -> dict[str, dict[str, str]]:
    """The checks that failed, each with its fix; seen to be refused."""
    assert told.error == "doctor_found_faults"
    bad = {one["check"]: one for one in told.document["checks"] if one["verdict"] == "FAILED"}
    assert all(one["fix"] for one in bad.values())
    return bad


def test_all_is_well(well: CommandLine) -> None:
    told = well.json("doctor")
    assert told.code == 0
    assert set(verdicts(told).values()) == {"ok"}
    assert {one["setting"] for one in told.document["settings"]} == set(Settings.model_fields)
    for_people = well.run("doctor")
    assert for_people.code == 0
    assert "All is well." in for_people.out


def test_before_init_it_says_what_to_do_and_makes_nothing(bare: CommandLine) -> None:
    told = bare.json("doctor")
    bad = failed(told)
    assert set(bad) == {"data folder", "database"}
    assert all("vending init" in one["fix"] for one in bad.values())
    assert not bare.folder.exists()


def test_everything_for_people_fits_in_80_columns(well: CommandLine) -> None:
    told = well.run("doctor")
    ours = [line for line in told.out.splitlines() if str(well.folder.parent) not in line]
    assert max(map(len, ours)) <= 80


def test_misspelt_variable_is_found(well: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDING_PROT", "1")
    assert failed(well.json("doctor"))["environment"]["found"] == "VENDING_PROT is no setting"


def test_setting_is_shown_with_its_source(
    well: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDING_PORT", "99")
    shown = {one["setting"]: one for one in well.json("doctor").document["settings"]}
    assert (shown["port"]["value"], shown["port"]["source"]) == ("99", "environment VENDING_PORT")
    assert shown["data_dir"]["source"] == "command line"


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_folder_open_to_others_is_found(well: CommandLine, mode: int) -> None:
    well.folder.chmod(mode)
    assert "data folder" in failed(well.json("doctor"))


@pytest.mark.parametrize("mode", [0o700, 0o750])
def test_folder_that_a_group_may_read_is_fine(well: CommandLine, mode: int) -> None:
    well.folder.chmod(mode)
    assert well.json("doctor").code == 0


def test_folder_that_cannot_be_written_is_found(
    well: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    check = doctor._check_folder(well.folder)
    assert check.verdict is doctor.Verdict.FAILED
    assert "cannot be written" in check.fix


def test_little_space_is_found(well: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_SPACE_MIN_MB", 10**9)
    assert "free space" in failed(well.json("doctor"))


def test_demo_mode_is_found(well: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENDING_DEMO", "true")
    assert "demo mode" in failed(well.json("doctor"))


def test_database_that_cannot_be_reached_is_found(
    well: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDING_DATABASE_URL", "postgresql://u:canary@127.0.0.1:1/vending")
    told = well.json("doctor")
    assert "database" in failed(told)
    assert "canary" not in told.out + told.err


def test_old_schema_is_found(well: CommandLine) -> None:
    well.json("migrate", "base", "--down")
    bad = failed(well.json("doctor"))
    assert "vending migrate" in bad["schema"]["fix"]
    assert set(failed(well.json("doctor", "--confirm-clock"))) == {"schema"}


def test_store_without_a_usable_key_is_found(shell: CommandLine) -> None:
    assert "vending keys ceremony" in failed(shell.json("doctor"))["key store"]["fix"]
    bring_in_a_key(shell)
    register = ("--sgc", "201457", "--krn", "1")
    asked = shell.json("keys", "retire", *register, "--reason", "stolen").document["approval"]
    assert shell.json("approvals", "approve", asked, by=BEN).code == 0
    assert shell.json("keys", "retire", *register, "--approval", asked).code == 0
    assert "key store" in failed(shell.json("doctor"))


def test_key_that_does_not_open_the_store_is_found(well: CommandLine) -> None:
    (well.folder.parent / "elsewhere.key").write_bytes(b"k" * 32)
    assert "key store" in failed(well.json("doctor"))


def test_jumped_clock_is_found_and_confirmed(well: CommandLine) -> None:
    database = well.database()
    future = FixedClock(datetime(2999, 1, 1, tzinfo=UTC))
    confirm_clock(database, future)
    database.close()
    bad = failed(well.json("doctor"))
    assert "--confirm-clock" in bad["clock"]["fix"]
    confirmed = well.json("doctor", "--confirm-clock")
    assert verdicts(confirmed)["clock"] == "ok"
    assert well.json("doctor").code == 0


def append_message(shell: CommandLine, *, age: timedelta, is_parked: bool) -> None:
    at = SystemClock().now() - age  # the command reads the clock of this machine
    clock = FixedClock(at)
    database = shell.database()
    with database.unit_of_work() as uow:
        outbox.append(uow.connection, [Message(OutboxId(new_uuid7(clock)), "t", {}, at)])
        if is_parked:
            leased = outbox.lease(uow.connection, now=at, limit=1, lease_s=1)
            failures = [Failure(message, "x", retry_at=None) for message in leased]
            outbox.mark_failed(uow.connection, failures, now=at)
        uow.commit()
    database.close()


def test_message_that_waits_for_long_is_found(well: CommandLine) -> None:
    append_message(well, age=timedelta(minutes=10), is_parked=False)
    assert "vending worker" in failed(well.json("doctor"))["outbox"]["fix"]


def test_message_that_waits_for_a_person_is_found(well: CommandLine) -> None:
    append_message(well, age=timedelta(0), is_parked=True)
    assert "1 message(s)" in failed(well.json("doctor"))["outbox"]["found"]


def test_settings_that_cannot_be_read_are_refused(bare: CommandLine) -> None:
    Path(".env").write_text("VENDING_PORT=x\n", "utf-8")
    told = bare.json("doctor")
    assert told.error == "settings_invalid"
    assert "setting port, from .env" in told.document["error"]["detail"]


def warned(told: Outcome) -> dict[str, dict[str, str]]:
    """The checks that warn, each with its fix; a warning alone is no failure."""
    assert told.code == 0
    found = {one["check"]: one for one in told.document["checks"] if one["verdict"] == "warning"}
    assert all(one["fix"] for one in found.values())
    return found


def test_key_file_beside_the_database_is_warned_of(
    well: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VENDING_KEY_STORE_KEY_FILE")
    (well.folder.parent / "elsewhere.key").rename(well.folder / "keystore.key")
    assert set(warned(well.json("doctor"))) == {"key file"}


def test_key_that_expires_soon_is_warned_of(
    well: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "EXPIRY_WARNING_DAYS", 40 * 365)
    assert "201457/1/DUTK" in warned(well.json("doctor"))["key store"]["found"]


def test_port_of_another_program_is_found(
    well: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(doctor, "PROBE_TIMEOUT_S", 0.2)
        monkeypatch.setenv("VENDING_PORT", str(other.getsockname()[1]))
        assert "--port" in failed(well.json("doctor"))["port"]["fix"]


def test_port_of_our_own_service_is_fine(
    well: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is the library's
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"ok"}')

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(doctor, "PROBE_TIMEOUT_S", 100)
        monkeypatch.setenv("VENDING_PORT", str(server.server_port))
        told = well.json("doctor")
        server.shutdown()
    assert verdicts(told)["port"] == "ok"
    assert told.code == 0


def test_parked_message_is_listed_and_released(well: CommandLine) -> None:
    append_message(well, age=timedelta(0), is_parked=True)
    (parked,) = well.json("outbox", "list").document
    assert (parked["topic"], parked["failure"], parked["tries"]) == ("t", "x", 1)
    assert well.json("outbox", "release", parked["id"]).document == {"released": 1}
    assert well.json("outbox", "list").document == []
    assert well.json("outbox", "release", parked["id"]).document == {"released": 0}


# --- the security module --------------------------------------------------------------------------
def found_of(told: Outcome, check: str) -> str:
    return next(str(one["found"]) for one in told.document["checks"] if one["check"] == check)


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> Iterator[AttachedBench]:
    registers = ",".join(
        f"{one.number}={one.key.sgc}/{one.key.krn}/{one.key.kt.value}/{one.base_year}"
        for one in SETTINGS
    )
    with attached_bench() as bench:
        monkeypatch.setenv("VENDING_SECURITY_MODULE", "attached")
        monkeypatch.setenv("VENDING_MODULE_PORT", bench.address)
        monkeypatch.setenv("VENDING_MODULE_REGISTERS", registers)
        monkeypatch.setenv("VENDING_MODULE_TIMEOUT_MS", "60000")
        yield bench


def test_attached_module_is_asked_for_every_register(
    well: CommandLine, attached: AttachedBench
) -> None:
    told = well.json("doctor")
    assert told.code == 0
    assert verdicts(told)["security module"] == "ok"
    assert "simulated security module on " in found_of(told, "security module")
    del attached.simulated.state.registers[SETTINGS[0].number]
    bad = failed(well.json("doctor"))
    assert f"register {SETTINGS[0].number}" in bad["security module"]["found"]


def test_attached_module_that_is_silent_fails(
    well: CommandLine, attached: AttachedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDING_MODULE_TIMEOUT_MS", "100")
    attached.simulated.state.is_dead = True
    assert "line and power" in failed(well.json("doctor"))["security module"]["fix"]


def test_registers_of_the_module_have_to_be_set(
    well: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDING_SECURITY_MODULE", "attached")
    bad = failed(well.json("doctor"))["security module"]
    assert bad["found"].startswith("VENDING_MODULE_REGISTERS")


def test_key_outside_the_token_is_a_warning(
    well: CommandLine, softhsm: SoftHSM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDING_SECURITY_MODULE", "pkcs11")
    monkeypatch.setenv("VENDING_PKCS11_LIBRARY", str(LIBRARY))
    monkeypatch.setenv("VENDING_PKCS11_TOKEN", softhsm.make_token())
    monkeypatch.setenv("VENDING_PKCS11_PIN", PIN)
    told = well.json("doctor")
    assert verdicts(told)["security module"] == "warning"
    assert "holds 0 of 1 key(s)" in found_of(told, "security module")
    assert PIN not in told.out
    monkeypatch.setenv("VENDING_PKCS11_PIN", "9999-9999")
    bad = failed(well.json("doctor"))["security module"]
    assert "locks after a few tries" in bad["fix"]
