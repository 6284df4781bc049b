"""What an installation needs before it can sell: a key whose components anybody may know."""

from tests.support.command_line import BEN, CommandLine
from tests.support.vending_keys import DUTK_2014
from vending.keystore.service import import_components, open_store
from vending.keystore.unlocking import KeyFile
from vending.values.actor import SYSTEM
from vending.values.clock import SystemClock

REGISTER = ("--sgc", "201457", "--krn", "1")


def bring_in_a_key(shell: CommandLine) -> None:
    """Import the published key, without the ceremony that tests of custody hold."""
    database = shell.database()
    try:
        store = open_store(
            database, KeyFile(shell.folder / "keystore.key"), data_folder=shell.folder
        )
        import_components(database, store, DUTK_2014, by=SYSTEM, clock=SystemClock())
    finally:
        database.close()


def bring_in_a_tariff(shell: CommandLine, *terms: str) -> dict[str, object]:
    """Draft a version of RES-1 as one person, approve it as another, and activate it."""
    drafted = shell.json("tariffs", "add", "RES-1", *terms).document
    assert shell.json("approvals", "approve", drafted["approval"], by=BEN).code == 0
    approved = ("--approval", drafted["approval"])
    tariff: dict[str, object] = shell.json(
        "tariffs", "activate", drafted["draft"], *approved
    ).document
    return tariff
