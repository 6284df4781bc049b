from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from vending.partners.errors import (
    APIKeyNotFoundError,
    PartnerInvalidError,
    PartnerNameTakenError,
    PartnerNotFoundError,
    PartnerSuspendedError,
    UnauthenticatedError,
)
from vending.partners.model import APIKey, Partner, PartnerStatus
from vending.partners.service import (
    add_partner,
    authenticate,
    change_status,
    issue_api_key,
    list_api_keys,
    list_partners,
    load_partner,
    load_partner_by_name,
    revoke_api_key,
)
from vending.partners.tables import api_keys
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import PartnerId
from vending.values.money import Currency

KES = Currency("KES")
NOBODY = PartnerId(UUID(int=1))


def revoke_at(database: Database, clock: FixedClock, prefix: str, at: datetime) -> APIKey:
    return revoke_api_key(database, prefix, by=SYSTEM, clock=clock, at=at)


@pytest.fixture
def partner(database: Database, fixed_clock: FixedClock) -> Partner:
    return add_partner(database, "Acme", KES, by=SYSTEM, clock=fixed_clock)


def test_a_partner_is_found_again(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    other = add_partner(database, "Zeta", KES, by=SYSTEM, clock=fixed_clock)
    with database.read() as connection:
        assert load_partner(connection, partner.id) == partner
        assert load_partner_by_name(connection, "Acme") == partner
        assert list_partners(connection) == [partner, other]
        assert list_partners(connection, limit=1) == [partner]


def test_whoever_adds_a_partner_gives_it_no_credit(partner: Partner) -> None:
    """Else one person would add a partner, take its key, and sell without end."""
    assert partner.credit_line_minor == 0


def test_a_partner_that_does_not_exist_is_not_found(
    database: Database, fixed_clock: FixedClock
) -> None:
    with database.read() as connection:
        with pytest.raises(PartnerNotFoundError):
            load_partner(connection, NOBODY)
        with pytest.raises(PartnerNotFoundError, match="'Nobody'"):
            load_partner_by_name(connection, "Nobody")
    with pytest.raises(PartnerNotFoundError):
        change_status(database, NOBODY, PartnerStatus.SUSPENDED, by=SYSTEM, clock=fixed_clock)
    with pytest.raises(PartnerNotFoundError):
        issue_api_key(database, NOBODY, by=SYSTEM, clock=fixed_clock)


def test_a_name_is_taken_once(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    with pytest.raises(PartnerNameTakenError, match=partner.name):
        add_partner(database, "Acme", KES, by=SYSTEM, clock=fixed_clock)
    with pytest.raises(PartnerInvalidError):
        add_partner(database, "", KES, by=SYSTEM, clock=fixed_clock)


def test_an_issued_key_proves_its_partner(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    issued = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)
    with database.read() as connection:
        assert authenticate(connection, issued.secret_text, fixed_clock.now()) == partner
        assert list_api_keys(connection, partner.id) == [issued.key]


def test_two_keys_of_a_partner_differ(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    first = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)
    second = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)
    assert first.key.prefix != second.key.prefix
    assert first.secret_text[-64:] != second.secret_text[-64:]


def test_the_secret_is_nowhere_in_the_database(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    issued = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)
    secret = issued.secret_text.rpartition("_")[2]
    with database.read() as connection:
        row = connection.execute(select(api_keys)).one()
    assert secret not in str(tuple(row))
    assert bytes.fromhex(secret) != bytes(row.digest)


@pytest.mark.parametrize("spoil", ["", "pk_", "last digit", "prefix"])
def test_a_wrong_key_proves_nothing(
    database: Database, partner: Partner, fixed_clock: FixedClock, spoil: str
) -> None:
    text = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock).secret_text
    other_digit = "0" if text[-1] != "0" else "1"
    spoiled = {
        "last digit": text[:-1] + other_digit,
        "prefix": "pk_000000000000_" + text[-64:],
    }.get(spoil, spoil)
    with database.read() as connection, pytest.raises(UnauthenticatedError):
        authenticate(connection, spoiled, fixed_clock.now())


def test_a_revoked_key_proves_nothing(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    issued = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)
    end = fixed_clock.now() + timedelta(hours=1)
    assert revoke_at(database, fixed_clock, issued.key.prefix, end).revoked_at == end
    with database.read() as connection:
        assert authenticate(connection, issued.secret_text, fixed_clock.now()) == partner
        with pytest.raises(UnauthenticatedError):
            authenticate(connection, issued.secret_text, end)


def test_an_end_moves_earlier_and_never_later(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    prefix = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock).key.prefix
    now = fixed_clock.now()
    hour = timedelta(hours=1)
    assert revoke_at(database, fixed_clock, prefix, now + 2 * hour).revoked_at == now + 2 * hour
    assert revoke_at(database, fixed_clock, prefix, now + hour).revoked_at == now + hour
    assert revoke_at(database, fixed_clock, prefix, now + 3 * hour).revoked_at == now + hour


def test_a_key_that_does_not_exist_is_not_revoked(
    database: Database, fixed_clock: FixedClock
) -> None:
    with pytest.raises(APIKeyNotFoundError):
        revoke_at(database, fixed_clock, "0" * 12, fixed_clock.now())


def test_the_database_gives_no_revoked_key_back(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    prefix = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock).key.prefix
    revoke_at(database, fixed_clock, prefix, fixed_clock.now())
    with (
        pytest.raises(IntegrityError, match="api_keys:revoked"),
        database.unit_of_work() as uow,
    ):
        uow.connection.execute(update(api_keys).values(revoked_at=None))
    with (
        pytest.raises(IntegrityError, match="append_only:api_keys"),
        database.unit_of_work() as uow,
    ):
        uow.connection.execute(update(api_keys).values(digest=bytes(32)))
    with (
        pytest.raises(IntegrityError, match="append_only:api_keys"),
        database.unit_of_work() as uow,
    ):
        uow.connection.execute(delete(api_keys))


def test_a_suspended_partner_is_told_so_only_with_its_own_key(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    text = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock).secret_text
    change_status(database, partner.id, PartnerStatus.SUSPENDED, by=SYSTEM, clock=fixed_clock)
    with database.read() as connection:
        with pytest.raises(PartnerSuspendedError, match="Acme"):
            authenticate(connection, text, fixed_clock.now())
        with pytest.raises(UnauthenticatedError):
            authenticate(connection, text[:-64] + "0" * 64, fixed_clock.now())
    assert (
        change_status(database, partner.id, PartnerStatus.ACTIVE, by=SYSTEM, clock=fixed_clock)
        == partner
    )
