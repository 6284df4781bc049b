from tests.docs.generate import DOCS, settings_page
from vending.settings import PREFIX, Settings


def test_every_setting_is_on_the_page() -> None:
    page = (DOCS / "settings.md").read_text("utf-8")
    assert page == settings_page()
    for name in Settings.model_fields:
        assert page.count(f"| `{PREFIX}{name.upper()}` |") == 1
