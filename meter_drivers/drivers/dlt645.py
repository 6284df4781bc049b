"""A DL/T 645 meter: exactly the abilities that its profile declares, over its line.

Frames are of `protocols.dlt645`, and paced by `bus.dlt645`; what a model can do and how it writes
its amounts stands in its profile. No model has code of its own here.
"""

from meter_drivers.capabilities import Abilities, Meter
from meter_drivers.drivers.dlt645_line import DLT645Line
from meter_drivers.drivers.dlt645_reading import AddressReading, DataReading, WalletReading
from meter_drivers.drivers.dlt645_recharge import Recharging
from meter_drivers.drivers.dlt645_relay import RelaySwitching
from meter_drivers.profiles.model import Capability


def build_meter(line: DLT645Line, *, link: str) -> Meter:
    """Return the meter with the abilities of its profile.

    Purchases take a signer besides; without one the meter has not that ability.
    """
    part, signer = line.profile.part, line.access.signer
    declared = line.profile.capabilities
    takes_recharge = Capability.ACCEPT_RECHARGE in declared
    abilities = Abilities(
        identifies=AddressReading(line) if Capability.IDENTIFY in declared else None,
        reads_registers=DataReading(line) if part.data else None,
        reads_wallet=WalletReading(line, part.wallet) if part.wallet else None,
        accepts_recharge=(
            Recharging(line, part.wallet, signer)
            if takes_recharge and part.wallet and signer
            else None
        ),
        switches_relay=RelaySwitching(line, part.control) if part.control else None,
    )
    return Meter(link=link, profile=line.profile.name, abilities=abilities)
