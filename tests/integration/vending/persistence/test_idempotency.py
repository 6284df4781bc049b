"""Idempotency keys on both databases."""

import hashlib
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from vending.persistence.engine import Database, EngineKind
from vending.persistence.idempotency import (
    Answer,
    Claim,
    ClaimOutcome,
    Fresh,
    InFlight,
    Mismatch,
    Replay,
    claim,
    find_answer,
    store_answers,
)
from vending.values.clock import FixedClock
from vending.values.identifiers import IdempotencyKey, PartnerId

PARTNER = PartnerId(uuid.UUID(int=1))
OTHER_PARTNER = PartnerId(uuid.UUID(int=2))

ClaimNow = Callable[..., list[ClaimOutcome]]


def request(key: str, body: str = "50.00", partner: PartnerId = PARTNER) -> Claim:
    return Claim(partner, IdempotencyKey(key), hashlib.sha256(body.encode()).digest())


@pytest.fixture
def claim_now(database: Database, fixed_clock: FixedClock) -> ClaimNow:
    """Claim in a transaction of its own, optionally answering what is fresh."""

    def run(*claims: Claim, answer: bytes | None = None) -> list[ClaimOutcome]:
        with database.unit_of_work() as uow:
            outcomes = claim(uow.connection, claims, now=fixed_clock.now())
            if answer is not None:
                fresh = [
                    Answer(one.partner_id, one.key, 201, answer)
                    for one, outcome in zip(claims, outcomes, strict=True)
                    if outcome == Fresh()
                ]
                store_answers(uow.connection, fresh, now=fixed_clock.now())
            uow.commit()
        return outcomes

    return run


def test_a_new_key_is_fresh_and_its_repeat_replays_the_answer(claim_now: ClaimNow) -> None:
    assert claim_now(request("a"), answer=b"\x00body") == [Fresh()]
    assert claim_now(request("a"), answer=b"other") == [Replay(201, b"\x00body")]


def test_a_key_without_answer_is_in_flight(claim_now: ClaimNow) -> None:
    assert claim_now(request("a")) == [Fresh()]
    assert claim_now(request("a")) == [InFlight()]


def test_a_key_used_for_another_request_is_a_mismatch(claim_now: ClaimNow) -> None:
    claim_now(request("a", "50.00"))
    assert claim_now(request("a", "51.00")) == [Mismatch()]
    claim_now(request("b", "50.00"), answer=b"done")
    assert claim_now(request("b", "51.00")) == [Mismatch()]


def test_a_key_belongs_to_its_partner(claim_now: ClaimNow) -> None:
    claim_now(request("a"), answer=b"ours")
    assert claim_now(request("a", partner=OTHER_PARTNER)) == [Fresh()]


def test_the_first_of_two_claims_in_a_batch_takes_the_key(claim_now: ClaimNow) -> None:
    outcomes = claim_now(request("a"), request("a"), request("a", "other"), request("b"))
    assert outcomes == [Fresh(), InFlight(), Mismatch(), Fresh()]


def test_a_batch_has_an_outcome_for_each_claim_in_their_order(claim_now: ClaimNow) -> None:
    claim_now(request("m"), answer=b"m")
    claim_now(request("p"))
    outcomes = claim_now(request("z"), request("m"), request("p"), request("m", "x"), request("a"))
    assert outcomes == [Fresh(), Replay(201, b"m"), InFlight(), Mismatch(), Fresh()]


def test_a_large_batch_is_claimed(claim_now: ClaimNow) -> None:
    claims = [request(f"{number:05}") for number in range(3_000)]
    assert claim_now(*claims, answer=b"x") == [Fresh()] * 3_000
    assert claim_now(*reversed(claims)) == [Replay(201, b"x")] * 3_000


def test_an_empty_batch_claims_nothing(claim_now: ClaimNow) -> None:
    assert claim_now(answer=b"") == []


