"""Every refusal of the STS library has one of ours, and none carries frames with keys."""

import inspect
import traceback

import pytest

from vending.errors import VendingError
from vending.keystore.errors import KeyChangeError, MeterConfigurationError, TokenValueError
from vending.keystore.translation import TRANSLATIONS, guarded, translate
from vending.sts import errors as sts
from vending.sts.keys import KeyType


def test_every_error_of_the_library_has_a_translation() -> None:
    defined = {
        member
        for _, member in inspect.getmembers(sts, inspect.isclass)
        if issubclass(member, sts.STSError) and member is not sts.STSError
    }
    assert defined == set(TRANSLATIONS)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (sts.AmountTooLargeError(units=2, largest=1), TokenValueError),
        (sts.UnsupportedError(sts.Unsupported.EA11_WITH_DKGA02), MeterConfigurationError),
        (sts.KeyTypeChangeError(old="DUTK", new="DCTK"), KeyChangeError),
    ],
)
def test_refusal_keeps_reason_and_code(error: sts.STSError, refusal: type[VendingError]) -> None:
    ours = translate(error)
    assert type(ours) is refusal
    assert str(error) in str(ours)
    assert ours.facts == {"sts_code": error.code}


@guarded
def refuse_with(error: Exception) -> None:
    material = f"key-{2**20}"
    assert material
    raise error


def test_guarded_function_raises_ours_from_theirs_without_locals() -> None:
    theirs = sts.KeyTypeChangeError(old=KeyType.DUTK.name, new=KeyType.DCTK.name)
    with pytest.raises(KeyChangeError) as refused:
        refuse_with(theirs)
    assert refused.value.__cause__ is theirs
    shown = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    assert "key-1048576" not in "".join(shown.format())


def test_guarded_function_lets_our_own_faults_through_without_locals() -> None:
    with pytest.raises(ZeroDivisionError) as failed:
        refuse_with(ZeroDivisionError())
    shown = traceback.TracebackException.from_exception(failed.value, capture_locals=True)
    assert "key-1048576" not in "".join(shown.format())


def test_guarded_function_keeps_its_name() -> None:
    assert refuse_with.__name__ == "refuse_with"
