"""While a set is out, a token outside a sale is under the new key too, and says what goes first."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.campaign_meters import Acceptor, Round
from tests.support.campaigns import Fleet
from tests.support.deliveries import Plan
from tests.support.people import approve, sign_in_as
from tests.support.policies import set_policies
from tests.support.slow_security_module import Fault, SlowSecurityModule
from tests.support.token_orders import approved, give, order
from tests.support.vending_keys import DUTK_1993
from vending.approvals.errors import ApprovalMismatchError
from vending.campaigns.model import CampaignTarget, Evidence, MeterStep
from vending.campaigns.service.evidence import note_entered, note_not_entered
from vending.campaigns.service.reports import report, tell_meter
from vending.meters.model import MeterFilter
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.policies.model import PolicyName
from vending.sales.model import ReplacementReason, ReplacementRequest
from vending.sales.service.replacements import propose_replacement, replace_token
from vending.sts import BaseDate
from vending.sts.tid import TokenIdentifier
from vending.tokens.errors import TokenOrderUnknownError
from vending.tokens.model import ManagementRequest, TokenKind
from vending.tokens.service.desk import TokenDesk
from vending.tokens.service.management import issue_management_token
from vending.tokens.service.orders import IssuedOrder, finish_open_orders
from vending.tokens.service.views import list_tokens

ANY_WH = 1_000_000
ROLLOVER = CampaignTarget(krn=2, base_date=BaseDate.Y2014)


@pytest.fixture
def desk(fleet: Fleet) -> TokenDesk:
    """One person may replace any token."""
    set_policies(fleet.database, fleet.clock, {PolicyName.REPLACEMENT_LIMIT_WH: ANY_WH})
    return fleet.shop.container().token_desk


@pytest.fixture
def clerk(fleet: Fleet) -> SignedIn:
    return sign_in_as(fleet.database, fleet.clock, Role.CUSTOMER_SERVICE, name="clerk")


def replace_last(fleet: Fleet, desk: TokenDesk, by: SignedIn) -> IssuedOrder:
    with fleet.database.read() as connection:
        (token, *_), _ = list_tokens(connection, fleet.shop.meters[0].pan.digits)
    wanted = ReplacementRequest(token_id=token.id, reason=ReplacementReason.TOKEN_REJECTED)
    return replace_token(wanted, desk, by=by)


def enter(fleet: Fleet, issued: IssuedOrder) -> list[str]:
    """What a meter that holds the old key says of the set and the token, in their order."""
    meter = Acceptor(fleet)
    return [meter.type(each) for each in (*issued.enter_first, issued.token.digits)]


def test_free_units_are_under_the_new_key_and_carry_the_set(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    campaign = fleet.run()
    issued = give(fleet.shop, desk, clerk, 5)
    assert enter(fleet, issued) == ["1stKCT", "Accept", "Accept"]
    assert fleet.steps(campaign.id)[MeterStep.DELIVERED] == 1
    with fleet.database.read() as connection:
        (step,) = tell_meter(connection, campaign.id, fleet.shop.meters[0].pan).steps
    assert (step.evidence, step.actor) == (Evidence.TOKEN_ORDER, str(clerk.actor))


def test_management_token_is_under_the_new_key_and_carries_the_set(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    fleet.run()
    issued = order(fleet.shop, desk, clerk, TokenKind.CLEAR_TAMPER_CONDITION)
    assert enter(fleet, issued) == ["1stKCT", "Accept", "Accept"]


def test_token_sold_before_the_set_is_replaced_under_the_new_key(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    fleet.shop.issue("before")
    fleet.run()
    issued = replace_last(fleet, desk, clerk)
    assert enter(fleet, issued) == ["1stKCT", "Accept", "Accept"]


def test_large_replacement_is_approved_under_the_key_it_is_made_under(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    set_policies(fleet.database, fleet.clock, {PolicyName.REPLACEMENT_LIMIT_WH: 0})
    fleet.shop.issue("before")
    fleet.run()
    with fleet.database.read() as connection:
        (token, *_), _ = list_tokens(connection, fleet.shop.meters[0].pan.digits)
    wanted = ReplacementRequest(token_id=token.id, reason=ReplacementReason.TOKEN_REJECTED)
    asked = propose_replacement(wanted, desk, by=clerk, reason="keypad")
    other = sign_in_as(fleet.database, fleet.clock, Role.FINANCE, name="other")
    approve(fleet.database, fleet.clock, asked.id, other)
    issued = replace_token(wanted, desk, by=clerk, approval_id=asked.id)
    assert enter(fleet, issued) == ["1stKCT", "Accept", "Accept"]


def test_what_was_approved_under_the_old_key_takes_a_new_approval(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    request = ManagementRequest(fleet.shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(fleet.shop, desk, clerk, request)
    fleet.run()
    with pytest.raises(ApprovalMismatchError):
        issue_management_token(request, desk, by=clerk, reason="x", approval_id=approval_id)


def test_meter_test_needs_no_set_for_any_meter_reads_it(fleet: Fleet, desk: TokenDesk) -> None:
    campaign = fleet.run()
    request = ManagementRequest(
        fleet.shop.meters[0].pan.iain, TokenKind.INITIATE_METER_TEST, value=1
    )
    issued = issue_management_token(request, desk, by=fleet.engineer, reason="display")
    assert issued.enter_first == ()
    assert fleet.steps(campaign.id) == {MeterStep.ISSUED: 4}


def test_same_order_again_carries_the_set_until_the_meter_changed(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    campaign = fleet.run()
    request = ManagementRequest(fleet.shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(fleet.shop, desk, clerk, request)

    def again() -> IssuedOrder:
        return issue_management_token(request, desk, by=clerk, reason="x", approval_id=approval_id)

    first, second = again(), again()
    assert (second.token, second.enter_first) == (first.token, first.enter_first)
    pan = fleet.shop.meters[0].pan
    note_entered(fleet.office, campaign.id, pan, note="called", by=fleet.engineer)
    last = again()
    assert (last.token, last.enter_first) == (first.token, ())


def test_withdrawn_set_leaves_tokens_under_the_old_key(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    campaign = fleet.run()
    pan = fleet.shop.meters[0].pan
    note_not_entered(fleet.office, campaign.id, pan, note="keypad", by=fleet.engineer)
    assert enter(fleet, give(fleet.shop, desk, clerk, 5)) == ["Accept"]


def test_identifier_counts_from_the_new_base_date(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    place = fleet.shop.add_meter(DUTK_1993)
    fleet.shop.meters[0], fleet.shop.meters[place] = fleet.shop.meters[place], fleet.shop.meters[0]
    fleet.run(ROLLOVER, MeterFilter(base_date=BaseDate.Y1993))
    issued = give(fleet.shop, desk, clerk, 5)
    assert issued.order.base_date is BaseDate.Y2014
    now = TokenIdentifier.at(fleet.clock.now(), BaseDate.Y2014)
    assert issued.order.tid == now.minutes
    assert enter(fleet, issued) == ["1stKCT", "Accept", "Accept"]


def test_order_that_a_module_left_open_keeps_its_key_and_carries_the_set(
    fleet: Fleet, desk: TokenDesk, clerk: SignedIn
) -> None:
    campaign = fleet.run()
    module = SlowSecurityModule(desk.security_module)
    module.plan(Fault.LOSE_ANSWER)
    slow = replace(desk, security_module=module)
    request = ManagementRequest(fleet.shop.meters[0].pan.iain, TokenKind.CLEAR_TAMPER_CONDITION)
    approval_id = approved(fleet.shop, desk, clerk, request)
    with pytest.raises(TokenOrderUnknownError):
        issue_management_token(request, slow, by=clerk, reason="x", approval_id=approval_id)
    pan = fleet.shop.meters[0].pan
    note_not_entered(fleet.office, campaign.id, pan, note="lost", by=fleet.engineer)
    fleet.clock.advance(timedelta(minutes=1))
    assert finish_open_orders(desk, limit=10) == 1
    issued = issue_management_token(request, desk, by=clerk, reason="x", approval_id=approval_id)
    assert enter(fleet, issued) == ["1stKCT", "Accept", "Accept"]


def test_driver_takes_the_set_before_the_token_and_its_answer_tells(
    fleet: Fleet, clerk: SignedIn
) -> None:
    street = Round(fleet)
    campaign = fleet.run()
    street.gateway.plan(fleet.shop.meters[0], Plan.UNREACHABLE)
    street.deliver()
    give(fleet.shop, fleet.shop.container().token_desk, clerk, 5)
    street.relay()
    street.deliver(after=timedelta(seconds=1))
    assert street.sent == []
    street.deliver(after=timedelta(minutes=1))
    assert street.sent == [2, 1]
    assert fleet.steps(campaign.id)[MeterStep.ENTERED] == 1


def test_driver_takes_a_set_along_that_nobody_had_queued(fleet: Fleet, clerk: SignedIn) -> None:
    fleet.run()
    street = Round(fleet)
    give(fleet.shop, fleet.shop.container().token_desk, clerk, 5)
    street.relay()
    street.deliver(after=timedelta(seconds=1))
    assert street.sent == [2, 1]


def test_token_that_the_meter_took_shows_that_it_changed(fleet: Fleet, clerk: SignedIn) -> None:
    campaign = fleet.run()
    street = Round(fleet)
    issued = give(fleet.shop, fleet.shop.container().token_desk, clerk, 5)
    street.gateway.plan(fleet.shop.meters[0], Plan.ANSWER)
    street.relay()
    # What the customer typed: the meter does not read the set any more, and takes the token.
    street.refuse_sets()
    street.deliver(after=timedelta(seconds=1))
    assert street.gateway.sent[-1][1] == issued.token.digits
    assert report(fleet.office, campaign.id).evidence == {Evidence.CREDIT_ACCEPTED: 1}
    assert fleet.meter().krn == 2
