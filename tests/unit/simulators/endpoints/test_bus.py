from collections.abc import Sequence

import pytest

from simulators.endpoints.bus import Bus
from simulators.endpoints.modbus_frames import Request, RTUServerFraming
from simulators.endpoints.modbus_server import Function
from simulators.faults import Fault, FaultPlan, FaultRates, Transmission

WRITE = bytes.fromhex("060001abcd")


class Register:
    """A bank that counts its writes."""

    def __init__(self) -> None:
        self.write_count = 0

    def read_words(self, _function: Function, _address: int, count: int) -> Sequence[int]:
        return [0] * count

    def write_words(self, _function: Function, _address: int, _words: Sequence[int]) -> None:
        self.write_count += 1


@pytest.fixture
def register() -> Register:
    return Register()


@pytest.fixture
def bus(register: Register) -> Bus:
    return Bus({7: register}, FaultPlan(FaultRates(), seed=1))


def test_the_addressed_meter_answers(bus: Bus, register: Register) -> None:
    framing = RTUServerFraming()
    request = Request(7, WRITE)
    assert bus.exchange(framing, request) == (Transmission(framing.encode(request, WRITE)),)
    assert register.write_count == 1


def test_a_listener_is_told_what_each_request_brings(bus: Bus) -> None:
    told: list[tuple[Transmission, ...]] = []
    bus.listener = told.append
    brought = [bus.exchange(RTUServerFraming(), Request(unit, WRITE)) for unit in (7, 8)]
    assert told == brought
    assert brought[1] == ()


@pytest.mark.parametrize("unit", [0, 1, 8, 247])
def test_an_id_without_meter_is_silent(bus: Bus, register: Register, unit: int) -> None:
    assert bus.exchange(RTUServerFraming(), Request(unit, WRITE)) == ()
    assert register.write_count == 0


@pytest.mark.parametrize(("fault", "write_count"), [(Fault.DROP, 0), (Fault.LOST_ANSWER, 1)])
def test_a_dropped_request_does_nothing_and_a_lost_answer_did(
    bus: Bus, register: Register, fault: Fault, write_count: int
) -> None:
    bus.faults.queue(fault)
    assert bus.exchange(RTUServerFraming(), Request(7, WRITE)) == ()
    assert register.write_count == write_count
