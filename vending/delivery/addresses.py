"""How the register says that meters are reached."""

from collections.abc import Collection

from sqlalchemy import Connection

from vending.delivery.port import MeterAddress
from vending.meters.service import find_meters_by_id
from vending.values.identifiers import MeterId


def find_addresses(
    connection: Connection, meter_ids: Collection[MeterId]
) -> dict[MeterId, MeterAddress]:
    """Return how each of these meters is reached; one without a link is left out."""
    return {
        meter.id: MeterAddress(meter.link, meter.profile)
        for meter in find_meters_by_id(connection, meter_ids).values()
        if meter.link is not None and meter.profile is not None
    }
