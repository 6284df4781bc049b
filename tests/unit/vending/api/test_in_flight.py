import uuid

import pytest

from vending.api.in_flight import InFlightKeys
from vending.sales.errors import SaleInFlightError
from vending.values.identifiers import IdempotencyKey, PartnerId

ONE, OTHER = PartnerId(uuid.UUID(int=1)), PartnerId(uuid.UUID(int=2))
KEY = IdempotencyKey("k")


def test_key_that_is_held_is_refused_and_free_again_afterwards() -> None:
    keys = InFlightKeys()
    with keys.hold(ONE, KEY), pytest.raises(SaleInFlightError), keys.hold(ONE, KEY):
        pass
    with keys.hold(ONE, KEY):
        pass


def test_key_is_free_after_a_failure() -> None:
    keys = InFlightKeys()
    with pytest.raises(RuntimeError), keys.hold(ONE, KEY):
        raise RuntimeError
    with keys.hold(ONE, KEY):
        pass


def test_partners_do_not_meet() -> None:
    keys = InFlightKeys()
    with keys.hold(ONE, KEY), keys.hold(OTHER, KEY), keys.hold(ONE, IdempotencyKey("l")):
        pass
