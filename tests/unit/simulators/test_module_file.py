"""The file of a simulated security module."""

from pathlib import Path

import pytest

from simulators.endpoints.module_lines import TCPPort, TerminalPort
from simulators.faults import Fault
from simulators.module_file import ModuleFileError, load_module
from vending.sts.module_messages import IdentificationRequest
from vending.sts.security_module import encode_request

TEXT = """\
format = 1
identification = "bench"
window_min = 60
seed = 7
faults = { lost_answer = 20 }

[[registers]]
number = 3
sgc = "990001"
krn = 1
kt = 2
ken = 255
base_date = 2014
dkga = 4
key = "ababababababababab94949494949494940123ff"
units_left = 1000
"""


def load(folder: Path, text: str) -> object:
    path = folder / "module.toml"
    path.write_text(text)
    return load_module(path)


def test_file_becomes_a_module_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "module.toml"
    path.write_text(TEXT)
    plan = load_module(path)
    assert plan.rates.permille == {Fault.LOST_ANSWER: 20}
    assert plan.state.window_min == 60
    assert plan.state.registers[3].units_left == 1000
    module = plan.build()
    assert b"bench" in module.answer(encode_request(IdentificationRequest()))
    assert 0 <= module.draw_rnd() <= 15
    port = plan.open_port()
    assert isinstance(port, TerminalPort)
    port.close()


def test_port_in_the_file_makes_it_a_tcp_port(tmp_path: Path) -> None:
    path = tmp_path / "module.toml"
    path.write_text(TEXT.replace("seed = 7", "port = 0"))
    port = load_module(path).open_port()
    assert isinstance(port, TCPPort)
    port.close()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("format = 1", "format = 2", "format"),
        ("format = 1", "format = ", "correct the syntax"),
        ("krn = 1", "krn = 0", "krn"),
        ("kt = 2", "kt = 4", "kt"),
        ("dkga = 4", "dkga = 3", "DKGA03"),
        ("base_date = 2014", "base_date = 2015", "base date"),
        ('key = "ab', 'key = "xx', "hexadecimal"),
        ('key = "abab', 'key = "ab', "DKGA04"),
        ('sgc = "990001"', 'sgc = "99"', "SGC"),
        ("units_left", "unit_left", "unit_left"),
        ("window_min", "windows_min", "windows_min"),
        ("lost_answer = 20", "lost_answer = 2000", "lost_answer"),
    ],
)
def test_mistake_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ModuleFileError, match=told):
        load(tmp_path, TEXT.replace(old, new, 1))


def test_key_with_a_mistake_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ModuleFileError) as refused:
        load(tmp_path, TEXT.replace('"abab', '"ab', 1))
    assert "949494" not in str(refused.value)


def test_register_that_stands_twice_is_refused(tmp_path: Path) -> None:
    register = TEXT[TEXT.index("[[registers]]") :]
    with pytest.raises(ModuleFileError, match="stands twice"):
        load(tmp_path, TEXT + register)


def test_module_without_registers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModuleFileError, match="registers"):
        load(tmp_path, "format = 1\nregisters = []\n")


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModuleFileError, match="cannot be read"):
        load_module(tmp_path / "none.toml")
