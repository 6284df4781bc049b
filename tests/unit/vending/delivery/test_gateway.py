"""The table from a driver's refusals to outcomes is complete."""

from meter_drivers.protocols.modbus.token_entry import TAKEN, UNDECIDED, TokenOutcome
from vending.commands.model import TryOutcome
from vending.delivery.gateway import REFUSALS


def test_every_refusal_of_a_token_has_its_row() -> None:
    refusals = set(TokenOutcome) - TAKEN - UNDECIDED
    assert {outcome.name.lower() for outcome in refusals} <= set(REFUSALS)


def test_refusals_given_before_the_memory_is_asked_do_not_settle_a_doubt() -> None:
    unseen = {reason for reason, row in REFUSALS.items() if row is TryOutcome.REFUSED_UNSEEN}
    assert unseen == {"old_error", "crc_error"}
