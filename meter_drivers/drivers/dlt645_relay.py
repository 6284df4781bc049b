"""The relay of a DL/T 645 meter: ordered by remote control, read back from status word 3.

A meter refuses an order past its validity, so its clock is read first and the validity counted
from it; where the caller gives the time, a clock that is off is refused before anything leaves.
An order to the relay sets a state, so it may be given again.
"""

from datetime import datetime, timedelta
from typing import Final

from meter_drivers.bus.turns import Urgency
from meter_drivers.capabilities import Done, Refused, RelayReport, RelayState, RelaySwitch, Unknown
from meter_drivers.drivers.dlt645_line import DLT645Line, report_relay
from meter_drivers.drivers.dlt645_session import open_session
from meter_drivers.errors import DriverError, NotSupportedError, RemoteProtocolError
from meter_drivers.profiles.dlt645_part import Closing, ControlGuard, ControlSpec
from meter_drivers.protocols.dlt645.identifiers import identifier_of
from meter_drivers.protocols.dlt645.remote_control import (
    ControlCommand,
    RemoteControl,
    SealedControl,
)
from meter_drivers.protocols.dlt645.requests import PASSWORD_SIZE_BYTES, Credentials

CLOCK: Final = identifier_of("clock")
VALIDITY: Final = timedelta(minutes=5)
CLOCK_OFF_MAX: Final = timedelta(minutes=5)
RELAY_POLL_S: Final = 0.2
WAITS_FOR_BUTTON: Final = "waits_for_button"
_CLOSINGS: Final = {
    Closing.DIRECT: ControlCommand.CLOSE,
    Closing.BUTTON: ControlCommand.ALLOW_CLOSE,
}


class RelaySwitching:
    """Switches the relay by remote control, and watches where it goes."""

    def __init__(self, line: DLT645Line, control: ControlSpec) -> None:
        self._line = line
        self._control = control

    def read_relay(self) -> RelayReport:
        """Return how the relay is ordered and where it is."""
        return report_relay(self._line.read_status_word())

    def open_relay(self) -> RelaySwitch:
        """Order the relay open, and return where it came to rest."""
        return self._switch(RelayState.OPEN, ControlCommand.TRIP)

    def close_relay(self) -> RelaySwitch:
        """Order the relay closed, and return where it came to rest."""
        return self._switch(RelayState.CLOSED, _CLOSINGS[self._control.closing])

    def _switch(self, wanted: RelayState, command: ControlCommand) -> RelaySwitch:
        clock = self._read_clock()
        if (refused := self._judge_clock(clock)) is not None:
            return refused
        request = self._guard(command, clock + VALIDITY)
        sent = self._line.order(request, Urgency.RELAY)
        try:
            report = self._await_position(wanted, sent)
        except DriverError as error:
            why = "the relay was ordered" if isinstance(sent, Done) else _tell(sent)
            return Unknown(f"{why}; its position cannot be read: {error}")
        if report.command is wanted and report.actual is wanted:
            return Done(report)
        if not isinstance(sent, Done):
            return sent
        return self._explain_rest(wanted, report)

    # --- before ---------------------------------------------------------------------------------
    def _read_clock(self) -> datetime:
        clock = self._line.read(CLOCK)
        if not isinstance(clock, datetime):
            reason = "the clock of the meter is not set"
            raise RemoteProtocolError(reason)
        return clock

    def _judge_clock(self, clock: datetime) -> Refused | None:
        local_time = self._line.access.local_time
        if local_time is None or abs(local_time() - clock) <= CLOCK_OFF_MAX:
            return None
        meaning = f"the clock of the meter shows {clock.isoformat(' ')}: set it first"
        return Refused("clock_off", meaning)

    def _guard(self, command: ControlCommand, until: datetime) -> RemoteControl | SealedControl:
        """Return the order with what proves the right to give it.

        Raises:
            NotSupportedError: If the caller holds no password, or no signer.
        """
        line, access = self._line, self._line.access
        if self._control.guard is ControlGuard.PASSWORD:
            if access.credentials is None:
                raise NotSupportedError(line.profile.name, "be switched without its password")
            return RemoteControl(access.credentials, command, until)
        if access.signer is None:
            raise NotSupportedError(line.profile.name, "be switched without a signer")
        unsealed = Credentials(self._control.level, bytes(PASSWORD_SIZE_BYTES))
        session = open_session(line, access.signer)
        return access.signer.mac_control(session, RemoteControl(unsealed, command, until))

    # --- behind ---------------------------------------------------------------------------------
    def _await_position(self, wanted: RelayState, sent: object) -> RelayReport:
        timer = self._line.bus.timer
        ends_s = timer.now_s() + self._control.settle_ms / 1000
        while True:
            report = self.read_relay()
            # A meter that says no and shows the order is on its way nevertheless.
            was_refused = isinstance(sent, Refused) and report.command is not wanted
            if report.actual is wanted or was_refused or timer.now_s() >= ends_s:
                return report
            timer.wait(RELAY_POLL_S)

    def _explain_rest(self, wanted: RelayState, report: RelayReport) -> RelaySwitch:
        if wanted is RelayState.CLOSED and report.command is wanted:
            if self._control.closing is Closing.BUTTON:
                return Done(RelayReport(report.command, report.actual, WAITS_FOR_BUTTON))
            return Refused("held_open", "ordered closed, and the meter keeps it open")
        return Refused("not_moved", f"ordered {wanted}, and it is still {report.actual}")


def _tell(sent: Refused | Unknown) -> str:
    return sent.why if isinstance(sent, Unknown) else f"the meter refuses it: {sent.meaning}"
