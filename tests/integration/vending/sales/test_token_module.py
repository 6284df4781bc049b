"""Sales under keys in a PKCS#11 token that goes away and comes back."""

from datetime import timedelta
from pathlib import Path

import pkcs11
import pytest

from meter_drivers.transports.port import SystemTimer
from tests.support.books import count_rows, find_broken
from tests.support.shop import Shop, document_of
from tests.support.softhsm import LIBRARY, SoftHSM
from tests.support.vending_keys import store_in_memory
from vending.keystore.guarded import GuardedSecurityModule, GuardLimits
from vending.keystore.pkcs11 import PKCS11Token
from vending.keystore.token_module import PKCS11SecurityModule
from vending.sales.service.desk import SalesDesk

RESUME = timedelta(seconds=11)


@pytest.fixture
def token(softhsm: SoftHSM) -> PKCS11Token:
    return softhsm.token()


@pytest.fixture
def desk(shop: Shop, token: PKCS11Token, tmp_path: Path) -> SalesDesk:
    folder = tmp_path / "in token"
    folder.mkdir()
    store = store_in_memory(folder, keeper=token.store_key)
    module = PKCS11SecurityModule(store, token, demo_allowed=False)
    limits = GuardLimits(failures_max=1, back_off_s=0)
    return shop.using(GuardedSecurityModule(module, now_s=SystemTimer().now_s, limits=limits))


def test_token_of_a_sale_is_the_one_that_the_meter_takes(shop: Shop, desk: SalesDesk) -> None:
    digits = document_of(shop.sell(shop.request("k1"), desk))["tokens"][0]["digits"]
    assert shop.enter_token(digits).units > 0
    assert find_broken(shop.database) == []


def test_restart_of_the_token_between_sales_is_not_noticed(
    shop: Shop, desk: SalesDesk, softhsm: SoftHSM
) -> None:
    assert document_of(shop.sell(shop.request("k1"), desk))
    softhsm.restart()
    assert document_of(shop.sell(shop.request("k2"), desk))
    assert find_broken(shop.database) == []


def test_sale_waits_for_a_token_that_is_away_and_gets_one_token(
    shop: Shop, desk: SalesDesk, token: PKCS11Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert document_of(shop.sell(shop.request("k1"), desk))
    library = pkcs11.lib(str(LIBRARY))
    library.finalize()
    with monkeypatch.context() as away:
        away.setattr("vending.keystore.pkcs11.cryptoki.lib", lambda _path: library)
        assert shop.refuse(shop.request("k2"), desk) == "sale_outcome_unknown"
    shop.clock.advance(RESUME)
    digits = document_of(shop.sell(shop.request("k2"), desk))["tokens"][0]["digits"]
    assert shop.enter_token(digits).units > 0
    assert count_rows(shop.database)["issued_tokens"] == 2
    assert find_broken(shop.database) == []
    assert token.label
