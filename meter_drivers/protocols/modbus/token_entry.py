"""The token blocks of the open prepay profile: 20 digits in, the meter's verdict out.

Ours, over Modbus functions 0x10 and 0x03 (Modbus Application Protocol V1.1b3, 6.12 and 6.3); the
digits are a token of IEC 62055-41, and the verdicts have its names. One frame writes the entry
block, so a token is entered whole or not at all:

    register  0-9   digits   two BCD digits each, in the low byte, first digits first
              10    commit   1

The result block tells of the entry made last, also of one on the keypad:

    register  0-1   entry counter   u32, one more with every entry that was judged
              2     result          u16, `TokenOutcome`
              3-4   last TID        u32, of the credit token accepted last; all ones before it
              5-6   entry digest    u32, CRC-32 (ISO-HDLC) of the 20 ASCII digits

Counter and digest together tell a caller whose answer got lost whether its token was judged. A
token entered twice changes nothing the second time: its TID answers `USED_ERROR`.
"""

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, Self

from meter_drivers.errors import LocalProtocolError, RemoteProtocolError
from meter_drivers.protocols.modbus.blocks import Layout, lay_out, pack, unpack_number
from meter_drivers.registers import Encoding

TOKEN_DIGIT_COUNT: Final = 20
COMMIT: Final = 1
NO_TID: Final = 0xFFFF_FFFF
_HIGHEST_DIGIT: Final = 9

TOKEN_ENTRY_LAYOUT: Final[Layout] = lay_out(
    *((f"token.digits_{first}_{first + 1}", Encoding.U16) for first in range(1, 20, 2)),
    ("token.commit", Encoding.U16),
)
TOKEN_RESULT_LAYOUT: Final[Layout] = lay_out(
    ("token.entry_counter", Encoding.U32),
    ("token.result", Encoding.U16),
    ("token.last_tid", Encoding.U32),
    ("token.entry_digest", Encoding.U32),
)


class TokenOutcome(IntEnum):
    """What the meter did with a token; the numbers are those in the result register."""

    NONE = 0
    """No token was entered yet."""
    ACCEPT = 1
    FIRST_KCT = 2
    """The first section of a key change is held; others are awaited."""
    SECOND_KCT = 3
    THIRD_KCT = 4
    FOURTH_KCT = 5
    FORMAT_ERROR = 10
    CRC_ERROR = 11
    FUNCTION_ERROR = 12
    RANGE_ERROR = 13
    DDTK_ERROR = 14
    KEY_EXPIRED_ERROR = 15
    KEY_TYPE_ERROR = 16
    OLD_ERROR = 17
    USED_ERROR = 18
    OVERFLOW_ERROR = 19
    LOCKED_OUT = 20
    """Too many wrong entries came before; the digits were not looked at."""
    BUSY = 0xFFFF
    """The entry is being judged; read again."""


TOKEN_OUTCOME_NAMES: Final[Mapping[TokenOutcome, str]] = MappingProxyType(
    {
        TokenOutcome.NONE: "None",
        TokenOutcome.ACCEPT: "Accept",
        TokenOutcome.FIRST_KCT: "1stKCT",
        TokenOutcome.SECOND_KCT: "2ndKCT",
        TokenOutcome.THIRD_KCT: "3rdKCT",
        TokenOutcome.FOURTH_KCT: "4thKCT",
        TokenOutcome.FORMAT_ERROR: "FormatError",
        TokenOutcome.CRC_ERROR: "CRCError",
        TokenOutcome.FUNCTION_ERROR: "FunctionError",
        TokenOutcome.RANGE_ERROR: "RangeError",
        TokenOutcome.DDTK_ERROR: "DDTKError",
        TokenOutcome.KEY_EXPIRED_ERROR: "KeyExpiredError",
        TokenOutcome.KEY_TYPE_ERROR: "KeyTypeError",
        TokenOutcome.OLD_ERROR: "OldError",
        TokenOutcome.USED_ERROR: "UsedError",
        TokenOutcome.OVERFLOW_ERROR: "OverflowError",
        TokenOutcome.LOCKED_OUT: "LockedOut",
        TokenOutcome.BUSY: "Busy",
    }
)
"""The names of IEC 62055-41 and, from `LockedOut` on, of this profile."""

