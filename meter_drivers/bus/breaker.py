"""Meters that do not answer are asked less and less, so that they do not hold up the others.

One dead meter costs its whole answer time at each attempt, and the line stands still meanwhile.
After `SILENCES_MAX` exchanges in a row without an answer a meter counts as silent: polling it is
refused without a byte sent, until its back-off has passed; each further silence doubles that,
up to `BACK_OFF_S_MAX`. What somebody asked for (a read on demand, a relay order, a top-up) is
always sent, and its answer makes the meter heard again.
"""

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from meter_drivers.errors import MeterSilentError
from meter_drivers.transports.port import Timer

SILENCES_MAX: Final = 3
BACK_OFF_S_MIN: Final = 10.0
BACK_OFF_S_MAX: Final = 600.0


@dataclass(slots=True)
class _Silence:
    count: int = 0
    ends_s: float = 0.0


class SilenceBreaker:
    """Which meters of a line are silent, and until when they are left alone."""

    def __init__(self, link: str, timer: Timer) -> None:
        self._link = link
        self._timer = timer
        self._lock = threading.Lock()
        self._silences: dict[Hashable, _Silence] = {}

    def require_heard(self, station: Hashable) -> None:
        """Let a poll of this meter pass.

        Raises:
            MeterSilentError: If it did not answer lately, and its time has not come again.
        """
        with self._lock:
            silence = self._silences.get(station)
            if silence is None or silence.count < SILENCES_MAX:
                return
            left_s = silence.ends_s - self._timer.now_s()
            count = silence.count
        if left_s > 0:
            raise MeterSilentError(self._link, str(station), count=count, left_s=left_s)

    def note_answer(self, station: Hashable) -> None:
        """Take it that the meter is there."""
        with self._lock:
            self._silences.pop(station, None)

    def note_silence(self, station: Hashable) -> None:
        """Take it that the meter did not answer once more."""
        with self._lock:
            silence = self._silences.setdefault(station, _Silence())
            silence.count += 1
            doublings = max(0, silence.count - SILENCES_MAX)
            back_off_s = min(BACK_OFF_S_MIN * 2 ** min(doublings, 16), BACK_OFF_S_MAX)
            silence.ends_s = self._timer.now_s() + back_off_s

    def silent_stations(self) -> tuple[Hashable, ...]:
        """Return the meters that are left alone or asked less, in the order they fell silent."""
        with self._lock:
            return tuple(
                station
                for station, silence in self._silences.items()
                if silence.count >= SILENCES_MAX
            )
