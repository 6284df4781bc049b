"""Changes the keys of simulated meters over Modbus while a third of them fails in between.

    python tests/proofs/proof_campaign.py --size 200 --seed 1

Two campaigns, each over SIZE meters of its own, by the worker's own jobs and the real drivers: one
to the next key revision, one from base date 1993 to 2014. A third of the meters fail: dead for
ever, dead for hours, the line lossy, the power cut between two sections, the last answer lost, dead
right after the change. Some of their customers type the set from a receipt. At the end every meter
is asked with a token: one that changed takes credit under its new key, one that did not takes it
under the old, and the register knows which or holds a set that fits both. Exits 1 on a failure;
the last line holds the figures.
"""

import argparse
import os
import random  # noqa: TID251 # a seeded plan that can be repeated
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from simulators.faults import Fault, FaultRates
from simulators.fleet import RunningFleet, running_fleet
from simulators.fleet_file import parse_fleet
from tests.support.campaigns import TO_REVISION_2, Fleet
from tests.support.hushed_meters import hushed_pool
from tests.support.partner_client import say
from tests.support.shop import KES, TARIFF, document_of, pan_of
from tests.support.vending_keys import DUTK_1993, DUTK_2014
from vending.campaigns.model import (
    Campaign,
    CampaignTarget,
    MeterStep,
)
from vending.campaigns.service.evidence import note_entered, note_not_entered
from vending.campaigns.service.reports import list_chase, report
from vending.delivery.gateway import DriverGateway
from vending.keystore.components import KeyImport
from vending.keystore.model import KeyReference
from vending.meters.model import Location, Meter, MeterFilter, MeterState, NewMeter
from vending.meters.service import change_state, load_meter, register_meter
from vending.observability.logs import configure_logs
from vending.persistence import migrate
from vending.persistence.engine import create_database
from vending.sales.model import VendRequest
from vending.sales.service.vend import vend
from vending.sts import TI, BaseDate, EncryptionAlgorithm, MeterPAN
from vending.sts.dkga import derive_decoder_key
from vending.values.actor import Actor
from vending.values.clock import FixedClock
from vending.values.identifiers import IdempotencyKey
from vending.values.money import Money
from vending.worker.context import make_context
from vending.worker.jobs import make_jobs
from vending.worker.loop import Loop

NOW = datetime(2024, 6, 1, 8, 0, tzinfo=UTC)
"""While both base dates still count: the identifiers of 1993 end in November 2024."""
METERS_PER_LINE = 25
ROUNDS_MAX = 60
SHOPPING_ROUND = 2
STEP = timedelta(minutes=16)
"""Between two rounds: every pause of a command is over by then."""
TEST = Actor.system("proof")
EXCHANGES_OF_SECTION = 3
"""Read how things stand, write, read the verdict."""


class Trouble(StrEnum):
    """What befalls a meter on its way to the new key."""

    NONE = "none"
    DEAD = "dead"
    DEAD_FOR_HOURS = "dead for hours"
    LOSSY = "lossy"
    CUT_BETWEEN = "power cut between sections"
    LAST_ANSWER_LOST = "last answer lost"
    DEAD_AFTER_CHANGE = "dead after the change"


TROUBLES = [each for each in Trouble if each is not Trouble.NONE]
FIRST_SECTION = [None] * (1 + EXCHANGES_OF_SECTION)
"""The last entry is read first, then the first section goes its way."""
FAULTS: dict[Trouble, list[Fault | None]] = {
    Trouble.NONE: [],
    Trouble.DEAD: [],
    Trouble.DEAD_FOR_HOURS: [Fault.DROP] * 12,
    Trouble.LOSSY: [],
    Trouble.CUT_BETWEEN: [*FIRST_SECTION, *[Fault.DROP] * 12],
    Trouble.LAST_ANSWER_LOST: [*FIRST_SECTION, None, Fault.LOST_ANSWER, *[Fault.DROP] * 6],
    Trouble.DEAD_AFTER_CHANGE: [*FIRST_SECTION, None, Fault.LOST_ANSWER],
}
RATES = {
    Trouble.DEAD: FaultRates({Fault.DROP: 1000}),
    Trouble.DEAD_AFTER_CHANGE: FaultRates({Fault.DROP: 1000}),
    Trouble.LOSSY: FaultRates({Fault.LOST_ANSWER: 150, Fault.DROP: 100}),
}
"""Once the planned faults of a line are used up."""


