"""What the meter register refuses.

VendingError
├── MeterInvalidError               a field breaks a limit
├── MeterNumberInvalidError         not 11, 13 or 18 digits, or no meter's
├── MeterCheckDigitError            a mistyped number; names the likely digit
├── LeadingZeroLostError            a spreadsheet dropped the zeros in front
├── MeterNotFoundError              no meter has this number
├── MeterAlreadyRegisteredError     a meter has this number already
├── MeterNotVendableError           no sale in the meter's present state
├── MeterTransitionError            no way from one state to the other
└── TIDNotRaisedError               a last TID may only rise
"""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError


class MeterInvalidError(VendingError):
    """A meter has a field that its limits do not allow."""

    kind = ErrorKind.INVALID
    code = "meter_invalid"
    remedy: ClassVar[str] = "Correct the named field and try again."

    def __init__(self, *, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}", field=field, wanted=wanted)


class MeterNumberInvalidError(VendingError):
    """A text is no meter number."""

    kind = ErrorKind.INVALID
    code = "meter_number_invalid"
    remedy: ClassVar[str] = "Enter the 11 or 13 digits printed on the meter, or its 18 digits."

    def __init__(self, given: str) -> None:
        shown = given[:20]
        super().__init__(
            f"{shown!r} ({len(given)} characters) is no meter number: 11, 13 or 18 digits are "
            "expected",
            given=shown,
            length=len(given),
        )


class MeterCheckDigitError(VendingError):
    """The last digit of a meter number does not follow from the others."""

    kind = ErrorKind.INVALID
    code = "meter_check_digit"
    remedy: ClassVar[str] = "Compare the number with the meter's face, digit by digit."

    def __init__(self, given: str, likely_digit: str) -> None:
        super().__init__(
            f"{given} ends in {given[-1]}, the other digits call for {likely_digit}; one of them "
            "was mistyped",
            given=given,
            likely_digit=likely_digit,
        )


class LeadingZeroLostError(VendingError):
    """A meter number is short by the zeros that a spreadsheet dropped."""

    kind = ErrorKind.INVALID
    code = "leading_zero_lost"
    remedy: ClassVar[str] = "Format the column as text before entering the numbers."

    def __init__(self, given: str, likely: str) -> None:
        super().__init__(
            f"{given} has {len(given)} digits where {len(likely)} are expected; a spreadsheet "
            f"drops zeros in front, so it was perhaps {likely}",
            given=given,
            likely=likely,
        )


class MeterNotFoundError(VendingError):
    """No meter has this number."""

    kind = ErrorKind.NOT_FOUND
    code = "meter_not_found"
    remedy: ClassVar[str] = "Check the number on the meter's face; the utility registers meters."

    def __init__(self, number: str) -> None:
        super().__init__(f"no meter {number}", number=number)


class MeterAlreadyRegisteredError(VendingError):
    """A meter with this number is in the register."""

    kind = ErrorKind.CONFLICT
    code = "meter_already_registered"
    remedy: ClassVar[str] = "Use the registered meter, or correct the number."

    def __init__(self, number: str) -> None:
        super().__init__(f"meter {number} is registered already", number=number)


class MeterNotVendableError(VendingError):
    """The meter is in a state in which nothing is sold to it."""

    kind = ErrorKind.REFUSED
    code = "meter_not_vendable"
    remedy: ClassVar[str] = "The utility commissions, unblocks or repairs the meter first."

    def __init__(self, number: str, state: str) -> None:
        super().__init__(f"meter {number} takes no sale: it is {state}", number=number, state=state)


class MeterTransitionError(VendingError):
    """A meter in this state may not go to that one."""

    kind = ErrorKind.REFUSED
    code = "meter_transition_refused"
    remedy: ClassVar[str] = "Go by way of one of the states that the answer allows."

    def __init__(self, *, origin: str, target: str, allowed: str) -> None:
        super().__init__(
            f"a meter that is {origin} does not become {target}; allowed: {allowed or 'none'}",
            origin=origin,
            target=target,
            allowed=allowed,
        )


class TIDNotRaisedError(VendingError):
    """A last TID was to be stored that is not above the one stored."""

    kind = ErrorKind.CONFLICT
    code = "tid_not_raised"
    remedy: ClassVar[str] = "Nothing was issued; send the request again."
    retryable = True

    def __init__(self, tid_count: int) -> None:
        super().__init__(f"one of {tid_count} last TIDs would not rise", tid_count=tid_count)
