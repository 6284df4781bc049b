from pathlib import Path

import pytest

from tests.docs.generate import pages


@pytest.mark.parametrize("path", list(pages()), ids=lambda path: path.name)
def test_page_is_as_the_code_prints_it(path: Path) -> None:
    assert path.read_text("utf-8") == pages()[path], "run `make docs`"
