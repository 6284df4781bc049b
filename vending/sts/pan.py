"""Numbers of a meter: DRN, IIN, IAIN, MeterPAN and the IDRecord (IEC 62055-41, MeterPAN).

    DRN, 11 digits   manufacturer 2, serial 8, check digit 1     under IIN 600727
    DRN, 13 digits   manufacturer 4, serial 8, check digit 1     under IIN 0000
    MeterPAN         IIN, IAIN (for meters the DRN), check digit: 18 digits in all

Both check digits are Luhn's (ISO/IEC 7812-1).
"""

from dataclasses import dataclass
from typing import Final, Self

from vending.sts.digits import require_digits, ungroup_digits
from vending.sts.ea import EncryptionAlgorithm
from vending.sts.errors import CheckDigitError, FieldRangeError, UnknownIINError
from vending.sts.keys import KRN_RANGE, SGC, TI
from vending.sts.tcdu import TokenCarrierType

PAN_DIGIT_COUNT: Final = 18
_IIN_BY_DRN_LENGTH: Final = {11: "600727", 13: "0000"}
_METER_NUMBER_LENGTHS: Final = (*_IIN_BY_DRN_LENGTH, PAN_DIGIT_COUNT)
_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED_DIGIT_SUMS: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
"""Every meter number that is read is checked twice: digits are looked up all at once."""
_DOE_UNUSED: Final = "0000"
_MONTHS: Final = range(1, 13)


def luhn_check_digit(digits: str) -> str:
    """Return the digit to append to these.

    From the right every other digit, the last one first, counts for the digit sum of its
    double; the check digit makes the total a multiple of ten.
    """
    octets = digits.encode("ascii")
    doubled = sum(octets[-1::-2].translate(_DOUBLED_DIGIT_SUMS))
    plain = sum(octets[-2::-2].translate(_PLAIN))
    return str(-(doubled + plain) % 10)


def _require_check_digit(subject: str, digits: str) -> None:
    expected = luhn_check_digit(digits[:-1])
    if digits[-1] != expected:
        raise CheckDigitError(subject=subject, given=digits[-1], expected=expected)


@dataclass(frozen=True, slots=True, order=True)
class DRN:
    """Decoder reference number: the 11 or 13 digits printed on the meter."""

    digits: str

    def __post_init__(self) -> None:
        require_digits("DRN", self.digits, tuple(_IIN_BY_DRN_LENGTH))
        _require_check_digit("DRN", self.digits)

    @property
    def manufacturer(self) -> str:
        """Return the manufacturer code, 2 or 4 digits."""
        return self.digits[:-9]

    @property
    def iin(self) -> str:
        """Return the issuer identification number that goes with its length."""
        return _IIN_BY_DRN_LENGTH[len(self.digits)]

    def __str__(self) -> str:
        return self.digits


@dataclass(frozen=True, slots=True, order=True)
class MeterPAN:
    """The 18 digits by which tokens know a meter."""

    digits: str

    def __post_init__(self) -> None:
        require_digits("MeterPAN", self.digits, (PAN_DIGIT_COUNT,))
        if not self.digits.startswith(tuple(_IIN_BY_DRN_LENGTH.values())):
            raise UnknownIINError(self.digits)
        _require_check_digit("MeterPAN", self.digits)
        _require_check_digit("DRN", self.iain)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the MeterPAN written as 18 digits; spaces and hyphens do not count.

        Raises:
            FieldFormatError: It is not 18 digits.
            UnknownIINError: It does not begin with a meter's IIN.
            CheckDigitError: A digit was mistyped.
        """
        return cls(ungroup_digits(text))

    @classmethod
    def from_drn(cls, digits: str) -> Self:
        """Return the MeterPAN of a DRN of 11 or 13 digits.

        Raises:
            FieldFormatError: It is neither 11 nor 13 digits.
            CheckDigitError: A digit was mistyped.
        """
        drn = DRN(digits)
        body = drn.iin + drn.digits
        return cls(body + luhn_check_digit(body))

    @property
    def iin(self) -> str:
        """Return the issuer identification number, 6 or 4 digits."""
        return self.digits[:6] if self.digits.startswith("6") else self.digits[:4]

    @property
    def iain(self) -> str:
        """Return the individual account identification number, 11 or 13 digits: the DRN."""
        return self.digits[len(self.iin) : -1]

    @property
    def drn(self) -> DRN:
        """Return the number printed on the meter."""
        return DRN(self.iain)

    def __str__(self) -> str:
        return self.digits


def parse_meter(text: str) -> MeterPAN:
    """Return the meter of a typed number: its DRN of 11 or 13 digits, or its MeterPAN of 18.

    Spaces and hyphens do not count.

    Raises:
        FieldFormatError: It is not 11, 13 or 18 digits.
        UnknownIINError: 18 digits that do not begin with a meter's IIN.
        CheckDigitError: A digit was mistyped; the error names the likely one.
    """
    digits = ungroup_digits(text)
    require_digits("meter number", digits, _METER_NUMBER_LENGTHS)
    return MeterPAN(digits) if len(digits) == PAN_DIGIT_COUNT else MeterPAN.from_drn(digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class IDRecord:
    """What a meter's identification card holds, 35 digits.

    `doe`, date of expiry, is `YYMM`, or `0000` where it is unused. `krn` is 1 to 9.
    """

    pan: MeterPAN
    doe: str = _DOE_UNUSED
    tct: TokenCarrierType
    ea: EncryptionAlgorithm
    sgc: SGC
    ti: TI
    krn: int

    def __post_init__(self) -> None:
        require_digits("DOE", self.doe, (4,))
        if self.doe != _DOE_UNUSED and int(self.doe[2:]) not in _MONTHS:
            raise FieldRangeError(field="DOE month", given=int(self.doe[2:]), allowed="1 to 12")
        if self.krn not in KRN_RANGE:
            raise FieldRangeError(field="KRN", given=self.krn, allowed="1 to 9")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the record of 35 digits: MeterPAN 18, DOE 4, TCT 2, EA 2, SGC 6, TI 2, KRN 1.

        Raises:
            FieldFormatError: It is not 35 digits.
            FieldRangeError: A field holds a number it does not know.
            UnknownIINError: The MeterPAN does not begin with a meter's IIN.
            CheckDigitError: A digit of the MeterPAN was mistyped.
            UnsupportedError: The algorithm is EA09.
        """
        digits = ungroup_digits(text)
        require_digits("IDRecord", digits, (35,))
        return cls(
            pan=MeterPAN(digits[:18]),
            doe=digits[18:22],
            tct=TokenCarrierType(int(digits[22:24])),
            ea=EncryptionAlgorithm(int(digits[24:26])),
            sgc=SGC(digits[26:32]),
            ti=TI(digits[32:34]),
            krn=int(digits[34]),
        )

    def __str__(self) -> str:
        return f"{self.pan}{self.doe}{self.tct:02}{self.ea:02}{self.sgc}{self.ti}{self.krn}"
