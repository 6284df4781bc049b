"""Drivers that read prepaid meters, give them tokens and switch their relays.

with open_meter("modbus-tcp://10.0.0.7:502/1", profile="reference_prepay") as meter:
    match meter.enter_token("00004500045200004500"):
        case Done(value): ...       # taken: value.result is the name of IEC 62055-41
        case Refused(reason): ...   # the meter said no, final
        case Unknown(why): ...      # enter the same token again later, never another
"""

from meter_drivers.capabilities import (
    AcceptsCredit,
    AcceptsRecharge,
    AcceptsToken,
    CreditEntry,
    CreditReceipt,
    CreditStatus,
    Done,
    Identifies,
    Identity,
    LastEntry,
    Meter,
    NeedsHuman,
    NotApplied,
    ReadsCredit,
    ReadsRegisters,
    ReadsWallet,
    Recharge,
    RechargeEntry,
    RechargeReceipt,
    Refused,
    RelayReport,
    RelayState,
    RelaySwitch,
    SwitchesRelay,
    TokenAcceptance,
    TokenEntry,
    Unknown,
    WalletReport,
)
from meter_drivers.drivers.access import MeterAccess
from meter_drivers.errors import DriverError
from meter_drivers.profiles.loader import list_profiles
from meter_drivers.registers import Reading, Unit
from meter_drivers.registry import BusPool, open_meter

__all__ = [
    "AcceptsCredit",
    "AcceptsRecharge",
    "AcceptsToken",
    "BusPool",
    "CreditEntry",
    "CreditReceipt",
    "CreditStatus",
    "Done",
    "DriverError",
    "Identifies",
    "Identity",
    "LastEntry",
    "Meter",
    "MeterAccess",
    "NeedsHuman",
    "NotApplied",
    "Reading",
    "ReadsCredit",
    "ReadsRegisters",
    "ReadsWallet",
    "Recharge",
    "RechargeEntry",
    "RechargeReceipt",
    "Refused",
    "RelayReport",
    "RelayState",
    "RelaySwitch",
    "SwitchesRelay",
    "TokenAcceptance",
    "TokenEntry",
    "Unit",
    "Unknown",
    "WalletReport",
    "list_profiles",
    "open_meter",
]
