"""What delivery refuses.

VendingError
├── SaleMessageError    a message of an issued sale does not say which sale, token and meter
└── TokenMessageError   a message of another token does not say which order, token and meter
"""

from vending.errors import ErrorKind, VendingError
from vending.values.identifiers import OutboxId


class SaleMessageError(VendingError):
    """A message of an issued sale is malformed: another release wrote it."""

    kind = ErrorKind.INVALID
    code = "sale_message_invalid"
    remedy = "Run one release of the service against this database, then release the message."

    def __init__(self, message_id: OutboxId) -> None:
        super().__init__(
            f"message {message_id} does not name a sale, a token and a meter",
            message_id=str(message_id),
        )


class TokenMessageError(VendingError):
    """A message of a token that no sale made is malformed: another release wrote it."""

    kind = ErrorKind.INVALID
    code = "token_message_invalid"
    remedy = "Run one release of the service against this database, then release the message."

    def __init__(self, message_id: OutboxId) -> None:
        super().__init__(
            f"message {message_id} does not name an order, a token and a meter",
            message_id=str(message_id),
        )
