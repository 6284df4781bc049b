"""Quote: what a tender buys now, promised to the cent for a while."""

from vending.ledger.service import read_balances
from vending.meters.rules import parse_meter_number, require_vendable
from vending.meters.service import find_meters
from vending.sales import repository
from vending.sales.model import StoredQuote
from vending.sales.rules import meter_credit_code
from vending.sales.service.desk import SalesDesk
from vending.tariffs.model import Tariff
from vending.tariffs.rules import compute_quote
from vending.tariffs.service import load_effective
from vending.values.identifiers import PartnerId, QuoteId, new_uuid7
from vending.values.money import Money


def quote(
    partner_id: PartnerId, meter_number: str, tender: Money, desk: SalesDesk
) -> tuple[StoredQuote, Tariff]:
    """Return and keep a quote, with the tariff it was made under; nothing is held or locked.

    Raises:
        MeterNumberInvalidError: The number is no DRN and no MeterPAN.
        MeterCheckDigitError: Its check digit is wrong.
        MeterNotFoundError: The register has none of this number.
        MeterNotVendableError: The meter's state takes no sale.
        TariffNotFoundError: No version of its tariff has started.
        AmountTooLowError: It buys less than 0.1 kWh.
        AmountTooHighError: It buys more than one token carries.
        WrongCurrencyError: The tender is in another currency.
    """
    pan = parse_meter_number(meter_number)
    with desk.database.unit_of_work() as uow:
        now = desk.clock.now()
        meter = require_vendable(pan, find_meters(uow.connection, [pan]).get(pan))
        tariff = load_effective(uow.connection, meter.tariff_code, now)
        code = meter_credit_code(pan, meter.currency)
        balance = read_balances(uow.connection, [code]).get(code)
        credit = Money(balance.minor if balance else 0, meter.currency)
        stored = StoredQuote(
            id=QuoteId(new_uuid7(desk.clock)),
            partner_id=partner_id,
            meter_id=meter.id,
            meter_pan=pan,
            quote=compute_quote(tender, credit, tariff),
            created_at=now,
            expires_at=now + desk.limits.quote_lifetime,
        )
        repository.insert_quotes(uow.connection, [stored])
        uow.commit()
    return stored, tariff
