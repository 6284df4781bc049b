"""One Modbus meter on its line: the registers of its profile, read and written."""

from dataclasses import dataclass, field

from meter_drivers.bus.line import MeterTiming
from meter_drivers.bus.modbus import ModbusBus, WriteResult
from meter_drivers.bus.turns import Urgency
from meter_drivers.errors import ProfileError
from meter_drivers.profiles.modbus_part import Block, ModbusProfile
from meter_drivers.protocols.modbus.blocks import Layout, size
from meter_drivers.protocols.modbus.credit import SiteKey
from meter_drivers.protocols.modbus.frames import ReadRequest, WriteRequest
from meter_drivers.registers import RegisterTable, WriteRule


@dataclass(frozen=True, slots=True)
class MeterLine:
    """Where a meter is and what it needs; `site_key` only for credit orders."""

    bus: ModbusBus
    unit: int
    profile: ModbusProfile
    timing: MeterTiming
    site_key: SiteKey | None = field(default=None, repr=False)

    def read(self, table: RegisterTable, address: int, count: int) -> tuple[int, ...]:
        """Return registers; `DriverError` where the meter cannot be asked."""
        return self.bus.read(ReadRequest(self.unit, table, address, count), self.timing)

    def read_block(self, block: Block, layout: Layout) -> tuple[int, ...]:
        """Return a block of the open prepay profile, read in one frame."""
        return self.read(RegisterTable.HOLDING, self.block_address(block), size(layout))

    def write(
        self, address: int, words: tuple[int, ...], *, rule: WriteRule, urgency: Urgency
    ) -> WriteResult:
        """Write registers once, and return what is known of it."""
        request = WriteRequest(self.unit, address, words, rule)
        return self.bus.write(request, self.timing, urgency)

    def block_address(self, block: Block) -> int:
        """Return where a block begins.

        Raises:
            ProfileError: If the profile has no such block, which its lint lets pass only for
                abilities it does not declare.
        """
        if block not in self.profile.part.blocks:
            raise ProfileError(
                self.profile.name, f"blocks.{block}", problem="missing", remedy="give its address"
            )
        return self.profile.part.blocks[block]
