from uuid import UUID

import pytest

from vending.partners.errors import PartnerInvalidError
from vending.partners.model import Partner, PartnerStatus
from vending.values.identifiers import PartnerId
from vending.values.money import Currency


def test_a_partner_starts_active() -> None:
    partner = Partner(PartnerId(UUID(int=1)), "Acme 商店", Currency("KES"))
    assert partner.status is PartnerStatus.ACTIVE


@pytest.mark.parametrize("name", ["", " Acme", "Acme ", "A\ncme", "x" * 81])
def test_a_name_outside_its_limits_is_refused(name: str) -> None:
    with pytest.raises(PartnerInvalidError, match="name: 1 to 80 printable"):
        Partner(PartnerId(UUID(int=1)), name, Currency("KES"))
