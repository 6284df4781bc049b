"""Around a campaign: meters that go, keys that go, a worker that dies, every change end to end."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.campaign_meters import Acceptor
from tests.support.campaigns import NEXT_REVISION, TO_REVISION_2, Fleet, with_keys
from tests.support.deliveries import Crash
from tests.support.shop import TARIFF, build_desk, pan_of
from tests.support.vending_keys import DCTK_1993, DUTK_1993, IMPORTED_AT, register_of, under
from vending.campaigns import repository
from vending.campaigns.errors import CampaignStateError
from vending.campaigns.model import Campaign, CampaignState, CampaignTarget, MeterStep
from vending.campaigns.service.deliveries import find_outstanding, open_set
from vending.campaigns.service.evidence import note_entered, note_not_entered
from vending.campaigns.service.issuing import issue_batch, issue_due
from vending.campaigns.service.reports import report
from vending.campaigns.service.running import cancel_campaign, pause_campaign, resume_campaign
from vending.errors import VendingError
from vending.keystore.components import KeyImport
from vending.keystore.port import KeyChange
from vending.keystore.software import SoftwareSecurityModule
from vending.meters.model import Location, MeterFilter, MeterState, NewMeter
from vending.meters.service import change_state, register_meter
from vending.sts import SGC, TI, BaseDate, EncryptionAlgorithm, KeyType
from vending.sts.tcdu import TokenDigits
from vending.values.actor import SYSTEM

COMMON = under(replace(DCTK_1993.attributes, base_date=BaseDate.Y2014, krn=3))
OTHER_GROUP = under(replace(NEXT_REVISION.attributes, sgc=SGC("301457"), krn=1))


def move(fleet: Fleet, *states: MeterState, place: int = 0) -> None:
    for state in states:
        pan = fleet.shop.meters[place].pan
        change_state(fleet.database, pan, state, by=SYSTEM, reason="test", clock=fleet.clock)


def sections(fleet: Fleet, place: int = 0) -> tuple[str, ...]:
    """The digits of the set that is out for a meter."""
    meter_id = fleet.shop.meters[place].id
    with fleet.database.read() as connection:
        found = find_outstanding(connection, [meter_id])[meter_id]
        return open_set(connection, found.id, fleet.office.sealer)


def use(fleet: Fleet, brought: KeyImport) -> None:
    fleet.shop.store = with_keys(fleet.shop.store, brought)
    fleet.shop.desk = build_desk(fleet.database, fleet.clock, fleet.shop.store)


def retire(fleet: Fleet, brought: KeyImport) -> None:
    store = fleet.shop.store
    row = store.retired_row(register_of(brought), at=IMPORTED_AT)
    others = [one for one in store._rows() if one.name != row.name]
    fleet.shop.store = store.reread(store.header_with(row), [*others, row])
    fleet.shop.desk = build_desk(fleet.database, fleet.clock, fleet.shop.store)


# --- states ---------------------------------------------------------------------------------------
def started(fleet: Fleet) -> Campaign:
    return fleet.start(fleet.draft())


def paused(fleet: Fleet) -> Campaign:
    return pause_campaign(fleet.office, started(fleet).id, by=fleet.engineer)


def cancelled(fleet: Fleet) -> Campaign:
    return cancel_campaign(fleet.office, started(fleet).id, reason="-", by=fleet.engineer)


def finished(fleet: Fleet) -> Campaign:
    campaign = fleet.run()
    for meter in fleet.shop.meters:
        note_entered(fleet.office, campaign.id, meter.pan, note="-", by=fleet.engineer)
    issue_due(fleet.office)
    return campaign


ACTS: dict[str, Callable[[Fleet, Campaign], Campaign]] = {
    "pause": lambda fleet, one: pause_campaign(fleet.office, one.id, by=fleet.engineer),
    "resume": lambda fleet, one: resume_campaign(fleet.office, one.id, by=fleet.engineer),
    "cancel": lambda fleet, one: cancel_campaign(
        fleet.office, one.id, reason="-", by=fleet.engineer
    ),
}


@pytest.mark.parametrize(
    ("into", "allowed"),
    [
        (Fleet.draft, {"cancel"}),
        (started, {"pause", "cancel"}),
        (paused, {"resume", "cancel"}),
        (cancelled, set[str]()),
        (finished, set[str]()),
    ],
    ids=["draft", "running", "paused", "cancelled", "finished"],
)
def test_each_state_takes_its_acts_and_refuses_the_others(
    fleet: Fleet, into: Callable[[Fleet], Campaign], allowed: set[str]
) -> None:
    campaign = into(fleet)
    for act in ACTS.keys() - allowed:
        with pytest.raises(CampaignStateError):
            ACTS[act](fleet, campaign)
    for act in sorted(allowed, reverse=True)[:1]:
        ACTS[act](fleet, campaign)
    ended = {CampaignState.CANCELLED, CampaignState.FINISHED}
    assert (report(fleet.office, campaign.id).campaign.state in ended) is (allowed <= {"cancel"})


# --- meters ---------------------------------------------------------------------------------------
def test_meter_removed_before_its_set_is_made_is_skipped(fleet: Fleet) -> None:
    campaign = started(fleet)
    move(fleet, MeterState.REMOVED)
    issue_due(fleet.office)
    assert fleet.steps(campaign.id) == {MeterStep.SKIPPED: 1, MeterStep.ISSUED: 3}


def test_meter_scrapped_while_its_set_is_out_is_settled_by_a_note(fleet: Fleet) -> None:
    campaign = fleet.run(wanted=MeterFilter(pans=(fleet.shop.meters[0].pan,)))
    move(fleet, MeterState.REMOVED, MeterState.DECOMMISSIONED)
    assert report(fleet.office, campaign.id).campaign.state is CampaignState.RUNNING
    pan = fleet.shop.meters[0].pan
    note_not_entered(fleet.office, campaign.id, pan, note="scrapped", by=fleet.engineer)
    issue_due(fleet.office)
    assert report(fleet.office, campaign.id).campaign.state is CampaignState.FINISHED


def test_meter_that_comes_back_into_use_still_has_its_set(fleet: Fleet) -> None:
    fleet.run()
    states = (MeterState.REMOVED, MeterState.STOCK, MeterState.INSTALLED, MeterState.COMMISSIONED)
    move(fleet, *states)
    assert "key_change" in fleet.shop.issue("k")


def test_second_campaign_changes_what_the_first_one_changed(fleet: Fleet) -> None:
    finished(fleet)
    back = fleet.run(CampaignTarget(krn=1))
    document = fleet.shop.issue("k")
    assert [one["digits"] for one in document["key_change"]["tokens"]] == list(sections(fleet))
    pan = fleet.shop.meters[0].pan
    note_entered(fleet.office, back.id, pan, note="-", by=fleet.engineer)
    assert fleet.meter().krn == 1
    again = fleet.run()
    assert fleet.steps(again.id) == {MeterStep.ISSUED: 1, MeterStep.SKIPPED: 3}
    assert "key_change" in fleet.shop.issue("k2")


def test_meter_with_its_1st_section_alone_takes_the_rest_from_a_receipt(fleet: Fleet) -> None:
    fleet.run()
    meter = Acceptor(fleet)
    assert meter.type(sections(fleet)[0]) == "1stKCT"
    document = fleet.shop.issue("k")
    typed = [one["digits"] for one in (*document["key_change"]["tokens"], *document["tokens"])]
    assert [meter.type(each) for each in typed] == ["1stKCT", "Accept", "Accept"]


# --- keys -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("gone", ["expired", "retired"])
def test_new_key_that_goes_midway_makes_no_more_sets(fleet: Fleet, gone: str) -> None:
    campaign = started(fleet)
    issue_batch(fleet.office, campaign.id, limit=1)
    if gone == "retired":
        retire(fleet, NEXT_REVISION)
    else:
        fleet.clock.advance(timedelta(days=365 * 32))  # the base date itself runs out
    issue_due(fleet.office)
    told = report(fleet.office, campaign.id)
    assert told.steps == {MeterStep.ISSUED: 1, MeterStep.SKIPPED: 3}


def test_meter_whose_new_key_was_retired_is_sold_to_once_its_set_is_withdrawn(
    fleet: Fleet,
) -> None:
    campaign = fleet.run()
    retire(fleet, NEXT_REVISION)
    assert fleet.shop.refuse(fleet.shop.request("k")) == "key_retired"
    pan = fleet.shop.meters[0].pan
    note_not_entered(fleet.office, campaign.id, pan, note="retired", by=fleet.engineer)
    assert "key_change" not in fleet.shop.issue("k2")


def test_unique_key_never_becomes_a_common_one(fleet: Fleet) -> None:
    place = fleet.shop.add_meter(DUTK_1993)
    pan = fleet.shop.meters[place].pan
    use(fleet, COMMON)
    campaign = fleet.run(CampaignTarget(krn=3, kt=KeyType.DCTK), MeterFilter(pans=(pan,)))
    told = report(fleet.office, campaign.id)
    assert told.steps == {MeterStep.SKIPPED: 1}
    assert told.reasons == {(MeterStep.SKIPPED, "key_type_change"): 1}


# --- workers --------------------------------------------------------------------------------------
class Dying(SoftwareSecurityModule):
    """Makes the sets, and the process dies before they are stored."""

    made: list[tuple[TokenDigits, ...]]

    def change_key_many(
        self, changes: Sequence[KeyChange]
    ) -> list[tuple[TokenDigits, ...] | VendingError]:
        outcomes = super().change_key_many(changes)
        self.made = [one for one in outcomes if not isinstance(one, VendingError)]
        raise Crash


def test_worker_killed_before_it_stored_makes_the_same_digits_again(fleet: Fleet) -> None:
    campaign = started(fleet)
    module = Dying(fleet.shop.store, demo_allowed=False)
    with pytest.raises(Crash):
        issue_batch(replace(fleet.office, security_module=module), campaign.id)
    assert fleet.steps(campaign.id) == {MeterStep.PLANNED: 4}
    fleet.clock.advance(timedelta(days=1))
    issue_batch(fleet.office, campaign.id)
    assert sorted(sections(fleet, place) for place in range(4)) == sorted(module.made)


# --- every change end to end ----------------------------------------------------------------------
def test_supply_group_is_changed_end_to_end(fleet: Fleet) -> None:
    use(fleet, OTHER_GROUP)
    meter = Acceptor(fleet)
    campaign = fleet.run(CampaignTarget(sgc=SGC("301457"), ti=TI("03")))
    document = fleet.shop.issue("k")
    typed = [one["digits"] for one in (*document["key_change"]["tokens"], *document["tokens"])]
    assert [meter.type(each) for each in typed] == ["1stKCT", "Accept", "Accept"]
    pan = fleet.shop.meters[0].pan
    note_entered(fleet.office, campaign.id, pan, note="-", by=fleet.engineer)
    assert (fleet.meter().sgc, fleet.meter().ti) == (SGC("301457"), TI("03"))
    assert meter.type(fleet.shop.issue("k2")["tokens"][0]["digits"]) == "Accept"


def test_misty1_meter_takes_four_sections_end_to_end(fleet: Fleet) -> None:
    held = fleet.shop.meters[0]
    meter = register_meter(
        fleet.database,
        NewMeter(
            pan=pan_of(77),
            sgc=held.sgc,
            krn=1,
            kt=held.kt,
            ti=held.ti,
            ea=EncryptionAlgorithm.MISTY1,
            dkga=held.dkga,
            base_date=held.base_date,
            tariff_code=TARIFF,
            currency=held.currency,
            location=Location("Block A"),
        ),
        by=SYSTEM,
        clock=fleet.clock,
    )
    fleet.shop.meters.append(meter)
    move(fleet, MeterState.INSTALLED, MeterState.COMMISSIONED, place=4)
    acceptor = Acceptor(fleet, 4)
    fleet.run(TO_REVISION_2, MeterFilter(pans=(meter.pan,)))
    document = fleet.shop.issue("k", meter=4)
    typed = [one["digits"] for one in (*document["key_change"]["tokens"], *document["tokens"])]
    said = [acceptor.type(each) for each in typed]
    assert len(said) == 5
    assert said[-2:] == ["Accept", "Accept"]
    assert acceptor.state.keys.krn == 2
    with fleet.database.read() as connection:
        (made,) = repository.find_sets_out(connection, [meter.id]).values()
    assert made.section_count == 4
