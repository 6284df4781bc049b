"""What a meter can do, one Protocol an ability, and the three ways a write can end.

An order to a meter ends as one of three values, never as an exception:
- `Done`: read back, or confirmed by the meter in the place where its verdict stands;
- `Refused`: the meter, or its state, says no, and what was asked for did not come about; final;
- `Unknown`: it left, and what became of it cannot be told. Never to be taken for refused. Whoever
  gave the order asks again in a way that cannot do harm: the same token, the same seq.

A `DriverError` out of an order means that it did not leave at all. Reads raise `DriverError`.
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

from meter_drivers.errors import NotSupportedError
from meter_drivers.registers import Reading

_Value_co = TypeVar("_Value_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Done(Generic[_Value_co]):
    """It happened, and this is what was read back."""

    value: _Value_co


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not happen: a stable code, and what it means."""

    reason: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell whether it happened."""

    why: str


@dataclass(frozen=True, slots=True)
class NotApplied:
    """Read back, and not there: it may be sent again, with the same guard and no other."""

    why: str


@dataclass(frozen=True, slots=True)
class NeedsHuman:
    """The meter shows something that neither having done it nor not having done it explains."""

    why: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered; `None` where this model has no register for it."""

    profile: str
    model: str
    drn: str | None = None
    pan: str | None = None
    firmware: str | None = None
    address: str | None = None
    """Of a meter that has one of its own on the line, as DL/T 645 meters do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditStatus:
    """Credit of one moment; the counters are the meter's and wrap around."""

    balance_wh: int
    cumulative_credit_wh: int
    purchase_count: int
    last_seq: int
    """Sequence number of the credit order carried out last; 0 before the first."""
    last_result: str
    last_tid: int | None
    """TID of the credit token accepted last; `None` before the first."""
    relay: "RelayReport"
    alarms: tuple[str, ...]
    tampers: tuple[str, ...]
    event_counter: int


class RelayState(StrEnum):
    """Where the load switch stands."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class RelayReport:
    """The relay as read back: how it is ordered, and where it is."""

    command: RelayState
    actual: RelayState
    trip_cause: str | None = None
    """Why it is open, in the meter's words; `None` if it is not, or the model does not tell."""
    is_position_measured: bool = True
    """False where the model shows its order only, and the contact cannot be seen."""


@dataclass(frozen=True, slots=True)
class TokenAcceptance:
    """The meter took a token: its result by the name of IEC 62055-41."""

    result: str
    entry_counter: int
    last_tid: int | None


@dataclass(frozen=True, slots=True)
class LastEntry:
    """The token that a meter judged last, whoever entered it."""

    result: str
    """By the name of IEC 62055-41, as in `TokenAcceptance`."""
    entry_counter: int
    digest: int
    """CRC-32 (ISO-HDLC) of its 20 ASCII digits."""

    def is_of(self, digits: str) -> bool:
        """Return whether it was a token of these digits."""
        return binascii.crc32(digits.encode("ascii")) == self.digest


@dataclass(frozen=True, slots=True)
class CreditReceipt:
    """The meter carried out a credit order."""

    seq: int
    balance_wh: int
    purchase_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletReport:
    """The wallet of a meter that counts its purchases, as DL/T 645 meters do."""

    balance_minor: int
    """0.01 of the currency of the meter, or 0.01 kWh, as `counts` says."""
    overdraft_minor: int | None
    """What the customer owes the meter; `None` where it does not tell."""
    purchase_count: int
    customer_number: str
    account_is_open: bool
    counts: str
    """`money` or `energy`."""
    relay: RelayReport


@dataclass(frozen=True, slots=True)
class RechargeReceipt:
    """The meter took a purchase: its number, and the balance read behind it."""

    count: int
    balance_minor: int


TokenEntry = Done[TokenAcceptance] | Refused | Unknown
CreditEntry = Done[CreditReceipt] | Refused | Unknown
RelaySwitch = Done[RelayReport] | Refused | Unknown
RechargeEntry = Done[RechargeReceipt] | Refused | NotApplied | NeedsHuman | Unknown


