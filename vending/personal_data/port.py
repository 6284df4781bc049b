"""The port of every feature that keeps something of a person: what, since when, and until when.

A feature that stores something under a customer's identifier adds its source to `SOURCES` in
`vending.personal_data.sources`; export, retention and erasure then know of it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vending.persistence.column_types import Json
from vending.values.identifiers import CustomerId

CustomerIds = Collection[CustomerId]


def keeps_nothing(connection: Connection, customer_ids: CustomerIds) -> dict[CustomerId, str]:
    """Hold no customer back from erasure."""
    del connection, customer_ids
    return {}


def saw_nothing(connection: Connection, customer_ids: CustomerIds) -> dict[CustomerId, datetime]:
    """Know of no activity."""
    del connection, customer_ids
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalDataSource:
    """One feature's part of what is kept of a person."""

    name: str
    """Of its part in an export."""
    export: Callable[[Connection, CustomerId], Json]
    """Returns what it keeps of a customer, for that customer to read."""
    kept_because: str
    """Why its part outlives an erasure; a test prints it into the guide."""
    find_last_activity: Callable[[Connection, CustomerIds], Mapping[CustomerId, datetime]] = (
        saw_nothing
    )
    """Returns when those customers were last active who were."""
    find_holds: Callable[[Connection, CustomerIds], Mapping[CustomerId, str]] = keeps_nothing
    """Returns why those customers may not be erased yet who may not."""
