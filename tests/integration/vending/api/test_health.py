from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.api import Counter
from tests.support.vending_keys import DUTK_1993
from vending.keystore import service
from vending.keystore.tables import vending_keys
from vending.persistence import migrate, outbox
from vending.persistence.outbox import Message
from vending.values.actor import SYSTEM
from vending.values.identifiers import OutboxId, new_uuid7


def ready(counter: Counter) -> tuple[int, dict[str, str]]:
    answer = counter.client.get("/readyz")
    document: dict[str, Any] = answer.json()
    assert document["status"] == ("ok" if answer.status_code == 200 else "not ready")
    return answer.status_code, document["checks"]


def test_process_that_answers_is_alive(sqlite_counter: Counter) -> None:
    answer = sqlite_counter.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_service_that_can_sell_is_ready(counter: Counter) -> None:
    checks = {"database": "ok", "key_store": "ok", "clock": "ok", "outbox": "ok"}
    assert ready(counter) == (200, checks)


def test_other_schema_is_not_ready_and_nothing_else_is_asked(counter: Counter) -> None:
    migrate.downgrade(counter.shop.database, "-1")
    status, checks = ready(counter)
    assert (status, checks["database"]) == (503, "schema_mismatch")
    assert (checks["clock"], checks["outbox"]) == ("unchecked", "unchecked")
    assert counter.client.get("/healthz").status_code == 200


def test_jumped_clock_is_not_ready_until_it_is_right_again(counter: Counter) -> None:
    counter.sell("k-1")
    counter.shop.clock.jump_to(counter.shop.clock.now() - timedelta(days=1))
    status, checks = ready(counter)
    assert (status, checks["clock"]) == (503, "clock_jumped")
    assert b"vending_clock_trusted 0.0" in counter.client.get("/metrics").content
    counter.shop.clock.jump_to(counter.shop.clock.now() + timedelta(days=1))
    assert ready(counter)[0] == 200
    assert b"vending_clock_trusted 1.0" in counter.client.get("/metrics").content


def test_message_that_waits_for_long_is_not_ready(counter: Counter) -> None:
    with counter.shop.database.unit_of_work() as uow:
        outbox.append(uow.connection, [a_message(counter)])
        uow.commit()
    counter.shop.clock.advance(timedelta(seconds=300))
    assert ready(counter)[0] == 200
    counter.shop.clock.advance(timedelta(seconds=1))
    status, checks = ready(counter)
    assert (status, checks["outbox"]) == (503, "outbox_waits")


def test_metrics_count_what_waits_when_they_are_read(counter: Counter) -> None:
    with counter.shop.database.unit_of_work() as uow:
        outbox.append(uow.connection, [a_message(counter)])
        uow.commit()
    counter.shop.clock.advance(timedelta(seconds=42))
    assert b"vending_outbox_oldest_seconds 42.0" in counter.client.get("/metrics").content


def a_message(counter: Counter) -> Message:
    clock = counter.shop.clock
    return Message(OutboxId(new_uuid7(clock)), "test", {}, clock.now())


def test_store_without_keys_is_not_ready(sqlite_counter: Counter) -> None:
    place = sqlite_counter.place
    with place.database.unit_of_work() as uow:
        uow.connection.execute(text("DELETE FROM vending_keys"))
        uow.connection.execute(text("DELETE FROM key_store_header"))
        uow.commit()
    (place.data_folder / "keystore.generation").unlink()
    empty = place.create()
    sqlite_counter.container.key_store._store = empty
    status, checks = ready(sqlite_counter)
    assert (status, checks["key_store"]) == (503, "no_keys")


def test_damaged_store_is_not_ready_and_verified_keys_go_on_selling(counter: Counter) -> None:
    counter.place.overwrite(vending_keys, {"ken": 254})
    counter.container.key_store.follow()
    status, checks = ready(counter)
    assert (status, checks["key_store"]) == (503, "key_store_corrupt")
    assert counter.sell("k-1").status_code == 201


def test_key_that_another_process_brings_in_is_used_without_a_restart(counter: Counter) -> None:
    elsewhere = counter.place.open()
    service.import_components(
        counter.place.database, elsewhere, DUTK_1993, by=SYSTEM, clock=counter.shop.clock
    )
    assert len(counter.container.store.list_keys()) == 1
    counter.container.key_store.follow()
    assert len(counter.container.store.list_keys()) == 2
    assert ready(counter)[0] == 200


def test_key_that_another_process_retires_issues_nothing_any_more(counter: Counter) -> None:
    elsewhere = counter.place.open()
    (key,) = elsewhere.list_keys()
    service.retire_key(
        counter.place.database, elsewhere, key.register, by=SYSTEM, clock=counter.shop.clock
    )
    counter.container.key_store.follow()
    assert counter.sell("k-1").json()["code"] == "key_retired"


def test_metrics_count_requests_by_template_and_sales_by_outcome(counter: Counter) -> None:
    sale_id = counter.sell("k-1").json()["id"]
    counter.sell("k-1")
    counter.sell("k-2", counter.body(minor=1))
    counter.get(f"/v1/sales/{sale_id}")
    counter.get("/v1/nowhere/123")
    text_form = counter.client.get("/metrics")
    assert text_form.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = set(text_form.text.splitlines())
    assert lines >= {
        'vending_http_requests_total{method="POST",route="/v1/sales",status="201"} 2.0',
        'vending_http_requests_total{method="POST",route="/v1/sales",status="422"} 1.0',
        'vending_http_requests_total{method="GET",route="/v1/sales/{sale_id}",status="200"} 1.0',
        'vending_http_requests_total{method="GET",route="none",status="404"} 1.0',
        'vending_vends_total{outcome="issued"} 1.0',
        'vending_vends_total{outcome="replayed"} 1.0',
        'vending_vends_total{outcome="amount_too_low"} 1.0',
        "vending_vend_duration_seconds_count 3.0",
    }
    assert sale_id not in text_form.text
    assert "nowhere" not in text_form.text


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
def test_database_that_is_gone_is_told_and_no_failure(sqlite_counter: Counter, path: str) -> None:
    sqlite_counter.place.database.close()
    file = sqlite_counter.place.database.engine.url.database
    assert file is not None
    Path(file).write_bytes(b"no database any more" * 1000)
    answer = sqlite_counter.client.get(path)
    assert answer.status_code == (503 if path == "/readyz" else 200)
