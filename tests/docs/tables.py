"""Tables of the printed pages."""

from collections.abc import Iterable, Sequence


def table_of(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table in Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(_cell_of(cell) for cell in line)} |\n" for line in lines)


def _cell_of(text: str) -> str:
    return text.replace("|", "\\|")
