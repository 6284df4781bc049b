"""`vending audit`: what an auditor types."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.support.audit_chain import disarm
from tests.support.command_line import CommandLine, sign_in
from vending.audit.rules import MAC_BYTES, PublicKey
from vending.audit.service.heads import export_heads, last_exported, list_files, render_head
from vending.audit.service.keys import load_keys
from vending.audit.service.sealing import seal_waiting
from vending.backups.model import Restoration, RestorationKind
from vending.backups.repository import insert_restoration
from vending.bootstrap import build_container
from vending.keystore.sealing import Purpose
from vending.operators.permissions import Role
from vending.persistence.audit import AuditEvent, audit_events, record
from vending.settings import load_settings
from vending.values.actor import Actor, ActorKind
from vending.values.clock import SystemClock
from vending.values.identifiers import new_uuid7

FORGER = Actor(ActorKind.OPERATOR, "ann\n2026-11-25 operator:ben key.imported\x1b[2J\0")


@pytest.fixture
def sealed(shell: CommandLine) -> CommandLine:
    """An installation whose audit log is sealed, and its heads exported."""
    container = build_container(load_settings(data_dir=shell.folder))
    try:
        with container.database.unit_of_work() as uow:
            record(uow.connection, [AuditEvent(FORGER, "lamp.lit", "lamp:\n1")], SystemClock())
            uow.commit()
        sealer = container.store.sealer(Purpose.AUDIT_KEYS)
        assert seal_waiting(container.database, sealer, clock=SystemClock())
        public_key = PublicKey.parse(shell.json("audit", "public-key").document["public_key"])
        folder = container.settings.effective_audit_heads_dir
        assert export_heads(container.database, folder, public_key=public_key) == 1
    finally:
        container.close()
    return shell


def test_a_log_that_nobody_touched_verifies(sealed: CommandLine) -> None:
    found = sealed.json("audit", "verify")
    assert found.code == 0
    assert found.document["finding_count"] == 0
    assert found.document["exported_heads"] == 1
    assert "verified" in sealed.run("audit", "verify").out


def test_a_changed_event_is_named_and_the_exit_is_1(sealed: CommandLine) -> None:
    with closing(sealed.database()) as database, database.unit_of_work() as uow:
        disarm(uow.connection)
        victim = uow.connection.execute(select(audit_events.c.id).limit(1)).scalar_one()
        uow.connection.execute(
            update(audit_events).where(audit_events.c.id == victim).values(actor_name="ben")
        )
        uow.commit()
    found = sealed.json("audit", "verify")
    assert found.error == "audit_differs"
    *dropped, finding = found.document["findings"]
    assert {one["kind"] for one in dropped} == {"schema_changed"}  # disarmed triggers
    assert (finding["kind"], finding["event"]) == ("event_changed", str(victim))
    assert f"event {victim}: the event was changed\n" in sealed.run("audit", "verify").out


@pytest.mark.parametrize("table", ["audit_heads", "audit_keys"])
def test_a_table_that_is_gone_is_named(sealed: CommandLine, table: str) -> None:
    with closing(sealed.database()) as database, database.unit_of_work() as uow:
        uow.connection.exec_driver_sql(f"DROP TABLE {table}")
        uow.commit()
    found = sealed.json("audit", "verify")
    assert found.error == "audit_differs"
    assert any(table in one["message"] for one in found.document["findings"])


def test_a_name_with_control_characters_forges_no_line(sealed: CommandLine) -> None:
    out = sealed.run("audit", "list", "--action", "lamp.lit").out
    assert "\x1b" not in out
    assert not any(line.startswith("2026-11-25 operator:ben") for line in out.splitlines())
    (event,) = sealed.json("audit", "list", "--action", "lamp.lit").document
    assert event["actor"] == "operator:ann\n2026-11-25 operator:ben key.imported\x1b[2J\ufffd"
    assert event["subject"] == "lamp:\n1"


def test_an_auditor_checks_heads_without_the_installation(
    sealed: CommandLine, tmp_path: Path
) -> None:
    file = str(tmp_path / "heads.jsonl")
    assert sealed.json("audit", "heads", "--export", file).document["heads"] == 1
    key = sealed.json("audit", "public-key").document["public_key"]
    checked = sealed.run("audit", "check-heads", file, "--public-key", key, "--json", data=False)
    assert json.loads(checked.out)["heads"] == 1
    other = "00" * 31 + "01"
    refused = sealed.run("audit", "check-heads", file, "--public-key", other, "--json", data=False)
    assert refused.error == "audit_head_invalid"


def test_nothing_to_declare_is_refused(sealed: CommandLine) -> None:
    assert sealed.json("audit", "declare-gap", "--reason", "x").error == "audit_no_gap"


def test_a_time_that_is_none_is_refused(sealed: CommandLine) -> None:
    for none in ("soon", "0001-01-01T00:00+14:00"):
        assert sealed.json("audit", "list", "--since", none).error == "argument_invalid"
    assert sealed.json("audit", "list", "--until", "1960-01-01T00:00").document == []


def test_a_cashier_may_not_look(sealed: CommandLine) -> None:
    sign_in(sealed.folder, "carl", Role.CASHIER)
    assert sealed.run("audit", "list", "--json", by="carl").error == "permission_denied"


def test_gap_of_a_restore_is_named_by_the_heads_of_what_was_lost(sealed: CommandLine) -> None:
    container, now = build_container(load_settings(data_dir=sealed.folder)), SystemClock().now()
    with closing(container), container.database.unit_of_work() as uow:
        keys = load_keys(uow.connection, container.store.sealer(Purpose.AUDIT_KEYS))
        (file,) = list_files(container.settings.effective_audit_heads_dir)
        held = last_exported(file.parent, public_key=keys.public_key)
        assert held is not None
        lost = keys.sign(held.position + 5, held.position, bytes(MAC_BYTES), now)
        done = Restoration(
            id=new_uuid7(SystemClock()),
            kind=RestorationKind.POINT_IN_TIME,
            backup_id=None,
            state_at=now,
            restored_at=now,
            tid_floor_min=60,
            audit_position=held.position,
            meter_count=0,
            sessions_revoked=0,
        )
        insert_restoration(uow.connection, done)
        uow.commit()
    file.write_text(file.read_text("utf-8") + render_head(lost, keys.public_key), "utf-8")
    told = sealed.json("restore", "gap", "--heads", str(file)).document
    assert told["audit_positions_missing_from"] == held.position + 1
    assert told["audit_positions_missing_to"] == lost.position
    assert (told["audit_entries_missing"], told["heads_refused_at"]) == (5, [])
    assert told["audit_restored_until"] == held.sealed_at.isoformat()
    assert told["audit_lost_until"] == lost.sealed_at.isoformat()
    assert "audit entries missing: 5" in sealed.run("restore", "gap", "--heads", str(file)).out
    assert "audit_entries_missing" not in sealed.json("restore", "gap").document
    assert sealed.json("restore", "gap", "--heads", "missing").error == "audit_heads_file"
