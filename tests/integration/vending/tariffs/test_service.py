from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError

from tests.support.people import approve, sign_in_as
from tests.support.racing_clock import RacingClock
from tests.support.tariffs import add_version, terms_of
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.tariffs.errors import (
    TariffBackdatedError,
    TariffNotFoundError,
    TariffOverlapError,
)
from vending.tariffs.model import TariffDraft
from vending.tariffs.service import (
    activate,
    draft_version,
    find_currencies,
    find_effective,
    list_versions,
    load_effective,
    propose_activation,
)
from vending.tariffs.tables import tariffs
from vending.values.clock import FixedClock
from vending.values.money import Currency

DAY = timedelta(days=1)


def draft(clock: FixedClock, *, code: str = "RES-1", days: int = 0, price: int = 20) -> TariffDraft:
    return TariffDraft(
        code=code,
        currency=Currency("KES"),
        price_per_kwh_micro=price * 1_000_000,
        vat_basis_points=1600,
        effective_from=clock.now() + days * DAY,
    )


def test_a_version_is_stored_as_it_was_drafted(database: Database, fixed_clock: FixedClock) -> None:
    stored = add_version(database, draft(fixed_clock), clock=fixed_clock)
    with database.read() as connection:
        assert load_effective(connection, "RES-1", fixed_clock.now()) == stored
    assert stored.version == 1


def test_a_version_takes_effect_when_its_time_comes(
    database: Database, fixed_clock: FixedClock
) -> None:
    first = add_version(database, draft(fixed_clock), clock=fixed_clock)
    second = add_version(database, draft(fixed_clock, days=1, price=25), clock=fixed_clock)
    other = add_version(database, draft(fixed_clock, code="BIZ-1"), clock=fixed_clock)
    now = fixed_clock.now()
    just_before = now + DAY - timedelta.resolution
    with database.read() as connection:
        codes = ["RES-1", "BIZ-1", "NONE"]
        assert find_effective(connection, codes, just_before) == {"RES-1": first, "BIZ-1": other}
        assert find_effective(connection, ["RES-1"], now + DAY) == {"RES-1": second}
        assert list_versions(connection, "RES-1") == [second, first]
        assert list_versions(connection) == [other, second, first]
        assert find_currencies(connection, codes) == {
            "RES-1": Currency("KES"),
            "BIZ-1": Currency("KES"),
        }


def test_no_version_is_effective_before_the_first(
    database: Database, fixed_clock: FixedClock
) -> None:
    add_version(database, draft(fixed_clock, days=1), clock=fixed_clock)
    with database.read() as connection, pytest.raises(TariffNotFoundError):
        load_effective(connection, "RES-1", fixed_clock.now())


def test_a_version_in_the_past_or_before_the_last_is_refused(
    database: Database, fixed_clock: FixedClock
) -> None:
    add_version(database, draft(fixed_clock, days=2), clock=fixed_clock)
    with pytest.raises(TariffBackdatedError):
        add_version(database, draft(fixed_clock, days=-1), clock=fixed_clock)
    with pytest.raises(TariffOverlapError):
        add_version(database, draft(fixed_clock, days=2), clock=fixed_clock)
    with database.read() as connection:
        assert len(list_versions(connection, "RES-1")) == 1


def test_a_rival_that_was_faster_is_an_overlap(
    postgres_database: Database, fixed_clock: FixedClock
) -> None:
    """SQLite has one writer, so that only PostgreSQL lets a rival in between look and insert."""
    owner = sign_in_as(postgres_database, fixed_clock, Role.TARIFF_OWNER)
    finance = sign_in_as(postgres_database, fixed_clock, Role.FINANCE)
    asked = {}
    for price in (20, 30):
        terms = terms_of(draft(fixed_clock, price=price))
        mine = draft_version(postgres_database, terms, by=owner, clock=fixed_clock)
        approval = propose_activation(
            postgres_database, mine.id, by=owner, reason="x", clock=fixed_clock
        )
        approve(postgres_database, fixed_clock, approval.id, finance)
        asked[price] = partial(
            activate, postgres_database, mine.id, by=owner, approval_id=approval.id
        )
    clock = RacingClock(fixed_clock, at_call=2, rival=lambda: asked[20](clock=fixed_clock))
    with pytest.raises(TariffOverlapError):
        asked[30](clock=clock)
    with postgres_database.read() as connection:
        (stored,) = list_versions(connection)
    assert stored.price_per_kwh_micro == 20_000_000


@pytest.mark.parametrize(
    "statement", [update(tariffs).values(price_per_kwh_micro=1), delete(tariffs)]
)
def test_a_stored_version_cannot_be_changed_or_removed(
    database: Database, fixed_clock: FixedClock, statement: object
) -> None:
    add_version(database, draft(fixed_clock), clock=fixed_clock)
    with (
        pytest.raises(IntegrityError, match="append_only:tariffs"),
        database.unit_of_work() as uow,
    ):
        uow.connection.execute(statement)  # type: ignore[call-overload] # the table holds both kinds
