"""What a security module is asked and answers: one record a line, one table (STS 600-8-6).

`vending.sts.security_module` turns the records into lines and back.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from vending.sts.bits import Bits16
from vending.sts.errors import Unsupported, UnsupportedError
from vending.sts.key_change import require_section_count
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyDerivation, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.tcdu import TOKEN_DIGIT_COUNT, TokenCarrierType, TokenDigits
from vending.sts.tid import BaseDate, TokenIdentifier

_TOKEN_HEX_DIGIT_COUNT: Final = 17
_CURRENCY_SUBCLASSES: Final = range(4, 8)


class ModuleStatus(Enum):
    """Why a module refuses: the status on the line, and what it means."""

    CHECKSUM = ("20", "checksum")
    UNKNOWN_HEADER = ("21", "unknown header")
    RECORD_EMPTY = ("22", "record empty")
    PAYLOAD_FORMAT = ("23", "payload format")
    FIELD_VALUE = ("24", "field value")
    LUHN = ("25", "Luhn check digit")
    GENERATION_FAILED = ("26", "token generation failed")
    KEK_NOT_FOUND = ("27", "KEK slot not found")
    REGISTER_NOT_FOUND = ("28", "vending-key register not found")
    KEY_LOAD = ("30", "key load")
    KEY_LOAD_AUTHENTICATION = ("31", "key load")
    VENDING_INHIBITED = ("40", "vending inhibited")
    KEY_EXPIRED = ("41", "key expired")
    TID_OUTSIDE_WINDOW = ("42", "TID outside the clock's window")
    LIMIT_EXCEEDED = ("43", "vending limit exceeded")
    KEY_CHANGE_RULE = ("44", "key-change rule")
    CLOCK_NOT_SET = ("50", "clock not set")
    PERMISSION = ("98", "permission")

    @property
    def code(self) -> str:
        """Return the two characters on the line."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """Return what they mean."""
        return self.value[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTokenRequest:
    """SM?VC: a TransferCredit; `amount` is its 16-bit code."""

    register: int
    pan: MeterPAN
    ti: TI
    ea: EncryptionAlgorithm
    tct: TokenCarrierType
    subclass: int
    amount: Bits16
    tid: TokenIdentifier

    def __post_init__(self) -> None:
        if self.subclass in _CURRENCY_SUBCLASSES:
            raise UnsupportedError(Unsupported.CURRENCY_BY_MODULE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementTokenRequest:
    """SM?VM: a class 2 token that carries a TID; `value` is its 16-bit field."""

    register: int
    pan: MeterPAN
    ti: TI
    ea: EncryptionAlgorithm
    tct: TokenCarrierType
    subclass: int
    value: Bits16
    tid: TokenIdentifier


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChangeRequest:
    """SM?VK: the tokens that take a meter from one register's key to another's."""

    old_register: int
    new_register: int
    pan: MeterPAN
    old_ti: TI
    ea: EncryptionAlgorithm
    tct: TokenCarrierType
    new_ti: TI
    section_count: int

    def __post_init__(self) -> None:
        require_section_count(self.ea, self.section_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """SM?VT: reads a token back under a register's key."""

    register: int
    pan: MeterPAN
    ti: TI
    ea: EncryptionAlgorithm
    tct: TokenCarrierType
    token: TokenDigits


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentificationRequest:
    """SM?DI: which module it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAttributesRequest:
    """SM?GA: the attributes of a register's key."""

    register: int


