"""tokens, sales, customers, partners and commands: acts of two people at the command line."""

import uuid

import pytest

from tests.support.command_line import BEN, CommandLine
from tests.support.installed import bring_in_a_key, bring_in_a_tariff

PAN = "600727000000000009"
CUSTOMERS = "account_number,name,phone,email\nC-1,Amina Wanjiru,+254712345678,amina@example.org\n"
COLUMNS = (
    "drn,sgc,krn,kt,ti,ea,dkga,base_date,tariff_code,currency,account_number,state,profile,link"
)
LINE = (
    f"{PAN},201457,1,2,01,7,4,2014,RES-1,KES,C-1,commissioned,reference_prepay,"
    "modbus-tcp://127.0.0.1:502/1"
)


@pytest.fixture
def ready(shell: CommandLine) -> CommandLine:
    """A key, a tariff, a customer and a commissioned meter."""
    bring_in_a_key(shell)
    bring_in_a_tariff(shell, "--price", "20.00", "--vat", "16")
    assert shell.json("import", "customers", shell.write("c.csv", CUSTOMERS)).code == 0
    assert shell.json("import", "meters", shell.write("m.csv", f"{COLUMNS}\n{LINE}\n")).code == 0
    return shell


def approve(shell: CommandLine, approval_id: str) -> tuple[str, str]:
    assert shell.json("approvals", "approve", approval_id, by=BEN).code == 0
    return "--approval", approval_id


def test_management_token_is_asked_for_and_made(ready: CommandLine) -> None:
    command = (
        *("tokens", "manage", PAN, "set-maximum-power-limit", "--value", "5000"),
        *("--reason", "house is wired for it"),
    )
    asked = ready.json(*command).document["approval"]
    assert ready.json(*command, "--approval", asked).error == "approval_state"
    made = ready.json(*command, *approve(ready, asked)).document
    assert len(made["digits"].replace(" ", "")) == 20
    (row,) = ready.json("tokens", "list", PAN).document
    assert (row["id"], row["for"], row["replaced"]) == (made["token"], "management", False)
    seen = ready.json("tokens", "view", made["token"], "--purpose", "complaint 7")
    assert seen.document == made
    assert "Another person" in ready.run(*command).out


def test_meter_test_takes_one_person(ready: CommandLine) -> None:
    made = ready.json(
        "tokens", "manage", PAN, "initiate-meter-test", "--value", "1", "--reason", "x"
    )
    assert made.document["kind"] == "initiate-meter-test"


def test_free_units_and_their_replacement(ready: CommandLine) -> None:
    command = ("tokens", "free", PAN, "--units", "50", "--reason", "outage")
    given = ready.json(*command, *approve(ready, ready.json(*command).document["approval"]))
    token = given.document["token"]
    again = ("tokens", "replace", token, "--why", "token-rejected")
    asked = ready.json(*again).document["approval"]
    other = ready.json(*again, *approve(ready, asked)).document
    assert other["units"] == 50
    rows = {row["id"]: row["replaced"] for row in ready.json("tokens", "list", PAN).document}
    assert rows == {token: True, other["token"]: False}


def test_refund_of_nothing_is_refused(ready: CommandLine) -> None:
    nothing = str(uuid.UUID(int=1))
    command = ("sales", "refund", nothing, "--minor", "100", "--why", "goodwill", "--note", "x")
    assert ready.json(*command).error == "sale_not_found"
    assert ready.json("sales", "refunds", nothing).document == []


def test_credit_line(ready: CommandLine) -> None:
    assert ready.json("partners", "add", "Corner Shop", "--currency", "KES").code == 0
    command = ("partners", "credit-line", "Corner Shop", "--line", "5000.00", "--reason", "risk")
    asked = ready.json(*command).document["approval"]
    done = ready.json(*command, *approve(ready, asked))
    assert done.document["credit_line_minor"] == 500_000
    wrong = ("partners", "credit-line", "Corner Shop", "--line", "5.001", "--reason", "x")
    assert ready.json(*wrong).error == "argument_invalid"
    none = ("partners", "credit-line", "Corner Shop", "--line", "none", "--reason", "x")
    asked = ready.json(*none).document["approval"]
    assert ready.json(*none, *approve(ready, asked)).document["credit_line_minor"] is None


def test_key_of_a_partner_with_a_line(ready: CommandLine) -> None:
    ready.json("partners", "add", "Corner Shop", "--currency", "KES")
    line = ("partners", "credit-line", "Corner Shop", "--line", "5000.00", "--reason", "risk")
    ready.json(*line, *approve(ready, ready.json(*line).document["approval"]))
    told = ready.json("partners", "key", "Corner Shop").document
    assert set(told) == {"approval"}
    key = ("partners", "key", "Corner Shop", *approve(ready, told["approval"]))
    assert ready.json(*key).document["api_key"].startswith("pk_")
    assert ready.json(*key).error == "approval_used"


def test_disconnection_outside_the_rule(ready: CommandLine) -> None:
    command = ("commands", "disconnect", PAN, "--reason", "bypass found")
    assert ready.json(*command).error == "disconnection_outside_rule"
    asked = ready.json(*command, "--propose").document["approval"]
    queued = ready.json(*command, *approve(ready, asked)).document
    assert (queued["state"], queued["by"]) == ("queued", "operator:anna")
    assert ready.json("commands", "reconnect", PAN, "--reason", "paid").code == 0
    ready.set_policy("disconnection-hours", "00:00-24:00")
    assert ready.json(*command).document["state"] == "queued", "inside it"


def test_tariff_draft_is_withdrawn(ready: CommandLine) -> None:
    drafted = ready.json("tariffs", "add", "BIZ-1", "--price", "30").document
    again = ready.json("tariffs", "activate", drafted["draft"]).document
    assert again["approval"] != drafted["approval"]
    assert ready.json("tariffs", "withdraw", drafted["draft"]).document["state"] == "withdrawn"
    states = [one["state"] for one in ready.json("tariffs", "drafts").document]
    assert sorted(states) == ["activated", "withdrawn"]


def test_personal_data(ready: CommandLine) -> None:
    found = ready.json("customers", "show", "C-1").document
    assert (found["name"], found["phone"]) == ("A**** W******", "+254*******78")
    customer = found["id"]
    seen = ready.json("customers", "identity", customer, "--purpose", "complaint 7").document
    assert seen["email"] == "amina@example.org"
    exported = ready.run("customers", "export", customer, "--purpose", "letter").document
    assert exported["customer"]["name"] == "Amina Wanjiru"
    changed = ready.json("customers", "contact", customer, "--name", "Amina Njeri").document
    assert changed["name"] == "A**** N****"
    assert ready.json("customers", "erase", customer).error == "erasure_held"
    assert ready.json("meters", "state", PAN, "removed", "--reason", "moved").code == 0
    asked = ready.json("customers", "erase", customer).document["approval"]
    erased = ready.json("customers", "erase", customer, *approve(ready, asked)).document
    assert erased["erased"] is not None
