"""tariffs: add a version, list the versions; a version never changes."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from vending.cli.access import needs
from vending.cli.arguments import parse_currency
from vending.cli.context import DataOption, opened_database
from vending.cli.output import JsonOption, print_document
from vending.errors import ErrorKind, VendingError
from vending.operators.permissions import Permission
from vending.sales.receipt import percent_text, price_text
from vending.tariffs.model import Tariff, TariffDraft
from vending.tariffs.rules import parse_price_per_kwh, parse_vat_percent
from vending.tariffs.service import add_version, list_versions
from vending.values.clock import FixedClock, SystemClock

app: Final = typer.Typer(help="Tariffs: versions, never edited.", no_args_is_help=True)


class InstantFormatError(VendingError):
    """A text is no date or time."""

    kind = ErrorKind.INVALID
    code = "instant_invalid"
    remedy = "Write a time in UTC such as 2027-01-01T00:00:00Z."

    def __init__(self, given: str) -> None:
        super().__init__(f"{given!r} is no time", given=given)


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="tariffs")


@app.command("add")
@needs(Permission.TARIFFS_WRITE)
def add(
    code: Annotated[str, typer.Argument(help="Code of the tariff, such as RES-1.")],
    price: Annotated[str, typer.Option("--price", help="Price per kWh without VAT, as 21.50.")],
    vat: Annotated[str, typer.Option("--vat", help="VAT in percent, such as 16.")] = "0",
    currency: Annotated[
        str | None, typer.Option("--currency", help="ISO 4217; default: VENDING_CURRENCY.")
    ] = None,
    effective_from: Annotated[
        str | None, typer.Option("--from", help="When it starts, UTC; default: now.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add the next version of a tariff; it takes effect by itself when its time comes."""
    clock = FixedClock(SystemClock().now())  # one command, one instant: "now" is not backdated
    with opened_database(data) as (settings, database):
        draft = TariffDraft(
            code=code,
            currency=parse_currency(currency or settings.currency),
            price_per_kwh_micro=parse_price_per_kwh(price),
            vat_basis_points=parse_vat_percent(vat),
            effective_from=_parse_instant(effective_from) if effective_from else clock.now(),
        )
        tariff = add_version(database, draft, clock=clock)
    print_document(_row(tariff), as_json=as_json)


@app.command("list")
@needs(Permission.TARIFFS_READ)
def list_all(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List every version of every tariff."""
    with opened_database(data) as (_, database), database.read() as connection:
        rows = [_row(tariff) for tariff in list_versions(connection)]
    print_document(rows, as_json=as_json, title="tariffs")


def _parse_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise InstantFormatError(text) from error
    if instant.tzinfo is None:
        raise InstantFormatError(text)
    return instant.astimezone(UTC)


def _row(tariff: Tariff) -> dict[str, object]:
    return {
        "code": tariff.code,
        "version": tariff.version,
        "price_per_kwh": price_text(tariff),
        "vat_percent": percent_text(tariff),
        "currency": tariff.currency.code,
        "effective_from": tariff.effective_from.isoformat(),
    }
