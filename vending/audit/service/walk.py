"""Walks the chain once, events and links side by side, and keeps what does not fit.

Both are read in chunks, in their own order, which is nearly the same: an event waits in `pending`
for its link, a link in `awaited` for its event, and both stay small unless rows were removed.
What does not fit is explained afterwards, by `vending.audit.service.explain`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.model import LinkKind
from vending.audit.rows import LinkRow
from vending.audit.rules import FIRST_LINK, ID_BYTES, ChainKeys, instant_of
from vending.audit.service.coding import CHUNK_MAX, CODED_BYTES, CodedEvents, code_events

KEPT_MAX: Final = 1_000
"""Rows of one kind that are kept to be explained; all of them are counted."""
UNMATCHED_MAX: Final = 100_000
"""Events without a link, or links without their event, before the database is asked."""
SEAL_LIMIT: Final = timedelta(seconds=60)
"""An event that waits longer is a finding: no worker runs, or somebody filled the queue."""
R = TypeVar("R")

Progress = Callable[[int], None]
"""Is told how many links were walked."""


def no_progress(link_count: int) -> None:
    """Tell nobody."""
    del link_count


@dataclass(frozen=True, slots=True)
class LinkedEvent:
    """What a link says of its event, and what the event is now."""

    position: int
    kind: int
    event_id: bytes
    event_mac: bytes
    present_mac: bytes | None = None
    """Code of the event as it is stored; None: there is none of this id."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A link that does not follow from the one before it."""

    said: LinkedEvent
    message: bytes
    """Its row, without the link."""
    link: bytes
    previous: bytes
    """The link that is stored before it."""
    is_behind_hole: bool = False
    """The link before it is not there, so that it cannot follow from it."""

    @property
    def position(self) -> int:
        """Return its position."""
        return self.said.position


@dataclass(frozen=True, slots=True)
class Hole:
    """Positions that have no link."""

    first: int
    last: int
    previous: bytes
    """The link that is stored before it."""
    message: bytes
    """The row behind it, without its link."""
    link: bytes

    def holds(self, position: int) -> bool:
        """Return whether the position is in it."""
        return self.first <= position <= self.last


@dataclass(slots=True)
class Seen:
    """What a walk saw; of each list no more than KEPT_MAX, the rest is counted in `unkept`."""

    last_position: int = 0
    link_count: int = 0
    event_count: int = 0
    suspects: list[Suspect] = field(default_factory=list)
    confirmed: set[int] = field(default_factory=set)
    """Positions of suspects that the next link was made over: only their link was changed."""
    holes: list[Hole] = field(default_factory=list)
    resumed: list[Hole] = field(default_factory=list)
    """Holes that the service made itself: the chain had become shorter than the exported heads."""
    changed: list[LinkedEvent] = field(default_factory=list)
    gone: list[LinkedEvent] = field(default_factory=list)
    unlinked: dict[bytes, bytes] = field(default_factory=dict)
    """Events that have no link and do not wait for one: id and code."""
    waiting_count: int = 0
    overdue: list[UUID] = field(default_factory=list)
    """Events that wait for longer than the limit, or are dated in the future."""
    doubled: list[UUID] = field(default_factory=list)
    """Events that bear the id of another one."""
    odd: list[bytes] = field(default_factory=list)
    """Rows of events whose id has not the length of one."""
    gaps: list[tuple[int, UUID, bytes]] = field(default_factory=list)
    """Position, event and its code of every declaration of a gap."""
    unkept: int = 0


@dataclass(slots=True)
class _End:
    """Where the walk stands."""

    position: int
    stored: bytes
    """The link of the last row."""
    computed: bytes
    """What that should be."""


