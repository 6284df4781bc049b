"""What a superuser may do to the audit chain, each with what `verify` must say of it."""

import random  # noqa: TID251 # a seeded plan that can be repeated
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from vending.audit.model import AuditFinding, FindingKind, LinkKind
from vending.audit.rules import ChainKeys, head_row, link_message
from vending.audit.tables import audit_heads, audit_links
from vending.persistence.audit import audit_events, audit_queue
from vending.persistence.column_types import is_sqlite

K = FindingKind
Named = tuple[FindingKind, int | None, uuid.UUID | None]
"""Kind, position and event of a finding."""


@dataclass(frozen=True)
class Expected:
    """What must be found, and which further rows may be named."""

    named: frozenset[Named]
    allowed: frozenset[int | uuid.UUID] = frozenset()

    def faults(self, findings: tuple[AuditFinding, ...]) -> list[str]:
        """What was not named, or named although it was not touched."""
        found = {(one.kind, one.position, one.event_id) for one in findings}
        missed = [f"not named: {one}" for one in self.named - found]
        touched = set(self.allowed) | {part for one in self.named for part in one[1:]} - {None}
        others = [
            f"named wrongly: {one}"
            for one in found - self.named
            if not {part for part in one[1:] if part is not None} & touched
        ]
        return missed + others


@dataclass
class Superuser:
    """Who tampers: random rows of a chain that was seen whole."""

    connection: Connection
    rng: random.Random

    def __post_init__(self) -> None:
        if is_sqlite(self.connection.dialect):
            self.connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        query = select(audit_links).order_by(audit_links.c.position)
        self.links = self.connection.execute(query).all()
        heads = select(audit_heads).order_by(audit_heads.c.position)
        self.heads = self.connection.execute(heads).all()
        self.last = self.links[-1].position

    def run(self, statement: str) -> None:
        self.connection.exec_driver_sql(statement)

    def literal(self, event_id: uuid.UUID) -> str:
        return f"x'{event_id.hex}'" if is_sqlite(self.connection.dialect) else f"'{event_id}'"

    def any_link(self) -> Any:  # noqa: ANN401 # SQLAlchemy's row
        return self.rng.choice(self.links)

    def two_links(self) -> list[Any]:
        return self.rng.sample(self.links, 2)

    def bytes(self, size: int = 32) -> bytes:
        return self.rng.randbytes(size)

    def event(self, event_id: uuid.UUID) -> dict[str, Any]:
        query = select(audit_events).where(audit_events.c.id == event_id)
        return dict(self.connection.execute(query).one()._mapping)

    def set_event(self, event_id: uuid.UUID, /, **values: object) -> None:
        where = audit_events.c.id == event_id
        self.connection.execute(update(audit_events).where(where).values(**values))

    def set_link(self, position: int, /, **values: object) -> None:
        where = audit_links.c.position == position
        self.connection.execute(update(audit_links).where(where).values(**values))

    def set_head(self, position: int, /, **values: object) -> None:
        where = audit_heads.c.position == position
        self.connection.execute(update(audit_heads).where(where).values(**values))

    def delete_events(self, *event_ids: uuid.UUID) -> None:
        self.connection.execute(audit_events.delete().where(audit_events.c.id.in_(event_ids)))

    def delete_links(self, first: int, last: int) -> None:
        where = audit_links.c.position.between(first, last)
        self.connection.execute(audit_links.delete().where(where))

    def delete_heads(self, first: int, last: int) -> None:
        where = audit_heads.c.position.between(first, last)
        self.connection.execute(audit_heads.delete().where(where))


def _named(*named: Named, allowed: frozenset[int | uuid.UUID] = frozenset()) -> Expected:
    return Expected(frozenset(named), allowed)


def edit_event(by: Superuser) -> Expected:
    link = by.any_link()
    present = by.event(link.event_id)
    column = by.rng.choice([name for name in present if name != "id"])
    changed = {
        "at": present["at"].replace(microsecond=(present["at"].microsecond + 1) % 1_000_000),
        "actor_id": uuid.UUID(bytes=by.bytes(16)),
        "session_id": uuid.UUID(bytes=by.bytes(16)),
        "details": {**present["details"], "tender_minor": by.rng.randrange(10**6, 10**7)},
    }
    by.set_event(link.event_id, **{column: changed.get(column, f"other {by.rng.random()}")})
    return _named((K.EVENT_CHANGED, link.position, link.event_id))


