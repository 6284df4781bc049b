"""The register tables of docs/drivers, out of profiles and layouts."""

from collections.abc import Iterable

from meter_drivers.profiles.dlt645_part import DLT645Profile
from meter_drivers.profiles.modbus_part import Block, ModbusProfile
from meter_drivers.protocols.dlt645.identifiers import find_item
from meter_drivers.protocols.modbus.blocks import Layout, place
from meter_drivers.protocols.modbus.credit import CREDIT_LAYOUT, CreditOperation, CreditResult
from meter_drivers.protocols.modbus.identity import IDENTITY_LAYOUT
from meter_drivers.protocols.modbus.status import (
    STATUS_LAYOUT,
    AlarmBit,
    RelayCode,
    TamperBit,
    TripCause,
)
from meter_drivers.protocols.modbus.token_entry import (
    TOKEN_ENTRY_LAYOUT,
    TOKEN_OUTCOME_MEANINGS,
    TOKEN_OUTCOME_NAMES,
    TOKEN_RESULT_LAYOUT,
)
from meter_drivers.registers import RegisterSpec, RegisterTable, Unit

LAYOUTS: dict[Block, Layout] = {
    Block.IDENTITY: IDENTITY_LAYOUT,
    Block.STATUS: STATUS_LAYOUT,
    Block.CREDIT: CREDIT_LAYOUT,
    Block.TOKEN_ENTRY: TOKEN_ENTRY_LAYOUT,
    Block.TOKEN_RESULT: TOKEN_RESULT_LAYOUT,
}
READ_FUNCTIONS = {RegisterTable.HOLDING: "03", RegisterTable.INPUT: "04"}


def render_registers(profile: ModbusProfile) -> str:
    rows = [_row(spec) for spec in sorted(profile.part.registers, key=lambda spec: spec.address)]
    head = "| address | name | function | coding | one count is | not available |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _row(spec: RegisterSpec) -> str:
    invalid = ", ".join(f"0x{raw:X}" for raw in sorted(spec.invalid)) or (
        "NaN, infinity" if spec.encoding == "f32" else "-"
    )
    return (
        f"| 0x{spec.address:04X} | {spec.name} | {READ_FUNCTIONS[spec.table]} | {spec.encoding} "
        f"| {_count_of(spec)} | {invalid} |"
    )


def render_data(profile: DLT645Profile) -> str:
    rows = []
    for spec in profile.part.data:
        item = find_item(spec.identifier)
        assert item is not None
        count = f"{item.scale} {item.unit}" if item.unit else str(item.form)
        rows.append(f"| {spec.identifier:08X} | {spec.name} | {item.size_bytes} | {count} |")
    head = "| identifier | name | bytes | one count is |"
    return "\n".join([head, "|---|---|---|---|", *rows])


def _count_of(spec: RegisterSpec) -> str:
    if spec.unit is Unit.EXPONENT:
        return "a power of ten"
    power = "" if spec.scale_from is None else f" x 10^`{spec.scale_from}`"
    return f"{spec.scale} {spec.unit}{power}"


def render_block(profile: ModbusProfile, block: Block) -> str:
    rows = [
        f"| 0x{spec.address:04X} | {spec.name} | {spec.encoding} | {spec.count} |"
        for spec in place(LAYOUTS[block], profile.part.blocks[block])
    ]
    return "\n".join(["| address | name | coding | registers |", "|---|---|---|---|", *rows])


def render_codes() -> dict[str, str]:
    return {
        "token results": _codes(
            (int(code), TOKEN_OUTCOME_NAMES[code], meaning)
            for code, meaning in TOKEN_OUTCOME_MEANINGS.items()
        ),
        "credit operations": _codes((int(each), each.name, "") for each in CreditOperation),
        "credit results": _codes((int(each), each.name, "") for each in CreditResult),
        "relay": _codes((int(each), each.name, "") for each in RelayCode),
        "trip causes": _codes((int(each), each.name, "") for each in TripCause),
        "alarm bits": _codes((int(each), str(each.name), "") for each in AlarmBit),
        "tamper bits": _codes((int(each), str(each.name), "") for each in TamperBit),
    }


def _codes(rows: Iterable[tuple[int, str, str]]) -> str:
    lines = [
        f"| {code} | {name} | {meaning} |".replace("|  |", "|") for code, name, meaning in rows
    ]
    has_meaning = lines[0].count("|") > 3
    head = "| code | name | meaning |" if has_meaning else "| code | name |"
    return "\n".join([head, "|---|---|---|" if has_meaning else "|---|---|", *lines])
