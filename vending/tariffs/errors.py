"""What the tariffs refuse.

VendingError
├── TariffInvalidError          a draft breaks a limit
├── TariffNotFoundError         no version of that code is effective
├── TariffDraftNotFoundError    no draft has this id
├── TariffDraftStateError       a draft was activated or withdrawn before
├── TariffBackdatedError        a version may not start in the past
├── TariffOverlapError          a version starts after the one before it
├── TariffCurrencyFixedError    the currency of a code never changes
├── AmountTooLowError           less than 0.1 kWh
├── AmountTooHighError          more than one token carries exactly enough
└── WrongCurrencyError          tendered in another currency than the tariff's
"""

from datetime import datetime
from typing import ClassVar

from vending.errors import ErrorKind, VendingError
from vending.values.identifiers import TariffDraftId
from vending.values.money import Currency, Money


class TariffInvalidError(VendingError):
    """A tariff has a field that its limits do not allow."""

    kind = ErrorKind.INVALID
    code = "tariff_invalid"
    remedy: ClassVar[str] = "Correct the named field and add the version again."

    def __init__(self, *, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}", field=field, wanted=wanted)


class TariffNotFoundError(VendingError):
    """No version of this tariff code is effective at the instant asked for."""

    kind = ErrorKind.NOT_FOUND
    code = "tariff_not_found"
    remedy: ClassVar[str] = "Add a version of the tariff, or wait until its first one starts."

    def __init__(self, tariff_code: str, at: datetime) -> None:
        super().__init__(
            f"tariff {tariff_code} has no version effective at {at.isoformat()}",
            tariff_code=tariff_code,
            at=at.isoformat(),
        )


class TariffDraftNotFoundError(VendingError):
    """No draft has this id."""

    kind = ErrorKind.NOT_FOUND
    code = "tariff_draft_not_found"
    remedy: ClassVar[str] = "List the drafts with `vending tariffs drafts` and take the id there."

    def __init__(self, draft_id: TariffDraftId) -> None:
        super().__init__(f"there is no tariff draft {draft_id}", draft_id=str(draft_id))


class TariffDraftStateError(VendingError):
    """A draft is a draft no more."""

    kind = ErrorKind.CONFLICT
    code = "tariff_draft_state"
    remedy: ClassVar[str] = "List the versions; draft the next one where this one is not wanted."

    def __init__(self, draft_id: TariffDraftId, state: str) -> None:
        super().__init__(f"tariff draft {draft_id} is {state}", draft_id=str(draft_id), state=state)


class TariffBackdatedError(VendingError):
    """A new version would start in the past, where sales may already stand."""

    kind = ErrorKind.CONFLICT
    code = "tariff_backdated"
    remedy: ClassVar[str] = "Let the version start now or later; past sales keep their price."

    def __init__(self, tariff_code: str, effective_from: datetime, now: datetime) -> None:
        super().__init__(
            f"tariff {tariff_code} may not start at {effective_from.isoformat()}: it is "
            f"{now.isoformat()} already",
            tariff_code=tariff_code,
            effective_from=effective_from.isoformat(),
            now=now.isoformat(),
        )


class TariffOverlapError(VendingError):
    """A new version would not start after the last one stored."""

    kind = ErrorKind.CONFLICT
    code = "tariff_overlap"
    remedy: ClassVar[str] = "Let the version start later than the last one stored."

    def __init__(self, tariff_code: str, effective_from: datetime, last: datetime) -> None:
        super().__init__(
            f"tariff {tariff_code} may not start at {effective_from.isoformat()}: its last "
            f"version starts at {last.isoformat()}",
            tariff_code=tariff_code,
            effective_from=effective_from.isoformat(),
            last_effective_from=last.isoformat(),
        )


class TariffCurrencyFixedError(VendingError):
    """A new version names another currency than the versions before it."""

    kind = ErrorKind.CONFLICT
    code = "tariff_currency_fixed"
    remedy: ClassVar[str] = "Use a new tariff code for another currency and move the meters to it."

    def __init__(self, tariff_code: str, given: Currency, fixed: Currency) -> None:
        super().__init__(
            f"tariff {tariff_code} is in {fixed}, not in {given}",
            tariff_code=tariff_code,
            given=given.code,
            fixed=fixed.code,
        )


class AmountTooLowError(VendingError):
    """The tender and the credit brought forward do not buy 0.1 kWh."""

    kind = ErrorKind.REFUSED
    code = "amount_too_low"
    remedy: ClassVar[str] = "Tender at least the minimum that the answer names."

    def __init__(self, tender: Money, minimum: Money) -> None:
        super().__init__(
            f"{tender} is too low: the minimum is {minimum}",
            tender_minor=tender.minor,
            minimum_minor=minimum.minor,
            currency=minimum.currency.code,
        )
        self.minimum = minimum


class AmountTooHighError(VendingError):
    """The amount buys more energy than one token codes to within 1 kWh."""

    kind = ErrorKind.REFUSED
    code = "amount_too_high"
    remedy: ClassVar[str] = "Tender at most the maximum that the answer names, in several sales."

    def __init__(self, tender: Money, maximum: Money) -> None:
        super().__init__(
            f"{tender} is too high for one token: the maximum is {maximum}",
            tender_minor=tender.minor,
            maximum_minor=maximum.minor,
            currency=maximum.currency.code,
        )
        self.maximum = maximum


class WrongCurrencyError(VendingError):
    """The amount is in another currency than the tariff of the meter."""

    kind = ErrorKind.REFUSED
    code = "wrong_currency"
    remedy: ClassVar[str] = "Tender in the currency of the meter's tariff."

    def __init__(self, given: Currency, wanted: Currency) -> None:
        super().__init__(
            f"the tariff is in {wanted}, not in {given}", given=given.code, wanted=wanted.code
        )
