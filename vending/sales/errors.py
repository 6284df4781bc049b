"""What a sale is refused for.

VendingError
├── IdempotencyKeyReusedError   the key was used with another body
├── SaleInFlightError           the key's first request is still being worked on
├── SaleUnknownError            the sale is open: it was begun and has no token yet
├── SaleNotAskedError           the security module was busy all the time: nothing was asked of it
├── MeterBusyError              another sale of this meter waits for the security module
├── QuoteNotFoundError, QuoteExpiredError, QuoteUsedError, QuoteChangedError
├── SaleNotFoundError
├── SaleNotReprintableError     the sale has no token
├── RefundInvalidError          the amount or the note of a refund is none
├── RefundTooLargeError         more would go back than the sale was
├── RefundKeyReusedError        the key of a refund was used for another one
├── SaleNotRefundableError      the sale has no token, so its money never came in
├── ReplacementRefusedError     the token may not be made again
├── ClockJumpedError            the clock disagrees with the last committed time
└── LaneFullError               more requests wait than can be answered soon
"""

from datetime import datetime

from vending.errors import ErrorKind, Outcome, VendingError
from vending.values.identifiers import QuoteId, SaleId, TokenId


class IdempotencyKeyReusedError(VendingError):
    """The key belongs to a request with another body."""

    kind = ErrorKind.MISMATCH
    code = "idempotency_key_reused"
    remedy = "Send the first body again to get its answer, or a new key for a new sale."

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used before with another body")


class SaleInFlightError(VendingError):
    """The first request under this key is not finished."""

    kind = ErrorKind.CONFLICT
    code = "sale_in_flight"
    remedy = "Wait a second and send the same request again with the same key."
    retryable = True
    outcome = Outcome.UNKNOWN

    def __init__(self) -> None:
        super().__init__("a request with this Idempotency-Key is being worked on")


class SaleUnknownError(VendingError):
    """The sale was begun and is not finished; it will be, with the same token."""

    kind = ErrorKind.UNAVAILABLE
    code = "sale_outcome_unknown"
    remedy = "Keep the customer's money and send the same request again with the same key."
    retryable = True
    outcome = Outcome.UNKNOWN

    def __init__(self, sale_id: SaleId) -> None:
        super().__init__(
            "the sale is begun and not finished; it is kept and will be finished",
            sale_id=str(sale_id),
        )


class SaleNotAskedError(VendingError):
    """Its turn at the security module never came, so the sale is over and nothing was sold."""

    kind = ErrorKind.REFUSED
    code = "security_module_not_asked"
    remedy = "Nothing was sold: sell again in a moment, with a new key."

    def __init__(self) -> None:
        super().__init__("others had the security module all the time; it was not asked")


class MeterBusyError(VendingError):
    """Another sale of the meter is open, so its credit cannot be counted yet."""

    kind = ErrorKind.UNAVAILABLE
    code = "meter_busy"
    remedy = "Send the same request again with the same key in a few seconds."
    retryable = True

    def __init__(self) -> None:
        super().__init__("another sale for this meter waits for the security module")


class QuoteNotFoundError(VendingError):
    """No quote of this partner has this id."""

    kind = ErrorKind.NOT_FOUND
    code = "quote_not_found"
    remedy = "Ask for a new quote."

    def __init__(self, quote_id: QuoteId) -> None:
        super().__init__("there is no such quote", quote_id=str(quote_id))


class QuoteExpiredError(VendingError):
    """The quote's time is over."""

    kind = ErrorKind.REFUSED
    code = "quote_expired"
    remedy = "Ask for a new quote, show it to the customer, and sell under it with a new key."

    def __init__(self, quote_id: QuoteId, expired_at: datetime) -> None:
        super().__init__(
            f"the quote held until {expired_at.isoformat()}",
            quote_id=str(quote_id),
            expired_at=expired_at.isoformat(),
        )


