"""Pure decisions on meters: numbers, states, who may buy, how a row becomes a meter."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, TypeVar

from vending.meters.errors import (
    LeadingZeroLostError,
    MeterCheckDigitError,
    MeterInvalidError,
    MeterNotFoundError,
    MeterNotVendableError,
    MeterNumberInvalidError,
    MeterTransitionError,
)
from vending.meters.model import (
    KRN_MAX,
    TARGETS,
    VENDABLE_STATES,
    Location,
    Meter,
    MeterRow,
    MeterState,
    NewMeter,
    require_link,
    require_profile,
    require_tariff_code,
)
from vending.sts.errors import CheckDigitError, FieldRangeError, STSError
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN, parse_meter
from vending.sts.tid import BaseDate
from vending.sts.tokens import Resource
from vending.values.csv_rows import (
    Columns,
    Finding,
    Row,
    check_cells,
    clean_digits,
    clean_text,
    describe_refusal,
)
from vending.values.money import Currency, UnknownCurrencyError, divide_half_up

METER_COLUMNS: Final = Columns(
    required=(
        "drn", "sgc", "krn", "kt", "ti", "ea", "dkga", "base_date", "tariff_code", "currency",
    ),
    optional=(
        "resource", "profile", "link", "location", "latitude", "longitude", "account_number",
        "state",
    ),
)  # fmt: skip

SGC_DIGIT_COUNT: Final = 6
NOTE_LENGTH_MAX: Final = 200
UDEG_PER_DEGREE: Final = 1_000_000
_LENGTHS: Final = (11, 13, 18)
_ZEROS_LOST_MAX: Final = 4
"""A MeterPAN of IIN 0000 has that many zeros in front."""
_DEGREES: Final = re.compile(r"(-?)([0-9]{1,3})(?:\.([0-9]{1,15}))?")
_NUMBER: Final = re.compile(r"[0-9]{1,4}")
INITIAL_STATES: Final = (
    MeterState.STOCK, MeterState.INSTALLED, MeterState.COMMISSIONED, MeterState.BLOCKED,
)  # fmt: skip
"""A register that is taken over has meters in use; a meter at the end of its life is left out."""

ValueT = TypeVar("ValueT")


def parse_meter_number(text: str) -> MeterPAN:
    """Return the meter of a typed number: 11 or 13 digits of the DRN, or 18 of the MeterPAN.

    Raises:
        MeterNumberInvalidError: It is none of these, or no meter's.
        MeterCheckDigitError: A digit was mistyped.
        LeadingZeroLostError: It would be a meter number with zeros in front.
        ScientificNotationError: A spreadsheet turned it into a rounded number.
    """
    digits = clean_digits(text)
    try:
        return parse_meter(digits)
    except CheckDigitError as error:
        raise MeterCheckDigitError(digits, error.expected) from error
    except STSError as error:
        likely = _find_number_with_zeros(digits)
        if likely is not None:
            raise LeadingZeroLostError(digits, likely) from error
        raise MeterNumberInvalidError(digits) from error


def _find_number_with_zeros(digits: str) -> str | None:
    for length in _LENGTHS:
        if 0 < length - len(digits) <= _ZEROS_LOST_MAX:
            candidate = digits.zfill(length)
            try:
                parse_meter(candidate)
            except STSError:
                continue
            return candidate
    return None


def check_transition(origin: MeterState, target: MeterState) -> None:
    """Check that a meter may go from one state to the other.

    Raises:
        MeterTransitionError: The table of transitions has no such row.
    """
    if target not in TARGETS[origin]:
        raise MeterTransitionError(origin=origin, target=target, allowed=", ".join(TARGETS[origin]))


def require_note(field: str, text: str) -> str:
    """Return the text, who did something or why.

    Raises:
        MeterInvalidError: It is empty, too long or does not print.
    """
    if not (1 <= len(text.strip()) <= NOTE_LENGTH_MAX and text.isprintable()):
        raise MeterInvalidError(field=field, wanted=f"1 to {NOTE_LENGTH_MAX} printable characters")
    return text


def require_vendable(pan: MeterPAN, meter: Meter | None) -> Meter:
    """Return the meter that was found for a number, if a sale to it is allowed.

    Raises:
        MeterNotFoundError: None was found.
        MeterNotVendableError: It is in a state that takes no sale.
    """
    if meter is None:
        raise MeterNotFoundError(pan.iain)
    if meter.state not in VENDABLE_STATES:
        raise MeterNotVendableError(pan.iain, meter.state)
    return meter


def parse_meter_row(row: Row) -> MeterRow | list[Finding]:
    """Return the meter of a row, or all that is wrong with it."""
    findings = check_cells(row, _CELLS)
    if findings:
        return findings
    try:
        return MeterRow(_make_meter(row.cells), parse_optional(row.cells["account_number"]))
    except MeterInvalidError as error:
        return [describe_refusal(row.number, str(error.facts["field"]), error)]


def _make_meter(cells: Mapping[str, str]) -> NewMeter:
    profile, link = parse_optional(cells["profile"]), parse_optional(cells["link"])
    return NewMeter(
        pan=parse_meter_number(cells["drn"]),
        sgc=parse_sgc(cells["sgc"]),
        krn=parse_krn(cells["krn"]),
        kt=parse_kt(cells["kt"]),
        ti=parse_ti(cells["ti"]),
        ea=parse_ea(cells["ea"]),
        dkga=parse_dkga(cells["dkga"]),
        base_date=parse_base_date(cells["base_date"]),
        tariff_code=parse_tariff_code(cells["tariff_code"]),
        currency=parse_currency(cells["currency"]),
        resource=parse_resource(cells["resource"]),
        profile=profile,
        link=link,
        location=Location(
            parse_location_text(cells["location"]),
            parse_latitude(cells["latitude"]),
            parse_longitude(cells["longitude"]),
        ),
        state=parse_initial_state(cells["state"]),
    )


def parse_sgc(text: str) -> SGC:
    """Return a supply group code, 6 digits.

    Raises:
        LeadingZeroLostError: A digit or more is missing in front.
        MeterInvalidError: It is no number, or too long.
    """
    digits = clean_digits(text)
    if digits.isascii() and digits.isdigit() and len(digits) < SGC_DIGIT_COUNT:
        raise LeadingZeroLostError(digits, digits.zfill(SGC_DIGIT_COUNT))
    try:
        return SGC(digits)
    except STSError as error:
        raise MeterInvalidError(field="sgc", wanted="6 digits") from error


def _parse_number(field: str, make: Callable[[int], ValueT], text: str) -> ValueT:
    """Return what `make` makes of a whole number.

    Raises:
        MeterInvalidError: It is no number, or `make` does not know it.
    """
    digits = clean_digits(text)
    if not _NUMBER.fullmatch(digits):
        raise MeterInvalidError(field=field, wanted="a whole number")
    try:
        return make(int(digits))
    except STSError as error:
        raise MeterInvalidError(field=field, wanted=str(error)) from error


def _require_krn(number: int) -> int:
    if not 1 <= number <= KRN_MAX:
        raise FieldRangeError(field="KRN", given=number, allowed=f"1 to {KRN_MAX}")
    return number


parse_krn: Final = partial(_parse_number, "krn", _require_krn)
parse_kt: Final = partial(_parse_number, "kt", KeyType)
parse_ti: Final = partial(_parse_number, "ti", TI.from_number)
parse_ea: Final = partial(_parse_number, "ea", EncryptionAlgorithm)
parse_dkga: Final = partial(_parse_number, "dkga", KeyDerivation)
parse_base_date: Final = partial(_parse_number, "base_date", BaseDate)


def parse_tariff_code(text: str) -> str:
    """Return the code of a tariff.

    Raises:
        MeterInvalidError: It has not the form of one.
        ScientificNotationError: A spreadsheet turned it into a rounded number.
    """
    clean_digits(text)
    return require_tariff_code(text.strip().removeprefix("'"))


def parse_currency(text: str) -> Currency:
    """Return the currency of an ISO 4217 code.

    Raises:
        MeterInvalidError: There is no such currency.
    """
    try:
        return Currency(text.strip().upper())
    except UnknownCurrencyError as error:
        raise MeterInvalidError(field="currency", wanted=str(error)) from error


def parse_resource(text: str) -> Resource:
    """Return what the meter sells; electricity where the cell is empty.

    Raises:
        MeterInvalidError: It is something else: only electricity is sold at present.
    """
    if text.strip().lower() not in {"", "electricity"}:
        raise MeterInvalidError(field="resource", wanted="electricity, or an empty cell")
    return Resource.ELECTRICITY


def parse_optional(text: str) -> str | None:
    """Return the text of a cell, None where it is empty.

    Raises:
        TextCellError: It would run as a formula or does not print.
    """
    return clean_text(text.removeprefix("'")) or None


def parse_profile(text: str) -> str | None:
    """Return the name of a profile, None where the cell is empty.

    Raises:
        MeterInvalidError: It has not the form of one.
    """
    name = parse_optional(text)
    return None if name is None else require_profile(name)


def parse_link(text: str) -> str | None:
    """Return the way to a meter, None where the cell is empty.

    Raises:
        MeterInvalidError: It has not the form of one.
    """
    link = parse_optional(text)
    return None if link is None else require_link(link)


def parse_location_text(text: str) -> str:
    """Return where a meter hangs, in words; empty where nothing is known.

    Raises:
        MeterInvalidError: It is too long.
        TextCellError: It would run as a formula or does not print.
    """
    return Location(clean_text(text)).text


def parse_latitude(text: str) -> int | None:
    """Return millionths of a degree from a decimal such as `-1.286389`; None: an empty cell.

    Raises:
        MeterInvalidError: It is no such decimal, or off the globe.
    """
    latitude_udeg = _parse_degrees("latitude", text)
    Location(latitude_udeg=latitude_udeg, longitude_udeg=None if latitude_udeg is None else 0)
    return latitude_udeg


def parse_longitude(text: str) -> int | None:
    """Return millionths of a degree from a decimal such as `36.817223`; None: an empty cell.

    Raises:
        MeterInvalidError: It is no such decimal, or off the globe.
    """
    longitude_udeg = _parse_degrees("longitude", text)
    Location(latitude_udeg=None if longitude_udeg is None else 0, longitude_udeg=longitude_udeg)
    return longitude_udeg


def _parse_degrees(field: str, text: str) -> int | None:
    if not text.strip():
        return None
    match = _DEGREES.fullmatch(text.strip())
    if match is None:
        raise MeterInvalidError(
            field=field, wanted="degrees as a decimal with a point, such as -1.286389"
        )
    fraction = match[3] or ""
    magnitude = divide_half_up(int(match[2] + fraction) * UDEG_PER_DEGREE, 10 ** len(fraction))
    return -magnitude if match[1] else magnitude


def parse_initial_state(text: str) -> MeterState:
    """Return the state in which a meter enters the register; stock where the cell is empty.

    Raises:
        MeterInvalidError: It is none, or one that only a life in the register leads to.
    """
    named = text.strip().lower() or MeterState.STOCK
    for state in INITIAL_STATES:
        if state == named:
            return state
    raise MeterInvalidError(field="state", wanted=f"one of {', '.join(INITIAL_STATES)}")


_CELLS: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        "drn": parse_meter_number,
        "sgc": parse_sgc,
        "krn": parse_krn,
        "kt": parse_kt,
        "ti": parse_ti,
        "ea": parse_ea,
        "dkga": parse_dkga,
        "base_date": parse_base_date,
        "tariff_code": parse_tariff_code,
        "currency": parse_currency,
        "resource": parse_resource,
        "profile": parse_profile,
        "link": parse_link,
        "location": parse_location_text,
        "latitude": parse_latitude,
        "longitude": parse_longitude,
        "account_number": parse_optional,
        "state": parse_initial_state,
    }
)
