"""Modbus: frames over pymodbus, and the register blocks of the open prepay profile."""
