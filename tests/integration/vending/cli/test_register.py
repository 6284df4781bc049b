"""tariffs, partners, meters, commands and imports, each happy and refused."""

import uuid
from datetime import UTC, datetime

import pytest

from tests.support.command_line import CommandLine
from tests.support.installed import bring_in_a_tariff
from tests.support.shop import pan_of
from vending.ledger.model import Account, AccountCode, AccountKind, JournalEntry, Posting
from vending.ledger.service import post_entries
from vending.values.identifiers import EntryId
from vending.values.money import Currency

DRN = pan_of(1).iain
UNKNOWN = "01234567897"
CUSTOMERS = "account_number,name,language\nC-1,Amina Wanjiru,en\n"
METER_COLUMNS = "drn,sgc,krn,kt,ti,ea,dkga,base_date,tariff_code,currency,account_number,state"


def meter_line(drn: str = DRN, *, state: str = "commissioned", krn: str = "1") -> str:
    return f"{drn},201457,{krn},2,01,7,4,2014,RES-1,KES,C-1,{state}"


@pytest.fixture
def stocked(shell: CommandLine) -> CommandLine:
    """A tariff, a customer and a meter."""
    bring_in_a_tariff(shell, "--price", "21.50", "--vat", "16")
    assert shell.json("import", "customers", shell.write("c.csv", CUSTOMERS)).code == 0
    path = shell.write("m.csv", f"{METER_COLUMNS}\n{meter_line()}\n")
    assert shell.json("import", "meters", path).code == 0
    return shell


# --- tariffs -------------------------------------------------------------------------------------
def test_tariff_has_versions(shell: CommandLine) -> None:
    first = bring_in_a_tariff(shell, "--price", "21.50", "--vat", "16")
    assert (first["version"], first["price_per_kwh"], first["vat_percent"]) == (1, "21.50", "16")
    later = ("--from", "2999-01-01T00:00:00Z")
    second = bring_in_a_tariff(shell, "--price", "22.00", *later)
    assert (second["version"], second["effective_from"]) == (2, "2999-01-01T00:00:00+00:00")
    assert shell.json("tariffs", "list").document == [second, first]


def test_a_draft_sells_nothing_before_another_person_approves_it(shell: CommandLine) -> None:
    drafted = shell.json("tariffs", "add", "RES-1", "--price", "21.50").document
    approved = ("--approval", drafted["approval"])
    told = shell.json("tariffs", "activate", drafted["draft"], *approved)
    assert told.error == "approval_state"
    assert shell.json("approvals", "approve", drafted["approval"]).error == "approval_own"
    assert shell.json("tariffs", "list").document == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--price", "free"), "tariff_invalid"),
        (("--price", "1", "--vat", "-1"), "tariff_invalid"),
        (("--price", "1", "--currency", "ZZZ"), "argument_invalid"),
        (("--price", "1", "--from", "tomorrow"), "instant_invalid"),
        (("--price", "1", "--from", "2999-01-01T00:00:00"), "instant_invalid"),
        ((), "usage"),
    ],
)
def test_tariff_that_cannot_be_is_refused(
    shell: CommandLine, more: tuple[str, ...], code: str
) -> None:
    assert shell.json("tariffs", "add", "RES-1", *more).error == code
    assert shell.json("tariffs", "list").document == []


# --- partners ------------------------------------------------------------------------------------
def test_partner_gets_a_key_once_and_loses_it(shell: CommandLine) -> None:
    added = shell.json("partners", "add", "Shop").document
    second = shell.json("partners", "key", "Shop").document
    assert added["api_key"] != second["api_key"]
    listed = shell.json("partners", "keys", "Shop")
    assert [key["prefix"] in added["api_key"] + second["api_key"] for key in listed.document]
    assert added["api_key"].split("_")[2] not in listed.out
    prefix = listed.document[0]["prefix"]
    assert shell.json("partners", "revoke", prefix).document == {"revoked": prefix}
    ended = {
        key["prefix"]: key["revoked"] for key in shell.json("partners", "keys", "Shop").document
    }
    assert [name for name, at in ended.items() if at] == [prefix]
    (partner,) = shell.json("partners", "list").document
    assert (partner["name"], partner["status"]) == ("Shop", "active")