class Identifies(Protocol):
    """Says who it is."""

    def identify(self) -> Identity:
        """Return who answers.

        Raises:
            DriverError: If nobody does, or it is not a meter of this profile.
        """


class ReadsRegisters(Protocol):
    """Has registers to read."""

    def read_registers(self) -> list[Reading]:
        """Return a reading of every register of the profile; those without value say why.

        Raises:
            DriverError: If the meter cannot be asked.
        """


class ReadsCredit(Protocol):
    """Keeps credit itself and shows it."""

    def read_credit(self) -> CreditStatus:
        """Return credit, relay and alarms of one moment.

        Raises:
            DriverError: If the meter cannot be asked.
        """


class AcceptsToken(Protocol):
    """Takes tokens of IEC 62055-41 over the line."""

    def enter_token(self, digits: str) -> TokenEntry:
        """Enter 20 digits and return the meter's verdict.

        Raises:
            DriverError: If the token did not leave.
        """

    def read_last_entry(self) -> LastEntry | None:
        """Return the token judged last and its verdict; `None` if there was none yet.

        Raises:
            DriverError: If the meter cannot be asked.
        """


class AcceptsCredit(Protocol):
    """Takes credit orders that are guarded by a sequence number and a MAC."""

    def add_credit(self, amount_wh: int, *, seq: int) -> CreditEntry:
        """Add credit with the next seq, and return what became of it.

        The same seq and amount may be given again: the meter carries them out once.

        Raises:
            DriverError: If the order did not leave.
        """


class ReadsWallet(Protocol):
    """Keeps a wallet and counts the purchases that went into it."""

    def read_wallet(self) -> WalletReport:
        """Return the wallet as it is.

        Raises:
            DriverError: If the meter cannot be asked.
        """


@dataclass(frozen=True, slots=True)
class Recharge:
    """A purchase as its buyer has stored it before anything leaves."""

    amount_minor: int
    """0.01 of the currency of the meter, or 0.01 kWh; the whole of it, overdraft included."""
    count: int
    """The purchase count it brings the meter to: the one read before, and 1."""
    customer_number: str
    """12 digits."""
    opens_account: bool = False
    """The first purchase of a customer, which opens the account (开户)."""


class AcceptsRecharge(Protocol):
    """Takes purchases that are guarded by their count and by MACs."""

    def recharge(self, recharge: Recharge) -> RechargeEntry:
        """Send a purchase once, unless the meter has it, and return what it shows then.

        The same recharge may be given again, whatever came of it: the meter takes it once.

        Raises:
            DriverError: If the purchase did not leave.
        """

    def find_recharge(self, recharge: Recharge) -> RechargeEntry:
        """Return whether the meter has a purchase, without sending it.

        Raises:
            DriverError: If the meter cannot be asked.
        """


