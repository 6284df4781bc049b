"""Tokens stored before there were orders: kept by the migration, and still opened by their seal."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.support.vending_keys import store_in_memory
from vending.keystore.sealing import Purpose, associate
from vending.persistence import migrate
from vending.persistence.engine import Database
from vending.sts import BaseDate, MeterPAN
from vending.tokens.service.sealed import open_tokens
from vending.values.clock import FixedClock
from vending.values.identifiers import TokenId, new_uuid7

PAN = "600727000000000009"
DIGITS = "70630503470028726114"
BEFORE, AFTER = "0009", "0010"
OLD_ROWS = """\
INSERT INTO partners (id, name, currency, status, created_at) VALUES (:partner, 'Shop',
    'KES', 'active', :now);
INSERT INTO tariffs (id, code, version, currency, price_per_kwh_micro, vat_basis_points,
    effective_from, created_at) VALUES (:tariff, 'R', 1, 'KES', 1, 0, :now, :now);
INSERT INTO meters (id, pan, sgc, krn, kt, ti, ea, dkga, base_date, tariff_code, currency,
    resource, location, state, registered_at) VALUES (:meter, :pan, '123457', 1, 2, '01', 7,
    4, 2014, 'R', 'KES', 0, '', 'commissioned', :now);
INSERT INTO sales (id, partner_id, idempotency_key, state, receipt_number, meter_id,
    meter_pan, tariff_id, tariff_code, tariff_version, currency, tender_minor,
    brought_forward_minor, net_minor, vat_minor, carried_forward_minor,
    rounding_expense_minor, units, units_on_token, base_date, tid, rnd, sgc, krn, kt, ti,
    ea, resource, created_at, changed_at) VALUES (:sale, :partner, 'k', 'released', 'R1',
    :meter, :pan, :tariff, 'R', 1, 'KES', 1, 0, 1, 0, 0, 0, 1, 1, 2014, 5, 5, '123457', 1,
    2, '01', 7, 0, :now, :now);
INSERT INTO issued_tokens (id, sale_id, meter_id, meter_pan, base_date, tid, rnd, kind,
    units, sgc, krn, last_four, sealed_digits, issued_at) VALUES (:token, :sale, :meter,
    :pan, 2014, 5, 5, 'transfer-credit', 1, '123457', 1, :digits, :sealed, :now);
INSERT INTO commands (id, kind, meter_id, sale_id, token_id, dedupe_key, state, reason,
    requested_by, version, attempts, unknown_tries, doubtful, created_at, due_at,
    expires_at, changed_at) VALUES (:command, 'enter-token', :meter, :sale, :token, 'd',
    'queued', 'sale', 'sale', 1, 0, 0, :no, :now, :now, :now, :now)"""


@pytest.fixture
def old(empty_database: Database) -> Database:
    """A database of the release before."""
    migrate.upgrade(empty_database, BEFORE)
    return empty_database


def fill(database: Database, clock: FixedClock, sealed: bytes, ids: dict[str, Any]) -> None:
    """One sold token that a command enters, as the release before stored them."""
    on_sqlite = database.dialect.value == "sqlite"
    now: object = int(clock.now().timestamp() * 1_000_000) if on_sqlite else clock.now()
    row = {name: one.bytes if on_sqlite else one for name, one in ids.items()}
    row |= {"now": now, "sealed": sealed, "pan": PAN, "digits": DIGITS[-4:]}
    row["no"] = 0 if on_sqlite else False
    with database.unit_of_work() as uow:
        for statement in OLD_ROWS.split(";\n"):
            uow.connection.execute(text(statement), row)
        uow.commit()


def test_stored_tokens_live_on_and_go_back(
    old: Database, fixed_clock: FixedClock, tmp_path: Path
) -> None:
    sealer = store_in_memory(tmp_path).sealer(Purpose.ISSUED_TOKENS)
    names = ("partner", "tariff", "meter", "sale", "token", "command")
    ids = {name: new_uuid7(fixed_clock) for name in names}
    bound = associate(
        ids["token"].bytes, ids["sale"].bytes, MeterPAN(PAN).digits, int(BaseDate.Y2014), 5, 1
    )
    fill(old, fixed_clock, sealer.seal(DIGITS.encode(), associated=bound), ids)
    migrate.upgrade(old)
    with old.read() as connection:
        opened = open_tokens(connection, [TokenId(ids["token"])], sealer)
        entered = connection.execute(text("SELECT count(*) FROM commands")).scalar_one()
        if old.dialect.value == "sqlite":
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    assert opened[TokenId(ids["token"])].digits == DIGITS
    assert entered == 1
    with (
        pytest.raises(IntegrityError, match="append_only:issued_tokens"),
        old.unit_of_work() as uow,
    ):
        uow.connection.execute(text("DELETE FROM issued_tokens"))
    migrate.downgrade(old, BEFORE)
    with old.read() as connection:
        kept = connection.execute(text("SELECT last_four FROM issued_tokens")).scalar_one()
    assert kept == DIGITS[-4:]
    migrate.upgrade(old, AFTER)
