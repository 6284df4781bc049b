"""The register's word on how meters are reached."""

import uuid

from tests.support.deliveries import Town
from vending.delivery.addresses import find_addresses
from vending.delivery.port import MeterAddress
from vending.values.identifiers import MeterId


def test_meters_without_a_link_and_unknown_ones_are_left_out(town: Town) -> None:
    linked, unlinked, other = town.add_meter(), town.add_meter(is_linked=False), town.add_meter()
    unknown = MeterId(uuid.UUID(int=2**128 - 1))
    assert linked.link is not None
    assert other.link is not None
    with town.database.read() as connection:
        found = find_addresses(connection, [linked.id, unlinked.id, other.id, unknown])
    assert found == {
        linked.id: MeterAddress(linked.link, "reference_prepay"),
        other.id: MeterAddress(other.link, "reference_prepay"),
    }
