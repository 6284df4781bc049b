"""Pure value types shared by every feature: money, energy, time, identifiers."""
