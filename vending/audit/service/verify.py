"""Reads the whole chain, and names every row that is not as it was sealed.

What it cannot see: an event that was removed, together with its place in the queue, before it was
sealed (seconds); and an end of all three tables that was cut off at a head, unless a head beyond
the cut is shown to it. That is what exported heads are for.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from vending.audit import repository
from vending.audit.model import AuditFinding, AuditReport, DeclaredGap, FindingKind, Head
from vending.audit.rules import (
    ID_BYTES,
    ChainKeys,
    decode_columns,
    from_microseconds,
    head_row,
)
from vending.audit.service.coding import (
    LONG_CHAIN,
    CodedEvents,
    SecondProcessLostError,
    coded_elsewhere,
)
from vending.audit.service.explain import Explainer
from vending.audit.service.gaps import find_gap
from vending.audit.service.heads import ExportedLine
from vending.audit.service.keys import load_keys
from vending.audit.service.walk import Progress, Seen, Walk, no_progress
from vending.errors import VendingError
from vending.keystore.sealing import Sealer
from vending.persistence.engine import Database

FINDINGS_MAX: Final = 1_000
"""Findings in a report; all of them are counted."""
_HEAD_COLUMNS: Final = 6
_POSITION_MAX: Final = (1 << 63) - 1
_POSITION_SIZE: Final = (8).to_bytes(4)
_K = FindingKind


def verify(
    connection: Connection,
    keys: ChainKeys,
    *,
    now: datetime,
    exported: Iterable[ExportedLine] = (),
    progress: Progress = no_progress,
    coded: Iterator[CodedEvents] | None = None,
) -> AuditReport:
    """Return what is wrong in events, links and heads, held against the exported heads as well.

    `coded` are the events as a second process codes them, if one does.
    """
    seen = _walk(connection, keys, now=now, progress=progress, coded=coded)
    declared = [find_gap(connection, keys, *gap) for gap in seen.gaps]
    gaps = [gap for gap in declared if gap is not None]
    heads = _Heads(connection, keys, seen, gaps)
    heads.read()
    explainer = Explainer(connection, keys, seen, gaps, heads.vouched_position)
    findings = explainer.run()
    heads.compare(explainer.flagged)
    exported_count = heads.hold_against(exported)
    findings += heads.findings + _list_misqueued(connection)
    return AuditReport(
        events=seen.event_count,
        links=seen.link_count,
        heads=heads.count,
        exported_heads=exported_count,
        waiting=seen.waiting_count,
        gaps=tuple(gaps),
        findings=tuple(findings[:FINDINGS_MAX]),
        finding_count=len(findings) + seen.unkept + heads.unkept,
    )


def _walk(
    connection: Connection,
    keys: ChainKeys,
    *,
    now: datetime,
    progress: Progress,
    coded: Iterator[CodedEvents] | None,
) -> Seen:
    if coded is not None:
        with suppress(SecondProcessLostError):
            return Walk(connection, keys, now=now, progress=progress, coded=coded).run()
    return Walk(connection, keys, now=now, progress=progress).run()


@contextmanager
def maybe_coded_elsewhere(
    database: Database, sealer: Sealer, *, links_min: int = LONG_CHAIN
) -> Iterator[Iterator[CodedEvents] | None]:
    """Have a second process code the events of a long chain; None: all is done here.

    To be entered before the connection that `verify` reads from is opened.
    """
    with ExitStack() as stack:
        coded = None
        # Whatever is wrong with the chain is for `verify` to say.
        with suppress(SecondProcessLostError, VendingError, SQLAlchemyError):
            with database.read() as connection:
                last = repository.find_last_link(connection)
                is_long = last is not None and last[0] >= links_min
                keys = load_keys(connection, sealer) if is_long else None
            if keys is not None:
                coded = stack.enter_context(coded_elsewhere(database, keys))
        yield coded


def _list_misqueued(connection: Connection) -> list[AuditFinding]:
    message = "the queue has a place for no event, or for one that is sealed"
    return [
        AuditFinding(
            _K.QUEUE_CHANGED, None, UUID(bytes=one) if len(one) == ID_BYTES else None, message
        )
        for one in repository.find_misqueued(connection, FINDINGS_MAX)
    ]


def _position_of(row: bytes) -> int:
    """Return the position in the row of a head; the last one there is, if it is no number."""
    is_number = row.startswith(_POSITION_SIZE)
    return int.from_bytes(row[4:12], signed=True) if is_number else _POSITION_MAX


@dataclass(slots=True)
class _Heads:
    """The heads of the database, and what is wrong with them."""

    connection: Connection
    keys: ChainKeys
    seen: Seen
    gaps: Sequence[DeclaredGap]
    count: int = 0
    vouched_position: int = 0
    """Of the newest head that is ours."""
    findings: list[AuditFinding] = field(default_factory=list)
    unkept: int = 0
    _differing: list[int] = field(default_factory=list)
    """Positions of heads of ours whose link the chain has not."""
    _last_is_ours: bool = True

    def read(self) -> None:
        """Check every head by its code, its predecessor, and the link at its position."""
        after = -(1 << 63)
        before: Head | None = Head(0, 0, b"", from_microseconds(0), b"")
        while rows := list(repository.read_heads(self.connection, after, repository.LOOKUP_MAX)):
            heads = [self._parse(row) for row in rows]
            self.count += len(rows)
            ours = [head for head in heads if head is not None]
            links = repository.find_links(self.connection, [head.position for head in ours])
            read_until = after
            for row, head in zip(rows, heads, strict=True):
                after = _position_of(row)
                self._check(after, before, head, links)
                before = head
            if after == _POSITION_MAX or after <= read_until:
                break  # behind it stands what is no number at all, and would be read for ever
        self._last_is_ours = before is not None
        if not self.count and not self.seen.last_position:
            # There is a key, and it was made with the first head.
            self._add(_K.CUT_OFF, 1, "the whole chain was removed")

    def _parse(self, row: bytes) -> Head | None:
        """Return the head of a row; None: it is not as we wrote it."""
        columns = decode_columns(row)
        if len(columns) != _HEAD_COLUMNS or any(column is None for column in columns):
            return None
        position, previous, link, sealed_at, signature, mac = (column or b"" for column in columns)
        if self.keys.head_code(row[: -len(mac) - 4]) != mac:
            return None
        return Head(
            int.from_bytes(position, signed=True),
            int.from_bytes(previous, signed=True),
            link,
            from_microseconds(int.from_bytes(sealed_at, signed=True)),
            signature,
        )

    def _check(
        self, position: int, before: Head | None, head: Head | None, links: dict[int, bytes]
    ) -> None:
        if head is None:
            self._add(_K.HEAD_CHANGED, position, "the head was changed, or is not ours")
            return
        if before is not None and head.position == before.position:
            self._add(_K.HEAD_CHANGED, position, "the head is there more than once")
        elif before is not None and head.previous_position != before.position:
            message = f"the head before position {head.position} was removed"
            self._add(_K.HEAD_REMOVED, head.previous_position, message)
        self.vouched_position = max(self.vouched_position, position)
        if links.get(position) != head.link and len(self._differing) < FINDINGS_MAX:
            self._differing.append(position)

    def compare(self, flagged: set[int]) -> None:
        """Report heads whose link is missing or another, unless a finding names it already."""
        seen = self.seen
        for position in self._differing:
            if position in flagged or self._is_in_hole(position):
                continue
            if position > seen.last_position:
                message = f"positions {seen.last_position + 1} to {position} were cut off"
                self._add(_K.CUT_OFF, seen.last_position + 1, message)
                break
            self._add(_K.HEAD_CHANGED, position, "the chain has another link than its head")
        last = seen.last_position
        if last > self.vouched_position and self._last_is_ours and last not in flagged:
            message = f"the head of positions {self.vouched_position + 1} to {last} was removed"
            self._add(_K.HEAD_REMOVED, last, message)

    def hold_against(self, exported: Iterable[ExportedLine]) -> int:
        """Hold the chain against heads from outside the database; return how many there were."""
        lines = iter(exported)
        count = beyond = 0
        while some := list(islice(lines, repository.LOOKUP_MAX)):
            count += len(some)
            positions = [line.head.position for line in some if line.head is not None]
            heads = repository.find_heads(self.connection, positions)
            links = repository.find_links(self.connection, positions)
            for line in some:
                head = line.head
                # The code of the stored head, behind the rest of its row, was checked by `read`.
                if head is not None and heads.get(head.position, b"").startswith(head_row(head)):
                    continue
                if head is None or not self.keys.public_key.has_signed(head):
                    message = f"{line.where}: no head of this installation"
                    self._add(_K.EXPORTED_HEAD_INVALID, None, message)
                elif links.get(head.position) != head.link:
                    beyond = max(beyond, self._report_exported(head, line.where))
        if beyond:
            last = self.seen.last_position
            message = f"positions {last + 1} to {beyond} were cut off: exported heads show them"
            self._add(_K.CUT_OFF, last + 1, message)
        return count

    def _report_exported(self, head: Head, where: str) -> int:
        """Report an exported head that the chain lacks; return its position when it is beyond."""
        if any(head.position <= gap.through for gap in self.gaps):
            return 0
        if head.position > self.seen.last_position:
            return head.position
        if not self._is_in_hole(head.position):
            message = f"{where}: the chain has another link"
            self._add(_K.EXPORTED_HEAD_DIFFERS, head.position, message)
        return 0

    def _is_in_hole(self, position: int) -> bool:
        return any(hole.holds(position) for hole in [*self.seen.holes, *self.seen.resumed])

    def _add(self, kind: FindingKind, position: int | None, message: str) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(AuditFinding(kind, position, None, message))
        else:
            self.unkept += 1