@dataclass(frozen=True)
class Plan:
    """One campaign: from which key, to what, and what its meters are called."""

    name: str
    key: KeyImport
    target: CampaignTarget
    offset: int
    """Of the serial numbers."""


PLANS = (
    Plan("revision", DUTK_2014, TO_REVISION_2, 0),
    Plan("rollover", DUTK_1993, CampaignTarget(krn=2, base_date=BaseDate.Y2014), 100_000),
)


@dataclass
class Site:
    """A utility with its meters hung up, and the worker's way to them."""

    plan: Plan
    fleet: Fleet
    meters: list[Meter]
    troubles: dict[str, Trouble]
    running: RunningFleet
    worker: Loop
    faults: list[str] = field(default_factory=list)
    sales: int = 0

    def expect(self, holds: bool, what: str) -> None:  # noqa: FBT001 # an assertion that goes on
        if not holds:
            self.faults.append(f"{self.plan.name}: {what}")

    def registered(self, meter: Meter) -> Meter:
        with self.fleet.database.read() as connection:
            return load_meter(connection, meter.pan)

    def has_changed(self, meter: Meter) -> bool:
        """What the meter itself holds, whatever anybody believes."""
        keys = self.running.meter(meter.pan.iain).state.acceptor.keys
        return keys.krn != self.plan.key.attributes.krn

    def sell(self, meter: Meter) -> dict[str, Any]:
        """Sell to a meter; the outbox is carried out as the worker does."""
        self.sales += 1
        request = VendRequest(
            partner_id=self.fleet.shop.partner.id,
            key=IdempotencyKey(f"{self.plan.name}-{self.sales}"),
            meter=meter.pan.iain,
            tender=Money(5000, KES),
        )
        return document_of(vend([request], self.fleet.shop.desk)[0])

    def enter(self, meter: Meter, digits: str) -> str:
        """Type a token at the keypad; what the meter shows."""
        return self.running.meter(meter.pan.iain).enter_token(digits).result.value

    def work(self) -> None:
        """Let the worker run until it finds nothing to do."""
        while self.worker.run_round():
            pass


