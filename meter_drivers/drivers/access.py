"""What opens a meter besides its link: keys, passwords, signers. None of it is ever shown."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from meter_drivers.protocols.dlt645.requests import Credentials
from meter_drivers.protocols.dlt645.signing import SecuritySigner
from meter_drivers.protocols.modbus.credit import SiteKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterAccess:
    """What a caller holds for one meter; each `None` takes the abilities away that need it."""

    site_key: SiteKey | None = field(default=None, repr=False)
    """For credit orders of the open prepay profile."""
    signer: SecuritySigner | None = field(default=None, repr=False)
    """Makes the MACs of DL/T 645 function 03: purchases, and orders to the relay under MAC."""
    credentials: Credentials | None = field(default=None, repr=False)
    """Password and operator of DL/T 645 orders."""
    local_time: Callable[[], datetime] | None = None
    """Gives the time that a meter's clock should show; without it no clock is compared."""


NO_ACCESS = MeterAccess()
