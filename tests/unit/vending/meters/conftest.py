from uuid import UUID

import pytest

from vending.meters.model import Meter, MeterState
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.tid import BaseDate
from vending.values.identifiers import MeterId
from vending.values.money import Currency


@pytest.fixture
def meter() -> Meter:
    return Meter(
        id=MeterId(UUID(int=1)),
        pan=MeterPAN("600727000000000009"),
        sgc=SGC("123457"),
        krn=1,
        kt=KeyType.DUTK,
        ti=TI("01"),
        ea=EncryptionAlgorithm.STA,
        dkga=KeyDerivation.DKGA04,
        base_date=BaseDate.Y2014,
        tariff_code="RES-1",
        currency=Currency("KES"),
        state=MeterState.COMMISSIONED,
    )
