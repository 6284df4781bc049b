"""Commands carried to simulated meters over Modbus TCP, by the real drivers."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from simulators.faults import Fault
from simulators.fleet import RunningFleet, running_fleet
from simulators.fleet_file import load_fleet
from simulators.meter import RelayPosition as SimulatedRelay
from simulators.meter import clear_credit
from simulators.prepaid_meter import with_electric
from tests.support.deliveries import IssuedToken, ScriptedGateway, Town, make_delivery
from tests.support.hushed_meters import hushed_pool
from vending.commands.model import Command, CommandKind, CommandState
from vending.delivery.addresses import find_addresses
from vending.delivery.gateway import CODE_NO_ANSWER, DriverGateway
from vending.delivery.service import Delivery, deliver_due
from vending.meters.model import Meter
from vending.persistence.engine import Database
from vending.sts import (
    DecoderKey,
    EncryptionAlgorithm,
    Resource,
    TokenIdentifier,
    TransferCredit,
    encode,
    luhn_check_digit,
)
from vending.values.clock import FixedClock

KEY = DecoderKey(bytes.fromhex("0123456789abcdef"), EncryptionAlgorithm.STA)
OTHER_KEY = DecoderKey(bytes.fromhex("fedcba9876543210"), EncryptionAlgorithm.STA)
FLEET = """
format = 1
[[lines]]
name = "gateway"
kind = "tcp"
port = 0
"""
METER = """
[[meters]]
drn = "{drn}"
line = "gateway"
unit = {unit}
decoder_key = "0123456789abcdef"
sgc = "123457"
load = "none"
relay_switch_ms = 0
credit_wh = 5000
"""
DRNS = [body + luhn_check_digit(body) for body in (f"01{n:08d}" for n in range(1, 4))]
DRN = DRNS[0]
S = CommandState
LOSE_ALL = [Fault.DROP] * 3
"""A read is asked three times."""


@dataclass
class Street:
    """A simulated meter, registered, and the worker's way to it."""

    town: Town
    fleet: RunningFleet
    meter: Meter
    delivery: Delivery

    def issue(
        self, minutes: int = 6_000_000, key: DecoderKey = KEY, units: int = 100
    ) -> IssuedToken:
        token = TransferCredit(
            resource=Resource.ELECTRICITY, rnd=5, tid=TokenIdentifier(minutes), units=units
        )
        issued = self.town.issue(self.meter, str(encode(token, key)))
        self.town.queue(issued.command())
        return issued

    def state_of(self, token: IssuedToken) -> Command:
        return self.town.queue(token.command())[0]

    def spend_all(self) -> None:
        """Let the meter run out of credit, so that it opens its relay."""
        self.fleet.meter(DRN).change(
            lambda meter: with_electric(meter, clear_credit(meter.electric))
        )

    @property
    def credit_wh(self) -> int:
        return self.fleet.meter(DRN).state.electric.balance_wh

    def read_relay(self) -> SimulatedRelay:
        return self.fleet.meter(DRN).state.electric.actual


@pytest.fixture
def street(sqlite_database: Database, fixed_clock: FixedClock, tmp_path: Path) -> Iterator[Street]:
    file = tmp_path / "fleet.toml"
    meters = (METER.format(drn=drn, unit=unit) for unit, drn in enumerate(DRNS, 1))
    file.write_text(FLEET + "".join(meters), "utf-8")
    town = Town(sqlite_database, fixed_clock)
    with running_fleet(load_fleet(file)) as fleet:
        meter = town.add_meter(link=fleet.link(DRN))
        delivery = replace(
            make_delivery(town, ScriptedGateway()),
            gateway=DriverGateway(pool=hushed_pool(fleet)),
            find_addresses=find_addresses,
        )
        yield Street(town, fleet, meter, delivery)


def test_token_is_delivered_and_credited(street: Street) -> None:
    token = street.issue()
    deliver_due(street.delivery)
    command = street.state_of(token)
    assert (command.state, command.result_code) == (S.DONE, "Accept")
    assert street.credit_wh == 5_000 + 10_000


def test_lost_answer_is_doubted_and_the_same_token_reconciles_it(street: Street) -> None:
    token = street.issue()
    street.fleet.faults("gateway").queue(None, Fault.LOST_ANSWER, *LOSE_ALL)
    deliver_due(street.delivery)
    doubted = street.state_of(token)
    assert (doubted.state, doubted.result_code) == (S.UNKNOWN, CODE_NO_ANSWER)
    assert street.credit_wh == 15_000
    street.town.clock.advance(timedelta(seconds=5))
    deliver_due(street.delivery)
    settled = street.state_of(token)
    assert (settled.state, settled.result_code) == (S.RECONCILED, "used_error")
    assert street.credit_wh == 15_000


def test_lost_request_is_doubted_and_the_same_token_is_taken(street: Street) -> None:
    token = street.issue()
    street.fleet.faults("gateway").queue(None, Fault.DROP, *LOSE_ALL)
    deliver_due(street.delivery)
    assert street.state_of(token).state is S.UNKNOWN
    assert street.credit_wh == 5_000
    street.town.clock.advance(timedelta(seconds=5))
    deliver_due(street.delivery)
    assert street.state_of(token).state is S.DONE
    assert street.credit_wh == 15_000


