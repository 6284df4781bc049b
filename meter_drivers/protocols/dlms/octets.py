"""A cursor over received bytes, and lengths as A-XDR and BER write them.

IEC 61334-6 (A-XDR) and ISO/IEC 8825-1 (BER) share the definite length: below 128 in one byte,
else 0x80 plus the count of length bytes, then these, high byte first.
"""

from typing import Final, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError

SHORT_LENGTH_MAX: Final = 0x7F
LENGTH_BYTES_MAX: Final = 4
"""No APDU of ours needs more; a longer length field is an attack or a defect."""


def encode_length(length: int) -> bytes:
    """Return the length field, 1 to 5 bytes.

    Raises:
        LocalProtocolError: If it needs more than four bytes.
    """
    if length <= SHORT_LENGTH_MAX:
        return bytes([length])
    size_bytes = (length.bit_length() + 7) // 8
    if size_bytes > LENGTH_BYTES_MAX:
        message = f"a length of {length} does not fit into {LENGTH_BYTES_MAX} bytes"
        raise LocalProtocolError(message)
    return bytes([0x80 | size_bytes]) + length.to_bytes(size_bytes, "big")


def encode_octets(octets: bytes) -> bytes:
    """Return the octets behind their length."""
    return encode_length(len(octets)) + octets


class Cursor:
    """Reads bytes from front to back; running past the end is the sender's fault."""

    def __init__(self, octets: bytes) -> None:
        self._octets = bytes(octets)
        self._position = 0

    @classmethod
    def of_whole(cls, octets: bytes, *, tag: int, what: str) -> Self:
        """Return a cursor behind the tag that the octets must begin with.

        Raises:
            RemoteProtocolError: If they begin with another one, or with none.
        """
        cursor = cls(octets)
        found = cursor.take_byte()
        if found != tag:
            reason = f"{what} begins with 0x{found:02X} instead of 0x{tag:02X}"
            raise RemoteProtocolError(reason)
        return cursor

    @property
    def left_size_bytes(self) -> int:
        """Return how many bytes are left."""
        return len(self._octets) - self._position

    def take(self, size_bytes: int) -> bytes:
        """Return the next bytes.

        Raises:
            RemoteProtocolError: If fewer are left.
        """
        if size_bytes > self.left_size_bytes:
            reason = f"{size_bytes} bytes are announced where {self.left_size_bytes} are left"
            raise RemoteProtocolError(reason)
        start = self._position
        self._position += size_bytes
        return self._octets[start : self._position]

    def take_byte(self) -> int:
        """Return the next byte.

        Raises:
            RemoteProtocolError: If none is left.
        """
        return self.take(1)[0]

    def take_number(self, size_bytes: int, *, signed: bool = False) -> int:
        """Return the next bytes as a number, high byte first.

        Raises:
            RemoteProtocolError: If fewer are left.
        """
        return int.from_bytes(self.take(size_bytes), "big", signed=signed)

    def take_length(self) -> int:
        """Return the length field that comes next; it may exceed what is left.

        Raises:
            RemoteProtocolError: If it is indefinite, or longer than four bytes.
        """
        first = self.take_byte()
        if first <= SHORT_LENGTH_MAX:
            return first
        size_bytes = first & SHORT_LENGTH_MAX
        if not 1 <= size_bytes <= LENGTH_BYTES_MAX:
            reason = f"a length field begins with 0x{first:02X}"
            raise RemoteProtocolError(reason)
        return self.take_number(size_bytes)

    def take_octets(self) -> bytes:
        """Return the octets behind a length field.

        Raises:
            RemoteProtocolError: If the length is malformed or too great.
        """
        return self.take(self.take_length())

    def take_flag(self) -> bool:
        """Return a presence flag or Boolean of A-XDR: 0 is false, all else true.

        Raises:
            RemoteProtocolError: If no byte is left.
        """
        return self.take_byte() != 0

    def take_rest(self) -> bytes:
        """Return all that is left."""
        return self.take(self.left_size_bytes)

    def finish(self, what: str) -> None:
        """Check that nothing is left.

        Raises:
            RemoteProtocolError: If something is.
        """
        if self.left_size_bytes:
            reason = f"{self.left_size_bytes} bytes follow {what}"
            raise RemoteProtocolError(reason)
