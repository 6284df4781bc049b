"""A Modbus meter: exactly the abilities that its profile declares, over its line.

Modbus itself is framed by `protocols.modbus.frames` and paced by `bus.modbus`; what a model can
do and where stands in its profile. No model has code of its own here.
"""

from meter_drivers.capabilities import Abilities, Identifies, Meter
from meter_drivers.drivers.modbus_line import MeterLine
from meter_drivers.drivers.modbus_orders import CreditOrdering, RelaySwitching, TokenEntering
from meter_drivers.drivers.modbus_reading import (
    CreditReading,
    IdentityBlockReading,
    ProbeReading,
    RegisterReading,
)
from meter_drivers.drivers.sunspec import SunSpecIdentifying
from meter_drivers.profiles.modbus_part import Block
from meter_drivers.profiles.model import Capability


def build_meter(line: MeterLine, *, link: str) -> Meter:
    """Return the meter with the abilities of its profile.

    Credit orders take a site key besides; without one the meter has not that ability.
    """
    declared = line.profile.capabilities
    site_key, relay = line.site_key, line.profile.part.relay
    takes_credit = Capability.ACCEPT_CREDIT in declared
    abilities = Abilities(
        identifies=_find_identification(line),
        reads_registers=RegisterReading(line) if Capability.READ_REGISTERS in declared else None,
        reads_credit=CreditReading(line) if Capability.READ_CREDIT in declared else None,
        accepts_token=TokenEntering(line) if Capability.ACCEPT_TOKEN in declared else None,
        accepts_credit=CreditOrdering(line, site_key) if takes_credit and site_key else None,
        switches_relay=RelaySwitching(line, relay) if relay is not None else None,
    )
    return Meter(link=link, profile=line.profile.name, abilities=abilities)


def _find_identification(line: MeterLine) -> Identifies | None:
    if Capability.IDENTIFY not in line.profile.capabilities:
        return None
    if Block.IDENTITY in line.profile.part.blocks:
        return IdentityBlockReading(line)
    if line.profile.part.sunspec is not None:
        return SunSpecIdentifying(line, line.profile.part.sunspec)
    return ProbeReading(line, line.profile.part.probe) if line.profile.part.probe else None
