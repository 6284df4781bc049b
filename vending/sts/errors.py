"""Every reason for which this package refuses an argument (terms of IEC 62055-41).

    STSError                        code, remedy, facts
    ├── FieldFormatError            a text is not written as the field asks
    ├── FieldRangeError             a number does not fit its field
    ├── CheckDigitError             a mistyped MeterPAN or DRN; names the likely digit
    ├── UnknownIINError             a MeterPAN that is no meter's
    ├── AmountTooLargeError         more than one token can carry
    ├── NegativeAmountError         a credit below zero, outside currency tokens
    ├── BeforeBaseDateError         a time of issue before the base date
    ├── TIDExhaustedError           the 24 bits of the TID have run out
    ├── TIDAheadError               the next TID would run ahead of the clock
    ├── KeyLengthError              key material of the wrong size
    ├── KeyRequiredError            an encrypted token, and no decoder key
    ├── UnsupportedError            refused by name: a form that no vector settles
    ├── KeyTypeChangeError          a key type that may not become another
    ├── CarrierError                a common key off a magnetic card
    ├── SectionSetError             sections that do not make a key-change set
    ├── ModuleFrameError            a damaged or foreign line from a security module
    ├── ModuleRefusedError          a security module said no; carries its status
    └── VectorError                 a conformance vector that cannot be read

A meter that refuses a token raises nothing: its answer is data, see `vending.sts.results`.
No message carries key material.
"""

from enum import Enum
from typing import ClassVar

Fact = str | int | None


class STSError(Exception):
    """One refusal: a stable `code`, the facts behind it, and what to do about it."""

    code: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, message: str, **facts: Fact) -> None:
        super().__init__(message)
        self.facts = facts


class FieldFormatError(STSError):
    """A text is not written in the form its field asks for."""

    code = "sts_field_format"
    remedy = "Write the field in the form the message names."

    def __init__(self, *, field: str, given: str, wanted: str) -> None:
        super().__init__(
            f"{field} {given!r} is not {wanted}", field=field, given=given, wanted=wanted
        )


class FieldRangeError(STSError):
    """A number does not fit its field."""

    code = "sts_field_range"
    remedy = "Give a number within the limits the message names."

    def __init__(self, *, field: str, given: int | str, allowed: str) -> None:
        super().__init__(
            f"{field} {given} is not within {allowed}", field=field, given=given, allowed=allowed
        )


class CheckDigitError(STSError):
    """The last digit does not follow from the others: one of them was mistyped."""

    code = "sts_check_digit"
    remedy = "Compare the number with the meter's face, digit by digit."

    def __init__(self, *, subject: str, given: str, expected: str) -> None:
        super().__init__(
            f"{subject} ends in check digit {given}; the other digits call for {expected}",
            subject=subject,
            given=given,
            expected=expected,
        )
        self.given = given
        self.expected = expected


class UnknownIINError(STSError):
    """A MeterPAN begins with neither `600727` nor `0000`."""

    code = "sts_unknown_iin"
    remedy = "A meter's 18 digits begin with 600727 or 0000; enter the 11 or 13 digits printed."

    def __init__(self, digits: str) -> None:
        super().__init__(
            f"MeterPAN {digits} begins with neither 600727 nor 0000, so it is no meter's",
            digits=digits,
        )


class AmountTooLargeError(STSError):
    """An amount is more than one token can carry."""

    code = "sts_amount_too_large"
    remedy = "Sell the amount as several tokens."

    def __init__(self, *, units: int, largest: int) -> None:
        super().__init__(
            f"{units} units are more than the {largest} that one token carries",
            units=units,
            largest=largest,
        )


class NegativeAmountError(STSError):
    """An amount below zero, which only a currency token can carry."""

    code = "sts_amount_negative"
    remedy = "Take credit away with a ClearCredit token."

    def __init__(self, *, units: int) -> None:
        super().__init__(f"{units} units are less than nothing", units=units)


class BeforeBaseDateError(STSError):
    """A time of issue lies before the base date, so it has no TID."""

    code = "sts_before_base_date"
    remedy = "Set the clock, or use a key of an earlier base date."

    def __init__(self, *, instant: str, base_year: int) -> None:
        super().__init__(
            f"{instant} is before the base date of {base_year}",
            instant=instant,
            base_year=base_year,
        )


class TIDExhaustedError(STSError):
    """The 24 bits of the token identifier have run out under this base date."""

    code = "sts_tid_exhausted"
    remedy = "Change the meter to a key with a later base date."

    def __init__(self, *, minutes: int, base_year: int) -> None:
        super().__init__(
            f"{minutes} minutes since {base_year} do not fit the 24 bits of a TID",
            minutes=minutes,
            base_year=base_year,
        )


