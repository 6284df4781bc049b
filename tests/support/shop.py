"""A utility ready to sell: keys, a tariff, a customer, a partner, meters."""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.partners import add_unlimited_partner, issue_key
from tests.support.people import CHEAP_PASSWORDS
from tests.support.tariffs import add_version
from tests.support.vending_keys import DUTK_2014, store_in_memory
from vending.bootstrap import Container, build_sign_in_desk
from vending.customers.model import Language, NewCustomer
from vending.customers.service import register_customer
from vending.keystore.components import KeyImport
from vending.keystore.following import KeyStoreFollower
from vending.keystore.model import KeyReference
from vending.keystore.port import SecurityModule
from vending.keystore.sealing import Purpose
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore
from vending.meters.model import Location, Meter, MeterState, NewMeter
from vending.meters.service import change_state, register_meter
from vending.observability.metrics import Metrics
from vending.partners.model import Partner
from vending.persistence.engine import Database
from vending.sales.model import Answer, Declined, VendOutcome, VendRequest
from vending.sales.receipt import Letterhead
from vending.sales.rules import ClockLimits
from vending.sales.service.clock_guard import ClockGuard
from vending.sales.service.desk import SaleLimits, SalesDesk
from vending.sales.service.vend import vend
from vending.settings import Settings
from vending.sts import (
    SGC,
    TI,
    EncryptionAlgorithm,
    MeterPAN,
    TransferCredit,
    decode,
    luhn_check_digit,
)
from vending.sts.dkga import derive_decoder_key
from vending.tariffs.model import TariffDraft
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock
from vending.values.identifiers import CustomerId, IdempotencyKey
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

    def add_meter(self, brought: KeyImport) -> int:
        """Put a meter under another key into use; its place among the meters."""
        self.meters.append(
            _add_meter(self.database, self.clock, len(self.meters), None, brought=brought)
        )
        return len(self.meters) - 1

    def sell(self, request: VendRequest, desk: SalesDesk | None = None) -> VendOutcome:
        """What became of one request."""
        return vend([request], desk or self.desk)[0]

    def issue(self, key: str, *, minor: int = 5000, meter: int = 0) -> dict[str, Any]:
        """The document of a sale that succeeds."""
        return document_of(self.sell(self.request(key, minor=minor, meter=meter)))

    def refuse(self, request: VendRequest, desk: SalesDesk | None = None) -> str:
        """The code of a sale that is refused."""
        return code_of(self.sell(request, desk))

    def enter_token(self, digits: str, *, meter: int = 0) -> TransferCredit:
        """What the meter reads, under the key it was given in the factory."""
        held = self.meters[meter]
        brought = KeyReference(held.sgc, held.krn, held.kt)
        key = derive_decoder_key(
            self.store.vending_key(brought), pan=held.pan, ti=held.ti, ea=held.ea
        )
        token = decode(digits, key)
        assert isinstance(token, TransferCredit)
        return token

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
        folder = self.store.generation_file.path.parent / "audit-heads"
        settings = (settings or Settings()).model_copy(update={"audit_heads_dir": folder})
        key_store = KeyStoreFollower(self.database, self.store, use=module.use)
        return Container(
            settings=settings,
            clock=self.clock,
            metrics=Metrics(),
            database=self.database,
            key_store=key_store,
            security_module=module,
            desk=self.desk,
            sign_in_desk=build_sign_in_desk(
                settings,
                self.database,
                key_store,
                clock=self.clock,
                passwords=CHEAP_PASSWORDS,
            ),
        )


def document_of(outcome: VendOutcome) -> dict[str, Any]:
    """The document of an answer with a token."""
    assert isinstance(outcome, Answer), outcome
    assert outcome.status == 201
    document: dict[str, Any] = json.loads(outcome.body)
    return document


def code_of(outcome: VendOutcome) -> str:
    """The code of a refusal, fresh or repeated."""
    if isinstance(outcome, Declined):
        return outcome.error.code
    document: dict[str, Any] = json.loads(outcome.body)
    return str(document["code"])


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
        by=SYSTEM,
        clock=clock,
    )
    partner = add_unlimited_partner(database, "Corner Shop", KES, clock=clock)
    meters = [_add_meter(database, clock, serial, customer.id) for serial in range(meter_count)]
    return Shop(
        database=database,
        clock=clock,
        store=store,
        desk=build_desk(database, clock, store),
        partner=partner,
        api_key=issue_key(database, partner.id, clock=clock).secret_text,
        meters=meters,
    )


def _add_meter(
    database: Database,
    clock: FixedClock,
    serial: int,
    customer_id: CustomerId | None,
    *,
    brought: KeyImport = DUTK_2014,
) -> Meter:
    attributes = brought.attributes
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
        by=SYSTEM,
        clock=clock,
    )
    for state in (MeterState.INSTALLED, MeterState.COMMISSIONED):
        meter = change_state(
            database, meter.pan, state, by=SYSTEM, reason="commissioned", clock=clock
        )
    return meter
