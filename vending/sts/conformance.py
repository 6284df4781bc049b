"""Runs published conformance tokens (STS 531) through the codec, and says which ones fail.

A vector names a key, the fields of a token and the digits that must come of them. It is encoded,
its digits are compared, and they are decoded back to the same fields. Parsed JSON goes in; what
is wrong with a vector becomes its outcome, and never stops the next.

    {"vectors": [{"id": "...", "kind": "credit", "token": "...", ...}, ...]}

Equivalent forms are read alike: numbers as JSON numbers or as text, decimal or `0x`; digits with
or without leading zeros; a meter by its MeterPAN or its DRN; hex in either case; tokens with or
without spaces.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil
from typing import Final, TypeVar

from vending.sts.amount import CURRENCY_UNITS_PER_ONE, encode_transfer_amount
from vending.sts.apdu import CURRENCY_SUBCLASSES, build_management_token
from vending.sts.codec import decode, encode
from vending.sts.digits import require_digits, ungroup_digits
from vending.sts.dkga import derive_decoder_key
from vending.sts.errors import FieldFormatError, FieldRangeError, STSError, VectorError
from vending.sts.key_change import (
    KeyChange,
    assemble_key_change,
    build_sections,
    describe_key_change,
    require_section_count,
)
from vending.sts.keys import (
    SGC,
    TI,
    DecoderKey,
    EncryptionAlgorithm,
    KeyAttributes,
    KeyDerivation,
    KeyType,
    VendingKey,
)
from vending.sts.pan import PAN_DIGIT_COUNT, parse_meter
from vending.sts.results import Rejection
from vending.sts.tcdu import TOKEN_DIGIT_COUNT, TokenDigits
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import (
    InitiateMeterTest,
    Resource,
    SectionToken,
    Token,
    TransferCredit,
    TransferCurrency,
    as_received,
    layout_of,
)

_T = TypeVar("_T")

PUBLISHED_RND: Final = "5"
"""The published tokens fix the random field at 5; a vector without `rnd` means that."""

_AMOUNT_CODED_SUBCLASSES: Final = (0, 6)
_CLEAR_TAMPER: Final = 5
_FOUR_DIGIT_SUBCLASS: Final = 1
_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}
_DECIMAL: Final = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_HEX: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,64})")
_FRACTION: Final = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_REFUSAL_FIELDS: Final = ("expect", "expected", "refusal", "error")


@dataclass(frozen=True, slots=True)
class VectorOutcome:
    """How one vector fared.

    `expected` and `got` are its digits, one string a token; either is empty where the vector
    could not be read so far. `message` is empty when it passed, and else says what to do.
    """

    id: str
    kind: str
    passed: bool
    expected: tuple[str, ...] = ()
    got: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    """A vector, read: these tokens under this key must give these digits."""

    tokens: tuple[Token, ...]
    key: DecoderKey | None
    expected: tuple[TokenDigits, ...]
    change: KeyChange | None = None


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a vector; every complaint about one names the vector and the field."""

    vector: str
    values: Mapping[str, object]

    def read(self, name: str, parse: Callable[[str], _T], default: str | None = None) -> _T:
        """Return a field, parsed from its text; `default` stands in for a missing one."""
        value = self.values.get(name, default)
        match value:
            case None:
                raise self.complaint(
                    name=name, problem="it is missing; every vector of this kind has it"
                )
            case Mapping() | list():
                raise self.complaint(name=name, problem="write a number or a text")
            case _:
                text = str(value).strip()
        try:
            return parse(text)
        except STSError as error:
            raise self.complaint(name=name, problem=f"{error}. {error.remedy}") from error

    def read_digits(self, name: str, count: int, parse: Callable[[str], _T]) -> _T:
        """Return a field of `count` digits; as a JSON number it has lost its leading zeros."""
        value = self.values.get(name)
        is_number = isinstance(value, int)
        return self.read(name, lambda text: parse(text.zfill(count) if is_number else text))

    def inside(self, name: str) -> "_Fields":
        """Return the fields of an object in this one; what it lacks is taken from around it."""
        inner = self.values.get(name)
        if not isinstance(inner, Mapping):
            raise self.complaint(name=name, problem="write an object with the fields of the key")
        return _Fields(self.vector, {**self.values, **inner})

    def complaint(self, *, name: str, problem: str) -> VectorError:
        """Return an error about a field, to be raised."""
        return VectorError(vector=self.vector, field=name, problem=problem)


def check_document(document: object) -> Iterator[VectorOutcome]:
    """Yield the outcome of every vector of a file, in its order; `document` is parsed JSON.

    Raises:
        VectorError: The document has no list of vectors.
    """
    for number, vector in enumerate(list_vectors(document), start=1):
        yield check_vector(vector, number=number)


