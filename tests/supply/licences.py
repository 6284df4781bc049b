"""Which licence a package comes under, read from the licence texts that it installs.

What a package says of itself in its metadata is a claim; the text beside it is what binds. Run
as a command it prints one row a package, and exits 1 when a text is missing or may not be here:

    python -m tests.supply.licences
"""

import re
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement

from tests.support.documents import ROOT

PHRASES: Mapping[str, str] = MappingProxyType(
    {
        "AGPL": r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version",
        "LGPL": r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version",
        "GPL": r"GNU GENERAL PUBLIC LICENSE\s+Version",
        "SSPL": r"Server Side Public License",
        "BUSL": r"Business Source License",
        "MPL-2.0": r"Mozilla Public License,?\s+(Version|v\.) ?2\.0",
        "Apache-2.0": r"Apache License,?\s+Version 2\.0",
        "MIT": r"Permission is hereby granted,\s+free of charge,\s+to any\s+person\s+obtaining",
        "MIT-CMU": r"By obtaining, using, and/or copying this software",
        "BSD": r"Redistributions? (of|in) source (code|form),?\s*(must|with or)?",
        "ISC": r"Permission to use, copy, modify, and(/or)? distribute this software",
        "PSF-2.0": r"PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2",
        "zlib": r"This software is provided 'as-is', without any express or implied",
    }
)
"""A phrase by which each family of licences is known."""

REFUSED = frozenset({"AGPL", "GPL", "SSPL", "BUSL"})
"""Families whose code may not be part of the product."""

LGPL_PACKAGES = frozenset({"psycopg", "psycopg-binary", "psycopg-pool"})
"""Used unmodified, as packages of their own that can be replaced: the licence asks no more."""

WITHOUT_TEXT: Mapping[str, str] = MappingProxyType(
    {"pyserial": "its wheel brings no licence file; LICENSE.txt of its repository is BSD-3-Clause"}
)
"""Packages that install no licence text, and where it was read instead."""

EXTRAS = ("otel", "pkcs11")
"""The optional parts of the product, whose packages count as its own."""


def families_in(text: str) -> set[str]:
    """Return the families whose phrase the text holds."""
    return {family for family, phrase in PHRASES.items() if re.search(phrase, text)}


def texts_of(package: metadata.Distribution) -> list[str]:
    """Return the licence texts that a package installed."""
    found = re.compile(r"\.dist-info/(.*/)?(licen[cs]e|copying)", re.IGNORECASE)
    return [
        Path(file.locate()).read_text("utf-8", errors="replace")
        for file in package.files or []
        if found.search(str(file))
    ]


def locked_packages() -> list[str]:
    """Return the packages that an installation of the product brings."""
    lock = (ROOT / ".locks/run.txt").read_text("utf-8")
    return re.findall(r"^([a-z0-9_.-]+)==", lock, re.MULTILINE)


def optional_packages() -> list[str]:
    """Return the packages that the extras add, with all that these need on this platform."""
    required = metadata.requires("prepaid-vending") or []
    waiting = [
        one.name
        for one in map(Requirement, required)
        for extra in EXTRAS
        if one.marker and "extra" in str(one.marker) and one.marker.evaluate({"extra": extra})
    ]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        waiting += [
            one.name
            for one in map(Requirement, metadata.requires(name) or [])
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return sorted(seen - set(locked_packages()))


def fault_of(name: str, texts: Iterable[str]) -> str | None:
    """Return what is wrong with the licence of a package; None: nothing."""
    texts = list(texts)
    families = set().union(*map(families_in, texts)) if texts else set()
    if not texts and name in WITHOUT_TEXT:
        return None
    if not families:
        return "installs no licence text that is known"
    if refused := families & REFUSED - ({"GPL"} if "LGPL" in families else set()):
        return f"comes under {', '.join(sorted(refused))}"
    if "LGPL" in families and name not in LGPL_PACKAGES:
        return "comes under the LGPL; weigh it, and add it to the list"
    return None


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> int:
    """Print each package with its families; return 1 when one may not be here."""
    faults = 0
    names = locked_packages() + optional_packages()
    for name in names:
        try:
            texts = texts_of(metadata.distribution(name))
        except metadata.PackageNotFoundError:
            _say(f"{name:36} not installed on this platform")
            continue
        fault = fault_of(name, texts)
        faults += fault is not None
        families = sorted(set().union(*map(families_in, texts))) if texts else []
        _say(f"{name:36} {fault or ', '.join(families) or WITHOUT_TEXT[name]}")
    _say(f"licences: {len(names)} packages, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
