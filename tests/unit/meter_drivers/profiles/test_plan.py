from hypothesis import given
from hypothesis import strategies as st

from meter_drivers.profiles.modbus_part import ReadLimits
from meter_drivers.profiles.plan import plan_reads
from meter_drivers.registers import Encoding, RegisterSpec, RegisterTable, Unit


def register(
    address: int, count: int = 2, table: RegisterTable = RegisterTable.HOLDING
) -> RegisterSpec:
    return RegisterSpec(
        f"{table}.{address}", address, Encoding.U32, Unit.COUNT, count=count, table=table
    )


def spans(specs: list[RegisterSpec], limits: ReadLimits) -> list[tuple[int, int]]:
    return [(planned.address, planned.count) for planned in plan_reads(specs, limits)]


def test_neighbours_are_read_together_whatever_their_order() -> None:
    assert spans([register(4), register(0), register(2)], ReadLimits(125, 0)) == [(0, 6)]


def test_gap_is_crossed_up_to_its_limit() -> None:
    specs = [register(0), register(5), register(11)]
    assert spans(specs, ReadLimits(125, 3)) == [(0, 7), (11, 2)]
    assert spans(specs, ReadLimits(125, 2)) == [(0, 2), (5, 2), (11, 2)]


def test_read_is_as_long_as_the_meter_allows() -> None:
    specs = [register(address) for address in range(0, 20, 2)]
    assert spans(specs, ReadLimits(8, 0)) == [(0, 8), (8, 8), (16, 4)]


def test_tables_are_read_apart() -> None:
    specs = [register(0), register(2, table=RegisterTable.INPUT)]
    assert spans(specs, ReadLimits(125, 10)) == [(0, 2), (2, 2)]


def test_nothing_is_read_for_nothing() -> None:
    assert plan_reads([], ReadLimits(125, 0)) == ()


@given(
    st.lists(st.integers(0, 300), unique=True, max_size=40),
    st.integers(2, 125),
    st.integers(0, 20),
)
def test_plan_brings_every_register_once_within_the_limits(
    numbers: list[int], registers_max: int, gap_max: int
) -> None:
    specs = [register(2 * number) for number in numbers]
    limits = ReadLimits(registers_max, gap_max)
    plan = plan_reads(specs, limits)
    brought = [spec for planned in plan for spec in planned.specs]
    assert sorted(brought, key=lambda s: s.address) == sorted(specs, key=lambda s: s.address)
    for planned in plan:
        assert planned.count <= registers_max
        assert planned.address == planned.specs[0].address
        assert planned.address + planned.count == planned.specs[-1].end
