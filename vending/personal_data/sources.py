"""Which features keep something of a person. A later feature adds its source to the table."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vending.customers.service import export_customer
from vending.meters.model import MeterState
from vending.meters.service import list_meters
from vending.persistence.column_types import Json
from vending.personal_data.port import CustomerIds, PersonalDataSource
from vending.sales.service.history import find_last_sales, list_sales_of_customer
from vending.values.identifiers import CustomerId

EXPORT_COUNT_MAX: Final = 1_000
"""Meters and sales in one export; it says so when there are more."""
HOLDING_STATES: Final = frozenset(
    {MeterState.INSTALLED, MeterState.COMMISSIONED, MeterState.BLOCKED, MeterState.FAULTY}
)


def _export_meters(connection: Connection, customer_id: CustomerId) -> Json:
    page = list_meters(connection, limit=EXPORT_COUNT_MAX, customer_id=customer_id)
    meters: list[Json] = [
        {
            "drn": meter.pan.iain,
            "state": meter.state.value,
            "location": meter.location.text,
            "tariff": meter.tariff_code,
        }
        for meter in page.meters
    ]
    return meters


def _hold_by_meters(connection: Connection, customer_ids: CustomerIds) -> Mapping[CustomerId, str]:
    holds: dict[CustomerId, str] = {}
    for customer_id in customer_ids:
        page = list_meters(connection, limit=EXPORT_COUNT_MAX, customer_id=customer_id)
        if any(meter.state in HOLDING_STATES for meter in page.meters):
            holds[customer_id] = "a meter is in use"
    return holds


def _export_sales(connection: Connection, customer_id: CustomerId) -> Json:
    sales: list[Json] = [
        {
            "receipt_number": sale.receipt_number,
            "at": sale.created_at.isoformat(),
            "drn": sale.meter_pan.iain,
            "tender_minor": sale.quote.tender.minor,
            "currency": sale.quote.tender.currency.code,
            "energy_wh": sale.quote.energy_on_token.wh,
            "state": sale.state.value,
        }
        for sale in list_sales_of_customer(connection, customer_id, limit=EXPORT_COUNT_MAX)
    ]
    return sales


def _last_sales(connection: Connection, customer_ids: CustomerIds) -> Mapping[CustomerId, datetime]:
    return find_last_sales(connection, customer_ids)


SOURCES: Final = (
    PersonalDataSource(
        name="customer",
        export=export_customer,
        kept_because="Identifier, account number and history of consents stay: the books name "
        "the first two, the third proves what was allowed. None tells who it was.",
    ),
    PersonalDataSource(
        name="meters",
        export=_export_meters,
        kept_because="A meter and where it hangs belong to the grid, not to the person; the "
        "register keeps the customer's identifier alone.",
        find_holds=_hold_by_meters,
    ),
    PersonalDataSource(
        name="sales",
        export=_export_sales,
        kept_because="Sales, journal, tokens and receipts are the books that tax law asks for. "
        "They hold identifiers, and names masked to initials.",
        find_last_activity=_last_sales,
    ),
)
