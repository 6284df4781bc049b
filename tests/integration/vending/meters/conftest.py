from collections.abc import Callable

import pytest

from vending.meters.model import MeterState, NewMeter
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN, luhn_check_digit
from vending.sts.tid import BaseDate
from vending.values.money import Currency


@pytest.fixture
def make_new_meter() -> Callable[..., NewMeter]:
    def make(serial: int = 1, *, state: MeterState = MeterState.COMMISSIONED) -> NewMeter:
        body = f"07{serial:08}"
        return NewMeter(
            pan=MeterPAN.from_drn(body + luhn_check_digit(body)),
            sgc=SGC("123457"),
            krn=1,
            kt=KeyType.DUTK,
            ti=TI("01"),
            ea=EncryptionAlgorithm.STA,
            dkga=KeyDerivation.DKGA04,
            base_date=BaseDate.Y2014,
            tariff_code="RES-1",
            currency=Currency("KES"),
            state=state,
        )

    return make
