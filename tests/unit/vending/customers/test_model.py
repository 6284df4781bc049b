from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from vending.customers.errors import CustomerInvalidError
from vending.customers.model import (
    Channel,
    Customer,
    NewCustomer,
    mask_email,
    mask_name,
    mask_phone,
)
from vending.values.identifiers import CustomerId

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
CUSTOMER = Customer(
    id=CustomerId(UUID(int=1)),
    account_number="A-1",
    name="John Doe",
    phone="+254712345678",
    email="john@example.org",
    consent_sms_at=START,
    consent_email_at=START,
)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account_number": ""}, "account_number"),
        ({"account_number": "-1"}, "account_number"),
        ({"account_number": "x" * 33}, "account_number"),
        ({"name": ""}, "name"),
        ({"name": " J"}, "name"),
        ({"name": "a\x07b"}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"phone": "0712345678"}, "phone"),
        ({"phone": "+0712345678"}, "phone"),
        ({"phone": "+254 712 345 678"}, "phone"),
        ({"phone": "+1234567890123456"}, "phone"),
        ({"phone": "+٢٥٤٧١٢٣٤٥٦٧٨"}, "phone"),
        ({"email": "john"}, "email"),
        ({"email": "john@localhost"}, "email"),
        ({"email": "a@b@example.org"}, "email"),
        ({"email": "x" * 60 + "@" + "y" * 60 + ("." + "z" * 60) * 4}, "email"),
    ],
)
def test_a_customer_outside_its_limits_is_refused(change: dict[str, str], field: str) -> None:
    with pytest.raises(CustomerInvalidError) as refused:
        replace(CUSTOMER, **change)  # type: ignore[arg-type] # the table mixes field types
    assert refused.value.facts["field"] == field
    assert change[field] == "" or change[field] not in str(refused.value)


def test_a_customer_needs_neither_phone_nor_email() -> None:
    assert replace(CUSTOMER, phone=None, email=None).phone is None


@pytest.mark.parametrize(("channel", "field"), [(Channel.SMS, "phone"), (Channel.EMAIL, "email")])
def test_a_consent_needs_an_address(channel: Channel, field: str) -> None:
    with pytest.raises(CustomerInvalidError) as refused:
        NewCustomer(account_number="A-1", name="John", consents=frozenset({channel}))
    assert refused.value.facts["field"] == field


@pytest.mark.parametrize("channel", Channel)
def test_a_channel_is_allowed_only_with_consent_and_address(channel: Channel) -> None:
    assert CUSTOMER.allows(channel)
    assert not CUSTOMER.with_consent(channel, None).allows(channel)
    assert not replace(CUSTOMER, phone=None, email=None).allows(channel)


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("John Doe", "J*** D**"),
        ("张三", "张*"),
        ("欧阳娜娜", "欧***"),
        ("J Smith", "J* S****"),
        ("李", "李*"),
        ("  Ann   Lee ", "A** L**"),
    ],
)
def test_a_masked_name_shows_the_first_letter_of_each_word(name: str, masked: str) -> None:
    assert mask_name(name) == masked


def test_a_customer_masks_its_own_name() -> None:
    assert CUSTOMER.masked_name() == "J*** D**"


def test_a_printed_customer_shows_no_person() -> None:
    printed = repr(CUSTOMER)
    assert "John" not in printed
    assert "+254" not in printed
    assert "example.org" not in printed


@pytest.mark.parametrize(
    ("phone", "shown"),
    [("+254712345678", "+254*******78"), ("+12345678", "+123***78"), ("+1234567", "+123**67")],
)
def test_phone_shows_country_and_last_two_digits(phone: str, shown: str) -> None:
    assert mask_phone(phone) == shown


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("amina@example.org", "a***@e***.org"),
        ("a@b.co", "a***@b***.co"),
        ("x.y@mail.example.org", "x***@m***.org"),
    ],
)
def test_email_shows_first_letters_and_the_top_level_domain(email: str, shown: str) -> None:
    assert mask_email(email) == shown
