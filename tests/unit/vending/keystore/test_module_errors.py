"""Every refusal of a module outside this process is complete and stands in its tree."""

import inspect

import pytest

from vending.errors import ErrorKind, Outcome, VendingError
from vending.keystore import module_errors
from vending.keystore.module_errors import (
    STATUS_REFUSALS,
    ModuleChecksumError,
    ModuleStatusUnknownError,
    TokenPinError,
    refusal_of,
)
from vending.sts.module_messages import ModuleStatus

ABSTRACT = {"ModuleRefusedError", "TokenDeviceError"}
REFUSALS = [
    member
    for name, member in inspect.getmembers(module_errors, inspect.isclass)
    if issubclass(member, VendingError)
    and member.__module__ == module_errors.__name__
    and name not in ABSTRACT
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusal_has_kind_code_and_remedy(refusal: type[VendingError]) -> None:
    assert refusal.kind in ErrorKind
    assert refusal.code
    assert refusal.remedy.endswith(".")


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusal_stands_in_the_tree_of_the_module(refusal: type[VendingError]) -> None:
    assert refusal.__name__ in (module_errors.__doc__ or "")


def test_codes_are_unique() -> None:
    codes = [refusal.code for refusal in REFUSALS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("status", ModuleStatus)
def test_status_says_whether_anything_was_issued(status: ModuleStatus) -> None:
    refusal = refusal_of(status.code, meaning="as the line said it")
    assert refusal.outcome is Outcome.NONE
    assert refusal.facts["status"] == status.code
    is_passing = status is ModuleStatus.CHECKSUM
    assert isinstance(refusal, ModuleChecksumError) == is_passing
    assert refusal.retryable == is_passing
    assert (status.code in STATUS_REFUSALS) != is_passing


def test_other_status_says_nothing_for_sure() -> None:
    refusal = refusal_of("EE", meaning="extended error P7~")
    assert isinstance(refusal, ModuleStatusUnknownError)
    assert refusal.outcome is Outcome.UNKNOWN
    assert "extended error P7~" in str(refusal)


def test_refused_pin_is_final() -> None:
    assert not TokenPinError.retryable
    assert TokenPinError.kind is ErrorKind.FORBIDDEN
