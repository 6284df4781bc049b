"""Every rule over every source, each source read and parsed once a process."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from tests.tidy import rules, security_rules

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(
    path
    for package in ("vending", "meter_drivers", "simulators")
    for path in (ROOT / package).rglob("*.py")
)
MIGRATIONS = sorted((ROOT / "migrations").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

Rule = Callable[[str], list[str]]
RULES_OF_ALL: tuple[Rule, ...] = (rules.oversized,)
RULES_OF_PRODUCT: tuple[Rule, ...] = (
    rules.floats,
    rules.commits,
    rules.uncited,
    rules.bare_silencers,
    rules.leftovers,
    rules.foreign_imports,
    security_rules.built_sql,
    security_rules.made_code,
    security_rules.started_processes,
    security_rules.built_patterns,
    security_rules.weak_randomness,
    security_rules.cryptography_in,
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def survey() -> dict[str, dict[str, list[str]]]:
    """Return what each rule finds, by rule and file."""
    product = frozenset(PRODUCT)
    found: dict[str, dict[str, list[str]]] = {}
    for path in (*PRODUCT, *MIGRATIONS, *TESTS):
        text = path.read_text("utf-8")
        further = RULES_OF_PRODUCT if path in product else ()
        for rule in (*RULES_OF_ALL, *further):
            found.setdefault(rule.__name__, {})[relative(path)] = rule(text)
    return found


def breaches(rule: Rule, paths: Iterable[Path]) -> dict[str, list[str]]:
    """Return what the rule finds in these files, by file."""
    found = survey()[rule.__name__]
    return {relative(path): found[relative(path)] for path in paths if found[relative(path)]}
