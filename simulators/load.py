"""Household load curves: whole watts for every minute, the same for the same seed.

A curve is a pure function of its seed and the minute, so that a fleet can be replayed and a
meter that was switched off for a week goes on where a neighbour would be.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MINUTES_PER_DAY: Final = 1440
MS_PER_MINUTE: Final = 60_000

_PERMILLE: Final = 1000
_HOURLY_PERMILLE: Final = (
    *(350, 300, 280, 270, 280, 400, 800, 1200, 1000, 800, 750, 800),  # night, then breakfast
    *(950, 900, 750, 700, 750, 1000, 1500, 2000, 2200, 1900, 1300, 700),  # lunch, then evening
)
"""Use in each hour against the day's mean of about 900; the evening peak is the highest."""
_NOISE_PERMILLE: Final = 250
_KETTLE_W: Final = 1800
_KETTLE_PERMILLE: Final = 12
"""In how many of a thousand minutes something large is on, over and above the curve."""

_MASK_64: Final = (1 << 64) - 1


class LoadShape(StrEnum):
    """How a meter's load goes over the day."""

    NONE = "none"
    CONSTANT = "constant"
    HOUSEHOLD = "household"


@dataclass(frozen=True, slots=True)
class LoadCurve:
    """A load: its shape, its mean in watts, and the seed of its noise."""

    shape: LoadShape
    mean_w: int
    seed: int = 0

    def watts_at(self, minute: int) -> int:
        """Return the load in a minute, counted from 1970-01-01 00:00 UTC."""
        match self.shape:
            case LoadShape.NONE:
                return 0
            case LoadShape.CONSTANT:
                return self.mean_w
            case LoadShape.HOUSEHOLD:
                return self._household_w(minute)

    def _household_w(self, minute: int) -> int:
        noise = _mix(self.seed, minute)
        swing = noise % (2 * _NOISE_PERMILLE + 1) - _NOISE_PERMILLE
        base_w = self.mean_w * _hourly_permille(minute) // _PERMILLE
        kettle_w = _KETTLE_W if (noise >> 32) % _PERMILLE < _KETTLE_PERMILLE else 0
        return base_w * (_PERMILLE + swing) // _PERMILLE + kettle_w


def _hourly_permille(minute: int) -> int:
    """Return the curve between two full hours, on the straight line that joins them."""
    hour, rest = divmod(minute % MINUTES_PER_DAY, 60)
    start, end = _HOURLY_PERMILLE[hour], _HOURLY_PERMILLE[(hour + 1) % 24]
    return start + (end - start) * rest // 60


def _mix(seed: int, minute: int) -> int:
    """Return 64 well-mixed bits of the two numbers (the finaliser of splitmix64)."""
    bits = (seed * 0x9E3779B97F4A7C15 + minute * 0xD1B54A32D192ED03) & _MASK_64
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & _MASK_64
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & _MASK_64
    return bits ^ bits >> 31
