"""Profiles with a difference."""

from dataclasses import replace

from meter_drivers.profiles.modbus_part import ModbusProfile


def with_part(profile: ModbusProfile, **changes: object) -> ModbusProfile:
    """Return the profile with fields of its Modbus part changed."""
    return replace(profile, part=replace(profile.part, **changes))  # type: ignore[arg-type] # a test names fields
