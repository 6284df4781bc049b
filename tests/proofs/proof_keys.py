"""Tampers with the key store and with backups: everything is detected, no wrong token is made.

    python tests/proofs/proof_keys.py --size 2000 --seed 1

A store is taken through imports, a retirement, another key file and a rotated root key, and every
state is kept: header, keys, generation file. Then, of every state: each bit of each field and of
the file is flipped, each value and the file is cut at every length, each field and record is
swapped with that of another key and of another state, rows are removed and doubled, database and
file are put back to every older state, one alone and both. Each variant is opened as the service
opens it, and asked for a token. SIZE variants more, drawn by the seed, do several of these at once
to a real database of each kind. Then backups: see `backup_tampering`.

What must open, does: a file one or more generations behind its database, which a crash leaves, and
an old database with its own old file, which nothing on the machine can tell (ADR 0005). Those give
exactly the right tokens. Exits 1 on a fault; the last line holds the figures.
"""

import argparse
import logging
import random  # noqa: TID251 # a seeded choice that can be repeated
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.postgres_server import PostgresServer
from tests.proofs.backup_tampering import prove_backups
from tests.support.key_store_place import KeyStorePlace
from tests.support.partner_client import say
from tests.support.shop import pan_of
from tests.support.vending_keys import DUTK_1993, DUTK_2014, DUTK_2035, register_of
from vending.errors import VendingError
from vending.keystore import envelope, repository, service
from vending.keystore.components import KeyImport
from vending.keystore.generation import GenerationFile
from vending.keystore.model import HeaderRow, KeyReference, KeyRow
from vending.keystore.port import CreditTokenRequest
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import OpenKeyStore
from vending.keystore.tables import key_store_header, vending_keys
from vending.keystore.unlocking import KeyFile
from vending.persistence import migrate
from vending.persistence.engine import Database, create_database
from vending.sts import TI, EncryptionAlgorithm, Resource, TokenIdentifier
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock, SystemClock

KEYS: Final = (DUTK_2014, DUTK_1993, DUTK_2035)
INTEGER_BITS: Final = 63
CHANGES_MAX: Final = 3
Tokens = Mapping[KeyReference, str]


@dataclass(frozen=True)
class State:
    """One generation of a store, with the file that lay beside it and what opened it."""

    header: HeaderRow
    rows: tuple[KeyRow, ...]
    file: bytes
    unlock: KeyFile


@dataclass
class Record:
    """What was tried, and what got through."""

    tried: int = 0
    opened: int = 0
    faults: list[str] = field(default_factory=list)


def request_for(brought: KeyImport) -> CreditTokenRequest:
    return CreditTokenRequest(
        pan=pan_of(0),
        ti=TI("01"),
        ea=EncryptionAlgorithm.STA,
        base_date=brought.attributes.base_date,
        resource=Resource.ELECTRICITY,
        units=21,
        tid=TokenIdentifier(6_000_000),
        rnd=5,
    )


def tokens_of(store: OpenKeyStore) -> dict[KeyReference, str]:
    """The token that each key makes for one request; a key that refuses makes none."""
    module = SoftwareSecurityModule(store, demo_allowed=False)
    made: dict[KeyReference, str] = {}
    for brought in KEYS:
        try:
            made[register_of(brought)] = module.vend(register_of(brought), request_for(brought))
        except VendingError:
            continue
    return made


# --- making ------------------------------------------------------------------------------------
def make_states(folder: Path) -> tuple[list[State], Tokens]:
    """Take a store through its life on SQLite; every state, and the right tokens."""
    folder.mkdir()
    database = create_database(f"sqlite:///{folder / 'vending.sqlite3'}")
    migrate.upgrade(database)
    clock = FixedClock(SystemClock().now())
    unlock = KeyFile.create(folder / "first.key")
    store = service.create_store(database, unlock, data_folder=folder, clock=clock)
    states = [_state(database, folder, unlock)]
    for brought in KEYS:
        store, _ = service.import_components(database, store, brought, by=SYSTEM, clock=clock)
        states.append(_state(database, folder, unlock))
    right = tokens_of(store)
    assert len(right) == len(KEYS), "every key makes a token"
    another = KeyFile.create(folder / "second.key")
    store = service.change_unlock(database, store, another, by=SYSTEM, clock=clock)
    states.append(_state(database, folder, another))
    store = service.prepare_root(database, store, by=SYSTEM, clock=clock)
    states.append(_state(database, folder, another))
    store = service.activate_root(database, store, by=SYSTEM, clock=clock)
    states.append(_state(database, folder, another))
    service.retire_key(database, store, register_of(DUTK_2035), by=SYSTEM, clock=clock)
    states.append(_state(database, folder, another))
    database.close()
    return states, right


def _state(database: Database, folder: Path, unlock: KeyFile) -> State:
    with database.read() as connection:
        header = repository.find_header(connection)
        rows = repository.list_rows(connection)
    assert header is not None, "the store was made"
    return State(header, tuple(rows), (folder / "keystore.generation").read_bytes(), unlock)


