"""What custody of keys refuses, and why.

VendingError
├── IssuingStoppedError        a kill switch stands on stop
├── CeilingReachedError        the key has issued its share of the day
├── StopNotFoundError, StopReleasedError
├── CeilingInvalidError
├── CeremonyNotFoundError, CeremonyEndedError, CeremonyExpiredError
├── CeremonyIncompleteError, CeremonyCompleteError, ComponentNumberError
├── CheckValueMissingError
├── ApprovalWantedError, TargetInvalidError
└── CustodianRepeatedError     one person, two components
"""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError


class IssuingStoppedError(VendingError):
    """Somebody stopped issuing for this key, supply group, partner or outlet."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "issuing_stopped"
    remedy: ClassVar[str] = (
        "Ask the utility; once two people there release the switch, the same request passes."
    )
    retryable: ClassVar[bool] = True

    def __init__(self, scope: str) -> None:
        super().__init__(f"issuing is stopped for this {scope.replace('-', ' ')}", scope=scope)


class CeilingReachedError(VendingError):
    """A key has issued what it may in a day; how much that is, is for the utility to know."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "ceiling_reached"
    remedy: ClassVar[str] = (
        "Tell the utility; the same request passes once the ceiling is raised, or the next day."
    )
    retryable: ClassVar[bool] = True

    def __init__(self, register: str, use_class: str, measure: str) -> None:
        self.register = register
        self.use_class = use_class
        self.measure = measure
        super().__init__(f"the day's ceiling in {measure} is reached", measure=measure)


class StopNotFoundError(VendingError):
    """No switch was ever stopped under this id."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    code: ClassVar[str] = "stop_not_found"
    remedy: ClassVar[str] = "List the switches with `vending switches list`."

    def __init__(self) -> None:
        super().__init__("no switch was stopped under this id")


class StopReleasedError(VendingError):
    """The switch was released already."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "stop_released"
    remedy: ClassVar[str] = "Nothing needs to be done: issuing goes on."

    def __init__(self) -> None:
        super().__init__("the switch was released already")


class TargetInvalidError(VendingError):
    """A switch names something that none can stand for."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "stop_target_invalid"
    remedy: ClassVar[str] = (
        "Name a key as SGC/KRN/TYPE, a supply group of 6 digits, a partner by its id, or an "
        "outlet together with its partner."
    )

    def __init__(self, scope: str) -> None:
        super().__init__(f"this names no {scope.replace('-', ' ')}", scope=scope)


class CeilingInvalidError(VendingError):
    """A ceiling is negative, or in a currency that is none."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "ceiling_invalid"
    remedy: ClassVar[str] = "Give whole numbers from 0; leave out what shall have no ceiling."

    def __init__(self, measure: str) -> None:
        super().__init__(f"the ceiling in {measure} is no whole number from 0", measure=measure)


class ApprovalWantedError(VendingError):
    """One person may lower a ceiling; raising it takes two."""

    kind: ClassVar[ErrorKind] = ErrorKind.FORBIDDEN
    code: ClassVar[str] = "ceiling_needs_approval"
    remedy: ClassVar[str] = "Ask for an approval, and set the ceiling under it."

    def __init__(self) -> None:
        super().__init__("a ceiling is raised or lifted by two people")


class CeremonyNotFoundError(VendingError):
    """No ceremony has this id."""

    kind: ClassVar[ErrorKind] = ErrorKind.NOT_FOUND
    code: ClassVar[str] = "ceremony_not_found"
    remedy: ClassVar[str] = "List the ceremonies with `vending keys ceremony list`."

    def __init__(self) -> None:
        super().__init__("there is no key ceremony of this id")


class CeremonyEndedError(VendingError):
    """The ceremony was finished or aborted."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "ceremony_ended"
    remedy: ClassVar[str] = "Begin another ceremony if the key is still to be brought in."

    def __init__(self, state: str) -> None:
        super().__init__(f"the key ceremony is {state}", state=state)


class CeremonyExpiredError(VendingError):
    """The ceremony took longer than a day; its components are gone."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "ceremony_expired"
    remedy: ClassVar[str] = "Begin another ceremony, and enter all components again."

    def __init__(self) -> None:
        super().__init__("the key ceremony has expired")


class CeremonyIncompleteError(VendingError):
    """Not every custodian has entered a component yet."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "ceremony_incomplete"
    remedy: ClassVar[str] = "Let the other custodians enter their components first."

    def __init__(self, *, entered: int, wanted: int) -> None:
        super().__init__(
            f"{entered} of {wanted} components are entered", entered=entered, wanted=wanted
        )


class CeremonyCompleteError(VendingError):
    """Every component was entered already."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "ceremony_complete"
    remedy: ClassVar[str] = "Ask for the approval, and finish the ceremony."

    def __init__(self) -> None:
        super().__init__("every component of the key ceremony is entered")


class ComponentNumberError(VendingError):
    """The ceremony wants no component of this number, or has it."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "ceremony_component_number"
    remedy: ClassVar[str] = "Look with `vending keys ceremony show` which components are missing."

    def __init__(self, number: int, *, count: int) -> None:
        super().__init__(f"component {number} of {count} is not wanted", number=number, count=count)


class CustodianRepeatedError(VendingError):
    """The same person, by this account or another one, has entered a component already."""

    kind: ClassVar[ErrorKind] = ErrorKind.FORBIDDEN
    code: ClassVar[str] = "custodian_repeated"
    remedy: ClassVar[str] = "Each component is entered by another person, signed in as themselves."

    def __init__(self) -> None:
        super().__init__("this person has entered a component of the key already")


class CheckValueMissingError(VendingError):
    """A component, or the key, comes without its check value."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "key_check_value_missing"
    remedy: ClassVar[str] = "Enter the 6 hexadecimal digits of the check value from the form."

    def __init__(self) -> None:
        super().__init__("a key ceremony wants every check value")
