"""Each house rule as a function from source text to the list of its breaches."""

import ast
import re
from functools import lru_cache

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
EXACT_PACKAGES = (
    "values", "ledger", "tariffs", "sales", "arrears", "billing", "payments", "partners",
    "recovery", "sts",
)  # fmt: skip
# The clock and the monotonic reading are the only floats of `values`: seconds, never money.
EXACT_EXCEPTIONS = {"vending/values/clock.py", "vending/values/identifiers.py"}

_SILENCER = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma:\s*no cover)(?P<rest>.*)")
_EXPLAINED = re.compile(
    r"^(?:\[[a-z-]+(?:,\s*[a-z-]+)*\]|:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)\s+#\s+\S.{7,}"
)
_LEFTOVER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
_STANDARD = re.compile(r"IEC 62055|STS \d{3}|RFC \d{4}|FIPS|ISO/IEC 7812|ISO/IEC")


@lru_cache(maxsize=4)
def nodes_of(text: str) -> tuple[ast.AST, ...]:
    """Every node of a source; the rules ask for one source after the other."""
    return tuple(ast.walk(ast.parse(text)))


def oversized(text: str) -> list[str]:
    found = []
    if text.count("\n") > MODULE_LINES_MAX:
        found.append(f"module has {text.count(chr(10))} lines, at most {MODULE_LINES_MAX}")
    for node in nodes_of(text):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
    return found


def is_exact_code(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == "vending" and parts[1] in EXACT_PACKAGES and name not in EXACT_EXCEPTIONS


def floats(text: str) -> list[str]:
    found = []
    for node in nodes_of(text):
        match node:
            case ast.Name(id="float"):
                found.append(f"line {node.lineno}: float")
            case ast.Constant(value=float()):
                found.append(f"line {node.lineno}: float literal")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                found.append(f"line {node.lineno}: true division")
            case _:
                pass  # no other node makes a float
    return found


def commits(text: str) -> list[str]:
    return [
        f"line {node.lineno}: .commit("
        for node in nodes_of(text)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "commit"
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "uow")
    ]


def uncited(text: str) -> list[str]:
    module = nodes_of(text)[0]
    assert isinstance(module, ast.Module)
    cited = _STANDARD.search(ast.get_docstring(module) or "")
    return [] if cited else ["names no standard"]


def bare_silencers(text: str) -> list[str]:
    return [
        f"line {number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if (match := _SILENCER.search(line)) and not _EXPLAINED.match(match["rest"])
    ]


def leftovers(text: str) -> list[str]:
    return [match[0] for match in _LEFTOVER.finditer(text)]


def foreign_imports(text: str) -> list[str]:
    """Imports of the `tables` or the `repository` of a feature, by name."""
    return [
        node.module
        for node in nodes_of(text)
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and node.module.startswith("vending.")
        and node.module.endswith((".tables", ".repository"))
    ]


def foreign_tables(name: str, imported: list[str]) -> list[str]:
    """Of these imports, those that are another feature's than the module's."""
    own = ".".join(name.split("/")[:2])
    return [module for module in imported if not module.startswith(f"{own}.")]
