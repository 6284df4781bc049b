"""What a Modbus meter is told: tokens, credit orders, its relay; each read back.

Every order goes the same way: read how things stand, write once, read what became of it. A read
back that shows the order's effect turns even a lost answer into `Done`; one that shows nothing
leaves it `Unknown`, since a meter may still be at work.
"""

from typing import Final

from meter_drivers.bus.turns import Urgency
from meter_drivers.capabilities import (
    CreditEntry,
    CreditReceipt,
    Done,
    LastEntry,
    Refused,
    RelayReport,
    RelayState,
    RelaySwitch,
    TokenAcceptance,
    TokenEntry,
    Unknown,
)
from meter_drivers.drivers.modbus_line import MeterLine
from meter_drivers.drivers.modbus_reading import (
    name_credit_result,
    read_identity,
    read_status,
    read_token_result,
    report_relay,
)
from meter_drivers.errors import DriverError, LocalProtocolError, RemoteProtocolError
from meter_drivers.profiles.modbus_part import Block, RelaySpec
from meter_drivers.profiles.model import Quirk
from meter_drivers.protocols.modbus.credit import (
    CreditOperation,
    CreditOrder,
    CreditResult,
    SiteKey,
)
from meter_drivers.protocols.modbus.status import WH_PER_CREDIT_UNIT, StatusBlock
from meter_drivers.protocols.modbus.token_entry import (
    TAKEN,
    TOKEN_OUTCOME_MEANINGS,
    TOKEN_OUTCOME_NAMES,
    UNDECIDED,
    TokenOutcome,
    TokenResultBlock,
    compute_entry_digest,
    pack_token,
)
from meter_drivers.registers import RegisterTable, WriteRule

TOKEN_POLLS_MAX: Final = 10
TOKEN_POLL_S: Final = 0.2
"""A meter judges a token within 2 s: two block ciphers and a write to its memory."""
RELAY_POLL_S: Final = 0.1
_CREDIT_COUNT: Final = 1 << 32
_NOTHING_SEEN: Final = "the meter confirms the write, and shows no effect of it"


class TokenEntering:
    """Enters tokens by the token blocks of the open prepay profile."""

    def __init__(self, line: MeterLine) -> None:
        self._line = line

    def enter_token(self, digits: str) -> TokenEntry:
        """Enter 20 digits once, and return the verdict that the meter shows for them."""
        words = pack_token(digits)
        before = read_token_result(self._line)
        address = self._line.block_address(Block.TOKEN_ENTRY)
        written = self._line.write(address, words, rule=WriteRule.FC16, urgency=Urgency.CREDIT)
        if isinstance(written, Refused):
            return written
        why = written.why if isinstance(written, Unknown) else _NOTHING_SEEN
        return self._await_verdict(digits, before, why)

    def read_last_entry(self) -> LastEntry | None:
        """Return the token judged last and its verdict; `None` if there was none yet."""
        shown = read_token_result(self._line)
        if shown.outcome in UNDECIDED:
            return None
        return LastEntry(
            TOKEN_OUTCOME_NAMES[shown.outcome], shown.entry_counter, shown.entry_digest
        )

    def _await_verdict(self, digits: str, before: TokenResultBlock, why: str) -> TokenEntry:
        digest = compute_entry_digest(digits)
        for _ in range(TOKEN_POLLS_MAX):
            try:
                shown = read_token_result(self._line)
            except DriverError as error:
                return Unknown(f"{why}; and the result cannot be read: {error}")
            is_new = shown.entry_counter != before.entry_counter
            if is_new and shown.entry_digest == digest and shown.outcome not in UNDECIDED:
                return _conclude(shown)
            self._line.bus.timer.wait(TOKEN_POLL_S)
        return Unknown(f"{why}; no verdict on this token came")


def _conclude(shown: TokenResultBlock) -> TokenEntry:
    outcome: TokenOutcome = shown.outcome
    if outcome in TAKEN:
        name = TOKEN_OUTCOME_NAMES[outcome]
        return Done(TokenAcceptance(name, shown.entry_counter, shown.last_tid))
    return Refused(outcome.name.lower(), TOKEN_OUTCOME_MEANINGS[outcome])


class CreditOrdering:
    """Adds credit by the credit block of the open prepay profile."""

    def __init__(self, line: MeterLine, site_key: SiteKey) -> None:
        self._line = line
        self._site_key = site_key

    def add_credit(self, amount_wh: int, *, seq: int) -> CreditEntry:
        """Add credit once, and return what the status block shows of it.

        Raises:
            LocalProtocolError: If the amount is not above zero in steps of 10 Wh.
        """
        if amount_wh <= 0 or amount_wh % WH_PER_CREDIT_UNIT:
            message = f"{amount_wh} Wh: credit goes in steps of {WH_PER_CREDIT_UNIT} Wh above 0"
            raise LocalProtocolError(message)
        amount = amount_wh // WH_PER_CREDIT_UNIT
        order = CreditOrder(seq, CreditOperation.ADD_CREDIT, amount)
        signed = order.sign(self._site_key, drn=read_identity(self._line).drn)
        before = read_status(self._line)
        address = self._line.block_address(Block.CREDIT)
        written = self._line.write(
            address, signed.to_registers(), rule=WriteRule.FC16, urgency=Urgency.CREDIT
        )
        try:
            after = read_status(self._line)
        except DriverError as error:
            if isinstance(written, Refused):
                return written
            why = written.why if isinstance(written, Unknown) else "the meter confirms the write"
            return Unknown(f"{why}; the status cannot be read: {error}")
        return _judge_credit(order, written, before, after)


