"""What expires when, and what to do about it, by key and supply group."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from vending.custody.model import ForecastLimits, KeyForecast, Severity
from vending.custody.rules import forecast
from vending.keystore.model import KeyDescription, KeyReference
from vending.meters.service import count_by_key
from vending.sts import SGC, KeyType


def forecast_keys(
    connection: Connection,
    keys: Sequence[KeyDescription],
    limits: ForecastLimits,
    *,
    now: datetime,
) -> list[KeyForecast]:
    """Return what becomes of each key, the most pressing first."""
    counts = {
        KeyReference(SGC(sgc), krn, KeyType(kt)): count
        for (sgc, krn, kt), count in count_by_key(connection).items()
    }
    return forecast(keys, counts, limits, now=now)


def nearest_expiry(told: Sequence[KeyForecast]) -> datetime | None:
    """Return when the first key expires that meters hold; None: meters hold none that issues.

    A key that issues nothing any more has its day behind it, unless it never came: a retired key
    and a missing one count as none.
    """
    return min(
        (
            one.expires_at
            for one in told
            if one.expires_at is not None
            and not one.is_retired
            and one.severity is not Severity.UNUSED
        ),
        default=None,
    )
