"""A key of a partner that can sell with it at once takes two people."""

import pytest

from tests.support.partners import add_unlimited_partner
from tests.support.people import approve, sign_in_as
from vending.approvals.errors import ApprovalMismatchError, ApprovalRequiredError
from vending.ledger.model import Account, AccountCode, AccountKind, JournalEntry, Posting
from vending.ledger.service import post_entries
from vending.operators.errors import PermissionDeniedError
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.partners.model import Partner
from vending.partners.rules import partner_line
from vending.partners.service import (
    add_partner,
    authenticate,
    issue_api_key,
    issue_approved_api_key,
    list_api_keys,
    load_owed,
    propose_api_key,
    propose_credit_line,
    revoke_api_key,
    set_credit_line,
)
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import EntryId, new_uuid7
from vending.values.money import Currency

KES = Currency("KES")


@pytest.fixture
def clerk(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, Role.FINANCE, name="clerk")


@pytest.fixture
def other(database: Database, fixed_clock: FixedClock) -> SignedIn:
    return sign_in_as(database, fixed_clock, Role.ADMINISTRATOR, Role.FINANCE, name="other")


@pytest.fixture
def partner(database: Database, fixed_clock: FixedClock) -> Partner:
    return add_partner(database, "Acme", KES, by=SYSTEM, clock=fixed_clock)


def pay_ahead(database: Database, partner: Partner, clock: FixedClock) -> None:
    """Credit the account that the partner's sales are posted to."""
    line = partner_line(partner.id, KES, 0)
    cash = Account(code=AccountCode("cash"), kind=AccountKind.ASSET, currency=KES)
    entry = JournalEntry(
        id=EntryId(new_uuid7(clock)),
        at=clock.now(),
        kind="deposit",
        reference="x",
        currency=KES,
        postings=(Posting(cash.code, 100), Posting(line.code, -100)),
    )
    with database.unit_of_work() as uow:
        post_entries(uow.connection, [entry], [cash, line])
        uow.commit()


def test_one_person_gives_no_key_to_a_partner_without_limit(
    database: Database, fixed_clock: FixedClock
) -> None:
    partner = add_unlimited_partner(database, "Acme", KES, clock=fixed_clock)
    with pytest.raises(ApprovalRequiredError):
        issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)
    with database.read() as connection:
        assert list_api_keys(connection, partner.id) == []


def test_one_person_gives_no_key_to_a_partner_with_a_line(
    database: Database, partner: Partner, clerk: SignedIn, other: SignedIn, fixed_clock: FixedClock
) -> None:
    asked = propose_credit_line(
        database, partner.id, 1, by=clerk, reason="first line", clock=fixed_clock
    )
    approve(database, fixed_clock, asked.id, other)
    set_credit_line(database, partner.id, 1, by=clerk, approval_id=asked.id, clock=fixed_clock)
    with pytest.raises(ApprovalRequiredError):
        issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)


def test_one_person_gives_no_key_to_a_partner_that_has_paid_ahead(
    database: Database, partner: Partner, fixed_clock: FixedClock
) -> None:
    issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)
    pay_ahead(database, partner, fixed_clock)
    with database.read() as connection:
        assert load_owed(connection, partner).minor == -100
    with pytest.raises(ApprovalRequiredError):
        issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)


def test_two_people_rotate_a_key(
    database: Database, clerk: SignedIn, other: SignedIn, fixed_clock: FixedClock
) -> None:
    partner = add_unlimited_partner(database, "Acme", KES, clock=fixed_clock)
    asked = propose_api_key(database, partner.id, by=clerk, reason="yearly", clock=fixed_clock)
    approve(database, fixed_clock, asked.id, other)
    issued = issue_approved_api_key(
        database, partner.id, by=clerk, approval_id=asked.id, clock=fixed_clock
    )
    with database.read() as connection:
        assert authenticate(connection, issued.secret_text, fixed_clock.now()) == partner


def test_key_for_another_line_than_was_agreed_is_refused(
    database: Database, partner: Partner, clerk: SignedIn, other: SignedIn, fixed_clock: FixedClock
) -> None:
    asked = propose_api_key(database, partner.id, by=clerk, reason="first", clock=fixed_clock)
    approve(database, fixed_clock, asked.id, other)
    line = propose_credit_line(database, partner.id, 500, by=clerk, reason="x", clock=fixed_clock)
    approve(database, fixed_clock, line.id, other)
    set_credit_line(database, partner.id, 500, by=clerk, approval_id=line.id, clock=fixed_clock)
    with pytest.raises(ApprovalMismatchError):
        issue_approved_api_key(
            database, partner.id, by=clerk, approval_id=asked.id, clock=fixed_clock
        )


def test_line_is_for_the_keys_that_were_there_when_it_was_agreed(
    database: Database, partner: Partner, clerk: SignedIn, other: SignedIn, fixed_clock: FixedClock
) -> None:
    """Else one person would make a key between the approval and the line, alone."""
    line = propose_credit_line(database, partner.id, 500, by=clerk, reason="x", clock=fixed_clock)
    approve(database, fixed_clock, line.id, other)
    sneaked = issue_api_key(database, partner.id, by=SYSTEM, clock=fixed_clock)
    with pytest.raises(ApprovalMismatchError):
        set_credit_line(database, partner.id, 500, by=clerk, approval_id=line.id, clock=fixed_clock)
    revoke_api_key(database, sneaked.key.prefix, by=SYSTEM, clock=fixed_clock)
    set_credit_line(database, partner.id, 500, by=clerk, approval_id=line.id, clock=fixed_clock)


def test_who_may_not_write_partners_gets_no_key(
    database: Database, partner: Partner, clerk: SignedIn, fixed_clock: FixedClock
) -> None:
    cashier = sign_in_as(database, fixed_clock, Role.CASHIER, name="cashier")
    with pytest.raises(PermissionDeniedError):
        propose_api_key(database, partner.id, by=cashier, reason="x", clock=fixed_clock)
    asked = propose_api_key(database, partner.id, by=clerk, reason="x", clock=fixed_clock)
    with pytest.raises(PermissionDeniedError):
        issue_approved_api_key(
            database, partner.id, by=cashier, approval_id=asked.id, clock=fixed_clock
        )
