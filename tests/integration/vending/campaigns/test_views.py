"""A token that needs a set first says so each time it is shown, not only when it was made."""

import uuid

import pytest

from tests.support.campaign_meters import Acceptor
from tests.support.campaigns import Fleet
from tests.support.people import sign_in_as
from tests.support.token_orders import give, order
from vending.campaigns.service.evidence import note_entered
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.sales.service.lookups import reprint
from vending.sts import ungroup_digits
from vending.tokens.model import TokenKind
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.views import ViewedToken, list_tokens, view_token
from vending.values.identifiers import SaleId


@pytest.fixture
def desk(fleet: Fleet) -> TokenDesk:
    return fleet.shop.container().token_desk


@pytest.fixture
def clerk(fleet: Fleet) -> SignedIn:
    return sign_in_as(fleet.database, fleet.clock, Role.CUSTOMER_SERVICE, name="clerk")


def view_last(fleet: Fleet, desk: TokenDesk, by: SignedIn) -> ViewedToken:
    with fleet.database.read() as connection:
        (token, *_), _ = list_tokens(connection, fleet.shop.meters[0].pan.digits)
    return view_token(token.id, desk, by=by, purpose="the receipt is lost")


def test_token_that_was_sold_is_shown_with_its_set(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    fleet.run()
    fleet.shop.issue("k")
    seen = view_last(fleet, desk, clerk)
    meter = Acceptor(fleet)
    told = [meter.type(each) for each in (*seen.enter_first, seen.digits)]
    assert told == ["1stKCT", "Accept", "Accept"]


@pytest.mark.parametrize("is_free", [True, False])
def test_token_outside_a_sale_is_shown_with_its_set(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn, *, is_free: bool
) -> None:
    fleet.run()
    if is_free:
        issued = give(fleet.shop, desk, clerk, 5)
    else:
        issued = order(fleet.shop, desk, clerk, TokenKind.CLEAR_TAMPER_CONDITION)
    assert view_last(fleet, desk, clerk).enter_first == issued.enter_first != ()


def test_set_is_shown_no_more_once_the_meter_has_it(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    campaign = fleet.run()
    fleet.shop.issue("k")
    pan = fleet.shop.meters[0].pan
    note_entered(fleet.office, campaign.id, pan, note="read KRN 2", by=fleet.engineer)
    assert view_last(fleet, desk, clerk).enter_first == ()


def test_token_that_was_made_under_the_old_key_is_shown_without_a_set(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    fleet.shop.issue("before")
    fleet.run()
    assert view_last(fleet, desk, clerk).enter_first == ()


def test_view_shows_no_digits_of_the_set_by_accident(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    fleet.run()
    fleet.shop.issue("k")
    seen = view_last(fleet, desk, clerk)
    assert not any(digits in repr(seen) for digits in (*seen.enter_first, seen.digits))


def test_printed_copy_has_the_set_before_the_token(fleet: Fleet) -> None:
    fleet.run()
    document = fleet.shop.issue("k")
    copy = reprint(fleet.shop.partner.id, SaleId(uuid.UUID(str(document["id"]))), fleet.shop.desk)
    lines = "\n".join(copy["receipt"]["lines"])
    places = [lines.index(str(one["grouped"])) for one in copy["key_change"]["tokens"]]
    token = lines.index(str(copy["tokens"][0]["grouped"]))
    assert lines.index("ENTER THESE FIRST") < places[0] < places[1] < token
    assert ungroup_digits(str(copy["tokens"][0]["grouped"])) == copy["tokens"][0]["digits"]
