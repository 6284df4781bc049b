"""Watches keys: what expires, what nears its ceiling, which ceremony took too long."""

from typing import Final

from vending.bootstrap import Container, forecast_limits
from vending.custody.model import Severity
from vending.custody.rules import used_percent
from vending.custody.service.ceremonies import wipe_overdue
from vending.custody.service.forecast import forecast_keys
from vending.custody.service.limits import list_used_today
from vending.custody.service.resealing import reseal_secrets
from vending.values.actor import SYSTEM

PERCENT: Final = 100


def watch_keys(container: Container) -> int:
    """Wipe overdue components, seal anew what a rotation left, show expiry and ceilings."""
    wiped = wipe_overdue(container.database, container.clock)
    wiped += reseal_secrets(container.database, container.store, by=SYSTEM, clock=container.clock)
    now = container.clock.now()
    with container.database.read() as connection:
        told = forecast_keys(
            connection,
            container.store.list_keys(),
            forecast_limits(container.settings),
            now=now,
        )
        used = list_used_today(connection, now=now)
    metrics = container.metrics
    metrics.key_expiry.clear()
    for one in told:
        if one.expires_at is not None and one.severity is not Severity.UNUSED:
            seconds_left = (one.expires_at - now).total_seconds()
            metrics.key_expiry.labels(str(one.register)).set(seconds_left)
    metrics.ceiling_used.clear()
    for each in used:
        shares = used_percent(each.count, each.ceiling)
        if shares:
            share = max(shares.values()) / PERCENT
            metrics.ceiling_used.labels(each.register, each.use_class.value).set(share)
    return wiped
