"""NOTICE names every package that the product installs, and none that it does not."""

import re

from tests.supply.licences import optional_packages
from tests.support.documents import ROOT

NOTICE = (ROOT / "NOTICE").read_text("utf-8")
LOCKED = set(
    re.findall(r"^([a-z0-9_.-]+)==", (ROOT / ".locks/run.txt").read_text("utf-8"), re.MULTILINE)
)


def named_packages(heading: str) -> set[str]:
    lists = re.findall(rf"^{heading}: .*\n((?:    .+\n)+)", NOTICE, re.MULTILINE)
    return set(re.findall(r"[a-z0-9_.-]+", re.sub(r"\([^)]*\)", "", " ".join(lists))))


def test_notice_names_the_installed_packages_and_no_others() -> None:
    assert named_packages("Licence") == LOCKED


def test_notice_names_the_packages_of_the_optional_parts() -> None:
    assert named_packages("Optional") == set(optional_packages())


def test_notice_claims_no_certification() -> None:
    assert "No certification is claimed" in NOTICE
    assert "LGPL-3.0-only" in NOTICE
