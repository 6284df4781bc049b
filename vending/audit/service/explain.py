"""Explains what a walk kept: which row was changed, moved, removed or put in, and which was not.

A link is made over the one before it, so one change can make two rows look wrong, and two rows
that changed places four. With the key it can be tried what would make a row right: another
place, another event, another code. Only what nothing explains is called changed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from vending.audit import repository
from vending.audit.model import AuditFinding, DeclaredGap, FindingKind, LinkKind
from vending.audit.rules import (
    MAC_BYTES,
    ChainKeys,
    decode_columns,
    encode_columns,
    link_message,
    missing_mac,
)
from vending.audit.service.walk import Hole, LinkedEvent, Seen, Suspect

TRIED_MAX: Final = 32
"""Rows among which a place is looked for: the trials grow with the cube of it."""

_K = FindingKind


@dataclass(slots=True)
class Explainer:
    """Turns what a walk saw into findings; each step takes away what it explains."""

    connection: Connection
    keys: ChainKeys
    seen: Seen
    gaps: Collection[DeclaredGap]
    vouched_position: int
    """Of the newest head that is ours: links behind it were put in."""
    findings: list[AuditFinding] = field(default_factory=list)
    flagged: set[int] = field(default_factory=set)
    """Positions that a finding names."""

    def run(self) -> list[AuditFinding]:
        """Return the findings on events and links, in the order of their positions."""
        self._explain_columns()
        self._explain_places()
        for suspect in self.seen.suspects:
            self._report_suspect(suspect)
        for hole in self.seen.holes:
            self._explain_hole(hole)
        for hole in self.seen.resumed:
            self._report_cut(hole)
        self._explain_gone()
        for said in self.seen.changed:
            self._add(_K.EVENT_CHANGED, said.position, said.event_id, "the event was changed")
        self._explain_ids()
        for event_id in self.seen.unlinked:
            self._add(
                _K.EVENT_INSERTED,
                None,
                event_id,
                "the event has no link: it was put in, or its link was removed",
            )
        for waiting in self.seen.overdue:
            message = "the event waits to be sealed for too long, or is dated in the future"
            self._add(_K.EVENT_OVERDUE, None, waiting.bytes, message)
        return sorted(self.findings, key=lambda one: (one.position is None, one.position or 0))

    def _add(
        self, kind: FindingKind, position: int | None, event_id: bytes | None, message: str
    ) -> None:
        shown = None if event_id is None else UUID(bytes=event_id)
        self.findings.append(AuditFinding(kind, position, shown, message))
        if position is not None:
            self.flagged.add(position)

    # --- one column of a link ------------------------------------------------------------------
    def _explain_columns(self) -> None:
        self.seen.suspects = [one for one in self.seen.suspects if not self._is_column(one)]
        following = {one.position: one for one in self.seen.suspects}
        for one in list(self.seen.suspects):
            if one in self.seen.suspects and self._is_row(one, following):
                self.seen.suspects.remove(one)

    def _is_column(self, suspect: Suspect) -> bool:
        """Report a suspect that would be right but for one column."""
        for said, column in self._variants(suspect):
            if self._link_of(suspect.previous, suspect.position, said) == suspect.link:
                return self._report_columns(suspect, said, f"column {column}")
        return False

    def _is_row(self, suspect: Suspect, following: Mapping[int, Suspect]) -> bool:
        """Report a suspect of whose columns several were changed: the next link tells which."""
        behind = following.get(suspect.position + 1)
        if behind is None or behind.is_behind_hole:
            return False
        for said, column in self._variants(suspect):
            link = self._link_of(suspect.previous, suspect.position, said)
            if link is not None and self.keys.link_code(link + behind.message) == behind.link:
                self.seen.suspects.remove(behind)
                return self._report_columns(suspect, said, f"columns {column} and link")
        return False

    def _report_columns(self, suspect: Suspect, was: LinkedEvent, which: str) -> bool:
        self._forget(suspect.said, was)
        message = f"{which} of the link was changed"
        self._add(_K.LINK_CHANGED, suspect.position, was.event_id, message)
        return True

    def _variants(self, suspect: Suspect) -> Iterator[tuple[LinkedEvent, str]]:
        """Yield the rows that the suspect may have been, and the column that differs."""
        said = suspect.said
        for kind in LinkKind:
            yield replace(said, kind=kind.value), "kind"
        for changed in self.seen.changed:
            if changed.position == suspect.position and changed.present_mac is not None:
                for kind in LinkKind:
                    whole = replace(said, kind=kind.value, event_mac=changed.present_mac)
                    yield whole, "event_mac"
        for event_id, mac in self.seen.unlinked.items():
            if mac == said.event_mac:
                yield replace(said, event_id=event_id), "event_id"
        if len(self.seen.unlinked) <= TRIED_MAX:
            for event_id, mac in self.seen.unlinked.items():
                for kind in LinkKind:
                    whole = LinkedEvent(said.position, kind.value, event_id, mac)
                    yield whole, "event_id and event_mac"

    def _forget(self, said: LinkedEvent, was: LinkedEvent) -> None:
        """Take away what else was kept because of a changed link: its event is as it was."""
        seen = self.seen
        seen.changed = [one for one in seen.changed if one.position != said.position]
        seen.gone = [one for one in seen.gone if one.position != said.position]
        seen.unlinked.pop(was.event_id, None)

    # --- the place of a link -------------------------------------------------------------------
    def _explain_places(self) -> None:
        """Look for the places that suspects were moved from."""
        seen = self.seen
        if not seen.suspects or len(seen.suspects) + len(seen.holes) > TRIED_MAX:
            return
        near = {one.position + step for one in seen.suspects for step in (-1, 0, 1)}
        free = {one for one in near if abs(one) < 1 << 63} | {one.first for one in seen.holes}
        links = {one.previous for one in seen.suspects} | {one.link for one in seen.suspects}
        links |= {one.previous for one in seen.holes} | {one.link for one in seen.holes}
        for suspect in list(seen.suspects):
            origin = self._find_origin(suspect, free, links)
            if origin is None:
                continue
            seen.suspects.remove(suspect)
            if origin == suspect.position:
                continue  # the row before it was moved, and it was not
            said = suspect.said
            seen.holes = [
                one
                for one in seen.holes
                if (one.first, one.last) != (origin, origin) and one.last + 1 != suspect.position
            ]
            self._add(
                _K.LINK_MOVED,
                suspect.position,
                said.event_id,
                f"the link was moved here from position {origin}",
            )
            self.flagged.add(origin)

    def _find_origin(
        self, suspect: Suspect, positions: Iterable[int], links: Collection[bytes]
    ) -> int | None:
        said = suspect.said
        for position in positions:
            for previous in links:
                if self._link_of(previous, position, said) == suspect.link:
                    return position
        return None

    def _link_of(self, previous: bytes, position: int, said: LinkedEvent) -> bytes | None:
        """Return the link that such a row would have; None: no row of ours is so."""
        is_small = abs(said.kind) < 1 << 15 and abs(position) < 1 << 63
        if len(said.event_mac) != MAC_BYTES or not is_small:
            return None
        message = link_message(position, said.kind, said.event_id, said.event_mac)
        return self.keys.link_code(previous + message)

    def _report_suspect(self, suspect: Suspect) -> None:
        said = suspect.said
        if not suspect.is_behind_hole:
            self._forget(said, said)
        if suspect.is_behind_hole and suspect.position not in self.seen.confirmed:
            return  # its predecessor is gone, and what follows it is right
        if suspect.position > self.vouched_position:
            message = "the link was put in: no head vouches for it"
            self._add(_K.LINK_INSERTED, suspect.position, said.event_id, message)
        elif suspect.position in self.seen.confirmed:
            message = "column link of the link was changed"
            self._add(_K.LINK_CHANGED, suspect.position, said.event_id, message)
        else:
            message = "the link was changed, or put in the place of another"
            self._add(_K.LINK_CHANGED, suspect.position, said.event_id, message)

    # --- missing rows --------------------------------------------------------------------------
    def _explain_hole(self, hole: Hole) -> None:
        event_ids = self._find_removed(hole)
        if event_ids is None:
            which = f"positions {hole.first} to {hole.last}" if hole.last > hole.first else "it"
            message = f"link and event were removed: {which}"
            self._add(_K.LINK_REMOVED, hole.first, None, message)
        for offset, event_id in enumerate(event_ids or []):
            self.seen.unlinked.pop(event_id)
            self._add(
                _K.LINK_REMOVED, hole.first + offset, event_id, "the link of the event was removed"
            )

    def _find_removed(self, hole: Hole) -> list[bytes] | None:
        """Return the events whose links were in the hole; None: they are not there either."""
        count = hole.last - hole.first + 1
        unlinked = sorted(self.seen.unlinked.items())
        for start in range(len(unlinked) - count + 1):
            previous = hole.previous
            for offset, (event_id, mac) in enumerate(unlinked[start : start + count]):
                message = link_message(hole.first + offset, LinkKind.EVENT, event_id, mac)
                previous = self.keys.link_code(previous + message)
            if self.keys.link_code(previous + hole.message) == hole.link:
                return [event_id for event_id, _ in unlinked[start : start + count]]
        return None

    def _report_cut(self, hole: Hole) -> None:
        left = [p for p in (hole.first, hole.last) if not any(gap.covers(p) for gap in self.gaps)]
        if left:
            message = (
                f"positions {hole.first} to {hole.last} were cut off; "
                "the service sealed on behind the exported head"
            )
            self._add(_K.CUT_OFF, hole.first, None, message)

    def _explain_gone(self) -> None:
        for said in self.seen.gone:
            if self._is_missing(said):
                message = "the event was removed before it was sealed"
            elif (renamed := self._find_renamed(said)) is not None:
                self.seen.unlinked.pop(renamed)
                message = f"the id of the event was changed to {UUID(bytes=renamed)}"
                self._add(_K.EVENT_CHANGED, said.position, said.event_id, message)
                continue
            elif (odd := self._find_odd(said)) is not None:
                self.seen.odd.remove(odd)
                message = f"the id of the event was changed to {_id_of(odd).hex() or 'nothing'}"
                self._add(_K.EVENT_CHANGED, said.position, said.event_id, message)
                continue
            else:
                message = "the event was removed"
            self._add(_K.EVENT_REMOVED, said.position, said.event_id, message)

    def _is_missing(self, said: LinkedEvent) -> bool:
        return said.kind == LinkKind.MISSING and said.event_mac == missing_mac(
            self.keys, said.event_id
        )

    def _explain_ids(self) -> None:
        """Report events of one id, and those whose id is none."""
        for doubled in self.seen.doubled:
            message = "the event is there more than once: one was put in"
            self._add(_K.EVENT_INSERTED, None, doubled.bytes, message)
        for row in self.seen.odd:
            message = (
                f"the event was put in: its id is {_id_of(row).hex() or 'empty'}, which is none"
            )
            self._add(_K.EVENT_INSERTED, None, None, message)

    def _find_odd(self, said: LinkedEvent) -> bytes | None:
        """Return the row whose id was changed to one that is none."""
        for row in self.seen.odd[:TRIED_MAX]:
            columns = decode_columns(row)
            was = encode_columns([said.event_id, *columns[1:]])
            if self.keys.event_code(was) == said.event_mac:
                return row
        return None

    def _find_renamed(self, said: LinkedEvent) -> bytes | None:
        """Return the id under which the event of a link is stored now."""
        for event_id in list(self.seen.unlinked)[:TRIED_MAX]:
            row = repository.load_row(self.connection, UUID(bytes=event_id))
            if row is None:
                continue
            if self.keys.event_code(row[:4] + said.event_id + row[20:]) == said.event_mac:
                return event_id
        return None


def _id_of(row: bytes) -> bytes:
    return decode_columns(row)[0] or b""
