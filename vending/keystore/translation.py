"""Turns refusals of the pure STS library into ours, once, and lets no key out with them."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from vending.errors import VendingError
from vending.keystore.errors import KeyChangeError, MeterConfigurationError, TokenValueError
from vending.keystore.redaction import ShieldedFrames
from vending.sts import errors as sts

P = ParamSpec("P")
R = TypeVar("R")


def _configuration(error: sts.STSError) -> VendingError:
    return MeterConfigurationError(str(error), sts_code=error.code)


def _value(error: sts.STSError) -> VendingError:
    return TokenValueError(str(error), sts_code=error.code)


def _key_change(error: sts.STSError) -> VendingError:
    return KeyChangeError(str(error), sts_code=error.code)


TRANSLATIONS: Final[Mapping[type[sts.STSError], Callable[[sts.STSError], VendingError]]] = {
    sts.FieldFormatError: _value,
    sts.FieldRangeError: _value,
    sts.CheckDigitError: _value,
    sts.UnknownIINError: _value,
    sts.AmountTooLargeError: _value,
    sts.NegativeAmountError: _value,
    sts.BeforeBaseDateError: _value,
    sts.TIDExhaustedError: _value,
    sts.TIDAheadError: _value,
    sts.KeyLengthError: _configuration,
    sts.KeyRequiredError: _configuration,
    sts.UnsupportedError: _configuration,
    sts.KeyTypeChangeError: _key_change,
    sts.CarrierError: _key_change,
    sts.SectionSetError: _key_change,
    sts.ModuleFrameError: _value,
    sts.ModuleRefusedError: _value,
    sts.VectorError: _value,
}
"""Every error of the library; a test holds the two lists together."""


def translate(error: sts.STSError) -> VendingError:
    """Return our refusal for one of the STS library's."""
    return TRANSLATIONS[type(error)](error)


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with STS refusals translated and its frames emptied on any error."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with ShieldedFrames():
            try:
                return function(*args, **kwargs)
            except sts.STSError as error:
                raise translate(error) from error

    return run
