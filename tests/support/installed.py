"""What an installation needs before it can sell: a key whose components anybody may know."""

from tests.support.command_line import BEN, CommandLine
from tests.support.vending_keys import DKGA04_HEX

FIRST = bytes(range(1, 21)).hex()
SECOND = bytes(
    a ^ b for a, b in zip(bytes.fromhex(DKGA04_HEX), bytes(range(1, 21)), strict=True)
).hex()
REGISTER = ("--sgc", "201457", "--krn", "1")


def bring_in_a_key(shell: CommandLine) -> None:
    """Import the published key in two components."""
    path = shell.write("components", f"{FIRST}\n{SECOND}\n")
    assert shell.json("keys", "import", *REGISTER, "--components", path).code == 0


def bring_in_a_tariff(shell: CommandLine, *terms: str) -> dict[str, object]:
    """Draft a version of RES-1 as one person, approve it as another, and activate it."""
    drafted = shell.json("tariffs", "add", "RES-1", *terms).document
    assert shell.json("approvals", "approve", drafted["approval"], by=BEN).code == 0
    approved = ("--approval", drafted["approval"])
    tariff: dict[str, object] = shell.json(
        "tariffs", "activate", drafted["draft"], *approved
    ).document
    return tariff