def edit_event_id(by: Superuser) -> Expected:
    link = by.any_link()
    by.set_event(link.event_id, id=uuid.UUID(bytes=by.bytes(16)))
    return _named((K.EVENT_CHANGED, link.position, link.event_id))


def swap_events(by: Superuser) -> Expected:
    one, other = by.two_links()
    first, second = by.event(one.event_id), by.event(other.event_id)
    by.set_event(one.event_id, **{**second, "id": one.event_id})
    by.set_event(other.event_id, **{**first, "id": other.event_id})
    return _named(*((K.EVENT_CHANGED, each.position, each.event_id) for each in (one, other)))


def delete_event(by: Superuser) -> Expected:
    link = by.any_link()
    by.delete_events(link.event_id)
    return _named((K.EVENT_REMOVED, link.position, link.event_id))


def insert_event(by: Superuser) -> Expected:
    """An old event once more, under an id of its own."""
    copied = by.event(by.any_link().event_id) | {"id": uuid.UUID(bytes=by.bytes(16))}
    by.connection.execute(insert(audit_events).values(**copied))
    return _named((K.EVENT_INSERTED, None, copied["id"]))


def edit_link(by: Superuser) -> Expected:
    link = by.any_link()
    column = by.rng.choice(["kind", "event_id", "event_mac", "link"])
    values: dict[str, object] = {
        "kind": (link.kind + by.rng.choice([1, 2, 3, 4])),
        "event_id": uuid.UUID(bytes=by.bytes(16)),
        "event_mac": by.bytes(),
        "link": by.bytes(),
    }
    by.set_link(link.position, **{column: values[column]})
    return _named((K.LINK_CHANGED, link.position, link.event_id))


def shorten_link(by: Superuser) -> Expected:
    link = by.any_link()
    column = by.rng.choice(["event_mac", "link"])
    by.set_link(link.position, **{column: getattr(link, column)[: by.rng.randrange(32)]})
    return _named(allowed=frozenset({link.position, link.event_id}))


def renumber_link(by: Superuser) -> Expected:
    link = by.any_link()
    target = by.last + by.rng.randint(1, 100)
    by.set_link(link.position, position=target)
    return _named((K.LINK_MOVED, target, link.event_id))


def swap_links(by: Superuser) -> Expected:
    one, other = by.two_links()
    by.set_link(one.position, position=by.last + 1000)
    by.set_link(other.position, position=one.position)
    by.set_link(by.last + 1000, position=other.position)
    return _named(
        (K.LINK_MOVED, other.position, one.event_id), (K.LINK_MOVED, one.position, other.event_id)
    )


def delete_link(by: Superuser) -> Expected:
    link = by.any_link()
    by.delete_links(link.position, link.position)
    if link.position == by.last:
        return _named((K.CUT_OFF, link.position, None), (K.EVENT_INSERTED, None, link.event_id))
    return _named((K.LINK_REMOVED, link.position, link.event_id))


def delete_row(by: Superuser) -> Expected:
    link = by.any_link()
    by.delete_links(link.position, link.position)
    by.delete_events(link.event_id)
    kind = K.CUT_OFF if link.position == by.last else K.LINK_REMOVED
    return _named((kind, link.position, None))


def delete_range(by: Superuser) -> Expected:
    first = by.rng.randrange(2, by.last)
    last = min(by.last - 1, first + by.rng.randrange(5))
    some = [link for link in by.links if first <= link.position <= last]
    by.delete_links(first, last)
    if by.rng.random() < 0.5:
        by.delete_events(*(link.event_id for link in some))
        return _named((K.LINK_REMOVED, first, None), allowed=frozenset(range(first, last + 1)))
    return _named(*((K.LINK_REMOVED, link.position, link.event_id) for link in some))


