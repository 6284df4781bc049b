import pytest

from vending.customers.errors import CustomerInvalidError
from vending.customers.model import Channel, Language, NewCustomer
from vending.customers.rules import (
    CUSTOMER_COLUMNS,
    parse_account_number,
    parse_customer_row,
    parse_email,
    parse_language,
    parse_name,
    parse_phone,
    parse_yes_no,
)
from vending.values.csv_rows import Row, ScientificNotationError, TextCellError


def row(**cells: str) -> Row:
    known = (*CUSTOMER_COLUMNS.required, *CUSTOMER_COLUMNS.optional)
    return Row(7, dict.fromkeys(known, "") | {"account_number": "A-1", "name": "张三"} | cells)


def test_a_row_becomes_a_customer() -> None:
    parsed = parse_customer_row(
        row(phone="+254 712-345678", email=" a@example.org ", language="zh-cn", consent_sms="是")
    )
    assert parsed == NewCustomer(
        account_number="A-1",
        name="张三",
        phone="+254712345678",
        email="a@example.org",
        language=Language.ZH_CN,
        consents=frozenset({Channel.SMS}),
    )


def test_a_row_with_the_least_becomes_a_customer() -> None:
    assert parse_customer_row(row()) == NewCustomer(account_number="A-1", name="张三")


def test_every_bad_cell_of_a_row_is_found() -> None:
    findings = parse_customer_row(
        row(
            account_number="6.0E+10",
            name="=1+1",
            phone="0712345678",
            email="x",
            language="fr",
            consent_sms="maybe",
        )
    )
    assert isinstance(findings, list)
    assert [(f.row, f.column, f.code) for f in findings] == [
        (7, "account_number", "scientific_notation"),
        (7, "name", "text_not_plain"),
        (7, "phone", "customer_invalid"),
        (7, "email", "customer_invalid"),
        (7, "language", "customer_invalid"),
        (7, "consent_sms", "customer_invalid"),
    ]


def test_a_consent_without_address_is_found() -> None:
    findings = parse_customer_row(row(consent_email="yes"))
    assert isinstance(findings, list)
    assert [(f.column, f.code) for f in findings] == [("email", "customer_invalid")]


def test_an_account_number_keeps_its_zeros() -> None:
    assert parse_account_number("'00123") == "00123"


@pytest.mark.parametrize("text", ["", "=1+1", "a b"])
def test_what_is_no_account_number_is_refused(text: str) -> None:
    with pytest.raises(CustomerInvalidError):
        parse_account_number(text)


def test_a_name_has_single_spaces() -> None:
    assert parse_name("  John   Doe ") == "John Doe"


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("", None),
        ("'+254712345678", "+254712345678"),
        ("+1 (415) 5550100", "+14155550100"),
    ],
)
def test_phones_become_e164(text: str, phone: str | None) -> None:
    assert parse_phone(text) == phone


def test_a_phone_that_lost_its_plus_is_explained() -> None:
    with pytest.raises(CustomerInvalidError, match="drops the plus sign"):
        parse_phone("254712345678")


def test_a_phone_that_a_spreadsheet_rounded_is_refused_by_name() -> None:
    with pytest.raises(ScientificNotationError):
        parse_phone("2.54712E+11")


def test_an_email_may_be_left_out() -> None:
    assert parse_email(" ") is None


def test_an_email_is_no_formula() -> None:
    with pytest.raises(TextCellError):
        parse_email("=a@example.org")


@pytest.mark.parametrize(
    ("text", "language"),
    [("", Language.EN), ("EN", Language.EN), ("zh_CN", Language.ZH_CN), ("zh-CN", Language.ZH_CN)],
)
def test_languages_are_read_leniently(text: str, language: Language) -> None:
    assert parse_language(text) is language


@pytest.mark.parametrize(
    ("text", "answer"), [("yes", True), ("1", True), ("是", True), ("No", False), ("", False)]
)
def test_silence_is_no_consent(text: str, answer: bool) -> None:  # noqa: FBT001 # a column of the table
    assert parse_yes_no(text) is answer