def test_key_of_a_partner_is_printed_on_one_line(shell: CommandLine) -> None:
    told = shell.run("partners", "add", "Shop")
    (line,) = [line for line in told.out.splitlines() if line.startswith("api key: ")]
    assert len(line) == len("api key: ") + len("pk_") + 12 + 1 + 64
    assert "shown this once" in told.out


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("add", ""), "partner_invalid"),
        (("add", "Shop", "--currency", "kes"), "argument_invalid"),
        (("key", "Nobody"), "partner_not_found"),
        (("keys", "Nobody"), "partner_not_found"),
        (("revoke", "000000000000"), "api_key_not_found"),
    ],
)
def test_partner_that_cannot_be_is_refused(
    shell: CommandLine, command: tuple[str, ...], code: str
) -> None:
    assert shell.json("partners", *command).error == code


# --- imports -------------------------------------------------------------------------------------
def test_dry_run_writes_nothing(stocked: CommandLine) -> None:
    path = stocked.write("m.csv", f"{METER_COLUMNS}\n{meter_line(pan_of(2).iain)}\n")
    told = stocked.json("import", "meters", path, "--dry-run").document
    assert told == {"rows": 1, "written": 0, "dry_run": True, "findings": []}
    assert len(stocked.json("meters", "list").document) == 1
    told = stocked.run("import", "meters", path)
    assert "written: 1" in told.out


def test_faults_are_listed_and_nothing_is_written(stocked: CommandLine) -> None:
    lines = [meter_line("1"), meter_line(pan_of(2).iain), meter_line(krn="x"), meter_line()]
    path = stocked.write("m.csv", "\n".join([METER_COLUMNS, *lines]))
    told = stocked.json("import", "meters", path)
    assert told.error == "import_refused"
    assert {(one["row"], one["column"]) for one in told.document["findings"]} >= {
        (2, "drn"),
        (4, "krn"),
    }
    assert told.document["written"] == 0
    assert len(stocked.json("meters", "list").document) == 1
    for_people = stocked.run("import", "meters", path)
    assert for_people.code == 1
    assert max(len(line) for line in for_people.out.splitlines()) <= 80
    assert "krn" in for_people.out


def test_customer_file_with_faults_is_refused(shell: CommandLine) -> None:
    path = shell.write("c.csv", "account_number,name\nC-1,\nC-1,Amina\n")
    told = shell.json("import", "customers", path)
    assert told.error == "import_refused"
    assert told.document["findings"]


@pytest.mark.parametrize("kind", ["meters", "customers"])
def test_file_that_cannot_be_opened_is_named(shell: CommandLine, kind: str) -> None:
    told = shell.json("import", kind, "missing.csv")
    assert told.error == "import_file_unreadable"
    assert "missing.csv: No such file" in told.document["error"]["detail"]
    assert shell.json("import", kind, str(shell.folder)).error == "import_file_unreadable"


# --- meters --------------------------------------------------------------------------------------
def test_meter_is_shown_by_either_number(stocked: CommandLine) -> None:
    shown = stocked.json("meters", "show", DRN).document
    assert shown == stocked.json("meters", "show", pan_of(1).digits).document
    assert (shown["drn"], shown["state"], shown["link"]) == (DRN, "commissioned", None)
    assert stocked.json("meters", "list", "--state", "stock").document == []
    assert "none" in stocked.run("meters", "list", "--state", "stock").out


def test_meter_moves_through_its_states(stocked: CommandLine) -> None:
    moved = stocked.json("meters", "state", DRN, "blocked", "--reason", "audit").document
    assert moved["state"] == "blocked"
    refused = stocked.json("meters", "state", DRN, "stock", "--reason", "audit")
    assert refused.error == "meter_transition_refused"
    assert stocked.json("meters", "state", DRN, "nowhere", "--reason", "x").error == "usage"


def test_meter_gets_a_link_and_loses_it(stocked: CommandLine) -> None:
    link = "modbus-tcp://127.0.0.1:5020/1"
    with_link = ("--profile", "reference_prepay", "--link", link)
    assert stocked.json("meters", "link", DRN, *with_link).document["link"] == link
    assert stocked.json("meters", "link", DRN).document["link"] is None
    assert stocked.json("meters", "link", DRN, "--link", link).error == "meter_invalid"


