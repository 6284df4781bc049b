"""The server's side of Modbus framing, without input or output: bytes in, requests out.

    RTU   | unit 1 | function 1 | data ... | CRC-16 2, low byte first |
    TCP   | transaction 2 | protocol 2 = 0 | length 2 | unit 1 | function 1 | data ... |

RTU survives noise before a frame (it slides on by one byte after a wrong CRC), a frame cut
short (the line calls `reset` after a silence) and a frame for nobody. TCP cannot find its place
again after a wrong header, so the connection is closed.

It is written apart from the drivers' framing, so that each proves the other.
"""

from dataclasses import dataclass
from typing import Final

RTU_SIZE_BYTES_MAX: Final = 256
_MBAP_SIZE_BYTES: Final = 7
_MBAP_LENGTH_RANGE: Final = range(2, 255)
_CRC_SIZE_BYTES: Final = 2
_SHORTEST_BYTES: Final = 4
_FIXED_SIZE_BYTES: Final = 8
"""Of the functions 1 to 6: unit, function, two words, CRC."""
_FIXED_FUNCTIONS: Final = range(1, 7)
_COUNTED_FUNCTIONS: Final = (15, 16)
_COUNT_AT: Final = 6
"""Where the functions 15 and 16 tell how many bytes follow."""


class BrokenStreamError(Exception):
    """A Modbus TCP header that is none: nothing after it can be trusted."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `transaction` is 0 on RTU, which has none."""

    unit: int
    pdu: bytes
    transaction: int = 0


class RTUServerFraming:
    """Finds requests in the bytes of a shared line, and frames the answers."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[Request]:
        """Return the requests that are whole with these bytes."""
        self._buffer += data
        requests = []
        while (size := self._frame_size()) is not None:
            frame = bytes(self._buffer[:size])
            if compute_crc(frame[:-_CRC_SIZE_BYTES]) != frame[-_CRC_SIZE_BYTES:]:
                del self._buffer[0]
                continue
            del self._buffer[:size]
            requests.append(Request(frame[0], frame[1:-_CRC_SIZE_BYTES]))
        return requests

    def reset(self) -> None:
        """Forget half a frame, as every station does after a silence on the line."""
        self._buffer.clear()

    def encode(self, request: Request, pdu: bytes) -> bytes:
        """Return the frame that answers a request."""
        frame = bytes([request.unit]) + pdu
        return frame + compute_crc(frame)

    def _frame_size(self) -> int | None:
        """Return the size of the frame that the buffer starts with, once all of it is there."""
        if len(self._buffer) < _SHORTEST_BYTES:
            return None
        function = self._buffer[1]
        size = min(len(self._buffer), RTU_SIZE_BYTES_MAX)
        if function in _FIXED_FUNCTIONS:
            size = _FIXED_SIZE_BYTES
        elif function in _COUNTED_FUNCTIONS:
            if len(self._buffer) <= _COUNT_AT:
                return None
            size = _COUNT_AT + 1 + self._buffer[_COUNT_AT] + _CRC_SIZE_BYTES
        return size if len(self._buffer) >= size else None


class TCPServerFraming:
    """Finds requests in the bytes of one connection, and frames the answers."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[Request]:
        """Return the requests that are whole with these bytes.

        Raises:
            BrokenStreamError: A header has another protocol, or an impossible length.
        """
        self._buffer += data
        requests = []
        while len(self._buffer) >= _MBAP_SIZE_BYTES:
            length = int.from_bytes(self._buffer[4:6], "big")
            if self._buffer[2:4] != b"\0\0" or length not in _MBAP_LENGTH_RANGE:
                raise BrokenStreamError
            end = _MBAP_SIZE_BYTES - 1 + length
            if len(self._buffer) < end:
                break
            frame = bytes(self._buffer[:end])
            del self._buffer[:end]
            transaction = int.from_bytes(frame[:2], "big")
            requests.append(Request(frame[6], frame[_MBAP_SIZE_BYTES:], transaction))
        return requests

    def reset(self) -> None:
        """Keep what came: a stream has no silences that mean anything."""

    def encode(self, request: Request, pdu: bytes) -> bytes:
        """Return the frame that answers a request."""
        header = request.transaction.to_bytes(2, "big") + bytes(2)
        return header + (len(pdu) + 1).to_bytes(2, "big") + bytes([request.unit]) + pdu


def compute_crc(frame: bytes) -> bytes:
    """Return the CRC-16 of Modbus (0xA001 reflected, initial 0xFFFF), low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(_CRC_SIZE_BYTES, "little")


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC_TABLE: Final = tuple(_crc_of_byte(byte) for byte in range(256))
