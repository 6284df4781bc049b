"""A TOML table read key by key, so that every mistake names file, key and remedy."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeVar

from meter_drivers.errors import ProfileError

_Choice = TypeVar("_Choice", bound=StrEnum)


class TOMLTable:
    """One table of a file; `finish` refuses the keys that nobody asked for."""

    def __init__(self, file: str, path: str, content: Mapping[str, object]) -> None:
        self._file = file
        self._path = path
        self._content = content
        self._asked: set[str] = set()

    def error(self, key: str, problem: str, remedy: str) -> ProfileError:
        """Return the error about a key of this table."""
        place = f"{self._path}.{key}" if self._path else key
        return ProfileError(self._file, place, problem=problem, remedy=remedy)

    def has(self, key: str) -> bool:
        """Return whether the file gives the key."""
        return key in self._content

    def text(self, key: str) -> str:
        """Return a text that is not empty.

        Raises:
            ProfileError: If it is missing, no text or empty.
        """
        value = self._get(key, "a text")
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"{value!r} is no text", "write a text that is not empty")
        return value

    def integer(self, key: str, *, lowest: int, highest: int, default: int | None = None) -> int:
        """Return a whole number within bounds; a default makes the key optional.

        Raises:
            ProfileError: If it is missing, no whole number or out of bounds.
        """
        if default is not None and not self.has(key):
            self._asked.add(key)
            return default
        value = self._get(key, f"a whole number from {lowest} to {highest}")
        # TOML's true and false arrive as bool, which Python counts among the integers.
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            remedy = f"write a whole number from {lowest} to {highest}"
            raise self.error(key, f"{value!r} is out of place", remedy)
        return value

    def choice(self, key: str, choices: type[_Choice], default: _Choice | None = None) -> _Choice:
        """Return one word of an enum; a default makes the key optional.

        Raises:
            ProfileError: If it is missing or another word.
        """
        words = ", ".join(choices)
        if default is not None and not self.has(key):
            self._asked.add(key)
            return default
        value = self._get(key, f"one of: {words}")
        return self._choose(key, value, choices)

    def choices(self, key: str, choices: type[_Choice]) -> frozenset[_Choice]:
        """Return words of an enum; a missing key is none of them.

        Raises:
            ProfileError: If one is another word, or stands twice.
        """
        chosen = [self._choose(key, value, choices) for value in self._list(key)]
        if len(chosen) != len(set(chosen)):
            raise self.error(key, "a word stands twice", "name each once")
        return frozenset(chosen)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return texts; a missing key is none.

        Raises:
            ProfileError: If one is no text.
        """
        values = self._list(key)
        found = tuple(value for value in values if isinstance(value, str))
        if len(found) != len(values):
            raise self.error(key, "an item is no text", "write a list of texts")
        return found

    def integers(self, key: str) -> frozenset[int]:
        """Return whole numbers; a missing key is none.

        Raises:
            ProfileError: If one is no whole number.
        """
        values = self._list(key)
        found = [value for value in values if isinstance(value, int)]
        if len(found) != len(values):
            raise self.error(key, "an item is no whole number", "write a list of whole numbers")
        return frozenset(found)

    def table(self, key: str) -> "TOMLTable":
        """Return a table below this one.

        Raises:
            ProfileError: If it is missing or no table.
        """
        return self._as_table(key, self._get(key, "a table"))

    def find_table(self, key: str) -> "TOMLTable | None":
        """Return a table below this one, or `None` if the file leaves it out.

        Raises:
            ProfileError: If it is no table.
        """
        return self.table(key) if self.has(key) else None

    def tables(self, key: str) -> Iterator["TOMLTable"]:
        """Yield the tables of a list; a missing key is none.

        Raises:
            ProfileError: If an item is no table.
        """
        for index, value in enumerate(self._list(key)):
            yield self._as_table(f"{key}[{index}]", value)

    def finish(self) -> None:
        """Refuse the keys that nobody asked for.

        Raises:
            ProfileError: If there is one.
        """
        unknown = sorted(self._content.keys() - self._asked)
        if unknown:
            known = ", ".join(sorted(self._asked))
            raise self.error(unknown[0], "unknown key", f"remove it; known here: {known}")

    def _get(self, key: str, expected: str) -> object:
        self._asked.add(key)
        if key not in self._content:
            raise self.error(key, "missing", f"write {expected}")
        return self._content[key]

    def _list(self, key: str) -> list[object]:
        self._asked.add(key)
        value = self._content.get(key, [])
        if not isinstance(value, list):
            raise self.error(key, f"{value!r} is no list", "write a list in brackets")
        return value

    def _choose(self, key: str, value: object, choices: type[_Choice]) -> _Choice:
        if value not in list(choices):
            raise self.error(key, f"{value!r} is unknown", f"write one of: {', '.join(choices)}")
        return choices(str(value))

    def _as_table(self, key: str, value: object) -> "TOMLTable":
        if not isinstance(value, dict):
            raise self.error(key, f"{value!r} is no table", "write a table")
        path = f"{self._path}.{key}" if self._path else key
        return TOMLTable(self._file, path, value)