class Walk:
    """One walk over events and links."""

    def __init__(
        self,
        connection: Connection,
        keys: ChainKeys,
        *,
        now: datetime,
        progress: Progress,
        coded: Iterator[CodedEvents] | None = None,
    ) -> None:
        """Take the connection, and the events if a second process codes them."""
        self.seen = Seen()
        self._now = now
        self._connection = connection
        self._keys = keys
        self._progress = progress
        self._coded = coded
        self._end = _End(0, FIRST_LINK, FIRST_LINK)
        self._pending: dict[bytes, bytes] = {}
        self._awaited: dict[bytes, LinkedEvent] = {}
        self._last_event = b""
        self._settle_at = UNMATCHED_MAX

    def run(self) -> Seen:
        """Walk all of it.

        Raises:
            SecondProcessLostError: The second process ended early; nothing is known.
        """
        events = self._coded or code_events(self._connection, self._keys.event_code)
        links = repository.read_links(self._connection, CHUNK_MAX)
        for some_events, some_links in zip_longest(events, links):
            if some_events is not None:
                self._take_events(some_events)
            if some_links is not None:
                self._take_links(some_links)
            if len(self._pending) + len(self._awaited) > self._settle_at:
                self._settle()
                self._settle_at = UNMATCHED_MAX + 2 * (len(self._pending) + len(self._awaited))
        self.seen.last_position = self._end.position
        if self._coded is not None:
            self._take_newer()
        self._sort_unlinked(self._pending)
        for said in self._awaited.values():
            self._keep(self.seen.gone, said)
        return self.seen

    def _take_events(self, chunk: CodedEvents) -> None:
        """Take a chunk of events."""
        pending, awaited, codes = self._pending, self._awaited, chunk.codes
        last = self._last_event
        for start in range(0, len(codes), CODED_BYTES):
            event_id = codes[start : start + ID_BYTES]
            if event_id == last:
                self._keep(self.seen.doubled, UUID(bytes=event_id))
                continue
            last = event_id
            mac = codes[start + ID_BYTES : start + CODED_BYTES]
            if awaited and event_id in awaited:
                self._part(awaited.pop(event_id), mac)
            else:
                pending[event_id] = mac
        self._last_event = last
        for row in chunk.odd:
            self._keep(self.seen.odd, row)
        self.seen.event_count += chunk.count

    def _take_newer(self) -> None:
        """Take the events that came after the snapshot of the second process."""
        for event_id in repository.find_events(self._connection, _ids(self._awaited)):
            said = self._awaited.pop(event_id.bytes)
            codes = [
                self._keys.event_code(row)
                for row in repository.load_rows(self._connection, event_id)
            ]
            for code in codes:
                self._part(said, code)
            self.seen.event_count += len(codes)

    def _take_links(self, rows: Sequence[LinkRow]) -> None:
        """Take a chunk of links."""
        inner_of, outer_of = self._keys.link_code.copiers
        pending = self._pending
        position, stored = self._end.position, self._end.stored
        end: _End | None = self._end
        for following, kind, event_id, event_mac, link, message in rows:
            inner = inner_of()
            inner.update(stored + message)
            outer = outer_of()
            outer.update(inner.digest())
            position += 1
            if outer.digest() == link and following == position:
                if kind and kind == LinkKind.GAP:
                    self.seen.gaps.append((following, UUID(bytes=event_id), event_mac))
                stored, end = link, None
            else:
                said = LinkedEvent(following, kind, event_id, event_mac)
                end = self._doubt(end or _End(position - 1, stored, stored), said, message, link)
                position, stored = end.position, end.stored
            found = pending.pop(event_id, None)
            if found != event_mac:
                self._part(LinkedEvent(following, kind, event_id, event_mac), found)
        self._end = end or _End(position, stored, stored)
        self.seen.link_count += len(rows)
        self._progress(self.seen.link_count)

    def _doubt(self, end: _End, said: LinkedEvent, message: bytes, link: bytes) -> _End:
        """Keep a link that does not fit; return where the walk stands behind it."""
        position = said.position
        is_next = position == end.position + 1
        expected = self._keys.link_code(end.stored + message)
        follows = expected == link
        if not follows and end.computed != end.stored:
            follows = self._keys.link_code(end.computed + message) == link
            if follows and is_next:
                self.seen.confirmed.add(end.position)
        if follows and said.kind == LinkKind.GAP:
            self.seen.gaps.append((position, UUID(bytes=said.event_id), said.event_mac))
        if position > end.position + 1:
            hole = Hole(end.position + 1, position - 1, end.stored, message, link)
            if follows:
                self._keep(self.seen.resumed, hole)
                return _End(position, link, link)
            self._keep(self.seen.holes, hole)
            behind = Suspect(said, message, link, end.stored, is_behind_hole=True)
            self._keep(self.seen.suspects, behind)
            # Of a hole that the service made itself only the link may have been changed.
            return _End(position, link, expected)
        if is_next and follows:
            return _End(position, link, link)
        self._keep(self.seen.suspects, Suspect(said, message, link, end.stored))
        # A row before the first, or one twice: the walk goes on as if it were not there.
        return _End(position, link, expected) if is_next else end

    def _part(self, said: LinkedEvent, mac: bytes | None) -> None:
        """Keep an event that is not as its link says, or wait for it."""
        if mac is None:
            self._awaited[said.event_id] = said
        elif mac != said.event_mac:
            self._keep(self.seen.changed, replace(said, present_mac=mac))

    def _settle(self) -> None:
        """Ask the database about rows that wait long: most of their partners do not exist."""
        linked = repository.find_linked(self._connection, _ids(self._pending))
        unlinked = [one for one in self._pending if UUID(bytes=one) not in linked]
        self._sort_unlinked({one: self._pending.pop(one) for one in unlinked})
        existing = repository.find_events(self._connection, _ids(self._awaited))
        for event_id in [one for one in self._awaited if UUID(bytes=one) not in existing]:
            self._keep(self.seen.gone, self._awaited.pop(event_id))

    def _sort_unlinked(self, unlinked: Mapping[bytes, bytes]) -> None:
        """Tell the events that wait to be sealed from those that nothing will seal."""
        queued = repository.find_queued(self._connection, _ids(unlinked))
        for raw_id, mac in unlinked.items():
            event_id = UUID(bytes=raw_id)
            if event_id not in queued:
                if len(self.seen.unlinked) < KEPT_MAX:
                    self.seen.unlinked[raw_id] = mac
                else:
                    self.seen.unkept += 1
            elif abs(self._now - instant_of(event_id)) > SEAL_LIMIT:
                self._keep(self.seen.overdue, event_id)
            else:
                self.seen.waiting_count += 1

    def _keep(self, kept: list[R], row: R) -> None:
        if len(kept) < KEPT_MAX:
            kept.append(row)
        else:
            self.seen.unkept += 1


def _ids(events: Iterable[bytes]) -> list[UUID]:
    return [UUID(bytes=event_id) for event_id in events]