Request = (
    CreditTokenRequest
    | ManagementTokenRequest
    | KeyChangeRequest
    | VerifyRequest
    | IdentificationRequest
    | KeyAttributesRequest
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """To SM?VC and SM?VM: the token, on the line as 17 hex digits and as 20 decimal ones."""

    tokens: tuple[TokenDigits, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChangeAnswer:
    """To SM?VK: the sections, 1st first, joined into one field of each form (ours)."""

    rollover: bool
    section_count: int
    tokens: tuple[TokenDigits, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyAnswer:
    """To SM?VT: class, subclass and the 44 data bits (ours: no layout is published)."""

    token_class: int
    subclass: int
    data: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentificationAnswer:
    """To SM?DI: the module's name for itself (ours: no layout is published)."""

    identification: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAttributesAnswer:
    """To SM?GA: what the register holds besides the key (ours: no layout is published)."""

    sgc: SGC
    kt: KeyType
    krn: int
    ken: int
    base_date: BaseDate
    dkga: KeyDerivation


Answer = TokenAnswer | KeyChangeAnswer | VerifyAnswer | IdentificationAnswer | KeyAttributesAnswer


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field on the line: its letter, how its text must look, and the value it stands for."""

    letter: str
    pattern: re.Pattern[str]
    write: Callable[..., str]
    read: Callable[[str], object]


def _decimal(read: Callable[[int], object] = int, pattern: str = r"0|[1-9]\d{0,9}") -> FieldType:
    """Return the type of a number in decimal, without leading zeros."""
    return FieldType(
        "N",
        re.compile(pattern, re.ASCII),
        write=lambda value: str(int(value)),
        read=lambda text: read(int(text)),
    )


def _hexadecimal(digit_count: int) -> FieldType:
    """Return the type of a number in a fixed, even count of upper-case hex digits."""
    return FieldType(
        "H",
        re.compile(rf"[0-9A-F]{{{digit_count}}}"),
        write=lambda value: f"{value:0{digit_count}X}",
        read=lambda text: int(text, 16),
    )


def _write_shortest_hex(tid: TokenIdentifier) -> str:
    """Return a TID in the shortest even count of hex digits: 85740 is `014EEC`, 0 is `00`."""
    digits = f"{tid.minutes:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


def _write_tokens_in_hex(tokens: Sequence[TokenDigits]) -> str:
    return "".join(f"{int(token):0{_TOKEN_HEX_DIGIT_COUNT}X}" for token in tokens)


def _read_tokens_in_hex(text: str) -> tuple[TokenDigits, ...]:
    pieces = _cut(text, _TOKEN_HEX_DIGIT_COUNT)
    return tuple(TokenDigits(f"{int(piece, 16):0{TOKEN_DIGIT_COUNT}}") for piece in pieces)


def _read_tokens_in_decimal(text: str) -> tuple[TokenDigits, ...]:
    return tuple(TokenDigits(piece) for piece in _cut(text, TOKEN_DIGIT_COUNT))


def _cut(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


_NUMBER: Final = _decimal()
_FLAG: Final = _decimal(bool, pattern="[01]")
_TI: Final = _decimal(TI.from_number)
_EA: Final = _decimal(EncryptionAlgorithm)
_TCT: Final = _decimal(TokenCarrierType)
_CODE: Final = _hexadecimal(4)
_DATA: Final = _hexadecimal(12)
_TID: Final = FieldType(
    "H",
    re.compile(r"(?!00.)(?:[0-9A-F]{2}){1,3}"),
    write=_write_shortest_hex,
    read=lambda text: TokenIdentifier(int(text, 16)),
)
_PAN: Final = FieldType("P", re.compile(r"\d{18}", re.ASCII), write=str, read=MeterPAN)
_SGC: Final = FieldType("P", re.compile(r"\d{6}", re.ASCII), write=str, read=SGC)
_TEXT: Final = FieldType("P", re.compile(r"[ -}]*"), write=str, read=str)
_TOKEN_IN_HEX: Final = FieldType(
    "P",
    re.compile(r"[0-3][0-9A-F]{16}"),
    write=lambda token: _write_tokens_in_hex((token,)),
    read=lambda text: _read_tokens_in_hex(text)[0],
)
_TOKENS_IN_HEX: Final = FieldType(
    "P",
    re.compile(r"(?:[0-3][0-9A-F]{16}){1,4}"),
    write=_write_tokens_in_hex,
    read=_read_tokens_in_hex,
)
_TOKENS_IN_DECIMAL: Final = FieldType(
    "P",
    re.compile(r"(?:\d{20}){1,4}", re.ASCII),
    write="".join,
    read=_read_tokens_in_decimal,
)


@dataclass(frozen=True, slots=True)
class Message:
    """A record, its two letters, and the fields of its line in order.

    An attribute that stands in two fields must read the same in both.
    """

    letters: str
    record: Callable[..., object]
    fields: tuple[tuple[str, FieldType], ...]


_METER: Final = (("pan", _PAN), ("ti", _TI), ("ea", _EA), ("tct", _TCT))
_TOKENS: Final = (("tokens", _TOKENS_IN_HEX), ("tokens", _TOKENS_IN_DECIMAL))
_REGISTER: Final = ("register", _NUMBER)

_REQUESTS: Final[tuple[Message, ...]] = (
    Message(
        "VC",
        CreditTokenRequest,
        (_REGISTER, *_METER, ("subclass", _NUMBER), ("amount", _CODE), ("tid", _TID)),
    ),
    Message(
        "VM",
        ManagementTokenRequest,
        (_REGISTER, *_METER, ("subclass", _NUMBER), ("value", _CODE), ("tid", _TID)),
    ),
    Message(
        "VK",
        KeyChangeRequest,
        (
            ("old_register", _NUMBER),
            ("new_register", _NUMBER),
            ("pan", _PAN),
            ("old_ti", _TI),
            ("ea", _EA),
            ("tct", _TCT),
            ("new_ti", _TI),
            ("section_count", _NUMBER),
        ),
    ),
    Message("VT", VerifyRequest, (_REGISTER, *_METER, ("token", _TOKEN_IN_HEX))),
    Message("DI", IdentificationRequest, ()),
    Message("GA", KeyAttributesRequest, (_REGISTER,)),
)
_ANSWERS: Final[tuple[Message, ...]] = (
    Message("VC", TokenAnswer, _TOKENS),
    Message("VM", TokenAnswer, _TOKENS),
    Message(
        "VK",
        KeyChangeAnswer,
        (("rollover", _FLAG), ("section_count", _NUMBER), *_TOKENS),
    ),
    Message(
        "VT",
        VerifyAnswer,
        (("token_class", _NUMBER), ("subclass", _NUMBER), ("data", _DATA)),
    ),
    Message("DI", IdentificationAnswer, (("identification", _TEXT),)),
    Message(
        "GA",
        KeyAttributesAnswer,
        (
            ("sgc", _SGC),
            ("kt", _decimal(KeyType)),
            ("krn", _NUMBER),
            ("ken", _NUMBER),
            ("base_date", _decimal(BaseDate)),
            ("dkga", _decimal(KeyDerivation)),
        ),
    ),
)
REQUESTS_BY_HEADER: Final = {f"SM?{message.letters}": message for message in _REQUESTS}
REQUESTS_BY_RECORD: Final = {message.record: message for message in _REQUESTS}
ANSWERS_BY_LETTERS: Final = {message.letters: message for message in _ANSWERS}