def test_a_rolled_back_claim_leaves_the_key_free(
    database: Database, claim_now: ClaimNow, fixed_clock: FixedClock
) -> None:
    with database.unit_of_work() as uow:
        claim(uow.connection, [request("a")], now=fixed_clock.now())
    assert claim_now(request("a")) == [Fresh()]


def test_an_answer_is_found_by_its_key(database: Database, claim_now: ClaimNow) -> None:
    claim_now(request("done"), answer=b"body")
    claim_now(request("pending"))
    with database.read() as connection:
        assert find_answer(connection, PARTNER, IdempotencyKey("done")) == Replay(201, b"body")
        assert find_answer(connection, PARTNER, IdempotencyKey("pending")) == InFlight()
        assert find_answer(connection, PARTNER, IdempotencyKey("never")) is None
        assert find_answer(connection, OTHER_PARTNER, IdempotencyKey("done")) is None


def test_a_second_answer_is_refused_by_the_database(
    database: Database, claim_now: ClaimNow, fixed_clock: FixedClock
) -> None:
    claim_now(request("a"), answer=b"first")
    second = Answer(PARTNER, IdempotencyKey("a"), 200, b"second")
    with (
        pytest.raises(IntegrityError, match="idempotency:answered"),
        database.unit_of_work() as uow,
    ):
        store_answers(uow.connection, [second], now=fixed_clock.now())


def test_an_answer_without_claim_is_our_own_fault(
    database: Database, fixed_clock: FixedClock
) -> None:
    answer = Answer(PARTNER, IdempotencyKey("never"), 200, b"")
    with pytest.raises(AssertionError), database.unit_of_work() as uow:
        store_answers(uow.connection, [answer], now=fixed_clock.now())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM idempotency_keys",
        "UPDATE idempotency_keys SET key = 'b'",
        "UPDATE idempotency_keys SET fingerprint = fingerprint",
        "UPDATE idempotency_keys SET partner_id = partner_id",
        "UPDATE idempotency_keys SET claimed_at = claimed_at",
        "UPDATE idempotency_keys SET status = NULL, body = NULL, answered_at = NULL",
        "UPDATE idempotency_keys SET status = 500",
    ],
)
def test_what_was_asked_and_answered_stays(
    database: Database, claim_now: ClaimNow, statement: str
) -> None:
    claim_now(request("a"), answer=b"kept")
    with pytest.raises(IntegrityError), database.unit_of_work() as uow:
        uow.connection.execute(text(statement))
    assert claim_now(request("a")) == [Replay(201, b"kept")]


def test_half_an_answer_is_refused(database: Database, claim_now: ClaimNow) -> None:
    claim_now(request("a"))
    with pytest.raises(IntegrityError), database.unit_of_work() as uow:
        uow.connection.execute(text("UPDATE idempotency_keys SET status = 200"))


def test_one_of_many_simultaneous_claims_is_fresh(claim_now: ClaimNow) -> None:
    barrier = threading.Barrier(8)

    def repeat(_: int) -> ClaimOutcome:
        barrier.wait()
        return claim_now(request("a"), answer=b"once")[0]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(repeat, range(8)))
    assert sorted(outcomes, key=repr) == [Fresh()] + [Replay(201, b"once")] * 7


def test_batches_in_opposite_order_do_not_deadlock(claim_now: ClaimNow) -> None:
    barrier = threading.Barrier(4)

    def run(worker: int) -> list[ClaimOutcome]:
        claims = [request(f"{number:03}") for number in range(100)]
        barrier.wait()
        return claim_now(*(claims if worker % 2 else reversed(claims)), answer=b"x")

    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(run, range(4)))
    assert sum(batch.count(Fresh()) for batch in batches) == 100


def test_truncate_is_refused_on_postgresql(postgres_database: Database) -> None:
    assert postgres_database.dialect is EngineKind.POSTGRESQL
    with (
        pytest.raises(IntegrityError, match="append_only"),
        postgres_database.unit_of_work() as uow,
    ):
        uow.connection.execute(text("TRUNCATE idempotency_keys"))