def close_the_ranks(by: Superuser) -> Expected:
    """Remove a row and renumber all behind it."""
    link = by.rng.choice(by.links[:-1])
    by.delete_links(link.position, link.position)
    by.delete_events(link.event_id)
    by.delete_heads(link.position, link.position)
    behind = range(link.position + 1, by.last + 1)
    for position in behind:
        by.set_link(position, position=position - 1)
    for head in by.heads:
        if head.position > link.position:
            by.set_head(head.position, position=head.position - 1)
    touched = frozenset({*behind, link.position, by.last + 1})
    return Expected(frozenset(), touched)


def cut_end(by: Superuser) -> Expected:
    """Remove the newest part of events, links and heads."""
    first = by.rng.randrange(1, by.last + 1)
    by.delete_events(*(link.event_id for link in by.links if link.position >= first))
    by.delete_links(first, by.last)
    by.delete_heads(first, by.last)
    return _named((K.CUT_OFF, first, None), allowed=frozenset({first - 1}))


def cut_links_and_events(by: Superuser) -> Expected:
    first = by.rng.randrange(1, by.last + 1)
    by.delete_events(*(link.event_id for link in by.links if link.position >= first))
    by.delete_links(first, by.last)
    return _named((K.CUT_OFF, first, None))


def insert_link(by: Superuser) -> Expected:
    """An event of the superuser's own, with a link under a key of his own."""
    copied = by.event(by.any_link().event_id) | {"id": uuid.UUID(bytes=by.bytes(16))}
    by.connection.execute(insert(audit_events).values(**copied))
    _put_link(by, by.last + 1, copied["id"])
    return _named((K.LINK_INSERTED, by.last + 1, copied["id"]))


def insert_link_and_head(by: Superuser) -> Expected:
    expected = insert_link(by)
    _put_head(by, by.last + 1, by.last, by.bytes())
    return Expected(expected.named | {(K.HEAD_CHANGED, by.last + 1, None)})


def rewrite_links(by: Superuser) -> Expected:
    """Change an event and make the chain anew behind it, without the key."""
    link = by.any_link()
    own = ChainKeys(by.bytes())
    by.set_event(link.event_id, action="sale.reversed")
    previous = by.links[link.position - 2].link if link.position > 1 else bytes(32)
    touched: set[int | uuid.UUID] = set()
    for each in by.links[link.position - 1 :]:
        mac = by.bytes() if each is link else each.event_mac
        message = link_message(each.position, each.kind, each.event_id.bytes, mac)
        previous = own.link_code(previous + message)
        by.set_link(each.position, event_mac=mac, link=previous)
        touched |= {each.position, each.event_id}
    return _named((K.LINK_CHANGED, link.position, link.event_id), allowed=frozenset(touched))


def declare_gap_without_key(by: Superuser) -> Expected:
    """Cut a row out, and call a later link the declaration of a gap."""
    position = by.rng.randrange(1, by.last - 1)
    link = by.links[position - 1]
    later = by.links[-1]
    by.delete_links(position, position)
    by.delete_events(link.event_id)
    by.set_link(later.position, kind=LinkKind.GAP.value)
    details = {"after": position - 1, "through": position, "head_link": "", "reason": "none"}
    by.set_event(later.event_id, action="audit.gap_declared", details=details)
    return _named(
        (K.LINK_REMOVED, position, None),
        (K.LINK_CHANGED, later.position, later.event_id),
        allowed=frozenset({later.position}),
    )


def edit_head(by: Superuser) -> Expected:
    head = by.rng.choice(by.heads)
    column = by.rng.choice(["previous_position", "link", "sealed_at", "signature", "mac"])
    values: dict[str, object] = {
        "previous_position": head.previous_position - 1,
        "link": by.bytes(),
        "sealed_at": head.sealed_at.replace(year=2020),
        "signature": by.bytes(64),
        "mac": by.bytes(),
    }
    by.set_head(head.position, **{column: values[column]})
    return _named((K.HEAD_CHANGED, head.position, None))


def renumber_head(by: Superuser) -> Expected:
    head = by.rng.choice(by.heads)
    target = by.last + by.rng.randint(1, 100)
    by.set_head(head.position, position=target)
    return _named((K.HEAD_CHANGED, target, None), allowed=frozenset({head.position}))


def delete_head(by: Superuser) -> Expected:
    head = by.rng.choice(by.heads)
    by.delete_heads(head.position, head.position)
    return _named((K.HEAD_REMOVED, head.position, None))


