"""Names what a restoration has lost, as far as anybody outside the database can tell.

The database cannot know what it never saw. Two witnesses are outside it: the exported heads of
the audit chain, the newest of which says how far it had got before the loss, and the
statements of partners, whose receipts are held against the sales there are.

A sale that only a partner knows is written down, its meter and partner are marked until somebody
has reconciled them, and its idempotency key is closed: a late retry would otherwise be new to us,
and issue a second token for one payment.
"""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from vending.audit.rules import PublicKey
from vending.backups import repository
from vending.backups.errors import RestorationNotFoundError, StatementInvalidError
from vending.backups.model import Gap, Restoration, StatedSale
from vending.backups.service.lost_audit import find_lost_audit
from vending.persistence.audit import AuditEvent, record
from vending.persistence.engine import Database
from vending.persistence.idempotency import Answer, Claim, Fresh, claim, store_answers
from vending.values.actor import Actor
from vending.values.clock import Clock
from vending.values.identifiers import IdempotencyKey, PartnerId, new_uuid7

STATEMENT_ROWS_MAX: Final = 1_000_000
_KEY_LENGTH_MAX: Final = 255
_RECEIPT: Final = "receipt_number"
_CLOSED: Final = 409
_ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class ExportedHeads:
    """Heads of the lost installation: a file of them or a folder, and the key that checks them."""

    path: Path
    public_key: PublicKey


def describe_gap(database: Database, *, exported: ExportedHeads | None = None) -> Gap:
    """Return what the last restoration may have lost.

    Raises:
        RestorationNotFoundError: Nothing was ever restored here.
        HeadsFileError: The exported heads cannot be read, or there are none.
    """
    with database.read() as connection:
        done = _load(connection)
        lost_audit = (
            None
            if exported is None
            else find_lost_audit(
                connection,
                exported.path,
                public_key=exported.public_key,
                restored_position=done.audit_position,
            )
        )
        marks = repository.count_marks(connection, done.id)
        return Gap(
            restoration=done,
            lost_audit=lost_audit,
            unknown=tuple(repository.list_lost_sales(connection, done.id)),
            marked_meters=marks.get("meter", 0),
            marked_partners=marks.get("partner", 0),
        )


def read_statement(path: Path) -> list[StatedSale]:
    """Return the sales of a partner's statement: CSV with a column `receipt_number`.

    Raises:
        StatementInvalidError: It cannot be read, or a row is malformed.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if rows.fieldnames is None or _RECEIPT not in rows.fieldnames:
                raise StatementInvalidError(str(path), why=f"no column {_RECEIPT}")
            return [_stated(str(path), number, row) for number, row in enumerate(rows, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StatementInvalidError(str(path), why="it cannot be read as CSV in UTF-8") from error


def take_statement(
    database: Database,
    partner_id: PartnerId,
    stated: Sequence[StatedSale],
    *,
    by: Actor,
    clock: Clock,
) -> list[StatedSale]:
    """Hold a partner's sales against ours; write down, mark and close those that are unknown.

    A repeat of the same statement changes nothing.

    Raises:
        RestorationNotFoundError: Nothing was ever restored here.
    """
    now = clock.now()
    with database.unit_of_work() as uow:
        connection = uow.connection
        repository.load_declarations()
        done = _load(connection)
        numbers = [each.receipt_number for each in stated]
        missing = repository.find_unknown_receipts(connection, numbers)
        unknown = [each for each in stated if each.receipt_number in missing]
        rows = [(new_uuid7(clock), each) for each in unknown]
        repository.insert_lost_sales(connection, done.id, partner_id, rows, now)
        marks = [("partner", str(partner_id))] if unknown else []
        marks += [("meter", each.meter) for each in unknown if each.meter]
        repository.mark_for_reconciliation(connection, done.id, marks, now)
        closed = _close_keys(connection, partner_id, unknown, clock)
        details = {"stated": len(stated), "unknown": len(unknown), "keys_closed": closed}
        event = AuditEvent(by, "backup.statement-taken", f"partner:{partner_id}", details)
        record(connection, [event], clock)
        uow.commit()
    return unknown


def settle(database: Database, kind: str, subject: str, *, by: Actor, clock: Clock) -> bool:
    """Note that a meter or partner was reconciled; return whether it was marked.

    Raises:
        RestorationNotFoundError: Nothing was ever restored here.
    """
    with database.unit_of_work() as uow:
        done = _load(uow.connection)
        now = clock.now()
        settled = repository.settle_mark(uow.connection, done.id, kind, subject, now)
        if settled:
            event = AuditEvent(by, "backup.reconciled", f"{kind}:{subject}")
            record(uow.connection, [event], clock)
        uow.commit()
    return settled > 0


def list_marks(database: Database) -> list[tuple[str, str]]:
    """Return the meters and partners that wait to be reconciled.

    Raises:
        RestorationNotFoundError: Nothing was ever restored here.
    """
    with database.read() as connection:
        return repository.list_marks(connection, _load(connection).id)


def _load(connection: Connection) -> Restoration:
    done = repository.find_last_restoration(connection)
    if done is None:
        raise RestorationNotFoundError
    return done


def _close_keys(
    connection: Connection, partner_id: PartnerId, unknown: Sequence[StatedSale], clock: Clock
) -> int:
    """Claim the keys of lost sales for no request, so that a retry of one is refused."""
    closed = 0
    keys = sorted({each.idempotency_key for each in unknown if each.idempotency_key})
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        claims = [
            Claim(partner_id, IdempotencyKey(key), hashlib.sha256(b"lost:" + key.encode()).digest())
            for key in keys[start : start + _ROWS_AT_ONCE]
        ]
        outcomes = claim(connection, claims, now=clock.now())
        fresh = [
            one for one, found in zip(claims, outcomes, strict=True) if isinstance(found, Fresh)
        ]
        # Nobody's request has this fingerprint, so the answer is never opened.
        answers = [Answer(partner_id, one.key, _CLOSED, b"lost") for one in fresh]
        store_answers(connection, answers, now=clock.now())
        closed += len(fresh)
    return closed


def _stated(path: str, number: int, row: dict[str, str | None]) -> StatedSale:
    receipt = (row.get(_RECEIPT) or "").strip()
    key = (row.get("idempotency_key") or "").strip() or None
    amount = (row.get("amount_minor") or "").strip()
    if not receipt or number > STATEMENT_ROWS_MAX:
        raise StatementInvalidError(path, why=f"line {number}: no receipt number, or one too many")
    if (amount and not amount.isdecimal()) or (key and len(key) > _KEY_LENGTH_MAX):
        raise StatementInvalidError(path, why=f"line {number}: a value has another form")
    return StatedSale(
        receipt_number=receipt,
        idempotency_key=key,
        meter=(row.get("meter") or "").strip() or None,
        amount_minor=int(amount) if amount else None,
    )
