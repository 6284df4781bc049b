"""Every query on partners and API keys."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from vending.partners.model import APIKey, Partner, PartnerStatus
from vending.partners.tables import api_keys, partners
from vending.persistence.upsert import insert_or_ignore
from vending.values.identifiers import PartnerId
from vending.values.money import Currency

_LINES: Final = (
    select(partners.c.id, partners.c.credit_line_minor)
    .where(partners.c.id.in_(bindparam("partner_ids", expanding=True)))
    .order_by(partners.c.id)
    .with_for_update(read=True, key_share=True)
)
_NAMES: Final = select(partners.c.id, partners.c.name).where(
    partners.c.id.in_(bindparam("partner_ids", expanding=True))
)
"""Built once: every batch of sales asks."""


def insert_partner(connection: Connection, partner: Partner, *, created_at: datetime) -> bool:
    """Store a partner; return whether it was stored: the name may be taken."""
    statement = insert_or_ignore(connection, partners).returning(partners.c.id)
    row = {
        "id": partner.id,
        "name": partner.name,
        "currency": partner.currency.code,
        "status": partner.status.value,
        "created_at": created_at,
        "credit_line_minor": partner.credit_line_minor,
    }
    return connection.execute(statement, row).one_or_none() is not None


def find_partner(connection: Connection, partner_id: PartnerId) -> Partner | None:
    """Return one partner; None: there is none with this id."""
    row = connection.execute(select(partners).where(partners.c.id == partner_id)).one_or_none()
    return None if row is None else _to_partner(row)


def find_partner_by_name(connection: Connection, name: str) -> Partner | None:
    """Return one partner; None: there is none of this name."""
    row = connection.execute(select(partners).where(partners.c.name == name)).one_or_none()
    return None if row is None else _to_partner(row)


def list_partners(connection: Connection, *, limit: int) -> list[Partner]:
    """Return the partners in the order of their names."""
    query = select(partners).order_by(partners.c.name).limit(limit)
    return [_to_partner(row) for row in connection.execute(query)]


def update_status(connection: Connection, partner_id: PartnerId, status: PartnerStatus) -> None:
    """Store whether a partner may sell."""
    connection.execute(
        update(partners).where(partners.c.id == partner_id).values(status=status.value)
    )


def lock_partner(connection: Connection, partner_id: PartnerId) -> Partner | None:
    """Return the partner, locked against every sale of its; None: there is none."""
    query = select(partners).where(partners.c.id == partner_id).with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else _to_partner(row)


def find_names(connection: Connection, partner_ids: Collection[PartnerId]) -> dict[PartnerId, str]:
    """Return the names of the partners."""
    found = connection.execute(_NAMES, {"partner_ids": list(partner_ids)})
    return {PartnerId(row.id): row.name for row in found}


def load_lines(connection: Connection, partner_ids: Collection[PartnerId]) -> dict[PartnerId, int]:
    """Return the credit lines of those of the partners that have one.

    The rows are held as a sale's foreign key holds them anyway: a change of a line waits for the
    sales that have seen the old one, and they for it.
    """
    found = connection.execute(_LINES, {"partner_ids": sorted(partner_ids)})
    return {
        PartnerId(row.id): row.credit_line_minor
        for row in found
        if row.credit_line_minor is not None
    }


def update_credit_line(
    connection: Connection, partner_id: PartnerId, line_minor: int | None
) -> None:
    """Store the most that a locked partner may owe."""
    connection.execute(
        update(partners).where(partners.c.id == partner_id).values(credit_line_minor=line_minor)
    )


def insert_api_key(connection: Connection, key: APIKey) -> None:
    """Store what is kept of a key."""
    connection.execute(
        insert(api_keys).values(
            prefix=key.prefix,
            partner_id=key.partner_id,
            digest=key.digest,
            last_four=key.last_four,
            created_at=key.created_at,
            revoked_at=key.revoked_at,
        )
    )


def find_api_key(connection: Connection, prefix: str) -> APIKey | None:
    """Return what is kept of a key; None: none has this prefix."""
    row = connection.execute(select(api_keys).where(api_keys.c.prefix == prefix)).one_or_none()
    return None if row is None else _to_api_key(row)


def list_api_keys(connection: Connection, partner_id: PartnerId) -> list[APIKey]:
    """Return the keys of a partner, the oldest first, revoked ones included."""
    query = select(api_keys).where(api_keys.c.partner_id == partner_id)
    found = connection.execute(query.order_by(api_keys.c.created_at, api_keys.c.prefix))
    return [_to_api_key(row) for row in found]


def update_revoked_at(connection: Connection, prefix: str, at: datetime) -> None:
    """Store from when a key is no longer valid."""
    connection.execute(update(api_keys).where(api_keys.c.prefix == prefix).values(revoked_at=at))


def _to_partner(row: Row[Any]) -> Partner:
    return Partner(
        id=PartnerId(row.id),
        name=row.name,
        currency=Currency(row.currency),
        status=PartnerStatus(row.status),
        credit_line_minor=row.credit_line_minor,
    )


def _to_api_key(row: Row[Any]) -> APIKey:
    return APIKey(
        prefix=row.prefix,
        partner_id=PartnerId(row.partner_id),
        digest=bytes(row.digest),
        last_four=row.last_four,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