@contextmanager
def open_site(plan: Plan, folder: Path, size: int, rng: random.Random) -> Iterator[Site]:
    """Hang up the meters: the sound ones share lines, each failing one has its own."""
    folder.mkdir()
    database = create_database(f"sqlite:///{folder / 'proof.sqlite3'}")
    migrate.upgrade(database)
    clock = FixedClock(NOW)
    fleet = Fleet(database, clock, folder, 0)
    pans = [pan_of(plan.offset + number) for number in range(size)]
    failing = rng.sample(range(size), size // 3)
    troubles = {pan.iain: Trouble.NONE for pan in pans}
    for place, number in enumerate(failing):
        troubles[pans[number].iain] = TROUBLES[place % len(TROUBLES)]
    text = fleet_text(plan, fleet, [pan.iain for pan in pans], troubles)
    with running_fleet(parse_fleet(text, file="proof", folder=folder)) as running:
        meters = [register(plan, fleet, running, pan.iain) for pan in pans]
        yield Site(plan, fleet, meters, troubles, running, open_worker(fleet, running))
    database.close()


def open_worker(fleet: Fleet, running: RunningFleet) -> Loop:
    """The worker with all of its jobs; a meter is given up when it is known to be silent."""
    context = make_context(fleet.shop.container())
    gateway = DriverGateway(pool=hushed_pool(running))
    context = replace(context, delivery=replace(context.delivery, gateway=gateway))
    return Loop(
        make_jobs(context),
        failures=context.metrics.job_failures,
        clock=fleet.clock,
        stop=threading.Event(),
        poll_s=1,
    )


def fleet_text(plan: Plan, fleet: Fleet, drns: list[str], troubles: dict[str, Trouble]) -> str:
    """The fleet file: decoder keys as the maker would have put them in."""
    lines, meters = [], []
    sound = [drn for drn in drns if troubles[drn] is Trouble.NONE]
    for place, drn in enumerate(sound):
        name, unit = f"shared-{place // METERS_PER_LINE}", place % METERS_PER_LINE + 1
        if unit == 1:
            lines.append(line_text(name))
        meters.append(meter_text(plan, fleet, drn, name, unit))
    for drn in drns:
        if troubles[drn] is not Trouble.NONE:
            lines.append(line_text(f"own-{drn}"))
            meters.append(meter_text(plan, fleet, drn, f"own-{drn}", 1))
    return "format = 1\n" + "".join(lines) + "".join(meters)


def line_text(name: str) -> str:
    return f'[[lines]]\nname = "{name}"\nkind = "tcp"\nport = 0\n'


def meter_text(plan: Plan, fleet: Fleet, drn: str, line: str, unit: int) -> str:
    attributes = plan.key.attributes
    key = derive_decoder_key(
        fleet.shop.store.vending_key(KeyReference.of(attributes)),
        pan=MeterPAN.from_drn(drn),
        ti=TI("01"),
        ea=EncryptionAlgorithm.STA,
    )
    return f"""
[[meters]]
drn = "{drn}"
line = "{line}"
unit = {unit}
decoder_key = "{key.material.hex()}"
sgc = "{attributes.sgc}"
krn = {attributes.krn}
load = "none"
credit_wh = 5000
"""


def register(plan: Plan, fleet: Fleet, running: RunningFleet, drn: str) -> Meter:
    attributes = plan.key.attributes
    new = NewMeter(
        pan=MeterPAN.from_drn(drn),
        sgc=attributes.sgc,
        krn=attributes.krn,
        kt=attributes.kt,
        ti=TI("01"),
        ea=EncryptionAlgorithm.STA,
        dkga=attributes.dkga,
        base_date=attributes.base_date,
        tariff_code=TARIFF,
        currency=KES,
        profile="reference_prepay",
        link=running.link(drn),
        location=Location(f"Route {int(drn[5:10]) % 7}"),
    )
    meter = register_meter(fleet.database, new, by=TEST, clock=fleet.clock)
    for state in (MeterState.INSTALLED, MeterState.COMMISSIONED):
        meter = change_state(
            fleet.database, meter.pan, state, reason="-", by=TEST, clock=fleet.clock
        )
    return meter


def run_campaign(site: Site) -> Campaign:
    """Sell once to everybody, run the campaign, and let customers live on meanwhile."""
    for meter in site.meters:
        token = site.sell(meter)["tokens"][0]["digits"]
        site.expect(site.enter(meter, token) == "Accept", f"{meter.pan.iain} took no credit before")
    site.work()
    let_trouble_begin(site)
    fleet = site.fleet
    campaign = fleet.start(fleet.draft(target=site.plan.target, wanted=MeterFilter()))
    of = {
        trouble: [meter for meter in site.meters if site.troubles[meter.pan.iain] is trouble]
        for trouble in Trouble
    }
    callers = of[Trouble.DEAD][1::2]
    """They type the set from a receipt, and say so on the telephone."""
    silent = [*of[Trouble.DEAD_AFTER_CHANGE][::2], *of[Trouble.DEAD_FOR_HOURS][1::2]]
    """They type it, and say nothing."""
    for round_number in range(ROUNDS_MAX):
        site.work()
        if round_number == SHOPPING_ROUND:
            for meter in (*callers, *silent):
                type_receipt(site, meter)
        steps = fleet.steps(campaign.id)
        if round_number > SHOPPING_ROUND and not waiting(site, steps):
            break
        fleet.clock.advance(STEP)
    for meter in callers:
        note_entered(fleet.office, campaign.id, meter.pan, note="on the phone", by=fleet.engineer)
    return campaign


def let_trouble_begin(site: Site) -> None:
    for drn, trouble in site.troubles.items():
        if trouble is not Trouble.NONE:
            faults = site.running.faults(f"own-{drn}")
            faults.queue(*FAULTS[trouble])
            faults._rates = RATES.get(trouble, FaultRates())


def waiting(site: Site, steps: dict[MeterStep, int]) -> int:
    """How many meters are still to change by themselves."""
    silent = {Trouble.DEAD, Trouble.DEAD_AFTER_CHANGE}
    gone = sum(each in silent for each in site.troubles.values())
    return len(site.meters) - gone - steps.get(MeterStep.ENTERED, 0)


def type_receipt(site: Site, meter: Meter) -> None:
    """A customer buys, and types what the receipt says in its order."""
    document = site.sell(meter)
    for token in document["key_change"]["tokens"]:
        site.enter(meter, token["digits"])  # what was held or done before is refused: no matter
    shown = site.enter(meter, document["tokens"][0]["digits"])
    site.expect(shown == "Accept", f"{meter.pan.iain} refused credit after its set: {shown}")


def check(site: Site, campaign: Campaign) -> str:
    """Ask every meter with a token; the figures of the campaign."""
    fleet = site.fleet
    found = report(fleet.office, campaign.id)
    site.expect(sum(found.steps.values()) == len(site.meters), "a meter is lost")
    chased = {
        entry.meter.pan
        for group in list_chase(fleet.office, campaign.id, days=0)
        for entry in group.entries
    }
    changed = unchanged = 0
    for meter in site.meters:
        drn, registered = meter.pan.iain, site.registered(meter)
        is_entered = registered.krn != meter.krn
        site.expect(is_entered or meter.pan in chased, f"{drn} is neither entered nor chased")
        if site.has_changed(meter):
            changed += 1
            check_changed(site, meter, is_entered=is_entered)
        else:
            unchanged += 1
            site.expect(not is_entered, f"{drn} is entered, and did not change")
            check_unchanged(site, campaign, meter)
    told = ", ".join(f"{step} {count}" for step, count in sorted(found.steps.items()))
    known = ", ".join(f"{word} {count}" for word, count in sorted(found.evidence.items()))
    return (
        f"{site.plan.name} {len(site.meters)} meters: changed {changed} (known by {known}), "
        f"unchanged {unchanged}; {told}; chased {len(chased)}; sold {site.sales}"
    )


def check_changed(site: Site, meter: Meter, *, is_entered: bool) -> None:
    """It takes a new token under the new key; where nobody knows, the sale brings the set again."""
    document = site.sell(meter)
    drn = meter.pan.iain
    site.expect(("key_change" in document) is not is_entered, f"{drn}: set and register disagree")
    shown = site.enter(meter, document["tokens"][0]["digits"])
    site.expect(shown == "Accept", f"{drn} changed, and refuses new credit: {shown}")


def check_unchanged(site: Site, campaign: Campaign, meter: Meter) -> None:
    """It refuses credit under the new key, and takes it under the old one once that is noted."""
    drn, fleet = meter.pan.iain, site.fleet
    document = site.sell(meter)
    site.expect("key_change" in document, f"{drn} was sold to without its set")
    shown = site.enter(meter, document["tokens"][0]["digits"])
    site.expect(shown == "CRCError", f"{drn} did not change, and takes the new key: {shown}")
    note_not_entered(fleet.office, campaign.id, meter.pan, note="visited", by=fleet.engineer)
    document = site.sell(meter)
    site.expect("key_change" not in document, f"{drn}: a withdrawn set was sold with")
    shown = site.enter(meter, document["tokens"][0]["digits"])
    site.expect(shown == "Accept", f"{drn} did not change, and refuses the old key: {shown}")


def run(plan: Plan, folder: Path, size: int, rng: random.Random) -> tuple[str, list[str]]:
    """Prove one campaign; its figures and its faults."""
    started_s = time.perf_counter()
    with open_site(plan, folder, size, rng) as site:
        campaign = run_campaign(site)
        figures = check(site, campaign)
    return f"{figures}; {time.perf_counter() - started_s:.0f} s", site.faults


def main() -> int:
    """Run the proof; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=200, help="meters of each campaign")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the databases are made; default: /tmp")
    options = parser.parse_args()
    configure_logs(level="error", log_format="console")
    rng = random.Random(options.seed)  # noqa: S311 # a repeatable plan
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for plan in PLANS:
            results.append(run(plan, Path(folder) / plan.name, options.size, rng))
            say(results[-1][0])
    faults = [fault for _, found in results for fault in found]
    for fault in faults[:50]:
        say(f"FAULT {fault}")
    figures = "; ".join(line for line, _ in results)
    load = os.getloadavg()[0]
    say(f"campaign: seed {options.seed}; {figures}; faults {len(faults)}; load {load:.1f}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
