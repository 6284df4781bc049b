"""Whatever a page names exists: links, paths, modules, commands, options; and nothing private."""

import importlib
import json
import re
import shlex
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from meter_drivers.__main__ import app as meterctl
from simulators.__main__ import app as metersim
from tests.support.documents import PAGES, ROOT, anchors, blocks, commands, links, relative, spans
from vending.cli.main import COMMANDS

PROGRAMS = ("vending", "meterctl", "metersim")
TOP_FOLDERS = ("vending", "meter_drivers", "simulators", "migrations", "tests", "docs", ".locks")
ADRS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
ADR_SECTIONS = ("Context", "Decision", "Consequences", "Alternatives", "Enforced by")

_PATH = re.compile(rf"(?:{'|'.join(re.escape(top) for top in TOP_FOLDERS)})/[\w./-]*\w")
_MODULE = re.compile(r"(?:vending|meter_drivers|simulators)(?:\.\w+)+")
_FILE_ENDINGS = (".toml", ".service", ".target", ".sqlite3", ".example.org", ".md", ".py")
_IN_SHELL = re.compile(rf"(?:^|[\s/])({'|'.join(PROGRAMS)}) ([^|;&]*)")
_ENDS = re.compile(r"[…<\[]")
_MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home|root|tmp|Users)/")
_REGISTRY = re.compile(r"--(?:extra-)?index-url|\bregistry\.|/simple/")
_TRACKER = re.compile(
    r"\bissues? #?\d|(?<![&\w])#\d+\b|github\.com/[\w-]+/[\w-]+/(?:issues|pull)", re.IGNORECASE
)
_AMERICAN = re.compile(
    r"\b(?:colors?|behaviors?|license|centers?|canceled|gray|favor|labeled|"
    r"(?:author|recogn|organ|normal|initial|serial|summar)i[z](?:e|es|ed|ing))\b"
)


def read(path: Path) -> str:
    return path.read_text("utf-8")


@cache
def command_tree(program: str) -> Any:  # noqa: ANN401 # Typer's own classes are not public
    match program:
        case "meterctl":
            return get_command(meterctl)
        case "metersim":
            return get_command(metersim)
        case "vending":
            app = typer.Typer()
            for module in dict.fromkeys(COMMANDS.values()):
                importlib.import_module(f"vending.cli.{module}").register(app)
            return get_command(app)
        case _:
            raise LookupError(program)


def test_program_that_is_not_ours_has_no_commands() -> None:
    with pytest.raises(LookupError):
        command_tree("metertool")


def unknown_words(program: str, arguments: str) -> list[str]:
    """Return the command and the options that the program does not have."""
    words = shlex.split(_ENDS.split(arguments)[0], comments=True)
    node = command_tree(program)
    while words and hasattr(node, "commands") and not words[0].startswith("-"):
        name = words.pop(0)
        if name == "version":
            return []
        if name not in node.commands:
            return [name]
        node = node.commands[name]
    known = {"--help", *(name for one in node.params for name in one.opts)}
    return [word for word in words if word.startswith("--") and word not in known]


def commands_named_in(text: str) -> list[tuple[str, str]]:
    named = [span.partition(" ") for span in spans(text)]
    found = [(first, rest) for first, _, rest in named if first in PROGRAMS and rest]
    for command in commands(text):
        found += _IN_SHELL.findall(command.text)
    return found


def is_there(module: str) -> bool:
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        try:
            reduce(getattr, parts[end:], found)
        except AttributeError:
            return False
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in links(read(page)):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(read(path)), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_path_named_exists(page: Path) -> None:
    for span in spans(read(page)):
        for path in _PATH.findall(span) if _PATH.match(span) else []:
            assert (ROOT / path).exists(), f"`{span}` is no path of the repository"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_module_named_exists(page: Path) -> None:
    for span in spans(read(page)):
        if _MODULE.fullmatch(span) and not span.endswith(_FILE_ENDINGS):
            assert is_there(span), f"`{span}` is neither a module nor a name in one"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_named_exists(page: Path) -> None:
    for program, arguments in commands_named_in(read(page)):
        assert unknown_words(program, arguments) == [], f"{program} {arguments}"


def test_a_command_or_option_that_is_not_there_is_noticed() -> None:
    assert unknown_words("vending", "sel 01234567897") == ["sel"]
    assert unknown_words("vending", "keys forge") == ["forge"]
    assert unknown_words("meterctl", "relay LINK open --force") == ["--force"]
    assert unknown_words("vending", "keys import --sgc 123456 --krn 1 …") == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "NOTICE"], ids=relative)
def test_page_names_no_machine_no_registry_and_no_tracker(page: Path) -> None:
    text = read(page)
    assert _MACHINE_PATH.findall(text) == []
    assert _REGISTRY.findall(text) == []
    assert _TRACKER.findall(text) == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "NOTICE"], ids=relative)
def test_page_is_written_in_british_english(page: Path) -> None:
    assert _AMERICAN.findall(read(page)) == []


@pytest.mark.parametrize("page", ADRS, ids=relative)
def test_decision_has_every_section_and_stands_in_the_index(page: Path) -> None:
    text = read(page)
    number, _, title = text.partition("\n")[0].removeprefix("# ").partition(" ")
    assert page.name.startswith(f"{number}-")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(ADR_SECTIONS)
    index = read(ROOT / "docs/adr/README.md")
    assert f"[{number}]({page.name})" in index
    assert title.split(",")[0].split(";")[0] in index


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_json_of_a_page_is_json(page: Path) -> None:
    for block in blocks(read(page)):
        if block.language == "json":
            json.loads(block.text)
