"""The registers of a simulated meter, read with the drivers' codecs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from meter_drivers.profiles.loader import list_profiles, load_profile
from meter_drivers.profiles.modbus_part import Block, ModbusPart, ModbusProfile
from meter_drivers.profiles.model import ProtocolName, narrow_profile
from meter_drivers.protocols.modbus.blocks import size
from meter_drivers.protocols.modbus.credit import CreditOperation, CreditOrder, SiteKey
from meter_drivers.protocols.modbus.identity import IDENTITY_LAYOUT, IdentityBlock
from meter_drivers.protocols.modbus.status import (
    STATUS_LAYOUT,
    RelayCode,
    StatusBlock,
    TripCause,
)
from meter_drivers.protocols.modbus.token_entry import (
    TOKEN_RESULT_LAYOUT,
    TokenOutcome,
    TokenResultBlock,
    compute_entry_digest,
    pack_token,
)
from meter_drivers.registers import Encoding, RegisterSpec, RegisterTable, Unit, decode_reading
from simulators.clock import StillClock
from simulators.endpoints.modbus_server import ExceptionCode, Function, ModbusRefusalError
from simulators.endpoints.register_image import (
    _OUTCOMES,
    RegisterImage,
    RegisterLayout,
    UnknownRegisterError,
)
from simulators.load import LoadCurve, LoadShape
from simulators.meter import start_meter
from simulators.prepaid_meter import PrepaidMeter, with_electric
from simulators.simulated_meter import SimulatedMeter
from simulators.token_acceptor import ENTRY_RESULTS
from tests.support.profiles import with_part
from vending.sts import MeterPAN

HOLDING, INPUT = Function.READ_HOLDING, Function.READ_INPUT
SUNSPEC_METER = 40_000 + 2 + 68
"""Behind the marker and the common model."""
ONE, MANY = Function.WRITE_ONE, Function.WRITE_MANY


@pytest.fixture
def profile() -> ModbusProfile:
    return narrow_profile(load_profile("reference_prepay"), ModbusPart)


@pytest.fixture
def simulated(meter: PrepaidMeter, clock: StillClock) -> SimulatedMeter:
    started = with_electric(meter, start_meter(at_ms=clock.now_ms(), credit_wh=10_000))
    return SimulatedMeter(started, load=LoadCurve(LoadShape.CONSTANT, 2400), clock=clock)


@pytest.fixture
def image(profile: ModbusProfile, simulated: SimulatedMeter) -> RegisterImage:
    return RegisterImage(RegisterLayout(profile), simulated)


def read_status(image: RegisterImage) -> StatusBlock:
    return StatusBlock.from_registers(image.read_words(HOLDING, 0x200, size(STATUS_LAYOUT)))


def read_result(image: RegisterImage) -> TokenResultBlock:
    words = image.read_words(HOLDING, 0x510, size(TOKEN_RESULT_LAYOUT))
    return TokenResultBlock.from_registers(words)


def refusal(action: Callable[[], object]) -> ExceptionCode:
    with pytest.raises(ModbusRefusalError) as caught:
        action()
    return caught.value.code


@pytest.mark.parametrize("name", list_profiles(ProtocolName.MODBUS))
def test_every_profile_shows_all_its_registers(name: str, simulated: SimulatedMeter) -> None:
    profile = narrow_profile(load_profile(name), ModbusPart)
    image = RegisterImage(RegisterLayout(profile), simulated)
    origin = 0 if profile.part.sunspec is None else SUNSPEC_METER
    for spec in profile.part.registers:
        function = HOLDING if spec.table is RegisterTable.HOLDING else INPUT
        words = image.read_words(function, origin + spec.address, spec.count)
        # The meter is new: a counter that says "I am none" by 0 says so.
        is_none = 0 in spec.invalid and not any(words)
        assert is_none or decode_reading(spec, words).value is not None, spec.name


def test_readings_are_those_of_the_meter(
    profile: ModbusProfile, image: RegisterImage, clock: StillClock
) -> None:
    clock.move(3_600_000)
    words = image.read_words(HOLDING, 0x100, 15)
    values = {
        spec.name: decode_reading(spec, words[spec.address - 0x100 : spec.end - 0x100]).value
        for spec in profile.part.registers
    }
    assert values == {
        "energy.import.total": 2400,
        "voltage": 229_600,
        "current": 10_888,
        "power.active": 2_400_000,
        "power.reactive": 700_000,
        "power.apparent": 2_500_000,
        "power_factor": 960,
        "frequency": 50_000,
        "clock": clock.now_ms() // 1000,
    }


def test_the_meter_says_who_it_is(image: RegisterImage) -> None:
    words = image.read_words(HOLDING, 0, size(IDENTITY_LAYOUT))
    identity = IdentityBlock.from_registers(words)
    assert identity.drn == "01234567897"
    assert identity.pan == MeterPAN.from_drn("01234567897").digits


def test_a_token_is_entered_by_one_write(image: RegisterImage, credit: Callable[..., str]) -> None:
    assert read_result(image).outcome is TokenOutcome.NONE
    digits = credit(77, units=50)
    image.write_words(MANY, 0x500, pack_token(digits))
    assert read_result(image) == TokenResultBlock(
        1, TokenOutcome.ACCEPT, 77, compute_entry_digest(digits)
    )
    assert read_status(image).balance == 1500
    image.write_words(MANY, 0x500, pack_token(digits))
    assert read_result(image).outcome is TokenOutcome.USED_ERROR


def test_a_credit_order_is_entered_by_one_write(image: RegisterImage, site_key: SiteKey) -> None:
    order = CreditOrder(1, CreditOperation.ADD_CREDIT, amount=250)
    words = order.sign(site_key, drn="01234567897").to_registers()
    image.write_words(MANY, 0x400, words)
    image.write_words(MANY, 0x400, words)
    status = read_status(image)
    assert (status.balance, status.last_seq, status.purchase_count) == (1250, 1, 1)


def test_the_relay_is_ordered_and_read_back(image: RegisterImage, clock: StillClock) -> None:
    image.write_words(MANY, 0x300, [0])
    moving = read_status(image)
    assert (moving.relay_command, moving.relay_actual) == (RelayCode.OPEN, RelayCode.CLOSED)
    clock.move(200)
    opened = read_status(image)
    assert (opened.relay_actual, opened.trip_cause) == (RelayCode.OPEN, TripCause.REMOTE)
    assert image.read_words(HOLDING, 0x300, 1) == [0]
    image.write_words(MANY, 0x300, [1])
    clock.move(200)
    assert image.read_words(HOLDING, 0x20C, 1) == [1]


@pytest.mark.parametrize(
    ("function", "address", "words", "code"),
    [
        (ONE, 0x300, [1], ExceptionCode.ILLEGAL_FUNCTION),
        (MANY, 0x300, [2], ExceptionCode.ILLEGAL_VALUE),
        (MANY, 0x300, [1, 1], ExceptionCode.ILLEGAL_VALUE),
        (MANY, 0x100, [1], ExceptionCode.ILLEGAL_ADDRESS),
        (MANY, 0x400, [1], ExceptionCode.ILLEGAL_VALUE),
        (ONE, 0x400, [1], ExceptionCode.ILLEGAL_VALUE),
        (MANY, 0x500, [1], ExceptionCode.ILLEGAL_VALUE),
        (MANY, 0x500, [0xAA] * 10 + [1], ExceptionCode.ILLEGAL_VALUE),
        (MANY, 0x500, [0] * 11, ExceptionCode.ILLEGAL_VALUE),
    ],
)
def test_a_wrong_write_is_refused_and_changes_nothing(
    image: RegisterImage,
    simulated: SimulatedMeter,
    function: Function,
    address: int,
    words: list[int],
    code: ExceptionCode,
) -> None:
    before = simulated.state
    assert refusal(lambda: image.write_words(function, address, words)) is code
    assert simulated.state == before


@pytest.mark.parametrize(
    ("function", "address", "count", "code"),
    [
        (HOLDING, 0x100, 61, ExceptionCode.ILLEGAL_VALUE),
        (HOLDING, 0x10E, 2, ExceptionCode.ILLEGAL_ADDRESS),
        (HOLDING, 0x10F, 1, ExceptionCode.ILLEGAL_ADDRESS),
        (HOLDING, 0x0FF, 2, ExceptionCode.ILLEGAL_ADDRESS),
        (INPUT, 0x100, 1, ExceptionCode.ILLEGAL_ADDRESS),
        (HOLDING, 0x400, 11, ExceptionCode.ILLEGAL_ADDRESS),
    ],
)
def test_a_read_off_the_map_is_refused(
    image: RegisterImage, function: Function, address: int, count: int, code: ExceptionCode
) -> None:
    assert refusal(lambda: image.read_words(function, address, count)) is code


@pytest.mark.parametrize(("gap_max", "is_read"), [(1, False), (2, True)])
def test_a_read_runs_across_gaps_as_the_profile_says(
    profile: ModbusProfile, simulated: SimulatedMeter, *, gap_max: int, is_read: bool
) -> None:
    registers = tuple(
        RegisterSpec("clock", address, Encoding.U32, Unit.SECOND, count=2) for address in (0, 4)
    )
    gapped = with_part(
        profile,
        registers=registers,
        blocks={},
        relay=None,
        reads=replace(profile.part.reads, gap_max=gap_max),
    )
    image = RegisterImage(RegisterLayout(gapped), simulated)
    if is_read:
        assert image.read_words(HOLDING, 0, 6)[2:4] == [0, 0]
    else:
        assert refusal(lambda: image.read_words(HOLDING, 0, 6)) is ExceptionCode.ILLEGAL_ADDRESS


def test_a_meter_without_blocks_takes_no_tokens(
    profile: ModbusProfile, simulated: SimulatedMeter
) -> None:
    plain = RegisterImage(
        RegisterLayout(with_part(profile, blocks={Block.STATUS: 0x200}, relay=None)), simulated
    )
    code = refusal(lambda: plain.write_words(MANY, 0x500, [0] * 11))
    assert code is ExceptionCode.ILLEGAL_ADDRESS


@pytest.mark.parametrize("name", ["moon", "moon.l1"])
def test_a_register_that_is_not_simulated_is_named(profile: ModbusProfile, name: str) -> None:
    spec = RegisterSpec(name, 0x900, Encoding.U16, Unit.COUNT)
    with pytest.raises(UnknownRegisterError, match=f"{name}; leave it out"):
        RegisterLayout(with_part(profile, registers=(spec,)))


def test_every_result_of_the_acceptor_has_its_number() -> None:
    inner = {"Authentic", "Valid"}
    assert ENTRY_RESULTS.keys() - inner <= _OUTCOMES.keys()


def test_three_phases_add_up_to_the_whole(simulated: SimulatedMeter, clock: StillClock) -> None:
    clock.move(3_601_234)
    profile = narrow_profile(load_profile("eastron_sdm630"), ModbusPart)
    image = RegisterImage(RegisterLayout(profile), simulated)

    def read(name: str) -> int:
        spec = profile.part.register(name)
        value = decode_reading(spec, image.read_words(INPUT, spec.address, spec.count)).value
        assert isinstance(value, int)
        return value

    for whole, part in (("power.active", "power.active"), ("energy.total", "energy.sum")):
        assert sum(read(f"{part}.l{phase}") for phase in (1, 2, 3)) == read(whole)
    assert read("voltage.l1") == read("voltage.l3")
