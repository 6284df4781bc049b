"""The documents of the repository: their pages, fenced blocks, links and code spans."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COMMENT = re.compile(r"\s{2,}# .*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command as printed, and what is printed below it; empty where nothing is."""

    text: str
    output: str


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    return [Block(match[1], match[2]) for match in _FENCE.finditer(text)]


def prose(text: str) -> str:
    return _FENCE.sub("", text)


def spans(text: str) -> list[str]:
    return _SPAN.findall(prose(text))


def links(text: str) -> list[str]:
    return _LINK.findall(prose(text))


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as they are made of their words."""
    headings = (re.sub(r"[^\w\s-]", "", each.lower()) for each in _HEADING.findall(prose(text)))
    return {each.strip().replace(" ", "-") for each in headings}


def commands(text: str) -> list[Command]:
    """Return every command of the `sh` and `console` blocks, each in the order of the page."""
    found: list[Command] = []
    for block in blocks(text):
        match block.language:
            case "sh":
                lines = (_COMMENT.sub("", line).strip() for line in block.text.splitlines())
                found += [Command(line, "") for line in lines if line]
            case "console":
                found += _console_commands(block.text)
            case _:
                pass  # a block of another language holds no commands
    return found


def _console_commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = re.sub(r"\\\n\s*", "", part).partition("\n")
        yield Command(command, output)
