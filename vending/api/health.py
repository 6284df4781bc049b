"""Routes for those who run the service: alive, ready, metrics."""

from typing import Final

from fastapi import APIRouter, Response

from vending.api.deps import ContainerDep
from vending.api.errors import encoded
from vending.bootstrap import Container
from vending.commands.service import count_unfinished
from vending.errors import VendingError
from vending.persistence import migrate
from vending.persistence.outbox import AGE_MAX_S, age_of_oldest, count_parked
from vending.sales.service.clock_guard import check_clock

router: Final = APIRouter(tags=["operation"], include_in_schema=False)


@router.get("/healthz")
def healthz() -> Response:
    """Say that the process runs and answers."""
    return encoded({"status": "ok"})


@router.get("/readyz")
def readyz(container: ContainerDep) -> Response:
    """Say whether it can sell: database, key store, clock, outbox; 503 when it cannot."""
    checks = {"database": _check_database(container), "key_store": _check_key_store(container)}
    if checks["database"] == "ok":
        checks |= {"clock": _check_clock(container), "outbox": _check_outbox(container)}
    else:  # each would wait for the database again
        checks |= {"clock": "unchecked", "outbox": "unchecked"}
    is_ready = all(verdict == "ok" for verdict in checks.values())
    document = {"status": "ok" if is_ready else "not ready", "checks": checks}
    return encoded(document, status=200 if is_ready else 503)


@router.get("/metrics")
def metrics(container: ContainerDep) -> Response:
    """Give the metrics in Prometheus' text form; what waits is counted now."""
    _check_outbox(container)
    _count_waiting(container)
    return Response(container.metrics.render(), media_type="text/plain; version=0.0.4")


def _check_database(container: Container) -> str:
    try:
        migrate.require_head(container.database)
    except VendingError as error:
        return error.code
    return "ok"


def _check_key_store(container: Container) -> str:
    if container.key_store.problem is not None:
        return container.key_store.problem
    return "ok" if container.has_keys else "no_keys"


def _check_clock(container: Container) -> str:
    try:
        check_clock(container.desk.clock_guard, container.database)
    except VendingError as error:
        container.metrics.clock_trusted.set(0)
        return error.code
    container.metrics.clock_trusted.set(1)
    return "ok"


def _check_outbox(container: Container) -> str:
    try:
        with container.database.read() as connection:
            age = age_of_oldest(connection, container.clock.now())
    except VendingError as error:
        return error.code
    age_s = int(age.total_seconds()) if age is not None else 0
    container.metrics.outbox_age.set(age_s)
    return "ok" if age_s <= AGE_MAX_S else "outbox_waits"


def _count_waiting(container: Container) -> None:
    """Count what waits for a person or a meter; an unreachable database leaves the last counts."""
    try:
        with container.database.read() as connection:
            parked = count_parked(connection)
            unfinished = count_unfinished(connection)
    except VendingError:
        return
    container.metrics.outbox_parked.set(parked)
    for state, count in unfinished.items():
        container.metrics.commands_unfinished.labels(state.value).set(count)
