"""Classes 70, disconnect control, and 71, limiter (IEC 62056-62, 5.8 and 5.9).

Class 70: `output_state` (2) is where the switch *is*, `control_state` (3) what its state machine
says, `control_mode` (4) which ways lead where. Methods 1 remote_disconnect and 2 remote_reconnect
take integer 0. Both may be repeated without harm: they name a state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Self

from meter_drivers.protocols.dlms.axdr import (
    Data,
    boolean,
    double_long_unsigned,
    enum,
    integer,
    long_unsigned,
    octet_string,
    structure,
)
from meter_drivers.protocols.dlms.classes.profile_generic import take_name
from meter_drivers.protocols.dlms.names import Attribute, LogicalName, Method
from meter_drivers.protocols.dlms.results import find_code

DISCONNECT_CLASS_ID: Final = 70
LIMITER_CLASS_ID: Final = 71
DISCONNECTOR: Final = LogicalName.parse("0.0.96.3.10.255")
LIMITER: Final = LogicalName.parse("0.0.17.0.0.255")
OUTPUT_STATE: Final = Attribute(DISCONNECT_CLASS_ID, DISCONNECTOR, 2)
CONTROL_STATE: Final = Attribute(DISCONNECT_CLASS_ID, DISCONNECTOR, 3)
CONTROL_MODE: Final = Attribute(DISCONNECT_CLASS_ID, DISCONNECTOR, 4)
REMOTE_DISCONNECT: Final = Method(DISCONNECT_CLASS_ID, DISCONNECTOR, 1)
REMOTE_RECONNECT: Final = Method(DISCONNECT_CLASS_ID, DISCONNECTOR, 2)
SWITCH_PARAMETER: Final = integer(0)

MONITORED_VALUE: Final = Attribute(LIMITER_CLASS_ID, LIMITER, 2)
THRESHOLD_ACTIVE: Final = Attribute(LIMITER_CLASS_ID, LIMITER, 3)
THRESHOLD_NORMAL: Final = Attribute(LIMITER_CLASS_ID, LIMITER, 4)
THRESHOLD_EMERGENCY: Final = Attribute(LIMITER_CLASS_ID, LIMITER, 5)
MIN_OVER_THRESHOLD_DURATION: Final = Attribute(LIMITER_CLASS_ID, LIMITER, 6)
MIN_UNDER_THRESHOLD_DURATION: Final = Attribute(LIMITER_CLASS_ID, LIMITER, 7)


class ControlState(IntEnum):
    """Where the state machine of the switch stands."""

    DISCONNECTED = 0
    CONNECTED = 1
    READY_FOR_RECONNECTION = 2
    """The customer may close it by hand."""


class ControlMode(IntEnum):
    """Which transitions a meter allows; see `CONTROL_MODES`."""

    NONE = 0
    MODE_1 = 1
    MODE_2 = 2
    MODE_3 = 3
    MODE_4 = 4
    MODE_5 = 5
    MODE_6 = 6
    MODE_7 = 7


@dataclass(frozen=True, slots=True)
class ModeRules:
    """What a control mode allows.

    `remote_reconnect` gives the state that a remote reconnection leads to; `None` where the mode
    has none. `manual_disconnect` says whether the customer can open the switch, `local_reconnect`
    whether the meter itself can close it again, as a limiter does.
    """

    remote_disconnect: bool
    remote_reconnect: ControlState | None
    manual_disconnect: bool
    local_reconnect: bool


_READY: Final = ControlState.READY_FOR_RECONNECTION
_ON: Final = ControlState.CONNECTED

CONTROL_MODES: Final[Mapping[ControlMode, ModeRules]] = MappingProxyType(
    {
        ControlMode.NONE: ModeRules(
            remote_disconnect=False,
            remote_reconnect=None,
            manual_disconnect=False,
            local_reconnect=False,
        ),
        ControlMode.MODE_1: ModeRules(
            remote_disconnect=True,
            remote_reconnect=_READY,
            manual_disconnect=True,
            local_reconnect=False,
        ),
        ControlMode.MODE_2: ModeRules(
            remote_disconnect=True,
            remote_reconnect=_ON,
            manual_disconnect=True,
            local_reconnect=False,
        ),
        ControlMode.MODE_3: ModeRules(
            remote_disconnect=True,
            remote_reconnect=_READY,
            manual_disconnect=False,
            local_reconnect=False,
        ),
        ControlMode.MODE_4: ModeRules(
            remote_disconnect=True,
            remote_reconnect=_ON,
            manual_disconnect=False,
            local_reconnect=False,
        ),
        ControlMode.MODE_5: ModeRules(
            remote_disconnect=True,
            remote_reconnect=_READY,
            manual_disconnect=True,
            local_reconnect=True,
        ),
        ControlMode.MODE_6: ModeRules(
            remote_disconnect=True,
            remote_reconnect=_READY,
            manual_disconnect=False,
            local_reconnect=True,
        ),
    }
)
"""Table of the class, without mode 7: later editions have it, and we have not their text."""


def encode_output_state(is_connected: bool) -> Data:  # noqa: FBT001 # the value itself
    """Return output_state."""
    return boolean(is_connected)


def decode_output_state(data: Data) -> bool:
    """Return whether the switch is closed.

    Raises:
        RemoteProtocolError: If it is no Boolean.
    """
    return data.as_boolean()


def encode_code(code: ControlState | ControlMode) -> Data:
    """Return control_state or control_mode."""
    return enum(code)


def decode_control_state(data: Data) -> ControlState:
    """Return the state.

    Raises:
        RemoteProtocolError: If it is none.
    """
    return find_code(ControlState, data.as_integer())


def decode_control_mode(data: Data) -> ControlMode:
    """Return the mode.

    Raises:
        RemoteProtocolError: If it is none.
    """
    return find_code(ControlMode, data.as_integer())


@dataclass(frozen=True, slots=True)
class MonitoredValue:
    """The attribute that a limiter watches."""

    attribute: Attribute

    def to_data(self) -> Data:
        """Return the value definition."""
        return encode_reference(self.attribute)

    @classmethod
    def from_data(cls, data: Data) -> Self:
        """Return the attribute in a value definition.

        Raises:
            RemoteProtocolError: If it is none.
        """
        class_id, name, index = data.as_members(3)
        return cls(Attribute(class_id.as_integer(), take_name(name), index.as_integer()))


def encode_reference(attribute: Attribute) -> Data:
    """Return class, logical name and attribute index as a structure."""
    name = octet_string(attribute.name.octets)
    return structure(long_unsigned(attribute.class_id), name, integer(attribute.index))


def encode_threshold(threshold: int) -> Data:
    """Return a threshold in the unit of the monitored register, 32 bits unsigned."""
    return double_long_unsigned(threshold)


def decode_threshold(data: Data) -> int:
    """Return a threshold, whatever its width.

    Raises:
        RemoteProtocolError: If it is no whole number.
    """
    return data.as_integer()


def encode_duration(duration_s: int) -> Data:
    """Return a duration in seconds."""
    return double_long_unsigned(duration_s)


def decode_duration(data: Data) -> int:
    """Return a duration in seconds.

    Raises:
        RemoteProtocolError: If it is no whole number.
    """
    return data.as_integer()