TOKEN_OUTCOME_MEANINGS: Final[Mapping[TokenOutcome, str]] = MappingProxyType(
    {
        TokenOutcome.NONE: "no token was entered yet",
        TokenOutcome.ACCEPT: "the token was accepted",
        TokenOutcome.FIRST_KCT: "the 1st part of a key change was accepted",
        TokenOutcome.SECOND_KCT: "the 2nd part of a key change was accepted",
        TokenOutcome.THIRD_KCT: "the 3rd part of a key change was accepted",
        TokenOutcome.FOURTH_KCT: "the 4th part of a key change was accepted",
        TokenOutcome.FORMAT_ERROR: "these digits cannot be a token",
        TokenOutcome.CRC_ERROR: "the token is wrong, or for another meter or key",
        TokenOutcome.FUNCTION_ERROR: "the meter does not support this kind of token",
        TokenOutcome.RANGE_ERROR: "a value in the token is out of range",
        TokenOutcome.DDTK_ERROR: "the meter still holds a default key and takes no credit",
        TokenOutcome.KEY_EXPIRED_ERROR: "the meter's key has expired; change its key first",
        TokenOutcome.KEY_TYPE_ERROR: "the key change is not allowed for this type of key",
        TokenOutcome.OLD_ERROR: "the token is older than all the meter remembers",
        TokenOutcome.USED_ERROR: "the token was used before",
        TokenOutcome.OVERFLOW_ERROR: "the credit would be more than the meter can hold",
        TokenOutcome.LOCKED_OUT: "too many wrong tokens; the meter takes none for a while",
        TokenOutcome.BUSY: "the meter is still judging the token",
    }
)

TAKEN: Final = frozenset(
    {
        TokenOutcome.ACCEPT,
        TokenOutcome.FIRST_KCT,
        TokenOutcome.SECOND_KCT,
        TokenOutcome.THIRD_KCT,
        TokenOutcome.FOURTH_KCT,
    }
)
"""The outcomes that say the meter took the token; the other final ones refuse it."""

UNDECIDED: Final = frozenset({TokenOutcome.NONE, TokenOutcome.BUSY})


def find_token_outcome(name: str) -> TokenOutcome | None:
    """Return the outcome with this name of IEC 62055-41, if there is one."""
    return next((code for code, known in TOKEN_OUTCOME_NAMES.items() if known == name), None)


def pack_token(digits: str) -> tuple[int, ...]:
    """Return the 11 registers that enter a token of 20 digits.

    Raises:
        LocalProtocolError: If it is not 20 digits.
    """
    if len(digits) != TOKEN_DIGIT_COUNT or not (digits.isascii() and digits.isdigit()):
        message = "a token has 20 digits"
        raise LocalProtocolError(message)
    pairs = (int(digits[first : first + 2], 16) for first in range(0, TOKEN_DIGIT_COUNT, 2))
    return (*pairs, COMMIT)


def unpack_token(words: Sequence[int]) -> str | None:
    """Return the 20 digits in an entry block, or `None` if it holds no committed digits."""
    assert len(words) == len(TOKEN_ENTRY_LAYOUT), "an entry block is written whole"
    *pairs, commit = words
    nibbles = [nibble for pair in pairs for nibble in divmod(pair, 16)]
    if commit != COMMIT or any(nibble > _HIGHEST_DIGIT for nibble in nibbles):
        return None
    return "".join(str(nibble) for nibble in nibbles)


def compute_entry_digest(digits: str) -> int:
    """Return the CRC-32 by which the result block names the token it tells of."""
    return binascii.crc32(digits.encode("ascii"))


@dataclass(frozen=True, slots=True)
class TokenResultBlock:
    """What the meter says of the entry made last."""

    entry_counter: int
    outcome: TokenOutcome
    last_tid: int | None
    """TID of the credit token accepted last; `None` before the first."""
    entry_digest: int

    def to_registers(self) -> tuple[int, ...]:
        """Return the block as the meter shows it."""
        return pack(
            TOKEN_RESULT_LAYOUT,
            {
                "token.entry_counter": self.entry_counter,
                "token.result": int(self.outcome),
                "token.last_tid": NO_TID if self.last_tid is None else self.last_tid,
                "token.entry_digest": self.entry_digest,
            },
        )

    @classmethod
    def from_registers(cls, words: Sequence[int]) -> Self:
        """Return the result in the block.

        Raises:
            RemoteProtocolError: If the result is not a code of this profile.
        """
        code = unpack_number(TOKEN_RESULT_LAYOUT, words, "token.result")
        try:
            outcome = TokenOutcome(code)
        except ValueError as error:
            reason = f"token result {code} is not a code of this profile"
            raise RemoteProtocolError(reason) from error
        last_tid = unpack_number(TOKEN_RESULT_LAYOUT, words, "token.last_tid")
        return cls(
            entry_counter=unpack_number(TOKEN_RESULT_LAYOUT, words, "token.entry_counter"),
            outcome=outcome,
            last_tid=None if last_tid == NO_TID else last_tid,
            entry_digest=unpack_number(TOKEN_RESULT_LAYOUT, words, "token.entry_digest"),
        )