def list_vectors(document: object) -> list[object]:
    """Return the vectors of a file: its `vectors`, or the document if it is a list itself.

    Raises:
        VectorError: There is no list of vectors, or it is empty.
    """
    vectors = document.get("vectors") if isinstance(document, Mapping) else document
    if not isinstance(vectors, list) or not vectors:
        raise VectorError(
            vector="(file)",
            field="vectors",
            problem='write {"vectors": [ ... ]} with at least one vector in it',
        )
    return vectors


def check_vector(vector: object, *, number: int = 1) -> VectorOutcome:
    """Return the outcome of one vector; `number` names it where it has no id of its own."""
    if not isinstance(vector, Mapping):
        return VectorOutcome(
            f"number {number}", "unknown", passed=False, message="write an object of fields"
        )
    fields = _Fields(_printable(vector.get("id", f"number {number}")), vector)
    kind = _printable(vector.get("kind"))
    try:
        case = _read_case(fields, kind)
        got = tuple(encode(token, case.key) for token in case.tokens)
    except VectorError as error:
        return VectorOutcome(fields.vector, kind, passed=False, message=str(error))
    except STSError as error:
        message = f"vector {fields.vector}: {error}. {error.remedy}"
        return VectorOutcome(fields.vector, kind, passed=False, message=message)
    message = _compare(case, got)
    return VectorOutcome(
        fields.vector, kind, passed=not message, expected=case.expected, got=got, message=message
    )


def _printable(name: object) -> str:
    """Return a name out of a file as it is printed: it stays on its line, and moves no cursor."""
    text = str(name)
    return text if text.isprintable() else ascii(text)


def _compare(case: _Case, got: tuple[TokenDigits, ...]) -> str:
    """Return what differs between a vector and what came of it; empty: nothing."""
    if got != case.expected:
        return f"encoded {' '.join(got)}, expected {' '.join(case.expected)}"
    decoded = tuple(decode(digits, case.key) for digits in got)
    if decoded != tuple(map(as_received, case.tokens)):
        return f"decoded {decoded}, encoded {case.tokens}"
    if case.change is not None:
        sections = [token for token in decoded if isinstance(token, SectionToken)]
        if assemble_key_change(sections, case.change.key.ea) != case.change:
            return "the sections do not make the new key and its attributes"
    return ""


def _read_case(fields: _Fields, kind: str) -> _Case:
    for name in _REFUSAL_FIELDS:
        if name in fields.values:
            raise fields.complaint(
                name=name, problem="vectors of this form name tokens, not refusals"
            )
    read = _KINDS.get(kind)
    if read is None:
        raise fields.complaint(name="kind", problem=f"{kind!r} is not one of {', '.join(_KINDS)}")
    return read(fields)


def _read_credit(fields: _Fields) -> _Case:
    """Read a credit in units of 0.1, or, by its subclass, in currency."""
    if fields.read("subclass", _number) in CURRENCY_SUBCLASSES:
        return _read_currency(fields)
    key, attributes = _read_key(fields)
    token = TransferCredit(
        resource=fields.read("subclass", _resource),
        rnd=fields.read("rnd", _number, PUBLISHED_RND),
        tid=_read_tid(fields, attributes.base_date),
        units=ceil(fields.read("units", _fraction)),
    )
    return _Case((token,), key, _read_token(fields))


def _read_currency(fields: _Fields) -> _Case:
    key, attributes = _read_key(fields)
    token = TransferCurrency(
        resource=fields.read("subclass", _currency_resource),
        tid=_read_tid(fields, attributes.base_date),
        amount=ceil(fields.read("units", _fraction) * CURRENCY_UNITS_PER_ONE),
    )
    return _Case((token,), key, _read_token(fields))


def _read_management(fields: _Fields) -> _Case:
    """Read a class 2 token that carries a TID; `value` gives its last 16 bits.

    A value that is amount-coded is the number to be coded, else the bits themselves.
    """
    subclass = fields.read("subclass", _number)
    is_coded = fields.read(
        "value_is_amount_coded", _flag, "1" if subclass in _AMOUNT_CODED_SUBCLASSES else "0"
    )
    value = fields.read("value", _number, "0" if subclass == _CLEAR_TAMPER else None)
    key, attributes = _read_key(fields)
    token = build_management_token(
        subclass,
        rnd=fields.read("rnd", _number, PUBLISHED_RND),
        tid=_read_tid(fields, attributes.base_date),
        value=encode_transfer_amount(value) if is_coded else value,
    )
    if isinstance(token, Rejection):
        raise fields.complaint(
            name="subclass",
            problem=f"a meter answers {token.result} to subclass {subclass}, value {value}",
        )
    return _Case((token,), key, _read_token(fields))


def _read_key_change(fields: _Fields) -> _Case:
    """Read a key change; no rule on key types is applied, since the digits are what counts."""
    old_key, old = _read_key(fields.inside("old"))
    new_key, new = _read_key(fields.inside("new"))
    is_rollover = fields.read("rollover", _flag, str(int(old.base_date is not new.base_date)))
    change = describe_key_change(
        new,
        new_key=new_key,
        new_ti=fields.inside("new").read("tariff_index", _ti),
        rollover=is_rollover,
    )
    tokens = fields.values.get("tokens")
    if not isinstance(tokens, list):
        raise fields.complaint(
            name="tokens", problem="write a list of the sections' tokens, 1st first"
        )
    require_section_count(new_key.ea, len(tokens))
    expected = tuple(
        _Fields(fields.vector, {"tokens": token}).read_digits("tokens", TOKEN_DIGIT_COUNT, _token)
        for token in tokens
    )
    return _Case(build_sections(change), old_key, expected, change)