class SwitchesRelay(Protocol):
    """Has a load switch that the line can order."""

    def read_relay(self) -> RelayReport:
        """Return how the relay is ordered and where it is.

        Raises:
            DriverError: If the meter cannot be asked.
        """

    def open_relay(self) -> RelaySwitch:
        """Order the relay open, and return where it came to rest.

        Raises:
            DriverError: If the order did not leave.
        """

    def close_relay(self) -> RelaySwitch:
        """Order the relay closed, and return where it came to rest.

        Raises:
            DriverError: If the order did not leave.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """The abilities a driver gives one meter; `None` for each it has not."""

    identifies: Identifies | None = None
    reads_registers: ReadsRegisters | None = None
    reads_credit: ReadsCredit | None = None
    accepts_token: AcceptsToken | None = None
    accepts_credit: AcceptsCredit | None = None
    switches_relay: SwitchesRelay | None = None
    reads_wallet: ReadsWallet | None = None
    accepts_recharge: AcceptsRecharge | None = None


_IN_WORDS: Final[Mapping[str, str]] = {
    "identifies": "say who it is",
    "reads_registers": "be read",
    "reads_credit": "show credit",
    "accepts_token": "take tokens over the line",
    "accepts_credit": "take credit orders",
    "switches_relay": "switch a relay over the line",
    "reads_wallet": "show a wallet",
    "accepts_recharge": "take purchases by their count, or has no signer here",
}


class Meter:
    """One meter on its line; an ability it has not raises `NotSupportedError`."""

    def __init__(self, *, link: str, profile: str, abilities: Abilities) -> None:
        self.link = link
        self.profile = profile
        self.abilities = abilities

    @property
    def ability_names(self) -> tuple[str, ...]:
        """Return the names of the abilities this meter has."""
        return tuple(
            each.name
            for each in fields(self.abilities)
            if getattr(self.abilities, each.name) is not None
        )

    def identify(self) -> Identity:
        """Return who answers.

        Raises:
            NotSupportedError: If this model cannot tell.
        """
        part = self.abilities.identifies
        if part is None:
            raise self._lacks(ability="identifies")
        return part.identify()

    def read_registers(self) -> list[Reading]:
        """Return a reading of every register of the profile.

        Raises:
            NotSupportedError: If this model has none to read.
        """
        part = self.abilities.reads_registers
        if part is None:
            raise self._lacks(ability="reads_registers")
        return part.read_registers()

    def read_credit(self) -> CreditStatus:
        """Return credit, relay and alarms of one moment.

        Raises:
            NotSupportedError: If this model keeps no credit.
        """
        part = self.abilities.reads_credit
        if part is None:
            raise self._lacks(ability="reads_credit")
        return part.read_credit()

    def enter_token(self, digits: str) -> TokenEntry:
        """Enter 20 digits and return the meter's verdict.

        Raises:
            NotSupportedError: If this model takes no tokens over the line.
        """
        part = self.abilities.accepts_token
        if part is None:
            raise self._lacks(ability="accepts_token")
        return part.enter_token(digits)

    def read_last_entry(self) -> LastEntry | None:
        """Return the token judged last and its verdict; `None` if there was none yet.

        Raises:
            NotSupportedError: If this model takes no tokens over the line.
        """
        part = self.abilities.accepts_token
        if part is None:
            raise self._lacks(ability="accepts_token")
        return part.read_last_entry()

    def add_credit(self, amount_wh: int, *, seq: int) -> CreditEntry:
        """Add credit with the next seq, and return what became of it.

        Raises:
            NotSupportedError: If this model takes no credit orders.
        """
        part = self.abilities.accepts_credit
        if part is None:
            raise self._lacks(ability="accepts_credit")
        return part.add_credit(amount_wh, seq=seq)

    def read_wallet(self) -> WalletReport:
        """Return the wallet as it is.

        Raises:
            NotSupportedError: If this model keeps no wallet.
        """
        part = self.abilities.reads_wallet
        if part is None:
            raise self._lacks(ability="reads_wallet")
        return part.read_wallet()

    def recharge(self, recharge: Recharge) -> RechargeEntry:
        """Send a purchase once, unless the meter has it, and return what it shows then.

        Raises:
            NotSupportedError: If this model takes none, or no signer was given.
        """
        return self._recharging().recharge(recharge)

    def find_recharge(self, recharge: Recharge) -> RechargeEntry:
        """Return whether the meter has a purchase, without sending it.

        Raises:
            NotSupportedError: If this model takes none, or no signer was given.
        """
        return self._recharging().find_recharge(recharge)

    def _recharging(self) -> AcceptsRecharge:
        part = self.abilities.accepts_recharge
        if part is None:
            raise self._lacks(ability="accepts_recharge")
        return part

    def read_relay(self) -> RelayReport:
        """Return how the relay is ordered and where it is.

        Raises:
            NotSupportedError: If this model has no relay.
        """
        return self._relay().read_relay()

    def open_relay(self) -> RelaySwitch:
        """Order the relay open, and return where it came to rest.

        Raises:
            NotSupportedError: If this model has no relay.
        """
        return self._relay().open_relay()

    def close_relay(self) -> RelaySwitch:
        """Order the relay closed, and return where it came to rest.

        Raises:
            NotSupportedError: If this model has no relay.
        """
        return self._relay().close_relay()

    def _relay(self) -> SwitchesRelay:
        part = self.abilities.switches_relay
        if part is None:
            raise self._lacks(ability="switches_relay")
        return part

    def _lacks(self, *, ability: str) -> NotSupportedError:
        return NotSupportedError(self.profile, _IN_WORDS[ability])
