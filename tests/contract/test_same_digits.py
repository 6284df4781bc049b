"""Whatever makes it, a token of the same request has the same digits."""

from contextlib import ExitStack
from random import Random  # noqa: TID251 # seeded, so that a failure can be repeated

import pytest

from tests.contract.conftest import MODULES, Stores, running
from tests.support.attached_module import NOW
from tests.support.vending_keys import DUTK_2014, DUTK_2035, register_of
from vending.keystore.port import CreditTokenRequest, KeyChangeRequest, ManagementTokenRequest
from vending.sts.amount import LARGEST_TRANSFER_AMOUNT
from vending.sts.keys import TI, EncryptionAlgorithm
from vending.sts.pan import MeterPAN, luhn_check_digit
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import (
    ClearCredit,
    ClearTamperCondition,
    CreditRegister,
    ExtendedToken,
    ManagementToken,
    Resource,
    SetMaximumPhasePowerUnbalanceLimit,
    SetMaximumPowerLimit,
    SetTariffRate,
    SetWaterMeterFactor,
)

SIZE = 25
RND = 5
"""What the simulated module draws in tests."""
OLD, NEW = register_of(DUTK_2014), register_of(DUTK_2035)


def draw_meter(source: Random) -> MeterPAN:
    body = f"{source.randrange(10**10):010}"
    return MeterPAN.from_drn(body + luhn_check_digit(body))


def draw_management(source: Random) -> ManagementToken:
    tid = TokenIdentifier(source.randrange(2, 1 << 24))
    choices: tuple[ManagementToken, ...] = (
        SetMaximumPowerLimit(rnd=RND, tid=tid, limit_w=source.randrange(100_000)),
        ClearCredit(rnd=RND, tid=tid, register=source.choice(list(CreditRegister))),
        SetTariffRate(rnd=RND, tid=tid, rate=source.randrange(1 << 16)),
        ClearTamperCondition(rnd=RND, tid=tid),
        SetMaximumPhasePowerUnbalanceLimit(rnd=RND, tid=tid, limit_w=source.randrange(10_000)),
        SetWaterMeterFactor(rnd=RND, tid=tid, wmf=source.randrange(1 << 16)),
        ExtendedToken(
            rnd=RND, tid=tid, index=source.randrange(1, 63), value=source.randrange(1024)
        ),
    )
    return source.choice(choices)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_module_gives_the_same_digits(stores: Stores, seed: int) -> None:
    source = Random(seed)  # noqa: S311 # no secret: test data
    with ExitStack() as running_ones:
        modules = [
            running_ones.enter_context(running(name, stores, demo_allowed=False))
            for name in MODULES
        ]
        for _ in range(SIZE):
            pan, ea = draw_meter(source), source.choice(list(EncryptionAlgorithm))
            ti, new_ti = TI(f"{source.randrange(100):02}"), TI(f"{source.randrange(100):02}")
            credit = CreditTokenRequest(
                pan=pan,
                ti=ti,
                ea=ea,
                base_date=BaseDate.Y2014,
                resource=source.choice(list(Resource)),
                units=source.randrange(LARGEST_TRANSFER_AMOUNT + 1),
                tid=TokenIdentifier(source.randrange(2, 1 << 24)),
                rnd=RND,
            )
            managed = ManagementTokenRequest(
                pan=pan, ti=ti, ea=ea, base_date=BaseDate.Y2014, token=draw_management(source)
            )
            change = KeyChangeRequest(pan=pan, ti=ti, new_ti=new_ti, ea=ea, issued_at=NOW)
            assert len({module.vend(OLD, credit) for module in modules}) == 1
            assert len({module.manage(OLD, managed) for module in modules}) == 1
            assert len({module.change_key(OLD, NEW, change) for module in modules}) == 1
