"""A utility with keys to change to: a shop whose store holds the next revision and base date."""

from dataclasses import replace
from pathlib import Path

from tests.support.people import approve, sign_in_as
from tests.support.shop import Shop, build_desk, build_shop
from tests.support.vending_keys import DUTK_1993, DUTK_2014, IMPORTED_AT, under
from vending.campaigns.model import (
    Campaign,
    CampaignTarget,
    Channel,
    MeterStep,
    NewCampaign,
)
from vending.campaigns.service.issuing import issue_due
from vending.campaigns.service.office import CampaignOffice
from vending.campaigns.service.planning import draft_campaign, propose_start, start_campaign
from vending.campaigns.service.reports import report
from vending.keystore.components import KeyImport, combine
from vending.keystore.sealing import Purpose
from vending.keystore.store import OpenKeyStore
from vending.meters.model import Meter, MeterFilter
from vending.meters.service import load_meter
from vending.operators.model import SignedIn
from vending.operators.permissions import Role
from vending.persistence.engine import Database
from vending.sts import BaseDate, KeyDerivation
from vending.values.clock import FixedClock
from vending.values.identifiers import CampaignId

NEXT_REVISION = under(replace(DUTK_2014.attributes, krn=2))
ROLLED_OVER = under(
    replace(
        DUTK_1993.attributes,
        krn=2,
        base_date=BaseDate.Y2014,
        dkga=KeyDerivation.DKGA04,
    )
)
TO_REVISION_2 = CampaignTarget(krn=2)
ALL_CHANNELS = frozenset(Channel)


def with_keys(store: OpenKeyStore, *brought: KeyImport) -> OpenKeyStore:
    """The store as it is once these keys are in it."""
    for one in brought:
        secret, check_value = combine(one)
        row = store.seal_key(
            one.attributes,
            secret,
            check_value=check_value,
            component_count=len(one.components),
            is_demo=False,
            at=IMPORTED_AT,
        )
        store = store.reread(store.header_with(row), [*store._rows(), row])
    return store


class Fleet:
    """A shop, its campaigns, and the two people who run them."""

    def __init__(self, database: Database, clock: FixedClock, folder: Path, count: int) -> None:
        self.shop: Shop = build_shop(database, clock, folder, meter_count=count)
        self.shop.store = with_keys(self.shop.store, NEXT_REVISION, ROLLED_OVER)
        self.shop.desk = build_desk(database, clock, self.shop.store)
        self.database, self.clock = database, clock
        self.engineer: SignedIn = sign_in_as(database, clock, Role.ENGINEER, name="eddie")
        self.custodian: SignedIn = sign_in_as(database, clock, Role.KEY_CUSTODIAN, name="kate")

    @property
    def office(self) -> CampaignOffice:
        desk = self.shop.desk
        return CampaignOffice(
            database=self.database,
            clock=self.clock,
            security_module=desk.security_module,
            sealer=self.shop.store.sealer(Purpose.ISSUED_TOKENS),
        )

    def draft(
        self,
        target: CampaignTarget = TO_REVISION_2,
        wanted: MeterFilter | None = None,
        channels: frozenset[Channel] = ALL_CHANNELS,
    ) -> Campaign:
        new = NewCampaign(
            name="Revision 2",
            wanted=wanted or MeterFilter(),
            target=target,
            channels=channels,
            reason="the old revision expires",
        )
        return draft_campaign(self.office, new, by=self.engineer)

    def start(self, campaign: Campaign) -> Campaign:
        asked = propose_start(self.office, campaign.id, reason="as planned", by=self.engineer)
        approve(self.database, self.clock, asked.id, self.custodian)
        return start_campaign(self.office, campaign.id, approval_id=asked.id, by=self.engineer)

    def run(
        self,
        target: CampaignTarget = TO_REVISION_2,
        wanted: MeterFilter | None = None,
        channels: frozenset[Channel] = ALL_CHANNELS,
    ) -> Campaign:
        """A campaign that was drafted, approved and started, with every set made."""
        campaign = self.start(self.draft(target, wanted, channels))
        while issue_due(self.office):
            pass
        return campaign

    def steps(self, campaign_id: CampaignId) -> dict[MeterStep, int]:
        return report(self.office, campaign_id).steps

    def meter(self, place: int = 0) -> Meter:
        """The meter as the register has it now."""
        with self.database.read() as connection:
            return load_meter(connection, self.shop.meters[place].pan)
