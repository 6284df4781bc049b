"""Key-change sets carried to a simulated meter over Modbus TCP by the real driver."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from meter_drivers import open_meter
from simulators.faults import Fault
from simulators.fleet import RunningFleet, running_fleet
from simulators.fleet_file import load_fleet
from tests.support.hushed_meters import hushed_pool
from vending.commands.model import TryOutcome, TryResult
from vending.delivery.gateway import (
    CODE_NO_ANSWER,
    CODE_SECTION_UNSURE,
    CODE_SECTIONS_AWAITED,
    DriverGateway,
)
from vending.delivery.port import MeterAddress
from vending.sts import (
    SGC,
    TI,
    BaseDate,
    DecoderKey,
    EncryptionAlgorithm,
    KeyAttributes,
    KeyDerivation,
    KeyType,
    luhn_check_digit,
)
from vending.sts.key_change import describe_key_change, encode_key_change_set

DRN = "0100000001" + luhn_check_digit("0100000001")
OLD = DecoderKey(bytes.fromhex("0123456789abcdef"), EncryptionAlgorithm.STA)
NEW = DecoderKey(bytes.fromhex("fedcba9876543210"), EncryptionAlgorithm.STA)
ATTRIBUTES = KeyAttributes(
    sgc=SGC("123457"),
    kt=KeyType.DUTK,
    krn=2,
    ken=255,
    base_date=BaseDate.Y2014,
    dkga=KeyDerivation.DKGA04,
)
SECTIONS = encode_key_change_set(
    describe_key_change(ATTRIBUTES, new_key=NEW, new_ti=TI("01"), rollover=False), OLD
)
FLEET = f"""
format = 1
[[lines]]
name = "gateway"
kind = "tcp"
port = 0
[[meters]]
drn = "{DRN}"
line = "gateway"
unit = 1
decoder_key = "{OLD.material.hex()}"
sgc = "123457"
load = "none"
"""
SILENCE = [Fault.DROP] * 3
"""A read is asked three times."""
LAST_ENTRY, BEFORE, VERDICT = None, None, None
FIRST_SECTION = (LAST_ENTRY, BEFORE, None, VERDICT)


@dataclass
class Post:
    """The meter and the way there."""

    fleet: RunningFleet
    gateway: DriverGateway

    def carry(self, *faults: Fault | None) -> TryResult:
        self.fleet.faults("gateway").queue(*faults)
        address = MeterAddress(self.fleet.link(DRN), "reference_prepay")
        return self.gateway.deliver_key_change(address, SECTIONS)

    @property
    def krn(self) -> int:
        return self.fleet.meter(DRN).state.acceptor.keys.krn


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET, "utf-8")
    with running_fleet(load_fleet(file)) as fleet:
        yield Post(fleet, DriverGateway(pool=hushed_pool(fleet)))


def test_all_sections_in_their_order_change_the_key(post: Post) -> None:
    assert post.carry() == TryResult(TryOutcome.DONE, "Accept")
    assert post.krn == 2


def test_meter_dead_between_the_sections_keeps_its_key_and_takes_the_set_later(post: Post) -> None:
    cut = post.carry(*FIRST_SECTION, *SILENCE)
    assert (cut.outcome, post.krn) == (TryOutcome.NOT_REACHED, 1)
    assert post.carry() == TryResult(TryOutcome.DONE, "Accept")


def test_lost_answer_of_the_first_section_leaves_no_doubt(post: Post) -> None:
    lost = post.carry(LAST_ENTRY, BEFORE, Fault.LOST_ANSWER, *SILENCE)
    assert lost == TryResult(TryOutcome.NOT_REACHED, CODE_SECTION_UNSURE)
    assert post.krn == 1
    assert post.carry() == TryResult(TryOutcome.DONE, "Accept")


def test_lost_answer_of_the_last_section_is_settled_by_the_meters_word(post: Post) -> None:
    lost = post.carry(*FIRST_SECTION, BEFORE, Fault.LOST_ANSWER, *SILENCE)
    assert lost == TryResult(TryOutcome.UNKNOWN, CODE_NO_ANSWER)
    assert post.krn == 2
    assert post.carry() == TryResult(TryOutcome.APPLIED_BEFORE, "Accept")


def test_last_section_that_never_arrived_is_a_doubt_and_the_set_is_taken_again(post: Post) -> None:
    lost = post.carry(*FIRST_SECTION, BEFORE, Fault.DROP, *SILENCE)
    assert (lost.outcome, post.krn) == (TryOutcome.UNKNOWN, 1)
    assert post.carry() == TryResult(TryOutcome.DONE, "Accept")


def test_set_begun_at_the_keypad_is_completed_by_the_section_that_lacked(post: Post) -> None:
    post.fleet.meter(DRN).enter_token(SECTIONS[1])
    assert post.carry() == TryResult(TryOutcome.DONE, "Accept")
    assert post.krn == 2


def test_meter_that_forgot_a_section_is_sent_the_whole_set_again(post: Post) -> None:
    gateway, address = post.gateway, MeterAddress(post.fleet.link(DRN), "reference_prepay")
    awaited = gateway.deliver_key_change(address, (SECTIONS[1], SECTIONS[1]))
    assert awaited == TryResult(TryOutcome.NOT_NOW, CODE_SECTIONS_AWAITED)


def test_meter_on_another_key_refuses_the_set(post: Post) -> None:
    post.carry()
    post.fleet.meter(DRN).enter_token("0" * 20)
    refused = post.carry()
    assert refused == TryResult(TryOutcome.REFUSED_UNSEEN, "crc_error")


def test_meter_tells_the_token_it_judged_last(post: Post) -> None:
    with open_meter(post.fleet.link(DRN), profile="reference_prepay") as meter:
        assert meter.read_last_entry() is None
        meter.enter_token(SECTIONS[0])
        last = meter.read_last_entry()
    assert last is not None
    assert last.result == "1stKCT"
    assert last.is_of(SECTIONS[0])
    assert not last.is_of(SECTIONS[1])
