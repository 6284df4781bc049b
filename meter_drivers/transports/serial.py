"""A serial line: RS-485 or RS-232 over pyserial, held by one process."""

import errno
import termios
import time
from typing import Final

import serial

from meter_drivers.errors import ConnectionLostError, LineBusyError, LinkTimeoutError

_POLL_S: Final = 0.002
"""How long one read waits for its first byte. It stays fixed: to change the timeout of an open
port reconfigures it, which some drivers, and ptys, refuse."""
_WRITE_TIMEOUT_S: Final = 5.0
"""256 bytes at 600 baud take 4.7 s."""
_EXPLANATIONS: Final[dict[int | None, str]] = {
    errno.ENOENT: "there is no such port; is the adapter plugged in?",
    errno.EACCES: "no permission; add the user to the group dialout",
}


class SerialStream:
    """A `ByteStream` over a serial port, locked against other processes."""

    def __init__(self, path: str, *, baud: int, parity: str, stop_bits: int) -> None:
        self._path = path
        self._baud = baud
        self._parity = parity
        self._stop_bits = stop_bits
        self._port: serial.Serial | None = None

    @property
    def link(self) -> str:
        """Return path and line settings."""
        return f"{self._path} ({self._baud} 8{self._parity}{self._stop_bits})"

    @property
    def is_open(self) -> bool:
        """Return whether the port is open, as far as this side knows."""
        return self._port is not None

    def open(self) -> None:
        """Open and lock the port; bytes that waited in it are dropped.

        Raises:
            ConnectionLostError: If there is no such port, or it refuses its settings.
            LineBusyError: If another process holds it.
        """
        if self._port is not None:
            return
        try:
            self._port = serial.Serial(
                self._path,
                baudrate=self._baud,
                parity=self._parity,
                stopbits=self._stop_bits,
                timeout=_POLL_S,
                write_timeout=_WRITE_TIMEOUT_S,
                exclusive=True,
            )
        except (serial.SerialException, OSError, ValueError) as error:
            if _is_locked(error):
                reason = "another process holds the port; stop it first"
                raise LineBusyError(self.link, reason) from error
            raise ConnectionLostError(self.link, _explain(error)) from error

    def close(self) -> None:
        """Close and unlock the port."""
        if self._port is not None:
            self._port.close()
            self._port = None

    def write(self, data: bytes, *, timeout_s: float) -> None:
        """Send all bytes and wait until the last has left.

        Raises:
            ConnectionLostError: If the port is closed or gone.
            LinkTimeoutError: If the line does not take them in time.
        """
        port = self._require_open()
        try:
            port.write(data)
            port.flush()
        except serial.SerialTimeoutException as error:
            raise LinkTimeoutError(self.link, waited_s=timeout_s) from error
        except (serial.SerialException, OSError, termios.error) as error:
            # pyserial passes on what `tcdrain` raises, and that is no OSError.
            self.close()
            raise ConnectionLostError(self.link, _explain(error)) from error

    def read(self, size_max: int, *, timeout_s: float) -> bytes:
        """Return the bytes that came.

        Raises:
            ConnectionLostError: If the port is closed or gone.
            LinkTimeoutError: If none comes in time.
        """
        port = self._require_open()
        ends_s = time.monotonic() + timeout_s
        while True:
            try:
                data = bytes(port.read(min(size_max, max(1, port.in_waiting))))
            except (serial.SerialException, OSError) as error:
                self.close()
                raise ConnectionLostError(self.link, _explain(error)) from error
            if data:
                return data
            if time.monotonic() >= ends_s:
                raise LinkTimeoutError(self.link, waited_s=timeout_s)

    def _require_open(self) -> serial.Serial:
        if self._port is None:
            raise ConnectionLostError(self.link, "the port is closed")
        return self._port


def _is_locked(error: Exception) -> bool:
    number = getattr(error, "errno", None)
    return number in {errno.EBUSY, errno.EAGAIN} or "exclusively lock" in str(error)


def _explain(error: Exception) -> str:
    return _EXPLANATIONS.get(getattr(error, "errno", None), str(error))
