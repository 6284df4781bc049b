"""What must hold in the database after any run of sales, whatever happened on the way.

`find_broken` reads every row and returns one sentence a violation. It shares nothing with the
code that writes: it goes by the tables.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from vending.ledger.service import verify
from vending.ledger.tables import journal_entries, ledger_balances, postings
from vending.meters.tables import meter_tids
from vending.persistence.engine import Database
from vending.persistence.idempotency import idempotency_keys
from vending.persistence.outbox import outbox
from vending.sales.tables import declined_sales, sales
from vending.tokens.tables import issued_tokens

CREATED = 201
OPEN = {"reserved", "minting", "unknown"}
ALL_TABLES = (sales, declined_sales, issued_tokens, journal_entries, postings, outbox, meter_tids)
Rows = Sequence[Row[Any]]


def find_broken(database: Database, *, open_allowed: bool = False) -> list[str]:
    """Every violation of the invariants of selling; none: an empty list."""
    with database.read() as connection:
        rows = {table.name: _all(connection, table) for table in (*ALL_TABLES, idempotency_keys)}
        sold = rows["sales"]
        tokens = rows["issued_tokens"]
        return [
            *_keys(sold, rows["declined_sales"], rows["idempotency_keys"]),
            *_states(sold, tokens, open_allowed=open_allowed),
            *_identifiers(sold, rows["meter_tids"]),
            *_money(connection, sold, rows["journal_entries"]),
            *_messages(tokens, rows["outbox"]),
            *(f"ledger: {one}" for one in verify(connection)),
        ]


def count_rows(database: Database) -> dict[str, int]:
    """How many rows each table of a sale has."""
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (*ALL_TABLES, idempotency_keys)
        }


def _all(connection: Connection, table: Table) -> Rows:
    return connection.execute(select(table)).all()


def _keys(sold: Rows, declined: Rows, keys: Rows) -> Iterable[str]:
    """I1, I10: a key makes one sale or one refusal, and has its answer."""
    claimed = {(key.partner_id, key.key): key for key in keys}
    uses = Counter((row.partner_id, row.idempotency_key) for row in (*sold, *declined))
    yield from (f"key {key} was used {count} times" for key, count in uses.items() if count > 1)
    yield from (f"key {key} is used and not claimed" for key in uses.keys() - claimed.keys())
    yield from (f"key {key} is claimed for nothing" for key in claimed.keys() - uses.keys())
    states = {(row.partner_id, row.idempotency_key): row.state for row in sold}
    for pair, key in claimed.items():
        match states.get(pair):
            case "released":
                expected = key.status == CREATED
            case "minting" | "unknown":
                expected = key.status is None
            case _:
                expected = key.status is not None and key.status != CREATED
        if not expected:
            yield f"key {pair} is answered with {key.status}, its sale is {states.get(pair)}"


def _states(sold: Rows, tokens: Rows, *, open_allowed: bool) -> Iterable[str]:
    """I4: a finished sale has its token, an unfinished one has none."""
    by_sale = defaultdict(list)
    for token in tokens:
        by_sale[token.sale_id].append(token)
    for sale in sold:
        own = by_sale[sale.id]
        if len(own) != (sale.state == "released"):
            yield f"sale {sale.id} is {sale.state} and has {len(own)} tokens"
        if sale.state in OPEN and not open_allowed:
            yield f"sale {sale.id} was left {sale.state}"
        yield from (
            f"token {token.id} differs from its sale"
            for token in own
            if (token.tid, token.rnd, token.meter_id) != (sale.tid, sale.rnd, sale.meter_id)
        )


def _identifiers(sold: Rows, last_tids: Rows) -> Iterable[str]:
    """I5: TIDs of a meter and base date rise in the order of the sales, and none comes twice."""
    sequences = defaultdict(list)
    for sale in sorted(sold, key=lambda row: row.tid):
        sequences[sale.meter_pan, sale.base_date].append(sale)
    stored = {(row.meter_pan, row.base_date): row.last_tid for row in last_tids}
    for key, sequence in sequences.items():
        tids = [sale.tid for sale in sequence]
        if len(set(tids)) != len(tids):
            yield f"meter {key} has a TID twice"
        times = [sale.created_at for sale in sequence]
        if times != sorted(times):
            yield f"the TIDs of meter {key} do not rise with time"
        if stored.get(key) != tids[-1]:
            yield f"meter {key} remembers TID {stored.get(key)}, its last sale has {tids[-1]}"


def _money(connection: Connection, sold: Rows, entries: Rows) -> Iterable[str]:
    """I2, I3: one entry a sale; what customers paid is energy, VAT and the credit they keep."""
    posted = Counter(entry.reference for entry in entries)
    expected = Counter(str(sale.id) for sale in sold if sale.state == "released")
    if posted != expected:
        yield f"{len(expected)} sales were made, {sum(posted.values())} entries posted"
    kept: Counter[str] = Counter()
    for sale in sold:
        if sale.state == "released":
            gross_minor = sale.net_minor + sale.vat_minor
            kept[f"meter-credit:{sale.meter_pan}:{sale.currency}"] += (
                sale.tender_minor - gross_minor
            )
    stored = {
        row.account_code: row.balance_minor
        for row in connection.execute(select(ledger_balances))
        if row.account_code.startswith("meter-credit:")
    }
    if {code: minor for code, minor in kept.items() if minor} != {
        code: minor for code, minor in stored.items() if minor
    }:
        yield f"customers' credit is {stored}, sales left {dict(kept)}"


def _messages(tokens: Rows, messages: Rows) -> Iterable[str]:
    """I8: each token is announced once."""
    announced = Counter(
        message.payload["token_id"] for message in messages if message.topic == "sale.issued"
    )
    if announced != Counter(str(token.id) for token in tokens):
        yield f"{len(tokens)} tokens were made, {sum(announced.values())} announced"
