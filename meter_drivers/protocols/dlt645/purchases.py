"""Purchases over function 03: open an account, recharge, refund, initialise the wallet; receipts.

The prepaid supplement of DL/T 645-2007; payloads behind DI and operator, numbers low byte first:

    open, recharge, refund   amount 4 | count 4 | MAC1 4 | customer 6 | MAC2 4
    the same by order        amount 4 | order 8 | MAC1 4 | meter 6 | customer 6 | MAC2 4
    initialise the wallet    amount 4 | MAC 4 | count 4 | MAC 4
    status, in a reply       balance 4 | MAC 4 | count 4 | MAC 4 | customer 6 | key info 4
    end of session, reply    customer 6 | balance 4 | count 4 | key info 4
    receipt of one maker     balance 4 | count 4 | customer 6

MAC1 covers amount and count, MAC2 the customer number. The forms by count and by order share an
identifier and are told apart by their size.
"""

from dataclasses import dataclass
from typing import Final, Self

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlt645.bcd import decode_digits
from meter_drivers.protocols.dlt645.prepaid import (
    MAC_SIZE_BYTES,
    ORDER_SIZE_BYTES,
    STATE_GRID,
    PrepaidDialect,
    SecurityFunction,
    SecurityRequest,
    check_part,
    decode_counted,
    encode_counted,
    encode_customer,
)
from meter_drivers.protocols.dlt645.requests import NO_OPERATOR, check_size

KEY_INFO_SIZE_BYTES: Final = 4
PURCHASE_SIZE_BYTES: Final = 22
ORDER_PURCHASE_SIZE_BYTES: Final = 32
_STATUS_SIZE: Final = 26
_SESSION_END_SIZE: Final = 18
_RECEIPT_SIZE: Final = 14

PURCHASES: Final = frozenset(
    {
        SecurityFunction.OPEN_ACCOUNT,
        SecurityFunction.RECHARGE,
        SecurityFunction.REFUND,
        SecurityFunction.OPEN_BY_ORDER,
        SecurityFunction.RECHARGE_BY_ORDER,
        SecurityFunction.REFUND_BY_ORDER,
    }
)
"""What `decode_purchase` reads."""


@dataclass(frozen=True, slots=True)
class PurchaseTerms:
    """What the MACs of a purchase cover: amount and count the first, the customer the second."""

    function: SecurityFunction
    """OPEN_ACCOUNT, RECHARGE or REFUND."""
    amount_minor: int
    count: int
    """The purchase count after it (购电次数)."""
    customer_number: str
    """12 digits."""

    def to_bytes(self, dialect: PrepaidDialect = STATE_GRID) -> tuple[bytes, bytes]:
        """Return amount and count, and the customer number, as sent: what each MAC covers.

        Raises:
            LocalProtocolError: If one does not fit.
        """
        money = encode_counted(self.amount_minor, dialect.amount_coding)
        count = encode_counted(self.count, dialect.count_coding)
        return money + count, encode_customer(self.customer_number)


@dataclass(frozen=True, slots=True)
class Purchase:
    """Open an account, recharge, or refund: terms and their two MACs."""

    terms: PurchaseTerms
    mac_1: bytes
    mac_2: bytes

    def to_request(
        self, operator: bytes = NO_OPERATOR, *, dialect: PrepaidDialect = STATE_GRID
    ) -> SecurityRequest:
        """Return the request, L = 30.

        Raises:
            LocalProtocolError: If a part does not fit.
        """
        money, customer = self.terms.to_bytes(dialect)
        payload = money + check_part(self.mac_1, MAC_SIZE_BYTES, "a MAC")
        payload += customer + check_part(self.mac_2, MAC_SIZE_BYTES, "a MAC")
        return SecurityRequest(self.terms.function, payload, operator)

    @classmethod
    def from_payload(
        cls, function: SecurityFunction, payload: bytes, *, dialect: PrepaidDialect = STATE_GRID
    ) -> Self:
        """Return the purchase.

        Raises:
            RemoteProtocolError: If its size is wrong, or digits are none.
        """
        check_size(payload, 22)
        terms = PurchaseTerms(
            function,
            decode_counted(payload[:4], dialect.amount_coding),
            decode_counted(payload[4:8], dialect.count_coding),
            decode_digits(payload[12:18]),
        )
        return cls(terms, payload[8:12], payload[18:])


@dataclass(frozen=True, slots=True)
class OrderPurchase:
    """One maker's purchase: an order number guards it, in place of the count."""

    function: SecurityFunction
    amount_minor: int
    order_number: bytes
    """Eight bytes as sent."""
    mac_1: bytes
    meter_number: str
    """12 digits."""
    customer_number: str
    mac_2: bytes

    def to_request(
        self, operator: bytes = NO_OPERATOR, *, dialect: PrepaidDialect = STATE_GRID
    ) -> SecurityRequest:
        """Return the request, L = 40.

        Raises:
            LocalProtocolError: If a part does not fit.
        """
        parts = (
            encode_counted(self.amount_minor, dialect.amount_coding),
            check_part(self.order_number, ORDER_SIZE_BYTES, "an order number"),
            check_part(self.mac_1, MAC_SIZE_BYTES, "a MAC"),
            encode_customer(self.meter_number),
            encode_customer(self.customer_number),
            check_part(self.mac_2, MAC_SIZE_BYTES, "a MAC"),
        )
        return SecurityRequest(self.function, b"".join(parts), operator)

    @classmethod
    def from_payload(
        cls, function: SecurityFunction, payload: bytes, *, dialect: PrepaidDialect = STATE_GRID
    ) -> Self:
        """Return the purchase.

        Raises:
            RemoteProtocolError: If its size is wrong, or digits are none.
        """
        check_size(payload, 32)
        return cls(
            function,
            decode_counted(payload[:4], dialect.amount_coding),
            payload[4:12],
            payload[12:16],
            decode_digits(payload[16:22]),
            decode_digits(payload[22:28]),
            payload[28:],
        )


