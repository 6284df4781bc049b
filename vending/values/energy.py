"""Energy as whole watt-hours, and its conversion to the unit that STS tokens carry."""

from dataclasses import dataclass
from typing import Final, Self

WH_PER_STS_UNIT: Final = 100
"""A TransferCredit token counts in 0.1 kWh (IEC 62055-41, transfer amount)."""


@dataclass(frozen=True, slots=True, order=True)
class Energy:
    """An amount of energy in watt-hours, never negative."""

    wh: int

    def __post_init__(self) -> None:
        if self.wh < 0:
            message = f"energy is never negative: {self.wh} Wh"
            raise ValueError(message)

    @classmethod
    def from_sts_units(cls, units: int) -> Self:
        """Return the energy of `units` of 0.1 kWh."""
        return cls(units * WH_PER_STS_UNIT)

    def sts_units_cut_down(self) -> int:
        """Return the whole units of 0.1 kWh in it; what is left over stays with the customer."""
        return self.wh // WH_PER_STS_UNIT

    def __add__(self, other: "Energy") -> "Energy":
        return Energy(self.wh + other.wh)

    def __str__(self) -> str:
        return f"{self.wh // 1000}.{self.wh % 1000:03d} kWh"
