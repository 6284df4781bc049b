"""Every refusal of the key store is complete, and no answer says which check failed."""

import inspect

import pytest

from vending.errors import Outcome, VendingError
from vending.keystore import errors
from vending.keystore.errors import (
    Damage,
    GenerationUnknownError,
    KeyStoreCorruptError,
    ModuleAnswerLostError,
    ModuleUnavailableError,
)

ABSTRACT = {
    "KeyStoreError",
    "UnlockError",
    "KeyImportError",
    "KeyRefusedError",
    "TokenRequestError",
    "ModuleError",
    "VendingError",
}
REFUSALS = [
    member
    for name, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, VendingError) and name not in ABSTRACT
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusal_has_kind_code_and_remedy(refusal: type[VendingError]) -> None:
    assert refusal.kind
    assert refusal.code
    assert refusal.remedy.endswith(".")


def test_codes_are_unique() -> None:
    codes = [refusal.code for refusal in REFUSALS]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusal_stands_in_the_tree_of_the_module(refusal: type[VendingError]) -> None:
    assert refusal.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("damage", Damage)
def test_answer_does_not_say_which_check_of_the_store_failed(damage: Damage) -> None:
    error = KeyStoreCorruptError(damage, register="123456/1/2")
    assert error.problem_bytes() == KeyStoreCorruptError(Damage.HEADER).problem_bytes()
    assert error.damage is damage


def test_answer_does_not_say_where_files_lie() -> None:
    assert b"/srv" not in GenerationUnknownError("/srv/keystore.generation").problem_bytes()


def test_lost_answer_is_unknown_and_lost_request_is_nothing() -> None:
    assert ModuleAnswerLostError.outcome is Outcome.UNKNOWN
    assert ModuleUnavailableError.outcome is Outcome.NONE
    assert ModuleAnswerLostError.retryable
    assert ModuleUnavailableError.retryable
