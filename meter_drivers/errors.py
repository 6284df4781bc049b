"""What goes wrong between us and a meter.

    DriverError                     code, retryable
    ├── TransportError              the line; retryable
    │   ├── LinkTimeoutError        nothing came in time
    │   ├── ConnectionLostError     the port or the connection is gone, or never came
    │   ├── LineBusyError           another owner holds the port or the bus
    │   └── MeterSilentError        it did not answer lately, and is not polled for a while
    ├── ProtocolError
    │   ├── LocalProtocolError      we asked for what the protocol cannot carry: our bug; final
    │   └── RemoteProtocolError     bad frame, bad checksum, unexpected answer; retryable
    ├── MeterRefusedError           the meter said no: code and meaning; final
    ├── NotSupportedError           this meter model has no such ability; final
    ├── ProfileError                a meter profile is wrong: file, key, what to do; final
    └── LinkSyntaxError             a link cannot be read: what is wrong, an example; final

`retryable` says that asking again may help. Whether it is *allowed* is another matter: a read
may be asked again, a write never is (`meter_drivers.bus`).
"""

from typing import ClassVar


class DriverError(Exception):
    """Root of all errors of `meter_drivers`."""

    code: ClassVar[str] = "driver_error"
    retryable: ClassVar[bool] = False


class TransportError(DriverError):
    """The line failed, not the meter."""

    code = "transport_error"
    retryable = True


class LinkTimeoutError(TransportError):
    """Nothing, or not enough, came in time."""

    code = "link_timeout"

    def __init__(self, link: str, *, waited_s: float, received: bytes = b"") -> None:
        self.link = link
        self.waited_s = waited_s
        self.received = received
        seen = f"only {len(received)} bytes ({received.hex(' ')})" if received else "nothing"
        super().__init__(
            f"no answer on {link}: {seen} came in {waited_s:.2f} s; check address, speed, "
            "parity and wiring"
        )


class ConnectionLostError(TransportError):
    """The port or the connection is gone, or could not be opened."""

    code = "connection_lost"

    def __init__(self, link: str, reason: str) -> None:
        self.link = link
        self.reason = reason
        super().__init__(f"{link} is not reachable: {reason}")


class LineBusyError(TransportError):
    """Another owner holds the port, or the bus was not free in time."""

    code = "line_busy"

    def __init__(self, link: str, reason: str) -> None:
        self.link = link
        super().__init__(f"{link} is in use: {reason}")


class MeterSilentError(TransportError):
    """The meter did not answer the last times, and is left alone for a while."""

    code = "meter_silent"

    def __init__(self, link: str, station: str, *, count: int, left_s: float) -> None:
        self.link = link
        self.left_s = left_s
        super().__init__(
            f"meter {station} on {link} did not answer {count} times in a row and is polled again "
            f"in {left_s:.0f} s; check its supply and wiring, or read it on demand"
        )


class ProtocolError(DriverError):
    """What was said does not follow the protocol."""

    code = "protocol_error"


class LocalProtocolError(ProtocolError):
    """We asked for something the protocol cannot carry: a defect of ours."""

    code = "local_protocol_error"


class RemoteProtocolError(ProtocolError):
    """A bad frame, a bad checksum, or an answer to another question."""

    code = "remote_protocol_error"
    retryable = True

    def __init__(self, reason: str, *, frame: bytes = b"") -> None:
        self.reason = reason
        self.frame = frame
        super().__init__(f"{reason}: {frame.hex(' ')}" if frame else reason)


class MeterRefusedError(DriverError):
    """The meter said no."""

    code = "meter_refused"

    def __init__(self, refusal_code: str, meaning: str) -> None:
        self.refusal_code = refusal_code
        self.meaning = meaning
        super().__init__(f"the meter refused: {meaning} ({refusal_code})")


class NotSupportedError(DriverError):
    """This meter model has no such ability."""

    code = "not_supported"

    def __init__(self, profile: str, ability: str) -> None:
        self.profile = profile
        self.ability = ability
        super().__init__(f"a meter of profile {profile} cannot {ability}; use one that can")


class ProfileError(DriverError):
    """A meter profile is wrong."""

    code = "profile_error"

    def __init__(self, file: str, key: str, *, problem: str, remedy: str) -> None:
        self.file = file
        self.key = key
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{file}: {key}: {problem}; {remedy}")


class LinkSyntaxError(DriverError):
    """A link cannot be read."""

    code = "link_syntax"

    def __init__(self, link: str, problem: str) -> None:
        self.link = link
        super().__init__(
            f"{link!r} is no link: {problem}; write modbus-tcp://host:port/unit or "
            "modbus-rtu:///dev/ttyUSB0?unit=1&baud=9600&parity=N"
        )
