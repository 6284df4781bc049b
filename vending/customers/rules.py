"""Pure decisions on customers: how a row of a file becomes a customer."""

from typing import Final

from vending.customers.errors import CustomerInvalidError
from vending.customers.model import (
    Channel,
    Language,
    NewCustomer,
    require_account_number,
    require_email,
    require_name,
    require_phone,
)
from vending.values.csv_rows import (
    Columns,
    Finding,
    Row,
    check_cells,
    clean_digits,
    clean_text,
    describe_refusal,
)

CUSTOMER_COLUMNS: Final = Columns(
    required=("account_number", "name"),
    optional=("phone", "email", "language", "consent_sms", "consent_email"),
)

_YES: Final = frozenset({"yes", "true", "1", "是"})
_NO: Final = frozenset({"", "no", "false", "0", "否"})


def parse_customer_row(row: Row) -> NewCustomer | list[Finding]:
    """Return the customer of a row, or all that is wrong with it."""
    findings = check_cells(
        row,
        {
            "account_number": parse_account_number,
            "name": parse_name,
            "phone": parse_phone,
            "email": parse_email,
            "language": parse_language,
            "consent_sms": parse_yes_no,
            "consent_email": parse_yes_no,
        },
    )
    if findings:
        return findings
    cells = row.cells
    answers = {Channel.SMS: cells["consent_sms"], Channel.EMAIL: cells["consent_email"]}
    try:
        return NewCustomer(
            account_number=parse_account_number(cells["account_number"]),
            name=parse_name(cells["name"]),
            phone=parse_phone(cells["phone"]),
            email=parse_email(cells["email"]),
            language=parse_language(cells["language"]),
            consents=frozenset(ch for ch, answer in answers.items() if parse_yes_no(answer)),
        )
    except CustomerInvalidError as error:
        return [describe_refusal(row.number, str(error.facts["field"]), error)]


def parse_account_number(text: str) -> str:
    """Return an account number, which may be digits or text.

    Raises:
        CustomerInvalidError: It is empty, too long or has other characters.
        ScientificNotationError: A spreadsheet turned it into a rounded number.
    """
    clean_digits(text)
    return require_account_number(text.strip().removeprefix("'"))


def parse_name(text: str) -> str:
    """Return a name with single spaces.

    Raises:
        CustomerInvalidError: It is empty or too long.
        TextCellError: It would run as a formula or does not print.
    """
    return require_name(" ".join(clean_text(text).split()))


def parse_phone(text: str) -> str | None:
    """Return a phone number as E.164, such as +254712345678; None where the cell is empty.

    Raises:
        CustomerInvalidError: It has no plus sign and country code, or is too short or long.
        ScientificNotationError: A spreadsheet turned it into a rounded number.
    """
    digits = clean_digits(text).replace("(", "").replace(")", "")
    return require_phone(digits) if digits else None


def parse_email(text: str) -> str | None:
    """Return an e-mail address; None where the cell is empty.

    Raises:
        CustomerInvalidError: It is no address.
        TextCellError: It would run as a formula or does not print.
    """
    address = clean_text(text)
    return require_email(address) if address else None


def parse_language(text: str) -> Language:
    """Return the language; English where the cell is empty.

    Raises:
        CustomerInvalidError: It is none that we write in.
    """
    by_name = {language.lower(): language for language in Language}
    language = by_name.get(text.strip().lower().replace("_", "-") or Language.EN)
    if language is None:
        raise CustomerInvalidError(field="language", wanted=f"one of {', '.join(Language)}")
    return language


def parse_yes_no(text: str) -> bool:
    """Return whether the cell says yes; an empty cell is a no, since silence is no consent.

    Raises:
        CustomerInvalidError: It is neither.
    """
    answer = text.strip().lower()
    if answer in _YES:
        return True
    if answer in _NO:
        return False
    raise CustomerInvalidError(field="consent", wanted="yes or no")