# --- opening -----------------------------------------------------------------------------------
def open_state(state: State, folder: Path) -> OpenKeyStore:
    """Open the rows as `vending.keystore.service.open_store` does, against the file."""
    file = GenerationFile(folder)
    file.path.write_bytes(state.file)
    held = file.read()
    keyring = envelope.unwrap(state.header.envelope, state.unlock, store_id=state.header.store_id)
    store = OpenKeyStore(keyring, state.header, state.rows, file)
    store.require_newest(held)
    return store


def judge(
    record: Record, name: str, state: State, right: Tokens, folder: Path, *, may_open: bool = False
) -> None:
    """Hold one variant against what it must come to."""
    record.tried += 1
    try:
        store = open_state(state, folder)
    except VendingError:
        if may_open:
            record.faults.append(f"{name}: refused")
        return
    record.opened += 1
    wrong = {key for key, token in tokens_of(store).items() if right.get(key) != token}
    if wrong:
        record.faults.append(f"{name}: WRONG TOKEN of {sorted(map(str, wrong))}")
    elif not may_open:
        record.faults.append(f"{name}: opened")


# --- tampering ---------------------------------------------------------------------------------
def variants_of(value: object) -> Iterator[tuple[str, object]]:
    """A value with each bit flipped, and cut at every length."""
    match value:
        case bytes():
            for place in range(len(value) * 8):
                changed = bytearray(value)
                changed[place // 8] ^= 1 << place % 8
                yield f"bit {place}", bytes(changed)
            for length in range(len(value)):
                yield f"cut to {length}", value[:length]
            yield "one byte more", value + b"\0"
        case int():
            for bit in range(INTEGER_BITS):
                yield f"bit {bit}", value ^ 1 << bit
        case _:
            yield "set to 0", 0
            yield "set to 1", 1


def field_names(record: HeaderRow | KeyRow) -> list[str]:
    return [one.name for one in fields(record)]


def tampered(state: State) -> Iterator[tuple[str, State]]:
    """Every bit, every length, every record of one state."""
    for name in field_names(state.header):
        for what, value in variants_of(getattr(state.header, name)):
            yield f"header.{name} {what}", with_header(state, **{name: value})
    for number, row in enumerate(state.rows):
        for name in field_names(row):
            values = list(variants_of(getattr(row, name)))
            if name == "retired_at_us" and row.retired_at_us is not None:
                values.append(("emptied", None))
            for what, value in values:
                yield f"key {row.name}.{name} {what}", with_row(state, number, **{name: value})
        others = state.rows[:number] + state.rows[number + 1 :]
        yield f"key {row.name} removed", replace(state, rows=others)
        yield f"key {row.name} doubled", replace(state, rows=(*state.rows, row))
    for what, value in variants_of(state.file):
        assert isinstance(value, bytes), "the file is bytes"
        yield f"file {what}", replace(state, file=value)


def swapped(state: State, others: list[State]) -> Iterator[tuple[str, State]]:
    """Every field and record exchanged with that of another key, or taken from another state."""
    for number, row in enumerate(state.rows):
        for place in range(number + 1, len(state.rows)):
            other = state.rows[place]
            for name in field_names(row):
                mine, theirs = getattr(row, name), getattr(other, name)
                changed = with_row(with_row(state, number, **{name: theirs}), place, **{name: mine})
                yield f"{name} of {row.name} and {other.name} swapped", changed
    for other_state in others:
        generation = other_state.header.generation
        for name in field_names(state.header):
            value = getattr(other_state.header, name)
            yield f"header.{name} of generation {generation}", with_header(state, **{name: value})
        yield f"header of generation {generation}", replace(state, header=other_state.header)
        yield f"keys of generation {generation}", replace(state, rows=other_state.rows)
        for number, row in enumerate(state.rows):
            for theirs_row in other_state.rows:
                if theirs_row.name == row.name:
                    rows = (*state.rows[:number], theirs_row, *state.rows[number + 1 :])
                    yield f"key {row.name} of generation {generation}", replace(state, rows=rows)
                for name in field_names(row):
                    value = getattr(theirs_row, name)
                    what = f"key {row.name}.{name} of {theirs_row.name} in {generation}"
                    yield what, with_row(state, number, **{name: value})


def with_header(state: State, **values: object) -> State:
    header = replace(state.header, **values)  # type: ignore[arg-type] # fields by name
    return replace(state, header=header)


def with_row(state: State, number: int, **values: object) -> State:
    row = replace(state.rows[number], **values)  # type: ignore[arg-type] # fields by name
    return replace(state, rows=(*state.rows[:number], row, *state.rows[number + 1 :]))


def prove_store(
    folder: Path, record: Record, plan: random.Random, sample: int | None
) -> tuple[list[State], Tokens]:
    """Every variant of every state, or a sample of each, and every roll-back, in memory."""
    states, right = make_states(folder / "life")
    place = folder / "place"
    place.mkdir()
    for state in states:
        generation = state.header.generation
        judge(record, f"generation {generation} as it is", state, right, place, may_open=True)
        others = [other for other in states if other is not state]
        variants = [*tampered(state), *swapped(state, others)]
        if sample is not None:
            variants = plan.sample(variants, min(sample, len(variants)))
        for name, variant in variants:
            if not _is_same(variant, state):
                may_open = _is_ahead_of_its_file(variant, states)
                what = f"generation {generation}: {name}"
                judge(record, what, variant, right, place, may_open=may_open)
        for other in others:
            # A file behind its database is what a crash leaves; one ahead of it is a roll-back.
            is_behind = other.header.generation < generation
            name = f"generation {generation} beside the file of {other.header.generation}"
            judge(record, name, replace(state, file=other.file), right, place, may_open=is_behind)
    return states, right


def _is_ahead_of_its_file(variant: State, states: list[State]) -> bool:
    """Say whether it is a whole later state beside an earlier file, as a crash leaves it.

    A header of the next generation is that, where no key changed in between.
    """
    return any(
        _is_same(replace(variant, file=state.file), state)
        and any(variant.file == earlier.file for earlier in states[: states.index(state)])
        for state in states
    )


def _is_same(variant: State, state: State) -> bool:
    listed = sorted(variant.rows, key=lambda row: row.name)
    return replace(variant, rows=tuple(listed)) == replace(
        state, rows=tuple(sorted(state.rows, key=lambda row: row.name))
    )


# --- through a database ------------------------------------------------------------------------
def prove_database(
    place: KeyStorePlace,
    life: tuple[list[State], Tokens],
    record: Record,
    plan: random.Random,
    size: int,
) -> None:
    """Several changes at once to a real database, opened by the service's own way."""
    states, right = life
    database, folder = place.database, place.data_folder
    state = states[-1]
    pool = [*tampered(state), *swapped(state, states[:-1])]
    for _ in range(size):
        chosen = [plan.choice(pool) for _ in range(plan.randint(1, CHANGES_MAX))]
        name, variant = " + ".join(name for name, _ in chosen), _merged(state, chosen)
        if _is_same(variant, state):
            continue
        if not _write(place, variant, folder):
            continue  # the database itself refuses such a row
        record.tried += 1
        try:
            store = service.open_store(database, state.unlock, data_folder=folder)
        except VendingError:
            continue
        record.opened += 1
        wrong = {key for key, token in tokens_of(store).items() if right.get(key) != token}
        told = f"WRONG TOKEN of {sorted(map(str, wrong))}" if wrong else "opened"
        record.faults.append(f"{database.dialect}: {name}: {told}")


def _merged(state: State, chosen: list[tuple[str, State]]) -> State:
    """The changes together: of each part the last one that changed it."""
    merged = state
    for _, variant in chosen:
        if variant.header != state.header:
            merged = replace(merged, header=variant.header)
        if variant.rows != state.rows:
            merged = replace(merged, rows=variant.rows)
        if variant.file != state.file:
            merged = replace(merged, file=variant.file)
    return merged


def _write(place: KeyStorePlace, variant: State, folder: Path) -> bool:
    header = {
        "id": 1,
        **{name: getattr(variant.header, name) for name in field_names(variant.header)},
    }
    rows = [{name: getattr(row, name) for name in field_names(row)} for row in variant.rows]
    try:
        place.write_rows({key_store_header.name: [header], vending_keys.name: rows})
    except Exception:  # noqa: BLE001 # whatever the engine says of a number or a key it cannot hold
        return False
    (folder / "keystore.generation").write_bytes(variant.file)
    return True


def main() -> int:
    """Prove the store, then the backups."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=None, help="of a state; default: everything")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    # What a server refuses of our rows is no news; its driver would tell of each.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    plan = random.Random(options.seed)  # noqa: S311 # a repeatable choice
    record = Record()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, PostgresServer() as server:
        folder = Path(name)
        life = prove_store(folder, record, plan, options.sample)
        exhaustive = record.tried
        urls = {
            "sqlite": f"sqlite:///{folder / 'proof.sqlite3'}",
            "postgresql": server.create_database("keys"),
        }
        for kind, url in urls.items():
            (folder / kind).mkdir()
            database = create_database(url)
            migrate.upgrade(database)
            place = KeyStorePlace(database, folder / kind, FixedClock(SystemClock().now()))
            prove_database(place, life, record, plan, options.size)
            database.close()
        (folder / "backups").mkdir()
        is_exhaustive = options.sample is None
        backups = prove_backups(
            folder / "backups", size=options.size, seed=options.seed, is_exhaustive=is_exhaustive
        )
    for fault in [*record.faults, *backups.faults][:20]:
        say(fault)
    faults = len(record.faults) + len(backups.faults)
    say(
        f"keys: {len(life[0])} states, {exhaustive} tamperings in memory, "
        f"{record.tried - exhaustive} through databases, {record.opened} opened as they must, "
        f"{backups.tried} backups, seed {options.seed}, faults {faults}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
