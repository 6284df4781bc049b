"""Signed heads leave the database once each, and speak for themselves there."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from tests.support.audit_chain import Chain
from vending.audit.errors import HeadInvalidError, HeadsFileError, PublicKeyInvalidError
from vending.audit.model import FindingKind
from vending.audit.rules import ChainKeys, PublicKey
from vending.audit.service.check import check_lines
from vending.audit.service.heads import (
    export_heads,
    last_exported,
    list_files,
    read_lines,
    render_head,
    write_heads,
)
from vending.audit.tables import audit_heads, audit_links


def export(chain: Chain, folder: Path) -> int:
    return export_heads(chain.database, folder, public_key=chain.keys.public_key)


def test_each_head_is_exported_once_into_the_file_of_its_month(
    chain: Chain, tmp_path: Path
) -> None:
    assert export(chain, tmp_path) == 4
    assert export(chain, tmp_path) == 0
    chain.clock.advance(timedelta(days=10))
    chain.fill([2])
    assert export(chain, tmp_path) == 1
    files = list_files(tmp_path)
    assert [file.name for file in files] == ["heads-2026-11.jsonl", "heads-2026-12.jsonl"]
    heads = [line.head for line in read_lines(files)]
    assert [head.position for head in heads if head] == [3, 7, 8, 12, 14]
    assert chain.verify(list(read_lines(files))).findings == ()


def test_a_clock_that_was_set_back_does_not_hide_the_newest_head(
    chain: Chain, tmp_path: Path
) -> None:
    export(chain, tmp_path)
    chain.clock.jump_to(chain.clock.now() - timedelta(days=60))
    chain.fill([1])
    assert export(chain, tmp_path) == 1
    assert export(chain, tmp_path) == 0
    newest = last_exported(tmp_path, public_key=chain.keys.public_key)
    assert newest is not None
    assert newest.position == 13


def test_a_crash_in_the_middle_of_a_line_loses_and_repeats_no_head(
    chain: Chain, tmp_path: Path
) -> None:
    export(chain, tmp_path)
    (file,) = list_files(tmp_path)
    whole = file.read_bytes()
    for cut in (1, 40, len(whole.splitlines(keepends=True)[-1])):
        file.write_bytes(whole[:-cut])
        assert export(chain, tmp_path) == 1
        assert file.read_bytes() == whole


def test_a_forged_head_is_not_exported(chain: Chain, tmp_path: Path) -> None:
    with chain.superuser() as connection:
        chain.disarm(connection)
        connection.execute(
            update(audit_heads).where(audit_heads.c.position == 8).values(signature=bytes(64))
        )
    with pytest.raises(HeadInvalidError, match="position 8"):
        export(chain, tmp_path)


def test_an_altered_file_is_noticed(chain: Chain, tmp_path: Path) -> None:
    export(chain, tmp_path)
    (file,) = list_files(tmp_path)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]) + lines[-1].replace('"position": 12', '"position": 99'))
    with pytest.raises(HeadInvalidError, match="signature"):
        export(chain, tmp_path)
    (finding,) = chain.verify(list(read_lines([file]))).findings
    assert finding.kind is FindingKind.EXPORTED_HEAD_INVALID
    assert "line 4" in finding.message


@pytest.mark.parametrize(
    "line",
    ["", "no json", "[]", "{}", '{"position": "1"}', "[" * 1_900, "\\x00\\xff", "x" * 5_000],
)
def test_garbage_in_a_file_is_a_finding_and_no_crash(
    chain: Chain, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "heads.jsonl"
    file.write_text(line + "\n", "utf-8")
    kinds = {one.kind for one in chain.verify(list(read_lines([file]))).findings}
    assert kinds == {FindingKind.EXPORTED_HEAD_INVALID}


def test_only_an_exported_head_shows_that_everything_was_cut_off_at_a_head(
    chain: Chain, tmp_path: Path
) -> None:
    export(chain, tmp_path)
    with chain.superuser() as connection:
        chain.disarm(connection)
        chain.cut(connection, after=8)
    assert chain.verify().findings == ()
    (finding,) = chain.verify(list(read_lines(list_files(tmp_path)))).findings
    assert (finding.kind, finding.position) == (FindingKind.CUT_OFF, 9)
    assert "9 to 12" in finding.message


def test_a_chain_that_was_made_anew_differs_from_its_exported_heads(chain: Chain) -> None:
    exported = chain.exported()
    with chain.superuser() as connection:
        chain.disarm(connection)
        chain.cut(connection, after=8)
    chain.fill([4])
    kinds = {one.kind for one in chain.verify(exported).findings}
    assert kinds == {FindingKind.EXPORTED_HEAD_DIFFERS}


def test_an_auditor_checks_heads_with_the_public_key_alone(chain: Chain, tmp_path: Path) -> None:
    file = tmp_path / "for-the-auditor.jsonl"
    keys = chain.keys
    with chain.database.read() as connection:
        assert write_heads(connection, file, public_key=keys.public_key) == 4
        with pytest.raises(HeadsFileError):
            write_heads(connection, file, public_key=keys.public_key)
    public_key = PublicKey.parse(keys.public_key.raw.hex() + "\n")
    checked = check_lines(read_lines([file]), public_key=public_key)
    assert (checked.count, checked.first_position, checked.last_position) == (4, 3, 12)
    assert checked.breaks == ()
    assert {json.loads(line)["key"] for line in file.read_text().splitlines()} == {public_key.name}
    with pytest.raises(HeadInvalidError, match="line 1"):
        check_lines(read_lines([file]), public_key=ChainKeys(bytes(32)).public_key)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0] + lines[2])
    assert check_lines(read_lines([file]), public_key=public_key).breaks == (
        f"{file}, line 2: follows position 7",
    )


def test_every_field_of_a_head_is_signed(chain: Chain) -> None:
    keys = chain.keys
    head = chain.exported()[1].head
    assert head is not None
    assert keys.public_key.has_signed(head)
    for altered in (
        replace(head, position=8),
        replace(head, previous_position=2),
        replace(head, link=bytes(32)),
        replace(head, link=b""),
        replace(head, sealed_at=head.sealed_at + timedelta(microseconds=1)),
        replace(head, signature=bytes(64)),
        replace(head, signature=b""),
    ):
        assert not keys.public_key.has_signed(altered)
    assert str(keys.public_key.raw) not in render_head(head, keys.public_key)


def test_a_column_of_another_length_is_no_head(chain: Chain, tmp_path: Path) -> None:
    (exported, *_) = chain.exported()
    assert exported.head is not None
    line = render_head(exported.head, chain.keys.public_key)
    file = tmp_path / "heads.jsonl"
    for name, end in (("link", "00"), ("signature", "00")):
        document = json.loads(line)
        file.write_text(json.dumps({**document, name: document[name] + end}) + "\n", "utf-8")
        (finding,) = chain.verify(list(read_lines([file]))).findings
        assert finding.kind is FindingKind.EXPORTED_HEAD_INVALID


def test_an_instant_outside_all_calendars_is_no_head(chain: Chain, tmp_path: Path) -> None:
    (exported, *_) = chain.exported()
    assert exported.head is not None
    document = json.loads(render_head(exported.head, chain.keys.public_key))
    document["sealed_at"] = "0001-01-01T00:00:00+14:00"
    file = tmp_path / "heads.jsonl"
    file.write_text(json.dumps(document) + "\n", "utf-8")
    (finding,) = chain.verify(list(read_lines([file]))).findings
    assert finding.kind is FindingKind.EXPORTED_HEAD_INVALID


@pytest.mark.parametrize("text", ["", "xyz", "00" * 31, "00" * 33])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(PublicKeyInvalidError):
        PublicKey.parse(text)


def test_a_folder_that_cannot_be_written_is_named(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadsFileError, match="file"):
        export(chain, tmp_path / "file")


def test_heads_whose_links_are_gone_are_named(chain: Chain) -> None:
    with chain.superuser() as connection:
        chain.disarm(connection)
        connection.execute(delete(audit_links).where(audit_links.c.position > 8))
    kinds = {one.kind for one in chain.verify().findings}
    assert kinds == {FindingKind.CUT_OFF, FindingKind.EVENT_INSERTED}