def _read_class1(fields: _Fields) -> _Case:
    subclass = fields.read("subclass", _number)
    is_hex_text = isinstance(fields.values.get("control"), str)
    token = InitiateMeterTest(
        control=fields.read("control", _hexadecimal if is_hex_text else _number),
        manufacturer=fields.read("manufacturer", _number, "0"),
        manufacturer_digits=fields.read(
            "manufacturer_digits", _number, "4" if subclass == _FOUR_DIGIT_SUBCLASS else "2"
        ),
    )
    if layout_of(token).subclass != subclass:
        raise fields.complaint(
            name="subclass",
            problem="write 0 for a 2-digit manufacturer code, 1 for one of 4 digits",
        )
    return _Case((token,), None, _read_token(fields))


_KINDS: Final[Mapping[str, Callable[[_Fields], _Case]]] = {
    "credit": _read_credit,
    "management": _read_management,
    "key_change": _read_key_change,
    "currency": _read_currency,
    "class1": _read_class1,
}


def _read_key(fields: _Fields) -> tuple[DecoderKey, KeyAttributes]:
    """Read the vending key and derive the meter's decoder key from it."""
    attributes = KeyAttributes(
        sgc=fields.read("sgc", _sgc),
        kt=fields.read("key_type", lambda text: KeyType(_number(text))),
        krn=fields.read("key_revision", _number),
        ken=fields.read("key_expiry", _number),
        base_date=fields.read("base_date", lambda text: BaseDate(_number(text))),
        dkga=fields.read("dkga", lambda text: KeyDerivation(_number(text))),
    )
    vending_key = VendingKey(attributes, fields.read("vending_key", _key_material))
    decoder_key = derive_decoder_key(
        vending_key,
        pan=fields.read_digits("pan", PAN_DIGIT_COUNT, parse_meter),
        ti=fields.read("tariff_index", _ti),
        ea=fields.read("ea", lambda text: EncryptionAlgorithm(_number(text))),
    )
    return decoder_key, attributes


def _read_tid(fields: _Fields, base_date: BaseDate) -> TokenIdentifier:
    return fields.read("issued", lambda text: TokenIdentifier.at(_instant(text), base_date))


def _read_token(fields: _Fields) -> tuple[TokenDigits, ...]:
    return (fields.read_digits("token", TOKEN_DIGIT_COUNT, _token),)


def _number(text: str) -> int:
    # In decimal, or in hex after 0x.
    if text[:2].lower() == "0x":
        return _hexadecimal(text)
    if not _DECIMAL.fullmatch(text):
        raise FieldFormatError(field="number", given=text, wanted="decimal digits, or 0x and hex")
    return int(text)


def _hexadecimal(text: str) -> int:
    if not _HEX.fullmatch(text):
        raise FieldFormatError(field="number", given=text, wanted="hex digits, with or without 0x")
    return int(text, 16)


def _fraction(text: str) -> Fraction:
    if not _FRACTION.fullmatch(text):
        raise FieldFormatError(field="amount", given=text, wanted="a number such as 1, 0.5 or -1")
    return Fraction(text)


def _flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise FieldFormatError(field="flag", given=text, wanted="true, false, 1 or 0")
    return _FLAGS[text.lower()]


def _resource(text: str) -> Resource:
    return Resource(_number(text))


def _currency_resource(text: str) -> Resource:
    subclass = _number(text)
    if subclass not in CURRENCY_SUBCLASSES:
        raise FieldRangeError(field="subclass", given=subclass, allowed="4 to 7 for currency")
    return Resource(subclass - CURRENCY_SUBCLASSES.start)


def _sgc(text: str) -> SGC:
    return SGC(text.zfill(6))


def _ti(text: str) -> TI:
    return TI(text.zfill(2))


def _key_material(text: str) -> bytes:
    # The complaint does not repeat the key.
    match = _HEX.fullmatch(ungroup_digits(text))
    if match is None or len(match[1]) % 2:
        given = f"of {len(text)} characters"
        raise FieldFormatError(field="key", given=given, wanted="an even count of hex digits")
    return bytes.fromhex(match[1])


def _instant(text: str) -> datetime:
    # A time without a zone is in UTC.
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise FieldFormatError(
            field="time", given=text, wanted="a UTC time such as 2014-03-01 13:00"
        ) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _token(text: str) -> TokenDigits:
    digits = ungroup_digits(text)
    require_digits("token", digits, (TOKEN_DIGIT_COUNT,))
    return TokenDigits(digits)
