"""Events become links under a signed head, whatever else happens meanwhile."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from tests.support.audit_chain import KIOSK, Chain
from vending.audit.errors import AuditKeyAlteredError, AuditKeyMissingError
from vending.audit.model import FindingKind
from vending.audit.service.keys import ensure_keys, load_keys, reseal
from vending.audit.service.sealing import BATCH_MAX, lag
from vending.audit.tables import audit_heads, audit_keys, audit_links
from vending.keystore.sealing import Keyring, Purpose
from vending.persistence.audit import AuditEvent, audit_events, audit_queue, record
from vending.persistence.column_types import is_sqlite
from vending.persistence.engine import Database
from vending.values.clock import FixedClock


@pytest.fixture
def empty(database: Database, fixed_clock: FixedClock) -> Chain:
    return Chain(database, fixed_clock)


def test_nothing_is_sealed_when_nothing_waits(empty: Chain) -> None:
    assert empty.seal() == 0
    with pytest.raises(AuditKeyMissingError):
        _ = empty.keys


def test_a_batch_is_bounded_and_the_next_one_goes_on(empty: Chain) -> None:
    empty.record(BATCH_MAX + 3)
    assert [empty.seal(), empty.seal(), empty.seal()] == [BATCH_MAX, 3, 0]
    report = empty.verify()
    assert (report.links, report.heads, report.findings) == (BATCH_MAX + 3, 2, ())


def test_a_transaction_that_commits_late_is_sealed_late(
    postgres_database: Database, fixed_clock: FixedClock
) -> None:
    """Its event is older than others that are sealed already."""
    chain = Chain(postgres_database, fixed_clock)
    with postgres_database.unit_of_work() as late:
        record(late.connection, [AuditEvent(KIOSK, "sale.issued", "late")], fixed_clock)
        chain.record(2)
        assert chain.seal() == 2
        late.commit()
    assert chain.seal() == 1
    assert chain.verify().findings == ()
    with postgres_database.read() as connection:
        joined = audit_links.join(audit_events, audit_links.c.event_id == audit_events.c.id)
        query = select(audit_events.c.subject).select_from(joined).order_by(audit_links.c.position)
        assert list(connection.execute(query).scalars()) == ["sale:0", "sale:1", "late"]


def test_a_rolled_back_act_leaves_no_event(empty: Chain) -> None:
    with empty.database.unit_of_work() as uow:
        record(uow.connection, [AuditEvent(KIOSK, "sale.issued", "never")], empty.clock)
    assert empty.seal() == 0
    with empty.database.read() as connection:
        assert connection.execute(select(audit_events)).all() == []


def test_two_workers_make_one_chain(postgres_database: Database, fixed_clock: FixedClock) -> None:
    chain = Chain(postgres_database, fixed_clock)
    chain.fill([1])
    chain.record(200)
    threads = [threading.Thread(target=lambda: [chain.seal() for _ in range(5)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert chain.seal() == 0
    report = chain.verify()
    assert (report.links, report.findings) == (201, ())


def test_a_worker_leaves_the_chain_to_the_one_that_holds_it(
    postgres_database: Database, fixed_clock: FixedClock
) -> None:
    chain = Chain(postgres_database, fixed_clock)
    chain.record(1)
    with postgres_database.unit_of_work() as uow:
        uow.connection.execute(text("SELECT pg_advisory_xact_lock(1635083369)"))
        assert chain.seal() == 0
    assert chain.seal() == 1


def test_the_lag_is_the_age_of_the_oldest_event_that_waits(empty: Chain) -> None:
    with empty.database.read() as connection:
        assert lag(connection, empty.clock.now()) == timedelta(0)
    empty.record(2)
    empty.clock.advance(timedelta(seconds=7))
    with empty.database.read() as connection:
        waited = lag(connection, empty.clock.now())
    assert timedelta(seconds=7) <= waited <= timedelta(seconds=7, milliseconds=2)


def test_an_event_deleted_before_it_was_sealed_leaves_its_mark(chain: Chain) -> None:
    chain.record(3)
    with chain.superuser() as connection:
        chain.disarm(connection)
        victim = connection.execute(
            select(audit_queue.c.event_id).order_by(audit_queue.c.event_id).limit(1)
        ).scalar_one()
        connection.execute(delete(audit_events).where(audit_events.c.id == victim))
    assert chain.seal() == 3
    (finding,) = chain.verify().findings
    assert (finding.kind, finding.position, finding.event_id) == (
        FindingKind.EVENT_REMOVED,
        13,
        victim,
    )
    assert "before it was sealed" in finding.message


def test_an_event_that_is_queued_again_is_not_sealed_again(chain: Chain) -> None:
    with chain.superuser() as connection:
        sealed = connection.execute(select(audit_links.c.event_id).limit(1)).scalar_one()
        connection.execute(insert(audit_queue).values(event_id=sealed))
    assert chain.seal() == 1
    report = chain.verify()
    assert (report.links, report.findings) == (12, ())


def test_sealing_goes_on_behind_a_chain_that_was_cut_off(chain: Chain) -> None:
    """Positions that an exported head vouches for are not given twice."""
    exported = chain.exported()
    with chain.superuser() as connection:
        chain.disarm(connection)
        for table in (audit_links, audit_heads):
            connection.execute(delete(table).where(table.c.position > 8))
    chain.record(1)
    assert chain.seal(exported_position=12) == 1
    report = chain.verify(exported)
    assert report.links == 9
    assert (FindingKind.CUT_OFF, 9) in {(one.kind, one.position) for one in report.findings}


def test_events_that_wait_too_long_are_named(chain: Chain) -> None:
    chain.record(1)
    assert chain.verify().waiting == 1
    chain.clock.advance(timedelta(seconds=61))
    (finding,) = chain.verify().findings
    assert finding.kind is FindingKind.EVENT_OVERDUE


@pytest.mark.parametrize("table", [audit_events, audit_links, audit_heads])
def test_the_service_itself_can_change_no_row(chain: Chain, table: object) -> None:
    for statement in (delete(table), update(table).values({table.c[0].name: table.c[0]})):  # type: ignore[arg-type, attr-defined] # any of the three
        with (
            pytest.raises(IntegrityError, match="append_only"),
            chain.database.unit_of_work() as uow,
        ):
            uow.connection.execute(statement)


def test_the_secret_survives_a_rotation_of_the_root_key(chain: Chain) -> None:
    before = chain.keys.public_key.raw
    following = Keyring.generate().sealer(Purpose.AUDIT_KEYS)
    with chain.database.unit_of_work() as uow:
        reseal(uow.connection, chain.sealer, following)
        uow.commit()
    with chain.database.read() as connection, pytest.raises(AuditKeyAlteredError):
        load_keys(connection, chain.sealer)
    chain.sealer = following
    assert chain.keys.public_key.raw == before
    chain.fill([2])
    assert chain.verify().findings == ()


def test_a_key_that_was_put_in_from_elsewhere_does_not_open(chain: Chain) -> None:
    with chain.superuser() as connection:
        chain.disarm(connection)
        connection.execute(update(audit_keys).values(sealed=b"\\1" * 61))
    chain.record(1)
    with pytest.raises(AuditKeyAlteredError):
        chain.seal()


def test_no_fresh_key_is_made_beside_an_old_chain(chain: Chain) -> None:
    with chain.superuser() as connection:
        chain.disarm(connection)
        connection.execute(delete(audit_keys))
    with chain.database.unit_of_work() as uow, pytest.raises(AuditKeyMissingError):
        ensure_keys(uow.connection, chain.sealer, clock=chain.clock)


def test_what_is_no_id_in_the_queue_does_not_stop_the_sealing(chain: Chain) -> None:
    with chain.superuser() as connection:
        if not is_sqlite(connection.dialect):
            return  # takes ids alone
        chain.disarm(connection)
        connection.exec_driver_sql("INSERT INTO audit_queue VALUES (x''), (x'01')")
    chain.record(2)
    assert chain.seal() == 2
    assert chain.verify().links == 14
