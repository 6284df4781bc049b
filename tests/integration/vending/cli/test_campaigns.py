"""campaigns: from the plan to the note of a clerk, and what each command refuses."""

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.campaigns import NEXT_REVISION
from tests.support.command_line import BEN, CommandLine, sign_in
from tests.support.installed import bring_in_a_key, bring_in_a_tariff
from tests.support.shop import pan_of
from vending.bootstrap import build_container
from vending.campaigns.service.issuing import issue_due
from vending.keystore.service import import_components, open_store
from vending.keystore.unlocking import KeyFile
from vending.operators.permissions import Role
from vending.settings import load_settings
from vending.values.actor import SYSTEM
from vending.values.clock import SystemClock

DRNS = [pan_of(number).iain for number in (1, 2)]
CUSTOMERS = "account_number,name,language\nC-1,Amina Wanjiru,en\n"
COLUMNS = "drn,sgc,krn,kt,ti,ea,dkga,base_date,tariff_code,currency,account_number,state"
PLAN = ("campaigns", "plan", "Revision 2", "--reason", "expires", "--sgc", "201457")


@pytest.fixture
def town(shell: CommandLine) -> CommandLine:
    """Two meters, their key and the next one."""
    bring_in_a_key(shell)
    database = shell.database()
    store = open_store(database, KeyFile(shell.folder / "keystore.key"), data_folder=shell.folder)
    import_components(database, store, NEXT_REVISION, by=SYSTEM, clock=SystemClock())
    database.close()
    bring_in_a_tariff(shell, "--price", "21.50", "--vat", "16")
    assert shell.json("import", "customers", shell.write("c.csv", CUSTOMERS)).code == 0
    rows = [f"{drn},201457,1,2,01,7,4,2014,RES-1,KES,C-1,commissioned" for drn in DRNS]
    assert (
        shell.json("import", "meters", shell.write("m.csv", "\n".join([COLUMNS, *rows]))).code == 0
    )
    return shell


def planned(town: CommandLine, *more: str) -> str:
    return str(town.json(*PLAN, *(more or ("--to-krn", "2"))).document["id"])


def started(town: CommandLine) -> str:
    """A campaign that was approved by another person, with every set made."""
    campaign = planned(town)
    asked = town.json("campaigns", "start", campaign).document["approval"]
    assert town.json("approvals", "approve", asked, by=BEN).code == 0
    assert town.json("campaigns", "start", campaign, "--approval", asked).code == 0
    container = build_container(load_settings(data_dir=town.folder))
    issue_due(container.campaign_office)
    container.close()
    return campaign


def report(town: CommandLine, campaign: str) -> dict[str, Any]:
    document: dict[str, Any] = town.json("campaigns", "report", campaign).document
    return document


def test_dry_run_tells_what_would_happen(town: CommandLine) -> None:
    told = town.json("campaigns", "dry-run", planned(town)).document
    assert (told["meters"], told["would_change"]) == (2, 2)
    assert town.run("campaigns", "dry-run", planned(town, "--to-krn", "7")).code == 0


def test_campaign_is_started_by_two_and_followed(town: CommandLine) -> None:
    campaign = started(town)
    assert report(town, campaign)["steps"] == {"issued": 2}
    assert [each["state"] for each in town.json("campaigns", "list").document] == ["running"]


def test_one_person_alone_starts_nothing(town: CommandLine) -> None:
    campaign = planned(town)
    asked = town.json("campaigns", "propose", campaign, "--reason", "now").document["approval"]
    assert town.json("approvals", "approve", asked).error == "approval_own"
    assert town.json("campaigns", "start", campaign, "--approval", asked).code == 1
    assert report(town, campaign)["state"] == "draft"


