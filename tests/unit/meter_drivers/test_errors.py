import inspect

import pytest

from meter_drivers import errors


def test_every_error_is_named_by_a_code_of_its_own() -> None:
    classes = [
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.DriverError)
    ]
    codes = [each.code for each in classes]
    assert len(codes) == len(set(codes)) == 13


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (errors.LinkTimeoutError("line", waited_s=1), True),
        (errors.ConnectionLostError("line", "unplugged"), True),
        (errors.LineBusyError("line", "taken"), True),
        (errors.RemoteProtocolError("bad CRC", frame=b"\x01"), True),
        (errors.LocalProtocolError("too long"), False),
        (errors.MeterRefusedError("illegal_value", "no"), False),
        (errors.NotSupportedError("hiking", "take tokens"), False),
        (errors.ProfileError("a.toml", "name", problem="missing", remedy="write it"), False),
        (errors.LinkSyntaxError("x", "no kind"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_faults_of_line_and_other_side_are_worth_a_retry(
    error: errors.DriverError, *, retryable: bool
) -> None:
    assert error.retryable is retryable


def test_timeout_tells_what_came() -> None:
    error = errors.LinkTimeoutError("line", waited_s=0.5, received=b"\x01\x03")
    assert "only 2 bytes (01 03) came in 0.50 s" in str(error)
