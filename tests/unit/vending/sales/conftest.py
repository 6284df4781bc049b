"""A meter, a tariff and a sale, made without any database."""

import uuid
from datetime import UTC, datetime

import pytest

from tests.support.shop import KES, TARIFF, pan_of
from tests.support.vending_keys import DUTK_2014
from vending.meters.model import Location, Meter, MeterState
from vending.sales.model import IssuedSale, Sale, SaleState, VendRequest
from vending.sales.rules import Standing, decide, draft_sale
from vending.sts import TI, EncryptionAlgorithm
from vending.tariffs.model import Tariff
from vending.values.identifiers import (
    CustomerId,
    IdempotencyKey,
    MeterId,
    PartnerId,
    SaleId,
    TariffId,
    TokenId,
)
from vending.values.money import Money

NOW = datetime(2026, 11, 25, 8, 0, 30, tzinfo=UTC)


@pytest.fixture
def tariff() -> Tariff:
    return Tariff(
        id=TariffId(uuid.UUID(int=1)),
        version=3,
        code=TARIFF,
        currency=KES,
        price_per_kwh_micro=20_000_000,
        vat_basis_points=1600,
        effective_from=NOW,
    )


@pytest.fixture
def meter() -> Meter:
    attributes = DUTK_2014.attributes
    return Meter(
        id=MeterId(uuid.UUID(int=2)),
        pan=pan_of(1),
        sgc=attributes.sgc,
        krn=attributes.krn,
        kt=attributes.kt,
        ti=TI("01"),
        ea=EncryptionAlgorithm.STA,
        dkga=attributes.dkga,
        base_date=attributes.base_date,
        tariff_code=TARIFF,
        currency=KES,
        location=Location("Block A"),
        customer_id=CustomerId(uuid.UUID(int=3)),
        state=MeterState.COMMISSIONED,
    )


@pytest.fixture
def request_() -> VendRequest:
    return VendRequest(
        partner_id=PartnerId(uuid.UUID(int=4)),
        key=IdempotencyKey("k1"),
        meter=pan_of(1).iain,
        tender=Money(5000, KES),
    )


@pytest.fixture
def standing(meter: Meter, tariff: Tariff) -> Standing:
    return Standing(meter=meter, tariff=tariff, credit=Money(0, KES), last_tid=None, is_busy=False)


@pytest.fixture
def sale(request_: VendRequest, standing: Standing) -> Sale:
    draft = decide(request_, standing, None, now=NOW, tid_ahead_limit_min=60)
    sale_id = SaleId(uuid.UUID("01a211b7-fc00-7606-9cdd-69ea44fd0601"))
    return draft_sale(draft, sale_id, SaleState.RELEASED, rnd=5, now=NOW)


@pytest.fixture
def issued(sale: Sale) -> IssuedSale:
    return IssuedSale(sale, TokenId(uuid.UUID(int=5)), "70630503470028726114")
