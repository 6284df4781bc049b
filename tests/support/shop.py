"""A utility ready to sell: keys, a tariff, a customer, a partner, meters."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tests.support.vending_keys import DUTK_2014, store_in_memory
from vending.bootstrap import Container
from vending.customers.model import Language, NewCustomer
from vending.customers.service import register_customer
from vending.keystore.following import KeyStoreFollower
from vending.keystore.port import SecurityModule
from vending.keystore.sealing import Purpose
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore
from vending.meters.model import Location, Meter, MeterState, NewMeter
from vending.meters.service import change_state, register_meter
from vending.observability.metrics import Metrics
from vending.partners.model import Partner
from vending.partners.service import add_partner, issue_api_key
from vending.persistence.engine import Database
from vending.sales.model import VendRequest
from vending.sales.receipt import Letterhead
from vending.sales.rules import ClockLimits
from vending.sales.service.clock_guard import ClockGuard
from vending.sales.service.desk import SaleLimits, SalesDesk
from vending.settings import Settings
from vending.sts import SGC, TI, EncryptionAlgorithm, MeterPAN, luhn_check_digit
from vending.tariffs.model import TariffDraft
from vending.tariffs.service import add_version
from vending.values.clock import FixedClock
from vending.values.identifiers import IdempotencyKey
from vending.values.money import Currency, Money

KES = Currency("KES")
TARIFF = "RES-1"


def pan_of(serial: int) -> MeterPAN:
    """The MeterPAN of an 11-digit DRN of manufacturer 00."""
    body = f"00{serial:08}"
    return MeterPAN.from_drn(body + luhn_check_digit(body))


@dataclass
class Shop:
    """What a test sells with."""

    database: Database
    clock: FixedClock
    store: OpenKeyStore
    desk: SalesDesk
    partner: Partner
    api_key: str
    meters: list[Meter]

    def request(
        self, key: str, *, minor: int = 5000, meter: int = 0, partner: Partner | None = None
    ) -> VendRequest:
        return VendRequest(
            partner_id=(partner or self.partner).id,
            key=IdempotencyKey(key),
            meter=self.meters[meter].pan.iain,
            tender=Money(minor, KES),
        )

    def using(self, module: SecurityModule) -> SalesDesk:
        return replace(self.desk, security_module=module)

    def container(self, settings: Settings | None = None) -> Container:
        module = self.desk.security_module
        assert isinstance(module, SoftwareSecurityModule)
        return Container(
            settings=settings or Settings(),
            clock=self.clock,
            metrics=Metrics(),
            database=self.database,
            key_store=KeyStoreFollower(self.database, self.store, use=module.use),
            security_module=module,
            desk=self.desk,
        )


def build_desk(database: Database, clock: FixedClock, store: OpenKeyStore) -> SalesDesk:
    return SalesDesk(
        database=database,
        clock=clock,
        clock_guard=ClockGuard(clock, ClockLimits(backward_s=300, forward_s=86_400)),
        security_module=SoftwareSecurityModule(store, demo_allowed=False),
        token_sealer=store.sealer(Purpose.ISSUED_TOKENS),
        answer_sealer=store.sealer(Purpose.STORED_ANSWERS),
        letterhead=Letterhead("Lumen Utility", "Africa/Nairobi", "en"),
        limits=SaleLimits(tid_ahead_limit_min=60, quote_lifetime=timedelta(minutes=10)),
        draw_rnd=lambda: 5,
    )


def build_shop(
    database: Database, clock: FixedClock, folder: Path, *, meter_count: int = 2
) -> Shop:
    """Fill a migrated database; prices are 20.00 KES a kWh and 16 % VAT."""
    store = store_in_memory(folder)
    add_version(
        database,
        TariffDraft(
            code=TARIFF,
            currency=KES,
            price_per_kwh_micro=20_000_000,
            vat_basis_points=1600,
            effective_from=clock.now(),
        ),
        clock=clock,
    )
    customer = register_customer(
        database,
        NewCustomer(account_number="A-1", name="Amina Wanjiru", language=Language.EN),
        clock=clock,
    )
    partner = add_partner(database, "Corner Shop", KES, clock=clock)
    meters = [_add_meter(database, clock, serial, customer.id) for serial in range(meter_count)]
    return Shop(
        database=database,
        clock=clock,
        store=store,
        desk=build_desk(database, clock, store),
        partner=partner,
        api_key=issue_api_key(database, partner.id, clock=clock).secret_text,
        meters=meters,
    )


def _add_meter(database: Database, clock: FixedClock, serial: int, customer_id: object) -> Meter:
    attributes = DUTK_2014.attributes
    meter = register_meter(
        database,
        NewMeter(
            pan=pan_of(serial),
            sgc=SGC(attributes.sgc.digits),
            krn=attributes.krn,
            kt=attributes.kt,
            ti=TI("01"),
            ea=EncryptionAlgorithm.STA,
            dkga=attributes.dkga,
            base_date=attributes.base_date,
            tariff_code=TARIFF,
            currency=KES,
            location=Location("Block A"),
            customer_id=customer_id,
        ),
        clock=clock,
    )
    for state in (MeterState.INSTALLED, MeterState.COMMISSIONED):
        meter = change_state(
            database, meter.pan, state, actor="test", reason="commissioned", clock=clock
        )
    return meter
