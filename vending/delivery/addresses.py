"""How the register says that meters are reached."""

import uuid
from collections.abc import Collection

from sqlalchemy import Connection

from vending.delivery.port import MeterAddress
from vending.meters.service import list_meters
from vending.values.identifiers import MeterId


def find_addresses(
    connection: Connection, meter_ids: Collection[MeterId]
) -> dict[MeterId, MeterAddress]:
    """Return how each of these meters is reached; one without a link is left out."""
    found = {meter_id: _find_address(connection, meter_id) for meter_id in meter_ids}
    return {meter_id: address for meter_id, address in found.items() if address is not None}


def _find_address(connection: Connection, meter_id: MeterId) -> MeterAddress | None:
    # The register pages in the order of ids: a page of one after the id before gives the meter.
    before = MeterId(uuid.UUID(int=meter_id.int - 1))
    for meter in list_meters(connection, after=before, limit=1).meters:
        if meter.id == meter_id and meter.link is not None and meter.profile is not None:
            return MeterAddress(meter.link, meter.profile)
    return None