def test_line_that_is_dead_before_the_order_leaves_no_doubt(street: Street) -> None:
    token = street.issue()
    street.fleet.faults("gateway").queue(*LOSE_ALL)
    deliver_due(street.delivery)
    command = street.state_of(token)
    assert (command.state, command.doubtful) == (S.QUEUED, False)
    assert command.result_code == "link_timeout"


def test_gateway_that_does_not_answer_the_door_is_not_reached(street: Street) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    meter = street.town.add_meter(link=f"modbus-tcp://127.0.0.1:{port}/1")
    issued = street.town.issue(meter)
    street.town.queue(issued.command())
    deliver_due(street.delivery)
    command = street.state_of(issued)
    assert (command.state, command.result_code) == (S.QUEUED, "connection_lost")


def test_token_for_another_key_is_refused_in_the_meters_words(street: Street) -> None:
    token = street.issue(key=OTHER_KEY)
    deliver_due(street.delivery)
    command = street.state_of(token)
    assert (command.state, command.result_code) == (S.REFUSED, "crc_error")
    assert street.credit_wh == 5_000


def test_meter_locked_by_wrong_entries_is_tried_again_later(street: Street) -> None:
    for _ in range(5):
        street.fleet.meter(DRN).enter_token("0" * 20)
    token = street.issue()
    deliver_due(street.delivery)
    command = street.state_of(token)
    assert (command.state, command.result_code) == (S.QUEUED, "locked_out")
    assert command.due_at == street.town.clock.now() + timedelta(minutes=1)


def test_relay_is_opened_and_closed_and_read_back(street: Street) -> None:
    cut = street.town.order_relay(street.meter, CommandKind.DISCONNECT)
    deliver_due(street.delivery)
    command = street.town.command(cut.id)
    assert (command.state, command.result_code) == (S.DONE, "open")
    assert street.read_relay() is SimulatedRelay.OPEN
    street.town.clock.advance(timedelta(seconds=1))
    restore = street.town.order_relay(street.meter, CommandKind.RECONNECT)
    deliver_due(street.delivery)
    assert street.town.command(restore.id).state is S.DONE
    assert street.read_relay() is SimulatedRelay.CLOSED


def test_relay_order_whose_answer_was_lost_is_read_before_it_is_repeated(street: Street) -> None:
    cut = street.town.order_relay(street.meter, CommandKind.DISCONNECT)
    street.fleet.faults("gateway").queue(Fault.LOST_ANSWER, *LOSE_ALL)
    deliver_due(street.delivery)
    assert street.town.command(cut.id).state is S.UNKNOWN
    street.town.clock.advance(timedelta(seconds=5))
    deliver_due(street.delivery)
    assert street.town.command(cut.id).state is S.RECONCILED
    assert street.read_relay() is SimulatedRelay.OPEN


def test_relay_that_the_meter_holds_open_is_refused(street: Street) -> None:
    street.spend_all()
    restore = street.town.order_relay(street.meter, CommandKind.RECONNECT)
    deliver_due(street.delivery)
    command = street.town.command(restore.id)
    assert (command.state, command.result_code) == (S.REFUSED, "held_open")


def test_doubtful_reconnection_of_a_meter_held_open_is_ordered_again(street: Street) -> None:
    street.spend_all()
    restore = street.town.order_relay(street.meter, CommandKind.RECONNECT)
    street.fleet.faults("gateway").queue(Fault.LOST_ANSWER, *LOSE_ALL)
    deliver_due(street.delivery)
    street.town.clock.advance(timedelta(seconds=5))
    deliver_due(street.delivery)
    assert street.town.command(restore.id).result_code == "held_open"


def test_doubtful_relay_of_a_dead_line_stays_in_doubt(street: Street) -> None:
    cut = street.town.order_relay(street.meter, CommandKind.DISCONNECT)
    street.fleet.faults("gateway").queue(Fault.DROP, *LOSE_ALL, *LOSE_ALL)
    deliver_due(street.delivery)
    street.town.clock.advance(timedelta(seconds=5))
    deliver_due(street.delivery)
    command = street.town.command(cut.id)
    assert (command.state, command.result_code) == (S.UNKNOWN, "link_timeout")


def test_meter_that_takes_no_tokens_refuses_them(street: Street) -> None:
    issued = street.town.issue(street.town.add_meter(link=street.fleet.link(DRN)))
    street.town.set_profile(issued.meter, "eastron_sdm120")
    street.town.queue(issued.command())
    deliver_due(street.delivery)
    command = street.state_of(issued)
    assert (command.state, command.result_code) == (S.REFUSED, "not_supported")


def test_relay_order_to_a_meter_without_relay_is_refused(street: Street) -> None:
    street.town.set_profile(street.meter, "eastron_sdm120")
    cut = street.town.order_relay(street.meter, CommandKind.DISCONNECT)
    deliver_due(street.delivery)
    assert street.town.command(cut.id).result_code == "not_supported"


def test_meters_behind_one_gateway_take_turns(street: Street) -> None:
    tokens = [street.issue()]
    for drn in DRNS[1:]:
        meter = street.town.add_meter(link=street.fleet.link(drn))
        token = street.town.issue(meter, tokens[0].digits)
        street.town.queue(token.command())
        tokens.append(token)
    assert deliver_due(street.delivery) == len(DRNS)
    assert {street.state_of(token).state for token in tokens} == {S.DONE}
    balances = {street.fleet.meter(drn).state.electric.balance_wh for drn in DRNS}
    assert balances == {15_000}
