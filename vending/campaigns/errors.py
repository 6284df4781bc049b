"""What a campaign is refused for.

VendingError
├── CampaignNotFoundError        no campaign has this id
├── CampaignInvalidError         a field of a campaign is outside its limits
├── CampaignStateError           its state does not allow this
├── CampaignEmptyError           no meter fits its filter, or none could change
├── RegisterMovedError           meters came or went while they were chosen
├── CampaignOvertakenError       another start, or its end, came in between
├── CampaignMeterNotFoundError   the meter has no part in it
├── CampaignMeterStateError      the meter's state in it does not allow this
├── NothingToPrintError          no set waits to be printed
└── TokenUnreadableError         neither the old key nor the new one reads the token
"""

from vending.errors import ErrorKind, VendingError
from vending.values.identifiers import CampaignId


class CampaignNotFoundError(VendingError):
    """No campaign has this id."""

    kind = ErrorKind.NOT_FOUND
    code = "campaign_not_found"
    remedy = "List the campaigns and take the id from there."

    def __init__(self, campaign_id: CampaignId) -> None:
        super().__init__(f"there is no campaign {campaign_id}", campaign_id=str(campaign_id))


class CampaignInvalidError(VendingError):
    """A field of a campaign is outside its limits, or fields contradict each other."""

    kind = ErrorKind.INVALID
    code = "campaign_invalid"
    remedy = "Correct the field named and try again."

    def __init__(self, *, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}", field=field, wanted=wanted)


class CampaignStateError(VendingError):
    """A campaign is in a state from which this step does not lead on."""

    kind = ErrorKind.CONFLICT
    code = "campaign_state"
    remedy = "Read the campaign again; the page of its states shows what may follow."

    def __init__(self, campaign_id: CampaignId, *, state: str, target: str) -> None:
        super().__init__(
            f"campaign {campaign_id} is {state} and cannot become {target}",
            campaign_id=str(campaign_id),
            state=state,
            target=target,
        )


class CampaignEmptyError(VendingError):
    """No meter of the register fits the campaign's filter."""

    kind = ErrorKind.REFUSED
    code = "campaign_empty"
    remedy = "Run the dry run, and plan a campaign whose filter finds the meters you mean."

    def __init__(self, campaign_id: CampaignId) -> None:
        super().__init__(f"campaign {campaign_id} finds no meter", campaign_id=str(campaign_id))


class RegisterMovedError(VendingError):
    """Meters were registered or changed while those of a campaign were chosen."""

    kind = ErrorKind.CONFLICT
    code = "register_moved"
    remedy = "Start the campaign again; if its meters are not those approved, propose it anew."
    retryable = True

    def __init__(self, campaign_id: CampaignId) -> None:
        super().__init__(
            f"the register changed while the meters of campaign {campaign_id} were chosen",
            campaign_id=str(campaign_id),
        )


class CampaignOvertakenError(VendingError):
    """Another start of the draft took over while this one chose meters, or the draft was ended."""

    kind = ErrorKind.CONFLICT
    code = "campaign_overtaken"
    remedy = "Read the campaign again; if it is still a draft, start it once more."

    def __init__(self, campaign_id: CampaignId) -> None:
        super().__init__(
            f"somebody else went on with campaign {campaign_id}", campaign_id=str(campaign_id)
        )


class CampaignMeterNotFoundError(VendingError):
    """The meter has no part in the campaign."""

    kind = ErrorKind.NOT_FOUND
    code = "campaign_meter_not_found"
    remedy = "Check the meter's number; the report lists the meters of a campaign."

    def __init__(self, drn: str) -> None:
        super().__init__(f"meter {drn} has no part in this campaign", drn=drn)


class CampaignMeterStateError(VendingError):
    """What was noted of a meter does not follow from where it stands in its campaign."""

    kind = ErrorKind.CONFLICT
    code = "campaign_meter_state"
    remedy = "Read the meter's steps in the campaign; it may have been settled meanwhile."

    def __init__(self, drn: str, *, state: str, target: str) -> None:
        super().__init__(
            f"meter {drn} is {state} in this campaign and cannot become {target}",
            drn=drn,
            state=state,
            target=target,
        )


class NothingToPrintError(VendingError):
    """No set of the campaign waits to be carried out by people, or none at that place."""

    kind = ErrorKind.REFUSED
    code = "nothing_to_print"
    remedy = "Look at the campaign's counts; ask for another place, or for all."

    def __init__(self, campaign_id: CampaignId) -> None:
        super().__init__(
            f"campaign {campaign_id} has no set to print there", campaign_id=str(campaign_id)
        )


class TokenUnreadableError(VendingError):
    """Neither the meter's old key nor its new one reads the token."""

    kind = ErrorKind.REFUSED
    code = "token_unreadable"
    remedy = "Check the digits and the meter's number; the token may be of another meter."

    def __init__(self, drn: str) -> None:
        super().__init__(f"no key of meter {drn} reads this token", drn=drn)
