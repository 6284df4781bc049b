"""Purchases on a DL/T 645 meter, each taken once however the line fares.

The guard is the purchase count: a meter takes the stored count + 1 and nothing else. Around every
purchase the wallet is read, in a fresh session and with its MACs checked:

    count is the stored one, amount of the last record matches   applied: `Done`, nothing is sent
    count is the stored one, another amount, or no record        `NeedsHuman`
    count is the stored one + 1                                  not applied: it may be sent
    any other count                                              `NeedsHuman`

What the meter said is never enough: a purchase that was refused, or whose answer was lost, is
judged by the same table once more. `NotApplied` is a purchase that left and is not there: send it
again, with the same count.
"""

from dataclasses import replace
from typing import Final

from meter_drivers.bus.turns import Urgency
from meter_drivers.capabilities import (
    Done,
    NeedsHuman,
    NotApplied,
    Recharge,
    RechargeEntry,
    RechargeReceipt,
    Refused,
    Unknown,
)
from meter_drivers.drivers.dlt645_line import DLT645Line
from meter_drivers.drivers.dlt645_reading import dialect_of, query_wallet
from meter_drivers.drivers.dlt645_session import open_session
from meter_drivers.errors import (
    DriverError,
    LocalProtocolError,
    MeterRefusedError,
    RemoteProtocolError,
)
from meter_drivers.profiles.dlt645_part import WalletSpec
from meter_drivers.protocols.dlt645.identifiers import identifier_of
from meter_drivers.protocols.dlt645.prepaid import (
    COUNT_MAX,
    CUSTOMER_DIGITS,
    SecurityFunction,
)
from meter_drivers.protocols.dlt645.purchases import PurchaseTerms, WalletStatus
from meter_drivers.protocols.dlt645.signing import SecuritySigner, Session

RECORD_COUNT: Final = identifier_of("purchase.count", r=1)
RECORD_AMOUNT: Final = identifier_of("purchase.amount", r=1)
_RECORD_COUNT_END: Final = 10_000
"""Records count in four digits, the secure element in four bytes."""
_CONTRADICTIONS: Final = frozenset({"repeated_recharge", "purchase_count"})
"""What a meter cannot say truly of the count that comes next."""


class Recharging:
    """Sends purchases with the MACs of a signer."""

    def __init__(self, line: DLT645Line, wallet: WalletSpec, signer: SecuritySigner) -> None:
        self._line = line
        self._wallet = wallet
        self._signer = signer
        self._dialect = dialect_of(wallet)

    def find_recharge(self, recharge: Recharge) -> RechargeEntry:
        """Return whether the meter has a purchase, without sending it."""
        _check(recharge)
        _, status = self._ask_wallet()
        return self._judge(recharge, status)

    def recharge(self, recharge: Recharge) -> RechargeEntry:
        """Send a purchase once, unless the meter has it, and return what it shows then."""
        _check(recharge)
        session, before = self._ask_wallet()
        judged = self._judge(recharge, before)
        if not isinstance(judged, NotApplied):
            return judged
        is_of_another = before.customer_number != recharge.customer_number
        if is_of_another and not recharge.opens_account:
            meaning = "the account of the meter is another customer's"
            return Refused("customer_number", meaning)
        purchase = self._signer.mac_recharge(session, _terms_of(recharge), dialect=self._dialect)
        request = purchase.to_request(dialect=self._dialect)
        sent = self._line.order(request, Urgency.CREDIT)
        try:
            shown = self.find_recharge(recharge)
        except DriverError as error:
            return Unknown(f"{_tell(sent)}; the wallet cannot be read: {error}")
        return _conclude(sent, shown) if isinstance(shown, NotApplied) else shown

    def _ask_wallet(self) -> tuple[Session, WalletStatus]:
        """Return a fresh session, and the wallet as the secure element vouches for it.

        Raises:
            RemoteProtocolError: If its MACs are wrong.
        """
        session = open_session(self._line, self._signer)
        status = query_wallet(self._line, self._wallet)
        if not self._signer.is_genuine(session, status, dialect=self._dialect):
            reason = "the MACs of the wallet are wrong: damaged, or not from this meter"
            raise RemoteProtocolError(reason)
        return session, status

    def _judge(self, recharge: Recharge, status: WalletStatus) -> RechargeEntry:
        """Return what a wallet says of a purchase, by the table of this module."""
        if status.count + 1 == recharge.count:
            return NotApplied(f"the meter has taken {status.count} purchases; this is the next")
        if status.count != recharge.count:
            return NeedsHuman(
                f"the meter has taken {status.count} purchases, and this one is number "
                f"{recharge.count}"
            )
        try:
            count = self._line.read_number(RECORD_COUNT)
            amount = self._line.read_number(RECORD_AMOUNT)
        except MeterRefusedError as error:
            return NeedsHuman(f"a purchase of this count is there, its record is not: {error}")
        is_ours = (
            count == recharge.count % _RECORD_COUNT_END
            and amount == recharge.amount_minor
            and status.customer_number == recharge.customer_number
        )
        if not is_ours:
            return NeedsHuman(
                f"a purchase of this count is there, and it is another one: number {count}, "
                f"amount {amount}"
            )
        return Done(RechargeReceipt(status.count, status.balance_minor))


def _check(recharge: Recharge) -> None:
    """Refuse what no meter could take.

    Raises:
        LocalProtocolError: If amount, count or customer are none.
    """
    customer = recharge.customer_number
    is_customer = len(customer) == CUSTOMER_DIGITS and customer.isascii() and customer.isdigit()
    if recharge.amount_minor <= 0 or not 0 < recharge.count <= COUNT_MAX or not is_customer:
        message = f"{recharge} is no purchase"
        raise LocalProtocolError(message)


def _terms_of(recharge: Recharge) -> PurchaseTerms:
    terms = PurchaseTerms(
        SecurityFunction.RECHARGE,
        recharge.amount_minor,
        recharge.count,
        recharge.customer_number,
    )
    if recharge.opens_account:
        return replace(terms, function=SecurityFunction.OPEN_ACCOUNT)
    return terms


def _conclude(sent: Done[object] | Refused | Unknown, shown: NotApplied) -> RechargeEntry:
    """Return what a purchase came to that left, and is not there."""
    match sent:
        case Done():
            return Unknown(f"the meter confirms the purchase and does not show it: {shown.why}")
        case Refused(reason=reason) if _CONTRADICTIONS & set(reason.split("+")):
            return NeedsHuman(f"{_tell(sent)}; and {shown.why}")
        case Refused():
            return sent
        case Unknown():
            return NotApplied(f"{sent.why}; {shown.why}")


def _tell(sent: Done[object] | Refused | Unknown) -> str:
    match sent:
        case Done():
            return "the meter confirms the purchase"
        case Refused(reason=reason, meaning=meaning):
            return f"the meter refuses the purchase: {meaning} ({reason})"
        case Unknown(why=why):
            return why