def _judge_credit(
    order: CreditOrder,
    written: Done[None] | Refused | Unknown,
    before: StatusBlock,
    after: StatusBlock,
) -> CreditEntry:
    was_refused = after.attempt_result not in {CreditResult.NONE, CreditResult.DONE}
    # The attempt fields are believed about a write that was confirmed or refused, and about an
    # unanswered one only when they changed: else they may tell of an earlier attempt.
    is_fresh = (before.attempt_seq, before.attempt_result) != (order.seq, after.attempt_result)
    is_attempt_ours = after.attempt_seq == order.seq and (
        not isinstance(written, Unknown) or is_fresh
    )
    if is_attempt_ours and was_refused:
        name = name_credit_result(after.attempt_result)
        return Refused(name, f"the meter refuses the credit order ({name})")
    if isinstance(written, Refused):
        return written
    if after.last_seq == order.seq and after.last_result != CreditResult.DONE:
        name = name_credit_result(after.last_result)
        return Refused(name, f"the meter carried out the credit order with result {name}")
    receipt = CreditReceipt(order.seq, after.balance * WH_PER_CREDIT_UNIT, after.purchase_count)
    if isinstance(written, Unknown):
        grown = (after.cumulative_credit - before.cumulative_credit) % _CREDIT_COUNT
        was_next = before.last_seq + 1 == order.seq == after.last_seq
        return Done(receipt) if was_next and grown == order.amount else written
    return Done(receipt) if after.last_seq == order.seq else Unknown(_NOTHING_SEEN)


class RelaySwitching:
    """Switches the relay by the registers of the profile, and watches where it goes."""

    def __init__(self, line: MeterLine, relay: RelaySpec) -> None:
        self._line = line
        self._relay = relay

    def read_relay(self) -> RelayReport:
        """Return how the relay is ordered and where it is."""
        if Block.STATUS in self._line.profile.part.blocks:
            return report_relay(read_status(self._line))
        is_order = Quirk.RELAY_READ_BACK_IS_ORDER in self._line.profile.quirks
        actual = self._read_position(self._relay.actual)
        command = actual if is_order else self._read_position(self._relay.command)
        return RelayReport(command=command, actual=actual, is_position_measured=not is_order)

    def open_relay(self) -> RelaySwitch:
        """Order the relay open, and return where it came to rest."""
        return self._switch(RelayState.OPEN, self._relay.open_value)

    def close_relay(self) -> RelaySwitch:
        """Order the relay closed, and return where it came to rest."""
        return self._switch(RelayState.CLOSED, self._relay.closed_value)

    def _switch(self, wanted: RelayState, value: int) -> RelaySwitch:
        written = self._line.write(
            self._relay.command, (value,), rule=self._relay.write, urgency=Urgency.RELAY
        )
        if isinstance(written, Refused):
            return written
        try:
            report = self._await_position(wanted)
        except DriverError as error:
            why = written.why if isinstance(written, Unknown) else "the relay was ordered"
            return Unknown(f"{why}; its position cannot be read: {error}")
        if report.actual is wanted and report.command is wanted:
            return Done(report)
        if isinstance(written, Unknown):
            return written
        return _explain_rest(wanted, report)

    def _await_position(self, wanted: RelayState) -> RelayReport:
        timer = self._line.bus.timer
        ends_s = timer.now_s() + self._relay.settle_ms / 1000
        while True:
            report = self.read_relay()
            if report.actual is wanted or timer.now_s() >= ends_s:
                return report
            timer.wait(RELAY_POLL_S)

    def _read_position(self, address: int) -> RelayState:
        (value,) = self._line.read(RegisterTable.HOLDING, address, 1)
        if value == self._relay.open_value:
            return RelayState.OPEN
        if value == self._relay.closed_value:
            return RelayState.CLOSED
        reason = f"the relay register holds {value}, which is neither open nor closed"
        raise RemoteProtocolError(reason)


def _explain_rest(wanted: RelayState, report: RelayReport) -> Refused:
    """Return why a relay that was ordered is not where it was ordered to."""
    if wanted is RelayState.CLOSED and report.trip_cause is not None:
        meaning = f"ordered closed, and the meter keeps it open: {report.trip_cause}"
        return Refused("held_open", meaning)
    return Refused("not_moved", f"ordered {wanted}, and it is still {report.actual}")
