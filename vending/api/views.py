"""Reads for the API, each from one snapshot: where a sale stands, what a seller may know."""

from vending.bootstrap import Container
from vending.commands.service import list_for_sale
from vending.customers.service import find_customers
from vending.ledger.service import read_balances
from vending.meters.model import VENDABLE_STATES
from vending.meters.rules import parse_meter_number
from vending.meters.service import load_meter
from vending.sales.receipt import money_document, tariff_document
from vending.sales.rules import meter_credit_code
from vending.sales.service.lookups import (
    load_document,
    load_sale,
    load_sale_by_key,
    note_view,
)
from vending.tariffs.rules import compute_maximum_tender, compute_minimum_tender
from vending.tariffs.service import find_effective
from vending.values.identifiers import IdempotencyKey, PartnerId, SaleId
from vending.values.money import Money


def sale_status(
    container: Container, partner_id: PartnerId, wanted: SaleId | IdempotencyKey
) -> dict[str, object]:
    """Return where a sale stands, found by its id or by the key it was sent with.

    Raises:
        SaleNotFoundError: The partner has none such.
        SealBrokenError: The stored answer was altered.
    """
    with container.database.read() as connection:
        sale = (
            load_sale_by_key(connection, partner_id, wanted)
            if isinstance(wanted, str)
            else load_sale(connection, partner_id, wanted)
        )
        deliveries = list_for_sale(connection, sale.id)
        document = load_document(connection, sale, container.desk)
    if document is not None:
        note_view(sale, "status", container.desk)
    delivery = None
    if deliveries:
        newest = deliveries[0]
        delivery = {
            "state": newest.state.value,
            "result_code": newest.result_code,
            "attempts": newest.attempts,
        }
    return {
        "id": str(sale.id),
        "state": sale.state.value,
        "sale": document,
        "delivery": delivery,
    }


def meter_view(container: Container, number: str) -> dict[str, object]:
    """Return what a seller may know of a meter before money moves; the customer is masked.

    Raises:
        MeterNumberInvalidError: The number is no DRN and no MeterPAN.
        MeterCheckDigitError: Its check digit is wrong.
        MeterNotFoundError: The register has none of this number.
    """
    pan = parse_meter_number(number)
    with container.database.read() as connection:
        meter = load_meter(connection, pan)
        owner = meter.customer_id
        customers = find_customers(connection, [owner]) if owner is not None else {}
        tariff = find_effective(connection, [meter.tariff_code], container.clock.now()).get(
            meter.tariff_code
        )
        code = meter_credit_code(pan, meter.currency)
        balance = read_balances(connection, [code]).get(code)
    credit = Money(balance.minor if balance else 0, meter.currency)
    customer = customers.get(owner) if owner is not None else None
    return {
        "pan": pan.digits,
        "drn": pan.iain,
        "state": meter.state.value,
        "can_vend": meter.state in VENDABLE_STATES and tariff is not None,
        "customer": customer.masked_name() if customer else None,
        "currency": meter.currency.code,
        "tariff": tariff_document(tariff) if tariff else None,
        "minimum_tender": (
            money_document(compute_minimum_tender(credit, tariff)) if tariff else None
        ),
        "maximum_tender": (
            money_document(compute_maximum_tender(credit, tariff)) if tariff else None
        ),
    }
