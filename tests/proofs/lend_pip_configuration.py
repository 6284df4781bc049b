"""Writes this machine's pip configuration in a form that a chroot can use.

Each file or folder that the configuration names is printed as `source<TAB>target`, for the
caller to show at the target; every value is written with the target's path in its place.
"""

import argparse
import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

_LINE = re.compile(r"^(?P<section>:env:|[a-z]+)\.(?P<name>[a-z][a-z-]*)=(?P<value>'.*'|\".*\")$")
# What decides where packages come from; the rest of a configuration is taste.
_NAMES = frozenset({
    "cert", "client-cert", "constraint", "default-timeout", "extra-index-url", "find-links",
    "index-url", "no-index", "proxy", "retries", "timeout", "trusted-host",
})  # fmt: skip


def parse_listing(listing: str) -> dict[str, str]:
    """Return name to value from `pip config list`; the environment wins, as it does in pip."""
    found: dict[str, str] = {}
    from_environment: dict[str, str] = {}
    for line in listing.splitlines():
        match = _LINE.match(line)
        if match is None or match["name"] not in _NAMES:
            continue
        target = from_environment if match["section"] == ":env:" else found
        target[match["name"]] = str(ast.literal_eval(match["value"]))
    return found | from_environment


def _as_local_path(word: str) -> Path | None:
    path = Path(word.removeprefix("file://"))
    return path if path.is_absolute() and path.exists() else None


def move_paths(settings: dict[str, str], at: str) -> tuple[dict[str, str], list[tuple[Path, str]]]:
    """Return the settings with each local path moved below `at`, and (source, target) pairs."""
    moved: dict[str, str] = {}
    lent: list[tuple[Path, str]] = []
    for name, value in settings.items():
        words = []
        for word in value.split():
            path = _as_local_path(word)
            if path is None:
                words.append(word)
                continue
            # An index page links to files beside its own folder, so the parent is lent.
            is_index = word.startswith("file://") and path.is_dir()
            shared = path.parent if is_index else path
            target = f"{at}/{len(lent)}"
            lent.append((shared, target))
            words.append(f"file://{target}/{path.name}" if is_index else target)
        moved[name] = " ".join(words)
    return moved, lent


def main() -> int:
    """Write `pip.conf` and print the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="interpreter whose pip is asked")
    parser.add_argument("--at", required=True, help="folder of the chroot that holds what is lent")
    parser.add_argument("--out", required=True, type=Path, help="folder to write pip.conf into")
    given = parser.parse_args()
    listing = subprocess.run(
        [given.python, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    )
    settings, lent = move_paths(parse_listing(listing.stdout), given.at)
    config = configparser.RawConfigParser()
    config["global"] = settings
    with (given.out / "pip.conf").open("w", encoding="utf-8") as file:
        config.write(file)
    sys.stdout.writelines(f"{source}\t{target}\n" for source, target in lent)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
