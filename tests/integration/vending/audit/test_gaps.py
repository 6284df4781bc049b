"""A restored backup cuts the chain; declared, the cut is known, and nobody else can declare one."""

from dataclasses import replace

import pytest

from tests.support.audit_chain import Chain
from vending.audit.errors import HeadInvalidError, NoGapError
from vending.audit.model import DeclaredGap, FindingKind, Head
from vending.audit.service.gaps import declare_gap
from vending.values.actor import Actor, ActorKind

ANNA = Actor(ActorKind.OPERATOR, "anna")


@pytest.fixture
def exported_head(chain: Chain) -> Head:
    """The newest head of the chain, as it was exported."""
    head = chain.exported()[-1].head
    assert head is not None
    return head


def restore(chain: Chain, *, after: int) -> None:
    """Bring the database back to how it was at a head."""
    with chain.superuser() as connection:
        chain.disarm(connection)
        chain.cut(connection, after=after)


def declare(chain: Chain, head: Head) -> DeclaredGap:
    with chain.database.unit_of_work() as uow:
        gap = declare_gap(
            uow.connection, chain.keys, head, reason="disk lost", by=ANNA, clock=chain.clock
        )
        uow.commit()
    return gap


def test_a_declared_gap_is_listed_and_no_finding(chain: Chain, exported_head: Head) -> None:
    exported = chain.exported()
    restore(chain, after=8)
    gap = declare(chain, exported_head)
    assert (gap.after, gap.through, gap.position) == (8, 12, 13)
    chain.fill([2])
    report = chain.verify([*exported, *chain.exported()])
    assert report.findings == ()
    assert report.gaps == (gap,)
    assert (gap.reason, gap.actor) == ("disk lost", "operator:anna")


def test_a_gap_is_declared_after_the_service_sealed_on(chain: Chain, exported_head: Head) -> None:
    exported = chain.exported()
    restore(chain, after=8)
    chain.record(2)
    chain.seal(exported_position=12)
    assert chain.verify(exported).findings != ()
    gap = declare(chain, exported_head)
    assert (gap.after, gap.through, gap.position) == (8, 12, 15)
    assert chain.verify(exported).findings == ()


def test_a_gap_is_declared_after_another_machine_sealed_over_it(
    chain: Chain, exported_head: Head
) -> None:
    """It had no exported head, and gave the positions again."""
    exported = chain.exported()
    restore(chain, after=8)
    chain.fill([6])
    assert {one.kind for one in chain.verify(exported).findings} == {
        FindingKind.EXPORTED_HEAD_DIFFERS
    }
    gap = declare(chain, exported_head)
    assert gap.through == 12
    assert chain.verify(exported).findings == ()


def test_what_is_cut_off_after_a_gap_was_declared_is_found(
    chain: Chain, exported_head: Head
) -> None:
    restore(chain, after=8)
    declare(chain, exported_head)
    chain.fill([2, 2])
    exported = chain.exported()
    restore(chain, after=15)
    (finding,) = chain.verify(exported).findings
    assert (finding.kind, finding.position) == (FindingKind.CUT_OFF, 16)
    restore(chain, after=7)
    assert {one.kind for one in chain.verify(exported).findings} == {FindingKind.CUT_OFF}


def test_nothing_is_declared_where_nothing_is_missing(chain: Chain, exported_head: Head) -> None:
    with pytest.raises(NoGapError):
        declare(chain, exported_head)


def test_a_gap_wants_a_head_of_this_installation(chain: Chain, exported_head: Head) -> None:
    restore(chain, after=8)
    with pytest.raises(HeadInvalidError):
        declare(chain, replace(exported_head, position=99))


def test_everything_may_be_lost(chain: Chain, exported_head: Head) -> None:
    exported = chain.exported()
    restore(chain, after=0)
    gap = declare(chain, exported_head)
    assert (gap.after, gap.through) == (0, 12)
    assert chain.verify(exported).findings == ()
