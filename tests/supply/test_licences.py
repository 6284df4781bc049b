"""Every package of the product comes under a licence that it may be shipped with."""

from importlib import metadata

import pytest

from tests.supply import licences

GPL = "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007"
LGPL = "GNU LESSER GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007"
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy"


@pytest.mark.parametrize("name", licences.locked_packages() + licences.optional_packages())
def test_package_comes_under_a_licence_that_may_be_shipped(name: str) -> None:
    try:
        package = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        # Locked for another platform: its text is read where it is installed.
        assert name in {"colorama", "httpx2-jsfetch", "pysqlite3"}
        return
    assert licences.fault_of(name, licences.texts_of(package)) is None


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ([], "installs no licence text"),
        (["All rights reserved."], "installs no licence text"),
        ([GPL], "comes under GPL"),
        ([MIT, GPL], "comes under GPL"),
        (["GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3"], "comes under AGPL"),
        (["Business Source License 1.1"], "BUSL"),
        ([LGPL], "comes under the LGPL"),
    ],
)
def test_licence_that_may_not_be_shipped_is_found(texts: list[str], fault: str) -> None:
    found = licences.fault_of("stranger", texts)
    assert found is not None
    assert fault in found


def test_licence_that_may_be_shipped_is_no_fault() -> None:
    assert licences.fault_of("stranger", [MIT]) is None
    assert licences.fault_of("psycopg", [LGPL + GPL]) is None
