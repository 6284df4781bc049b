from importlib import resources
from pathlib import Path

import pytest

from simulators.faults import Fault
from simulators.fleet_file import FleetFileError, FleetPlan, LineKind, load_fleet, parse_fleet
from simulators.load import LoadShape
from vending.sts import EncryptionAlgorithm, KeyType


def parse(text: str) -> FleetPlan:
    return parse_fleet(text, file="fleet.toml", folder=Path("/fleet"))


def test_a_fleet_file_gives_lines_and_meters(fleet_text: str) -> None:
    plan = parse(fleet_text)
    gateway, cabinet = plan.lines
    assert (gateway.kind, gateway.host, gateway.port) == (LineKind.TCP, "127.0.0.1", 0)
    assert (cabinet.kind, cabinet.link) == (LineKind.PTY, Path("/fleet/run/cabinet"))
    one, other = plan.meters
    assert (one.drn.digits, one.unit, one.credit_wh) == ("01234567897", 1, 10_000)
    assert one.acceptor.kind.manufacturer == "01"
    assert one.acceptor.keys.kt is KeyType.DUTK
    assert one.site_key is not None
    assert other.site_key is None
    assert other.load.shape is LoadShape.CONSTANT
    assert (plan.speed, plan.seed, plan.state_folder) == (1, 5, None)


def test_what_a_file_may_say_besides(fleet_text: str) -> None:
    changes = {
        "seed = 5": 'seed = 5\nspeed = 60\nstate_folder = "state"',
        'link = "run/cabinet"': 'link = "/x"\nbaud = 2400\nfaults = { drop = 5, late_ms = 9 }',
        "port = 0": 'port = 5020\nhost = "127.0.0.2"',
        "mean_w = 1000": 'ea = 11\nti = "07"\npower_limit_w = 4600\nprofile = "reference_prepay"',
        "unit = 7\ndecoder_key = ": "unit = 7\ndecoder_key = '0123456789abcdef' #",
    }
    text = fleet_text
    for before, after in changes.items():
        text = text.replace(before, after)
    text = text.replace("'0123456789abcdef'", f"'{'ab' * 16}'")
    plan = parse(text)
    gateway, cabinet = plan.lines
    assert (gateway.host, gateway.port) == ("127.0.0.2", 5020)
    assert (cabinet.link, cabinet.baud) == (Path("/x"), 2400)
    assert (dict(cabinet.faults.permille), cabinet.faults.late_ms) == ({Fault.DROP: 5}, 9)
    assert (plan.speed, plan.state_folder) == (60, Path("/fleet/state"))
    meter = plan.meters[1]
    assert meter.acceptor.keys.decoder_key.ea is EncryptionAlgorithm.MISTY1
    assert meter.settings.power_limit_w == 4600


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("format = 1", "format = 2", "format"),
        ("format = 1", "format = ", "correct the syntax"),
        ('kind = "tcp"', 'kind = "udp"', "write one of: tcp, pty"),
        ("port = 0", "", r"lines\[0\]\.port: missing"),
        ("port = 0", "port = 0\nparity = 1", "unknown key"),
        ("port = 0", "port = 0\nfaults = { drop = 600, delay = 600 }", "permille"),
        ("port = 0", "port = 0\nfaults = { dorp = 600 }", "unknown key"),
        ('name = "cabinet"', 'name = "gateway"', "gateway stands twice"),
        ('line = "cabinet"', 'line = "closet"', "which is not there"),
        ('line = "cabinet"\nunit = 7', 'line = "gateway"\nunit = 1', "unit 1 of gateway stands"),
        ('"00000000000"', '"01234567897"', "01234567897 stands twice"),
        ('"01234567897"', '"01234567890"', "call for 7"),
        ('sgc = "123456"', 'sgc = "12345"', "SGC"),
        ('sgc = "123456"', 'sgc = "123456"\nkt = 3', "magnetic card"),
        ('sgc = "123456"', 'sgc = "123456"\nea = 9', "EA09"),
        ('sgc = "123456"', 'sgc = "123456"\nprofile = "nope"', "no such profile"),
        ('"0123456789abcdef"', '"0123"', "8 bytes"),
        ('"0123456789abcdef"', '"012345678secret!"', "not hexadecimal"),
        ('site_key = "00', 'site_key = "', "64 digits"),
        ("unit = 7", "unit = 248", "from 1 to 247"),
        ("mean_w = 1000", "mean_w = true", "out of place"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(
    fleet_text: str, before: str, after: str, message: str
) -> None:
    assert before in fleet_text
    with pytest.raises(FleetFileError, match=message) as caught:
        parse(fleet_text.replace(before, after, 1))
    assert "fleet.toml: " in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('kind = "tcp"\nport = 5020', "127.0.0.1:5020"),
        ('kind = "pty"\nlink = "run/closet"', "/fleet/run/closet"),
    ],
)
def test_two_lines_at_one_place_are_refused(fleet_text: str, line: str, place: str) -> None:
    lines = "".join(f'[[lines]]\nname = "{name}"\n{line}\n' for name in ("one", "other"))
    with pytest.raises(FleetFileError, match=f"{place} stands twice"):
        parse(fleet_text + lines)


def test_a_fleet_without_meters_is_refused() -> None:
    with pytest.raises(FleetFileError, match=r"add \[\[meters\]\]"):
        parse("format = 1")


def test_a_file_is_loaded_and_its_paths_are_its_own(tmp_path: Path, fleet_text: str) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(fleet_text)
    assert load_fleet(path).lines[1].link == tmp_path / "run/cabinet"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetFileError, match="No such file"):
        load_fleet(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FleetFileError, match="cannot be read"):
        load_fleet(path)


def test_a_profile_of_ones_own_stands_beside_the_fleet_file(
    tmp_path: Path, fleet_text: str
) -> None:
    packaged = resources.files("meter_drivers.profiles") / "eastron_sdm120.toml"
    (tmp_path / "mine.toml").write_text(packaged.read_text().replace("eastron_sdm120", "mine"))
    (tmp_path / "fleet.toml").write_text(
        fleet_text.replace("mean_w = 1000", 'mean_w = 1000\nprofile = "mine.toml"').replace(
            'unit = 7\ndecoder_key = "0123456789abcdef"\nsgc = "123456"', "unit = 7"
        )
    )
    assert load_fleet(tmp_path / "fleet.toml").meters[1].profile.name == "mine"