@pytest.mark.parametrize(
    ("number", "code"),
    [("1", "meter_number_invalid"), ("01234567890", "meter_check_digit"), (UNKNOWN, "x")],
)
def test_meter_that_is_none_is_refused(stocked: CommandLine, number: str, code: str) -> None:
    wanted = "meter_not_found" if code == "x" else code
    assert stocked.json("meters", "show", number).error == wanted
    assert stocked.json("commands", "list", "--meter", number).error == wanted


# --- commands ------------------------------------------------------------------------------------
def test_order_waits_for_the_worker(stocked: CommandLine) -> None:
    refused = stocked.json("commands", "disconnect", DRN, "--reason", "arrears")
    assert refused.error == "meter_unreachable"
    stocked.json(
        "meters", "link", DRN, "--profile", "reference_prepay",
        "--link", "modbus-tcp://127.0.0.1:5020/1",
    )  # fmt: skip
    alone = stocked.json("commands", "disconnect", DRN, "--reason", "arrears").document
    assert "kind" not in alone, "two people, where no hours are set"
    stocked.set_policy("disconnection-hours", "00:00-24:00")
    ordered = stocked.json("commands", "disconnect", DRN, "--reason", "arrears").document
    assert (ordered["kind"], ordered["state"]) == ("disconnect", "queued")
    assert stocked.json("commands", "list", "--meter", DRN).document == [ordered]
    assert stocked.json("commands", "list").document == []
    again = stocked.json("commands", "reconnect", DRN, "--reason", "paid").document
    assert again["kind"] == "reconnect"
    for act in (("retry",), ("settle",)):
        verdict = ("applied",) if act == ("settle",) else ()
        told = stocked.json("commands", *act, ordered["id"], *verdict)
        assert told.code == 1


def test_command_that_is_none_is_refused(stocked: CommandLine) -> None:
    assert stocked.json("commands", "retry", str(uuid.uuid4())).error == "command_not_found"
    assert stocked.json("commands", "retry", "x").error == "usage"


# --- ledger --------------------------------------------------------------------------------------
def test_books_that_agree_are_verified(shell: CommandLine) -> None:
    told = shell.json("ledger", "verify").document
    assert told == {"ledger": "verified", "accounts": 0, "debits_minor": 0, "credits_minor": 0}
    assert shell.json("ledger", "balance").document == []


def test_books_changed_behind_our_back_are_named(shell: CommandLine) -> None:
    fill_the_books(shell)
    assert shell.json("ledger", "verify").document["debits_minor"] == 100
    balance = shell.json("ledger", "balance").document
    assert {line["account"]: line["debit_minor"] for line in balance} == {"a": 100, "b": 0}
    tamper(shell)
    told = shell.json("ledger", "verify")
    assert told.error == "ledger_differs"
    assert "sum" in str(told.document["differences"])
    for_people = shell.run("ledger", "verify")
    assert for_people.code == 1
    assert "sum" in for_people.out


def fill_the_books(shell: CommandLine) -> None:
    kes = Currency("KES")
    one, other = AccountCode("a"), AccountCode("b")
    accounts = [Account(code=code, kind=AccountKind.ASSET, currency=kes) for code in (one, other)]
    entry = JournalEntry(
        id=EntryId(uuid.UUID(int=1)),
        at=datetime(2026, 11, 25, tzinfo=UTC),
        kind="sale",
        reference="r",
        currency=kes,
        postings=(Posting(one, 100), Posting(other, -100)),
    )
    database = shell.database()
    with database.unit_of_work() as uow:
        post_entries(uow.connection, [entry], accounts)
        uow.commit()
    database.close()


def tamper(shell: CommandLine) -> None:
    """Change a posting as one may who owns the file: the triggers first, then the row."""
    database = shell.database()
    with database.unit_of_work() as uow:
        names = uow.connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'postings'"
        ).scalars()
        for name in list(names):
            uow.connection.exec_driver_sql(f"DROP TRIGGER {name}")
        uow.connection.exec_driver_sql("UPDATE postings SET minor = minor + 1 WHERE minor > 0")
        uow.commit()
    database.close()


def test_suspended_partner_is_listed_so_until_resumed(shell: CommandLine) -> None:
    shell.json("partners", "add", "Shop")
    assert shell.json("partners", "suspend", "Shop").document["status"] == "suspended"
    (partner,) = shell.json("partners", "list").document
    assert partner["status"] == "suspended"
    assert shell.json("partners", "resume", "Shop").document["status"] == "active"
    assert shell.json("partners", "suspend", "Nobody").error == "partner_not_found"
