"""What a superuser does to the chain, and how `verify` names it."""

import random  # noqa: TID251 # a seeded plan that can be repeated

import pytest

from tests.support.audit_chain import Chain, disarm
from tests.support.audit_tampering import TAMPERINGS, Superuser
from vending.audit.service.verify import verify

SEEDS = 12


def test_an_untouched_chain_has_no_finding(chain: Chain) -> None:
    report = chain.verify()
    assert report.findings == ()
    assert (report.events, report.links, report.heads) == (12, 12, 4)


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampering_is_named(chain: Chain, name: str) -> None:
    keys, exported = chain.keys, chain.exported()
    with chain.superuser() as connection:
        disarm(connection)
    for seed in range(SEEDS):
        with chain.database.unit_of_work() as uow:
            by = Superuser(uow.connection, random.Random(f"{name} {seed}"))  # noqa: S311 # repeatable
            expected = TAMPERINGS[name](by)
            report = verify(uow.connection, keys, now=chain.clock.now(), exported=exported)
            assert report.finding_count > 0, f"seed {seed}"
            assert expected.faults(report.findings) == [], f"seed {seed}: {report.findings}"
    assert chain.verify(exported).findings == ()