def test_list_is_written_once_for_its_owner_alone(town: CommandLine, tmp_path: Path) -> None:
    campaign, out = started(town), tmp_path / "route.txt"
    order = ("campaigns", "print", campaign, "--out", str(out), "--format", "text")
    assert town.json(*order).document["meters"] == 2
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert DRNS[0] in out.read_text("utf-8")
    assert town.json(*order).error == "argument_invalid"


def test_list_of_a_place_without_meters_leaves_no_file(town: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "route.pdf"
    order = ("campaigns", "print", started(town), "--out", str(out), "--place", "Mars")
    assert town.json(*order).error == "nothing_to_print"
    assert not out.exists()


def test_clerk_notes_what_customers_say(town: CommandLine) -> None:
    campaign = started(town)
    note = ("--note", "on the phone")
    entered = town.json("campaigns", "note-entered", campaign, DRNS[0], *note).document
    left = town.json("campaigns", "note-not-entered", campaign, DRNS[1], *note).document
    assert (entered["step"], left["step"]) == ("entered", "withdrawn")
    story = town.json("campaigns", "status", campaign, "--meter", DRNS[0]).document
    assert story["steps"][0]["evidence"] == "customer-said"
    assert town.json("meters", "show", DRNS[0]).document["krn"] == 2


def test_paused_resumed_chased_and_cancelled(town: CommandLine) -> None:
    campaign = started(town)
    assert town.json("campaigns", "pause", campaign).document["state"] == "paused"
    assert town.json("campaigns", "resume", campaign).document["state"] == "running"
    assert len(town.json("campaigns", "chase", campaign, "--days", "0").document) == 2
    ended = town.json("campaigns", "cancel", campaign, "--reason", "wrong key").document
    assert ended["state"] == "cancelled"
    assert town.json("campaigns", "pause", campaign).error == "campaign_state"


def test_file_names_the_meters(town: CommandLine) -> None:
    path = town.write("meters.txt", f"{DRNS[1]}\n\n{DRNS[1]}\n")
    campaign = planned(town, "--to-krn", "2", "--meters", path)
    assert town.json("campaigns", "dry-run", campaign).document["meters"] == 1


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ((), "campaign_invalid"),
        (("--to-krn", "0"), "campaign_invalid"),
        (("--to-kt", "DXTK"), "argument_invalid"),
        (("--to-krn", "2", "--base-date", "2000"), "argument_invalid"),
        (("--to-krn", "2", "--meters", "/nowhere"), "argument_invalid"),
    ],
)
def test_plan_that_cannot_be_is_refused(
    town: CommandLine, more: tuple[str, ...], code: str
) -> None:
    assert town.json(*PLAN, *more).error == code


def test_token_that_no_key_reads_is_told(town: CommandLine) -> None:
    assert town.json("campaigns", "verify", DRNS[0], "0" * 20).error == "token_unreadable"


def test_cashier_plans_nothing(town: CommandLine) -> None:
    sign_in(town.folder, "carl", Role.CASHIER)
    assert town.json(*PLAN, "--to-krn", "2", by="carl").error == "permission_denied"


def test_token_outside_a_sale_says_what_is_entered_first(town: CommandLine) -> None:
    started(town)
    command = ("tokens", "manage", DRNS[0], "clear-tamper-condition", "--reason", "seal replaced")
    asked = town.json(*command).document["approval"]
    assert town.json("approvals", "approve", asked, by=BEN).code == 0
    made = town.json(*command, "--approval", asked).document
    assert [one["section"] for one in made["key_change"]["tokens"]] == [1, 2]
    printed = town.run(*command, "--approval", asked).out
    told = ("ENTER THESE FIRST", "请先按顺序输入", "key change 1/2", "key change 2/2", "digits")
    places = [printed.index(word) for word in told]
    assert places == sorted(places)
    assert "energy" not in printed
    view = ("tokens", "view", made["token"], "--purpose", "receipt lost")
    assert town.json(*view).document["key_change"] == made["key_change"]
    shown = town.run(*view).out
    places = [shown.index(word) for word in told]
    assert places == sorted(places)