@dataclass(frozen=True, slots=True)
class WalletInitialisation:
    """Set the wallet to an amount and the count to 0; only under test keys."""

    amount_minor: int
    mac_1: bytes
    mac_2: bytes
    count: int = 0

    def to_request(
        self, operator: bytes = NO_OPERATOR, *, dialect: PrepaidDialect = STATE_GRID
    ) -> SecurityRequest:
        """Return the request, L = 24.

        Raises:
            LocalProtocolError: If a part does not fit.
        """
        payload = encode_counted(self.amount_minor, dialect.amount_coding)
        payload += check_part(self.mac_1, MAC_SIZE_BYTES, "a MAC")
        payload += encode_counted(self.count, dialect.count_coding)
        payload += check_part(self.mac_2, MAC_SIZE_BYTES, "a MAC")
        return SecurityRequest(SecurityFunction.INITIALISE_WALLET, payload, operator)

    @classmethod
    def from_payload(cls, payload: bytes, *, dialect: PrepaidDialect = STATE_GRID) -> Self:
        """Return the message.

        Raises:
            RemoteProtocolError: If its size is wrong, or digits are none.
        """
        check_size(payload, 16)
        return cls(
            decode_counted(payload[:4], dialect.amount_coding),
            payload[4:8],
            payload[12:],
            decode_counted(payload[8:12], dialect.count_coding),
        )


def decode_purchase(
    request: SecurityRequest, *, dialect: PrepaidDialect = STATE_GRID
) -> Purchase | OrderPurchase:
    """Return the purchase in a request, by count or by order, as its size tells.

    Raises:
        RemoteProtocolError: If it is no purchase, or malformed.
    """
    if request.identifier not in PURCHASES:
        reason = f"{request.identifier:08X} is no purchase"
        raise RemoteProtocolError(reason)
    function = SecurityFunction(request.identifier)
    if len(request.payload) == ORDER_PURCHASE_SIZE_BYTES:
        return OrderPurchase.from_payload(function, request.payload, dialect=dialect)
    return Purchase.from_payload(function, request.payload, dialect=dialect)


@dataclass(frozen=True, slots=True)
class WalletStatus:
    """What the secure element holds, as a reply shows it."""

    balance_minor: int
    count: int
    """The purchase count (购电次数)."""
    customer_number: str
    key_info: bytes = bytes(KEY_INFO_SIZE_BYTES)
    """Which keys are loaded (密钥信息); zero in a receipt, which does not tell."""
    balance_mac: bytes = bytes(MAC_SIZE_BYTES)
    """Of a status query only, as is the next; zero elsewhere."""
    count_mac: bytes = bytes(MAC_SIZE_BYTES)

    def _encode_parts(self, dialect: PrepaidDialect) -> tuple[bytes, bytes, bytes]:
        return (
            encode_counted(self.balance_minor, dialect.amount_coding),
            encode_counted(self.count, dialect.count_coding),
            encode_customer(self.customer_number),
        )

    def to_status(self, *, dialect: PrepaidDialect = STATE_GRID) -> bytes:
        """Return the payload that answers a status query."""
        balance, count, customer = self._encode_parts(dialect)
        return balance + self.balance_mac + count + self.count_mac + customer + self.key_info

    def to_session_end(self, *, dialect: PrepaidDialect = STATE_GRID) -> bytes:
        """Return the payload that answers the end of a session."""
        balance, count, customer = self._encode_parts(dialect)
        return customer + balance + count + self.key_info

    def to_receipt(self, *, dialect: PrepaidDialect = STATE_GRID) -> bytes:
        """Return the payload with which one maker answers a purchase."""
        return b"".join(self._encode_parts(dialect))

    @classmethod
    def from_status(cls, payload: bytes, *, dialect: PrepaidDialect = STATE_GRID) -> Self:
        """Return what a status query was answered with.

        Raises:
            RemoteProtocolError: If its size is wrong, or digits are none.
        """
        check_size(payload, _STATUS_SIZE)
        return cls(
            decode_counted(payload[:4], dialect.amount_coding),
            decode_counted(payload[8:12], dialect.count_coding),
            decode_digits(payload[16:22]),
            payload[22:],
            payload[4:8],
            payload[12:16],
        )

    @classmethod
    def from_session_end(cls, payload: bytes, *, dialect: PrepaidDialect = STATE_GRID) -> Self:
        """Return what the end of a session was answered with.

        Raises:
            RemoteProtocolError: If its size is wrong, or digits are none.
        """
        check_size(payload, _SESSION_END_SIZE)
        return cls(
            decode_counted(payload[6:10], dialect.amount_coding),
            decode_counted(payload[10:14], dialect.count_coding),
            decode_digits(payload[:6]),
            payload[14:],
        )

    @classmethod
    def from_receipt(cls, payload: bytes, *, dialect: PrepaidDialect = STATE_GRID) -> Self | None:
        """Return what a purchase was answered with; `None` where the maker sends nothing.

        Raises:
            RemoteProtocolError: If its size is wrong, or digits are none.
        """
        if not payload:
            return None
        check_size(payload, _RECEIPT_SIZE)
        return cls(
            decode_counted(payload[:4], dialect.amount_coding),
            decode_counted(payload[4:8], dialect.count_coding),
            decode_digits(payload[8:]),
        )
