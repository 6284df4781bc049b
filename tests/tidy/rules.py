"""Each house rule as a function from source text to the list of its breaches."""

import ast
import re

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


def oversized(text: str) -> list[str]:
    found = []
    if text.count("\n") > MODULE_LINES_MAX:
        found.append(f"module has {text.count(chr(10))} lines, at most {MODULE_LINES_MAX}")
    for node in ast.walk(ast.parse(text)):
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
    for node in ast.walk(ast.parse(text)):
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
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "commit"
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "uow")
    ]


def cites_a_standard(text: str) -> bool:
    return _STANDARD.search(ast.get_docstring(ast.parse(text)) or "") is not None


def bare_silencers(text: str) -> list[str]:
    return [
        f"line {number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if (match := _SILENCER.search(line)) and not _EXPLAINED.match(match["rest"])
    ]


def leftovers(text: str) -> list[str]:
    return [match[0] for match in _LEFTOVER.finditer(text)]


def foreign_tables(name: str, text: str) -> list[str]:
    """Imports of another feature's `tables` or `repository`; `reports` alone reads them all."""
    own = ".".join(name.split("/")[:2])
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        module = node.module
        is_inner = module.endswith((".tables", ".repository"))
        if is_inner and module.startswith("vending.") and not module.startswith(f"{own}."):
            found.append(f"line {node.lineno}: {module}")
    return found
