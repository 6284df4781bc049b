"""What the making and the viewing of tokens outside a sale are refused for.

VendingError
├── TooManyTokensError          the meter's identifiers run too far ahead of the clock
├── BaseDateExhaustedError      the meter's base date has run out of identifiers
├── BaseDateNotStartedError     the meter's base date lies in the future
├── TokenNotFoundError          no token has this id
├── TokenOrderNotFoundError     no order has this id
├── TokenOrderRefusedError      the security module would not make the token of an order
├── TokenOrderUnknownError      the order is open: its token is not made yet, or may be
├── TokenRequestInvalidError    a value is outside what the token, or the utility, allows
├── MeterTakesNoTokenError      no household uses the meter, or it is not known to work
├── FreeUnitsLimitError         the meter has had its free units of this month
└── TokenReplacedError          another token took the place of this one before
"""

from vending.errors import ErrorKind, Outcome, VendingError
from vending.values.identifiers import TokenId, TokenOrderId


class TooManyTokensError(VendingError):
    """The meter's token identifiers would run further ahead of the clock than allowed."""

    kind = ErrorKind.TOO_MANY
    code = "too_many_tokens"
    remedy = "Wait some minutes and send the same request again with the same key."
    retryable = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class BaseDateExhaustedError(VendingError):
    """The base date of the meter's key counts no further."""

    kind = ErrorKind.REFUSED
    code = "base_date_exhausted"
    remedy = "Change the meter to a key with a later base date, then sell again."

    def __init__(self, base_year: int) -> None:
        super().__init__(
            f"token identifiers of base date {base_year} have run out", base_date=base_year
        )


class BaseDateNotStartedError(VendingError):
    """The base date of the meter's key lies in the future."""

    kind = ErrorKind.REFUSED
    code = "base_date_not_started"
    remedy = "Register the meter under the key it holds, or correct the clock."

    def __init__(self, base_year: int) -> None:
        super().__init__(
            f"token identifiers of base date {base_year} have not begun", base_date=base_year
        )


class TokenNotFoundError(VendingError):
    """No token has this id."""

    kind = ErrorKind.NOT_FOUND
    code = "token_not_found"
    remedy = "List the tokens of the meter with `vending tokens list` and take the id from there."

    def __init__(self, token_id: TokenId) -> None:
        super().__init__(f"there is no token {token_id}", token_id=str(token_id))


class TokenOrderNotFoundError(VendingError):
    """No order of a token has this id."""

    kind = ErrorKind.NOT_FOUND
    code = "token_order_not_found"
    remedy = "List the orders of the meter with `vending tokens list` and take the id from there."

    def __init__(self, order_id: TokenOrderId) -> None:
        super().__init__(f"there is no order {order_id}", order_id=str(order_id))


class TokenOrderRefusedError(VendingError):
    """The security module refused the token of an order for good; nothing was made."""

    kind = ErrorKind.REFUSED
    code = "token_order_refused"
    remedy = "Remove what the result names, then ask for a new approval and order again."

    def __init__(self, order_id: TokenOrderId, result_code: str) -> None:
        super().__init__(
            f"order {order_id} was refused: {result_code}",
            order_id=str(order_id),
            result_code=result_code,
        )


class TokenOrderUnknownError(VendingError):
    """The order was begun and is not finished; it will be, with the same token."""

    kind = ErrorKind.UNAVAILABLE
    code = "token_order_unknown"
    remedy = "Repeat the same order with the same approval; the token will be the same."
    retryable = True
    outcome = Outcome.UNKNOWN

    def __init__(self, order_id: TokenOrderId) -> None:
        super().__init__(
            f"order {order_id} is begun and not finished; it is kept and will be finished",
            order_id=str(order_id),
        )


class TokenRequestInvalidError(VendingError):
    """A value of an order is outside what its token or the utility allows."""

    kind = ErrorKind.INVALID
    code = "token_request_invalid"
    remedy = "Correct the value named and order again."

    def __init__(self, *, field: str, wanted: str) -> None:
        super().__init__(f"{field}: {wanted}", field=field, wanted=wanted)


class MeterTakesNoTokenError(VendingError):
    """The meter is in a state in which nobody can enter a token."""

    kind = ErrorKind.REFUSED
    code = "meter_takes_no_token"
    remedy = "Check the meter number, or bring the meter into use first."

    def __init__(self, drn: str, state: str) -> None:
        super().__init__(f"meter {drn} is {state} and takes no such token", drn=drn, state=state)


class FreeUnitsLimitError(VendingError):
    """The meter would get more free units in one month than the utility allows."""

    kind = ErrorKind.REFUSED
    code = "free_units_limit"
    remedy = "Give fewer units, or wait for the next month."

    def __init__(self, drn: str, *, given_wh: int, limit_wh: int) -> None:
        super().__init__(
            f"meter {drn} has had {given_wh} Wh of {limit_wh} Wh free this month",
            drn=drn,
            given_wh=given_wh,
            limit_wh=limit_wh,
        )


class TokenReplacedError(VendingError):
    """The token was replaced before: its place is taken, and a third would be one too many."""

    kind = ErrorKind.CONFLICT
    code = "token_replaced"
    remedy = "Use the token that replaced it; if that one fails too, replace that one."

    def __init__(self, token_id: TokenId, order_id: TokenOrderId) -> None:
        super().__init__(
            f"token {token_id} was replaced by order {order_id}",
            token_id=str(token_id),
            order_id=str(order_id),
        )
