"""A fresh root key: prepared, learnt by every process, then used; nothing sealed is lost."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.key_store_place import CHEAP, KeyStorePlace
from tests.support.shop import build_desk, build_shop, document_of
from tests.support.vending_keys import DUTK_2014, register_of
from vending.keystore import service
from vending.keystore.envelope import ENVELOPE_BYTES
from vending.keystore.errors import (
    Damage,
    KeyStoreCorruptError,
    RootCountError,
    SealBrokenError,
    WrongPassphraseError,
)
from vending.keystore.following import KeyStoreFollower
from vending.keystore.recovery import adopt_restored, export_root
from vending.keystore.sealing import ROOT_COUNT_MAX, Keyring, Purpose
from vending.keystore.software import SoftwareSecurityModule
from vending.keystore.store import LENT_PURPOSES, OpenKeyStore
from vending.keystore.tables import key_store_header
from vending.keystore.unlocking import KeyFile, Passphrase
from vending.persistence.audit import audit_events
from vending.persistence.engine import Database
from vending.values.actor import SYSTEM
from vending.values.clock import FixedClock

TOKEN = b"70630503470028726114"


def prepare(place: KeyStorePlace, store: OpenKeyStore) -> OpenKeyStore:
    return service.prepare_root(place.database, store, by=SYSTEM, clock=place.clock)


def activate(place: KeyStorePlace, store: OpenKeyStore) -> OpenKeyStore:
    return service.activate_root(place.database, store, by=SYSTEM, clock=place.clock)


def rotate(place: KeyStorePlace) -> OpenKeyStore:
    return activate(place, prepare(place, place.open()))


def problem_after(follower: KeyStoreFollower) -> str | None:
    follower.follow()
    return follower.problem


def test_rotated_store_keeps_its_keys_and_reads_what_was_sealed(filled: KeyStorePlace) -> None:
    before = filled.open()
    sealed = before.sealer(Purpose.ISSUED_TOKENS).seal(TOKEN, associated=b"sale")
    rotate(filled)
    after = filled.open()
    register = register_of(DUTK_2014)
    assert after.list_keys() == before.list_keys()
    assert after.vending_key(register).check_value() == before.vending_key(register).check_value()
    sealer = after.sealer(Purpose.ISSUED_TOKENS)
    assert sealer.open(sealed, associated=b"sale") == TOKEN
    fresh = sealer.seal(TOKEN, associated=b"sale")
    assert (sealed[0], fresh[0]) == (1, 2)
    assert filled.check() == []


def test_every_key_is_sealed_anew(filled: KeyStorePlace) -> None:
    filled.open()
    before = {row["sealed"] for row in filled.read_rows()["vending_keys"]}
    rotate(filled)
    rows = filled.read_rows()["vending_keys"]
    assert {row["sealed"][0] for row in rows} == {2}
    assert not before & {row["sealed"] for row in rows}


def test_value_of_a_version_cannot_pass_for_another(filled: KeyStorePlace) -> None:
    sealer = rotate(filled).sealer(Purpose.ISSUED_TOKENS)
    fresh = sealer.seal(TOKEN, associated=b"sale")
    for version in (0, 1, 3, 255):
        with pytest.raises(SealBrokenError):
            sealer.open(bytes([version]) + fresh[1:], associated=b"sale")


def test_prepared_root_seals_nothing_and_is_prepared_once(filled: KeyStorePlace) -> None:
    first = prepare(filled, filled.open())
    again = prepare(filled, filled.open())
    assert again.generation == first.generation
    assert (again.root_count, again.active_root) == (2, 1)
    assert again.sealer(Purpose.ISSUED_TOKENS).seal(TOKEN, associated=b"")[0] == 1


def test_nothing_prepared_is_nothing_activated(filled: KeyStorePlace) -> None:
    store = filled.open()
    assert activate(filled, store).generation == store.generation


def test_another_process_follows_with_the_sealers_it_has(filled: KeyStorePlace) -> None:
    theirs = filled.open()
    sealer = theirs.sealer(Purpose.STORED_ANSWERS)
    follower = KeyStoreFollower(filled.database, theirs, use=lambda _: None)
    ours = prepare(filled, filled.open())
    follower.follow()
    ours = activate(filled, ours)
    sealed = ours.sealer(Purpose.STORED_ANSWERS).seal(TOKEN, associated=b"answer")
    assert sealer.open(sealed, associated=b"answer") == TOKEN  # before it follows again
    theirs_still = sealer.seal(TOKEN, associated=b"answer")
    assert ours.sealer(Purpose.STORED_ANSWERS).open(theirs_still, associated=b"answer") == TOKEN
    follower.follow()
    assert follower.problem is None
    assert sealer.seal(TOKEN, associated=b"answer")[0] == 2


def test_process_that_slept_through_it_all_catches_up(filled: KeyStorePlace) -> None:
    theirs = filled.open()
    for _ in range(3):
        rotate(filled)
    present = service.reload_store(filled.database, theirs)
    assert (present.root_count, present.active_root) == (4, 4)
    assert present.list_keys() == theirs.list_keys()


def test_new_passphrase_alone_needs_no_restart_and_with_new_roots_does(
    filled: KeyStorePlace,
) -> None:
    theirs = filled.open()
    follower = KeyStoreFollower(filled.database, theirs, use=lambda _: None)
    another = Passphrase("another horse battery")
    service.change_unlock(
        filled.database, filled.open(), another, by=SYSTEM, clock=filled.clock, cost=CHEAP
    )
    problems = [problem_after(follower)]
    filled.passphrase = another
    rotate(filled)
    problems.append(problem_after(follower))
    assert problems == [None, WrongPassphraseError.code]
    assert follower.store.vending_key(register_of(DUTK_2014)).check_value()


def test_changed_store_follows_its_own_new_passphrase(filled: KeyStorePlace) -> None:
    another = Passphrase("another horse battery")
    changed = service.change_unlock(
        filled.database, filled.open(), another, by=SYSTEM, clock=filled.clock, cost=CHEAP
    )
    assert activate(filled, prepare(filled, changed)).active_root == 2


def test_rotated_store_takes_another_passphrase_and_a_key_file(
    filled: KeyStorePlace, tmp_path: Path
) -> None:
    rotate(filled)
    file = KeyFile.create(tmp_path / "store.key")
    service.change_unlock(filled.database, filled.open(), file, by=SYSTEM, clock=filled.clock)
    opened = service.open_store(filled.database, file, data_folder=filled.data_folder)
    assert opened.root_count == 2
    assert activate(filled, prepare(filled, opened)).active_root == 3


def test_store_from_before_a_rotation_is_refused(filled: KeyStorePlace) -> None:
    rows = filled.read_rows()
    rotate(filled)
    filled.write_rows(rows)
    with pytest.raises(KeyStoreCorruptError):
        filled.open()
    assert filled.check()


def test_running_process_refuses_a_store_from_before_a_rotation(filled: KeyStorePlace) -> None:
    rows = filled.read_rows()
    store = rotate(filled)
    filled.write_rows(rows)
    with pytest.raises(KeyStoreCorruptError) as refused:
        service.reload_store(filled.database, store)
    assert refused.value.damage is Damage.ROLLED_BACK


def test_old_root_vouches_for_no_present_generation_file(filled: KeyStorePlace) -> None:
    store = filled.open()
    old_file = store.generation_file.path.read_bytes()
    prepared = prepare(filled, store)
    last_of_old = prepared.generation_file.path.read_bytes()
    activate(filled, prepared)
    for held in (old_file, last_of_old):
        filled.open().generation_file.path.write_bytes(held)
        filled.open()  # a crash before the file was written looks the same, and is mended
        assert filled.open().generation_file.path.read_bytes() != held


def test_envelope_of_several_roots_is_refused_with_any_bit_changed(filled: KeyStorePlace) -> None:
    rotate(filled)
    (header,) = filled.read_rows()["key_store_header"]
    blob = header["envelope"]
    assert len(blob) == ENVELOPE_BYTES + 33
    for place in range(0, len(blob), 5):
        changed = bytearray(blob)
        changed[place] ^= 1
        filled.overwrite(key_store_header, {"envelope": bytes(changed)})
        with pytest.raises(KeyStoreCorruptError):
            filled.open()


def test_store_has_room_for_so_many_roots(filled: KeyStorePlace) -> None:
    store = filled.open()
    for _ in range(ROOT_COUNT_MAX - 1):
        store = activate(filled, prepare(filled, store))
    with pytest.raises(RootCountError):
        prepare(filled, store)
    assert filled.open().root_count == ROOT_COUNT_MAX


def test_rotation_is_on_record(filled: KeyStorePlace) -> None:
    rotate(filled)
    with filled.database.read() as connection:
        query = select(audit_events.c.action, audit_events.c.details)
        told = {row.action: row.details for row in connection.execute(query)}
    assert told["key_store.root_prepared"] == {"root": 2}
    assert told["key_store.root_activated"] == {"root": 2, "keys": 2}


def test_sales_go_on_while_the_root_is_rotated(
    database: Database, fixed_clock: FixedClock, tmp_path: Path
) -> None:
    place = KeyStorePlace(database, tmp_path, fixed_clock)
    store = place.take_in(place.create(), DUTK_2014)
    shop = build_shop(database, fixed_clock, tmp_path, meter_count=4)
    desk = build_desk(database, fixed_clock, store)
    module = desk.security_module
    assert isinstance(module, SoftwareSecurityModule)
    follower = KeyStoreFollower(database, store, use=module.use)
    answers: list[tuple[str, int, dict[str, object]]] = []
    done = threading.Event()

    def sell() -> None:
        number = 0
        while not done.is_set() or number < 8:
            meter = number % 4
            answers.append(
                (
                    f"k{number}",
                    meter,
                    document_of(shop.sell(shop.request(f"k{number}", meter=meter), desk)),
                )
            )
            number += 1

    seller = threading.Thread(target=sell)
    seller.start()
    try:
        for _ in range(3):
            elsewhere = prepare(place, place.open())
            follower.follow()
            activate(place, elsewhere)
            follower.follow()
    finally:
        done.set()
        seller.join()
    assert follower.problem is None
    assert store.sealer(Purpose.STORED_ANSWERS).seal(b"", associated=b"")[0] == 4
    for key, meter, document in answers:
        again = document_of(
            shop.sell(
                shop.request(key, meter=meter), build_desk(database, fixed_clock, place.open())
            )
        )
        assert again == document


def test_all_that_was_sealed_opens_after_two_rotations_a_restart_and_a_restore(
    filled: KeyStorePlace, tmp_path: Path
) -> None:
    store = filled.open()
    sealed: list[tuple[Purpose, bytes]] = []
    for root in (1, 2, 3):
        sealed += [
            (purpose, store.sealer(purpose).seal(TOKEN, associated=b"row"))
            for purpose in sorted(LENT_PURPOSES)
        ]
        assert sealed[-1][1][0] == root
        store = activate(filled, prepare(filled, store))
    check_value = store.vending_key(register_of(DUTK_2014)).check_value()
    of_backup = Keyring.generate().sealer(Purpose.ISSUED_TOKENS)
    with filled.database.read() as connection:
        bundle, _ = export_root(connection, store, of_backup)
    reopened = filled.open()
    filled.passphrase = Passphrase("of the new machine")
    with filled.database.unit_of_work() as uow:
        restored = adopt_restored(
            uow.connection,
            bundle,
            of_backup,
            filled.passphrase,
            data_folder=tmp_path / "new machine",
            cost=CHEAP,
        )
        uow.commit()
    for each in (reopened, restored, filled.adopt()):
        assert each.vending_key(register_of(DUTK_2014)).check_value() == check_value
        opened = [each.sealer(purpose).open(value, associated=b"row") for purpose, value in sealed]
        assert opened == [TOKEN] * len(sealed)
        assert (each.root_count, each.active_root) == (4, 4)


def test_nothing_sealed_opens_for_another_purpose_or_with_a_bit_of_it_changed(
    filled: KeyStorePlace,
) -> None:
    rotate(filled)
    store = rotate(filled)
    for purpose in LENT_PURPOSES:
        value = store.sealer(purpose).seal(TOKEN, associated=b"row")
        variants = [(other, value) for other in LENT_PURPOSES - {purpose}]
        for bit in range(8 * len(value)):
            altered = bytearray(value)
            altered[bit // 8] ^= 1 << bit % 8
            variants.append((purpose, bytes(altered)))
        variants += [(purpose, value[:size]) for size in range(len(value))]
        variants.append((purpose, value + b"\0"))
        for other, variant in variants:
            with pytest.raises(SealBrokenError):
                store.sealer(other).open(variant, associated=b"row")