class QuoteUsedError(VendingError):
    """A sale was made under the quote before."""

    kind = ErrorKind.REFUSED
    code = "quote_used"
    remedy = "Ask for a new quote; a repeat of the first sale needs its own Idempotency-Key."

    def __init__(self, quote_id: QuoteId) -> None:
        super().__init__("a sale was made under this quote before", quote_id=str(quote_id))


class QuoteChangedError(VendingError):
    """The quote cannot be kept to the cent: body, credit or tariff differ from it."""

    kind = ErrorKind.REFUSED
    code = "quote_changed"
    remedy = "Ask for a new quote, show it to the customer, and sell under it with a new key."

    def __init__(self, quote_id: QuoteId, what: str) -> None:
        super().__init__(
            f"the {what} is no longer what was quoted", quote_id=str(quote_id), changed=what
        )


class SaleNotFoundError(VendingError):
    """No sale of this partner has this id or key."""

    kind = ErrorKind.NOT_FOUND
    code = "sale_not_found"
    remedy = "Check the id. A sale that was never made can be sent with its key."

    def __init__(self) -> None:
        super().__init__("there is no such sale")


class SaleNotReprintableError(VendingError):
    """The sale has no token to print."""

    kind = ErrorKind.REFUSED
    code = "sale_not_reprintable"
    remedy = "Send the sale's own request again with its key to finish it."

    def __init__(self, state: str) -> None:
        super().__init__(f"the sale is {state} and has no token", state=state)


class RefundInvalidError(VendingError):
    """The amount, the note or the key of a refund is none."""

    kind = ErrorKind.INVALID
    code = "refund_invalid"
    remedy = "Correct the field named and ask again."

    def __init__(self, *, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}", field=field, wanted=wanted)


class RefundTooLargeError(VendingError):
    """More would go back for a sale than its energy and VAT were."""

    kind = ErrorKind.REFUSED
    code = "refund_too_large"
    remedy = "Give back at most what is left of the sale."

    def __init__(self, amount_minor: int, left_minor: int) -> None:
        super().__init__(
            f"{amount_minor} is more than the {left_minor} left of the sale",
            amount_minor=amount_minor,
            left_minor=left_minor,
        )


class RefundKeyReusedError(VendingError):
    """The key belongs to another refund."""

    kind = ErrorKind.MISMATCH
    code = "refund_key_reused"
    remedy = "Look at the refunds of the sale; use a new key for another one."

    def __init__(self) -> None:
        super().__init__("this key was used before for another refund")


class SaleNotRefundableError(VendingError):
    """A sale without a token took no money."""

    kind = ErrorKind.REFUSED
    code = "sale_not_refundable"
    remedy = "Look at the sale: one without a token leaves the money with the partner."

    def __init__(self, state: str) -> None:
        super().__init__(f"the sale is {state}", state=state)


class ReplacementRefusedError(VendingError):
    """The token cannot be replaced, so that its units are not given twice."""

    kind = ErrorKind.REFUSED
    code = "replacement_refused"
    remedy = "Look at the token and its delivery; settle what is open first."

    def __init__(self, token_id: TokenId, why: str) -> None:
        super().__init__(f"token {token_id}: {why}", token_id=str(token_id), why=why)


class ClockJumpedError(VendingError):
    """The clock cannot be trusted, so no token may be dated."""

    kind = ErrorKind.UNAVAILABLE
    code = "clock_jumped"
    remedy = "Correct the clock, then run `vending doctor --confirm-clock`."
    retryable = True

    def __init__(self, now: datetime, seen_at: datetime) -> None:
        super().__init__(
            f"the clock says {now.isoformat()}, the last committed time was {seen_at.isoformat()}",
            now=now.isoformat(),
            seen_at=seen_at.isoformat(),
        )


class LaneFullError(VendingError):
    """More requests wait for this process than it could answer soon."""

    kind = ErrorKind.UNAVAILABLE
    code = "lane_full"
    remedy = "Wait a second, then send the same request again with the same key."
    retryable = True

    def __init__(self, queued_count: int) -> None:
        super().__init__(
            f"{queued_count} requests wait already; nothing happened", queued_count=queued_count
        )
