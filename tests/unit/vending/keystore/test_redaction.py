"""Secrets do not print, pickle or copy, and frames that held them leave empty."""

import copy
import logging
import pickle
import traceback
from dataclasses import asdict, dataclass
from io import StringIO

import pytest
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from vending.keystore.redaction import Secret, ShieldedFrames

CANARY = b"canary-key-material-31415926"
TAIL = CANARY[-8:].decode()


@dataclass(frozen=True)
class Holder:
    secret: Secret


@pytest.fixture
def secret() -> Secret:
    return Secret(CANARY)


def test_secret_reveals_its_bytes_only_when_asked(secret: Secret) -> None:
    assert secret.reveal() == CANARY
    assert len(secret) == len(CANARY)


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r:>40}".format,
        pretty_repr,
        lambda secret: repr([secret, {"key": (secret,)}]),
        lambda secret: repr(Holder(secret)),
        lambda secret: pretty_repr(Holder(secret)),
    ],
)
def test_secret_never_prints(secret: Secret, show: object) -> None:
    assert callable(show)
    shown = show(secret)
    assert "Secret(28 bytes)" in shown
    assert TAIL not in shown


@pytest.mark.parametrize(
    "carry",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        lambda secret: pickle.dumps({"key": [secret]}, protocol=0),
        lambda secret: asdict(Holder(secret)),
    ],
)
def test_secret_refuses_to_be_pickled_or_copied(secret: Secret, carry: object) -> None:
    assert callable(carry)
    with pytest.raises(TypeError, match="neither pickled nor copied"):
        carry(secret)


def test_secret_has_no_dictionary(secret: Secret) -> None:
    with pytest.raises(TypeError):
        vars(secret)


def test_secret_does_not_reach_a_log_record(
    secret: Secret, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("keystore").error("loaded %s %r", secret, {"key": secret})
    assert "Secret(28 bytes)" in caplog.text
    assert TAIL not in caplog.text


def derive_badly() -> None:
    material = CANARY
    if material:
        message = "the cipher failed"
        raise ValueError(message)


def derive_badly_twice() -> None:
    kept = CANARY
    try:
        derive_badly()
    except ValueError as error:
        raise KeyError(len(kept)) from error


def rendered_with_locals(error: BaseException) -> str:
    out = StringIO()
    shown = Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=1000
    )
    Console(file=out, width=200).print(shown)
    plain = traceback.TracebackException.from_exception(error, capture_locals=True)
    return out.getvalue() + "".join(plain.format())


def test_traceback_with_locals_would_show_the_key_without_the_shield() -> None:
    with pytest.raises(KeyError) as raised:
        derive_badly_twice()
    assert TAIL in rendered_with_locals(raised.value)


def test_shielded_error_keeps_its_lines_and_loses_its_values() -> None:
    with pytest.raises(KeyError) as raised, ShieldedFrames():
        derive_badly_twice()
    text = rendered_with_locals(raised.value)
    assert "derive_badly" in text
    assert "the cipher failed" in text
    assert TAIL not in text


def test_shield_leaves_the_error_that_was_being_handled_before_it() -> None:
    def fail_before() -> None:
        note = "kept for whoever looks"
        raise RuntimeError(note)

    def fail_while_handling() -> None:
        try:
            fail_before()
        except RuntimeError:
            with ShieldedFrames():
                derive_badly()

    with pytest.raises(ValueError, match="cipher") as raised:
        fail_while_handling()
    text = rendered_with_locals(raised.value)
    assert "note = 'kept for whoever looks'" in text
    assert TAIL not in text


def test_shield_is_silent_when_nothing_fails() -> None:
    with ShieldedFrames():
        value = 1
    assert value == 1
