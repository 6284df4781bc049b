"""A second process that codes the events: the same verdict, and none by it when it is lost."""

import os
import random  # noqa: TID251 # tamperings that can be repeated
import struct
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import psutil
import pytest

from tests.support.audit_chain import Chain
from tests.support.audit_tampering import TAMPERINGS, Superuser
from vending.audit.model import AuditReport
from vending.audit.service.coding import (
    CodedEvents,
    PatientPipe,
    SecondProcessLostError,
    code_events,
    coded_elsewhere,
    receive,
)
from vending.audit.service.verify import maybe_coded_elsewhere, verify


def verify_with(chain: Chain, coded: Iterator[CodedEvents]) -> AuditReport:
    with chain.database.read() as connection:
        now, exported = chain.clock.now(), chain.exported()
        return verify(connection, chain.keys, now=now, exported=exported, coded=coded)


@pytest.mark.parametrize("name", sorted(TAMPERINGS))
def test_tampering_is_found_alike_from_two_snapshots(chain: Chain, name: str) -> None:
    exported, keys = chain.exported(), chain.keys
    with chain.superuser() as connection:
        chain.disarm(connection)
        TAMPERINGS[name](Superuser(connection, random.Random(7)))  # noqa: S311 # a repeatable plan
    alone = chain.verify(exported)
    with chain.database.read() as other, chain.database.read() as connection:
        coded = code_events(other, keys.event_code)
        now = chain.clock.now()
        together = verify(connection, keys, now=now, exported=exported, coded=coded)
    assert alone.finding_count > 0
    assert together == alone


def test_process_finds_what_is_found_alone(chain: Chain) -> None:
    whole = chain.verify(links_min=1)
    assert whole == chain.verify()
    assert whole.finding_count == 0
    with chain.superuser() as connection:
        chain.disarm(connection)
        TAMPERINGS["edit_event"](Superuser(connection, random.Random(1)))  # noqa: S311 # a repeatable plan
        TAMPERINGS["delete_row"](Superuser(connection, random.Random(2)))  # noqa: S311 # a repeatable plan
    assert chain.verify(links_min=1) == chain.verify()
    assert chain.verify().finding_count > 1


def test_events_that_come_after_its_snapshot_are_no_finding(chain: Chain) -> None:
    with maybe_coded_elsewhere(chain.database, chain.sealer, links_min=1) as coded:
        chain.fill([3, 2])
        chain.record(1)
        assert coded is not None
        report = verify_with(chain, coded)
    assert (report.findings, report.links, report.events) == ((), 17, 17)


def test_event_changed_after_its_snapshot_is_found_the_next_time(chain: Chain) -> None:
    with maybe_coded_elsewhere(chain.database, chain.sealer, links_min=1) as coded:
        with chain.superuser() as connection:
            chain.disarm(connection)
            TAMPERINGS["edit_event"](Superuser(connection, random.Random(1)))  # noqa: S311 # a repeatable plan
        assert coded is not None
        verify_with(chain, coded)
    assert chain.verify(links_min=1).finding_count > 0


def test_process_that_does_not_start_leaves_all_to_the_first(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with maybe_coded_elsewhere(chain.database, chain.sealer, links_min=1) as coded:
        assert coded is None
    assert chain.verify(links_min=1).findings == ()


def test_process_that_is_lost_midway_is_no_verdict(chain: Chain) -> None:
    def half() -> Iterator[CodedEvents]:
        with chain.database.read() as connection:
            (chunk,) = code_events(connection, chain.keys.event_code)
            yield CodedEvents(chunk.codes[: 48 * 3], [])
        raise SecondProcessLostError

    report = verify_with(chain, half())
    assert (report.findings, report.events) == ((), 12)


def test_its_arguments_tell_nothing_and_it_ends_with_the_block(chain: Chain) -> None:
    before = set(psutil.Process().children())
    with coded_elsewhere(chain.database, chain.keys):
        (child,) = set(psutil.Process().children()) - before
        shown = " ".join(child.cmdline())
    assert shown.endswith("-m vending.audit.service.coding")
    assert not child.is_running()


def test_nothing_is_imported_from_the_folder_one_is_in(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    planted = f"open({str(told)!r}, 'w').write('planted')"
    (tmp_path / "vending").mkdir()
    (tmp_path / "vending" / "__init__.py").write_text(planted)
    (tmp_path / "json.py").write_text(planted)
    monkeypatch.chdir(tmp_path)
    assert chain.verify(links_min=1).findings == ()
    assert not told.exists()


def test_silence_of_the_process_is_not_waited_for_without_end() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"abc")
        pipe = PatientPipe(reading, silence_s_max=0.05)
        assert pipe.read(2) == b"ab"
        with pytest.raises(SecondProcessLostError):
            pipe.read(2)
    finally:
        os.close(writing)
    assert pipe.read(2) == b"", "the end"
    os.close(reading)


def test_stream_that_breaks_off_is_noticed(chain: Chain) -> None:
    with chain.database.read() as connection:
        (chunk,) = code_events(connection, chain.keys.event_code)
    whole = struct.pack(">II", len(chunk.codes), 1) + chunk.codes + struct.pack(">I", 3) + b"odd"
    end = struct.pack(">II", 0xFFFF_FFFF, 0)
    assert list(receive(BytesIO(whole + end))) == [CodedEvents(chunk.codes, [b"odd"])]
    for size in range(len(whole) + len(end)):
        with pytest.raises(SecondProcessLostError):
            list(receive(BytesIO((whole + end)[:size])))


def test_short_chain_is_read_alone(chain: Chain) -> None:
    with maybe_coded_elsewhere(chain.database, chain.sealer) as coded:
        assert coded is None