def rewrite_heads(by: Superuser) -> Expected:
    """All heads anew, under a key of the superuser's own."""
    own = ChainKeys(by.bytes())
    for head in by.heads:
        made = own.sign(head.position, head.previous_position, head.link, head.sealed_at)
        by.set_head(head.position, signature=made.signature, mac=own.head_code(head_row(made)))
    return _named(*((K.HEAD_CHANGED, head.position, None) for head in by.heads))


def empty_queue(by: Superuser) -> Expected:
    """An event that was committed and not sealed: its place in the queue is taken away."""
    waiting = by.event(by.any_link().event_id) | {"id": uuid.UUID(bytes=by.bytes(16))}
    by.connection.execute(insert(audit_events).values(**waiting))
    by.connection.execute(insert(audit_queue).values(event_id=waiting["id"]))
    by.connection.execute(audit_queue.delete())
    return _named((K.EVENT_INSERTED, None, waiting["id"]))


def date_outside_all_calendars(by: Superuser) -> Expected:
    """An instant that no datetime holds, in an event or in a head."""
    instant = "-9223372036854775808" if is_sqlite(by.connection.dialect) else "'-infinity'"
    link, head = by.any_link(), by.rng.choice(by.heads)
    if by.rng.random() < 0.5:
        by.run(f"UPDATE audit_heads SET sealed_at = {instant} WHERE position = {head.position}")  # noqa: S608 # our own names
        return _named((K.HEAD_CHANGED, head.position, None))
    by.run(f"UPDATE audit_events SET at = {instant} WHERE id = {by.literal(link.event_id)}")  # noqa: S608 # our own names
    return _named((K.EVENT_CHANGED, link.position, link.event_id))


def renumber_link_to_the_limit(by: Superuser) -> Expected:
    """A position beside which there is no other."""
    link = by.any_link()
    by.set_link(link.position, position=(1 << 63) - 1)
    return _named((K.LINK_MOVED, (1 << 63) - 1, link.event_id))


def edit_kind_of_no_size(by: Superuser) -> Expected:
    """A kind that has not the size of one, where the database takes it."""
    link = by.any_link()
    kind = 70_000 if is_sqlite(by.connection.dialect) else -1
    by.run(f"UPDATE audit_links SET kind = {kind} WHERE position = {link.position}")  # noqa: S608 # our own names
    return _named((K.LINK_CHANGED, link.position, link.event_id))


def shorten_event_id(by: Superuser) -> Expected:
    """An id that is none, where the database takes it; or another one."""
    link = by.any_link()
    if not is_sqlite(by.connection.dialect):
        return edit_event_id(by)
    short = by.bytes(by.rng.choice([0, 1, 15, 17])).hex()
    by.run(f"UPDATE audit_events SET id = x'{short}' WHERE id = {by.literal(link.event_id)}")  # noqa: S608 # our own names
    return _named((K.EVENT_CHANGED, link.position, link.event_id))


TAMPERINGS: Final[Mapping[str, Callable[[Superuser], Expected]]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            edit_event,
            edit_event_id,
            swap_events,
            delete_event,
            insert_event,
            edit_link,
            shorten_link,
            renumber_link,
            swap_links,
            delete_link,
            delete_row,
            delete_range,
            close_the_ranks,
            cut_end,
            cut_links_and_events,
            insert_link,
            insert_link_and_head,
            rewrite_links,
            declare_gap_without_key,
            edit_head,
            renumber_head,
            delete_head,
            rewrite_heads,
            empty_queue,
            date_outside_all_calendars,
            renumber_link_to_the_limit,
            edit_kind_of_no_size,
            shorten_event_id,
        )
    }
)


def _put_link(by: Superuser, position: int, event_id: uuid.UUID) -> None:
    by.connection.execute(
        insert(audit_links).values(
            position=position, kind=0, event_id=event_id, event_mac=by.bytes(), link=by.bytes()
        )
    )


def _put_head(by: Superuser, position: int, previous: int, link: bytes) -> None:
    by.connection.execute(
        insert(audit_heads).values(
            position=position,
            previous_position=previous,
            link=link,
            sealed_at=by.heads[-1].sealed_at,
            signature=by.bytes(64),
            mac=by.bytes(),
        )
    )