class TIDAheadError(STSError):
    """The meter has had so many tokens that the next TID would run ahead of the clock."""

    code = "sts_tid_ahead"
    remedy = "Wait until the clock has caught up, or sell one larger token."

    def __init__(self, *, ahead_min: int, limit_min: int) -> None:
        super().__init__(
            f"the next TID would be {ahead_min} minutes ahead of the clock; "
            f"the limit is {limit_min}",
            ahead_min=ahead_min,
            limit_min=limit_min,
        )


class KeyLengthError(STSError):
    """Key material of a size that its algorithm does not take."""

    code = "sts_key_length"
    remedy = "Load the key again, every hexadecimal digit of it."

    def __init__(self, *, subject: str, given_bytes: int, wanted_bytes: int) -> None:
        super().__init__(
            f"{subject} takes {wanted_bytes} bytes of key, not {given_bytes}",
            subject=subject,
            given_bytes=given_bytes,
            wanted_bytes=wanted_bytes,
        )


class KeyRequiredError(STSError):
    """A token of class 0 or 2 is encrypted, and no decoder key was given."""

    code = "sts_key_required"
    remedy = "Give the meter's decoder key; only class 1 tokens do without."

    def __init__(self, token_class: int) -> None:
        super().__init__(
            f"a token of class {token_class} is encrypted; a decoder key is needed",
            token_class=token_class,
        )


class Unsupported(Enum):
    """What exists and is refused by name, with the reason."""

    DKGA01 = "decoder key generation algorithm 01 is legacy; use 02 or 04"
    DKGA03 = "decoder key generation algorithm 03 is legacy; use 02 or 04"
    EA09 = "encryption algorithm 09 (DEA) is legacy; use 07 (STA) or 11 (MISTY1)"
    DITK_DERIVATION = "an initialisation key is set by the meter's maker; it is not derived"
    DCTK_WITH_DKGA04 = "a common key under DKGA04 is settled by no published vector"
    EA11_WITH_DKGA02 = "DKGA02 gives 64 bits; the 128 of EA11 come from DKGA04 only"
    THREE_SECTION_SET = "a key-change set of three sections is settled by no published vector"
    CURRENCY_BY_MODULE = "how a security module takes currency amounts is not published"


class UnsupportedError(STSError):
    """A form that exists in the field, and that we refuse rather than guess."""

    code = "sts_unsupported"
    remedy = "Use one of the supported forms that the message names."

    def __init__(self, feature: Unsupported) -> None:
        super().__init__(f"{feature.name}: {feature.value}", feature=feature.name)
        self.feature = feature


class KeyTypeChangeError(STSError):
    """A decoder key of this type may not become one of that type."""

    code = "sts_key_type_change"
    remedy = "Change by way of a key type that both allow."

    def __init__(self, *, old: str, new: str) -> None:
        super().__init__(f"a {old} does not change to a {new}", old=old, new=new)


class CarrierError(STSError):
    """A common decoder key needs meters that read magnetic cards."""

    code = "sts_carrier"
    remedy = "Use a unique key for a meter with a keypad."

    def __init__(self, *, tct: int) -> None:
        super().__init__(
            f"a DCTK needs a magnetic card (TCT 01), not token carrier type {tct:02}", tct=tct
        )


class SectionSetError(STSError):
    """Key-change sections that do not make one set for the meter's algorithm."""

    code = "sts_section_set"
    remedy = "EA07 takes a set of two sections, EA11 a set of four, each section once."

    def __init__(self, *, ea: int, sections: str) -> None:
        super().__init__(
            f"sections {sections} are no key-change set for EA{ea:02}", ea=ea, sections=sections
        )


class ModuleFrameError(STSError):
    """A line on the security module's wire is damaged, foreign or too long.

    `status` is what a module answers to such a request.
    """

    code = "sts_module_frame"
    remedy = "Ask again: the same request gives the same token."

    def __init__(self, *, status: str, problem: str) -> None:
        super().__init__(f"security module line: {problem}", status=status, problem=problem)
        self.status = status


class ModuleRefusedError(STSError):
    """A security module answered a request with an error status."""

    code = "sts_module_refused"
    remedy = "Look up the status in the module's manual; the message gives its meaning."

    def __init__(self, *, status: str, meaning: str) -> None:
        super().__init__(
            f"the security module refused, status {status}: {meaning}",
            status=status,
            meaning=meaning,
        )
        self.status = status


class VectorError(STSError):
    """A conformance vector, or the file around it, cannot be read."""

    code = "sts_vector"
    remedy = "Correct the field that the message names."

    def __init__(self, *, vector: str, field: str, problem: str) -> None:
        super().__init__(
            f"vector {vector}, field {field}: {problem}",
            vector=vector,
            field=field,
            problem=problem,
        )
