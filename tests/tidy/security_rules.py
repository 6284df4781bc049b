"""House rules of security, each as a function from source text to the list of its breaches."""

import ast
from collections.abc import Iterator

from tests.tidy.rules import nodes_of

CRYPTOGRAPHIC = frozenset(
    {"argon2", "cryptography", "hashlib", "hmac", "joserfc", "pkcs11", "pyotp", "webauthn"}
)
"""Packages whose import makes a module part of the inventory of cryptography."""

_SQL_TAKERS = frozenset({"text", "exec_driver_sql"})
_CODE_MAKERS = frozenset({"eval", "exec", "compile", "__import__"})
_OBJECT_READERS = frozenset({"pickle", "marshal", "shelve", "dill"})
_PROCESS_STARTERS = frozenset({"subprocess", "pty", "multiprocessing"})
_OS_STARTERS = frozenset({"system", "popen", "fork", "forkpty", "posix_spawn", "startfile"})
_PATTERN_TAKERS = frozenset(
    {"compile", "match", "search", "fullmatch", "sub", "split", "findall", "finditer"}
)


def _imports(text: str) -> Iterator[tuple[int, str]]:
    for node in nodes_of(text):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def _name_of(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _is_constant(node: ast.expr) -> bool:
    """Say whether the text stands in the source: a literal, or literals put together."""
    match node:
        case ast.Constant(value=str() | bytes()):
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_constant(left) and _is_constant(right)
        case ast.Name(id=name):
            return name.lstrip("_").isupper()
        case ast.IfExp(body=body, orelse=orelse):
            return _is_constant(body) and _is_constant(orelse)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr="escape")):
            return True
        case ast.JoinedStr(values=parts):
            return all(
                isinstance(part, ast.Constant)
                or (isinstance(part, ast.FormattedValue) and _is_number_or_constant(part.value))
                for part in parts
            )
        case _:
            return False


def _is_number_or_constant(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name):
            return name.lstrip("_").isupper()
        case ast.Call(func=ast.Name(id="int")):
            return True
        case ast.Attribute(value=ast.Name(id="re")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr="escape")):
            return True
        case _:
            return False


def built_sql(text: str) -> list[str]:
    """SQL that is put together from values."""
    return [
        f"line {node.lineno}: SQL is built"
        for node in nodes_of(text)
        if isinstance(node, ast.Call)
        and _name_of(node) in _SQL_TAKERS
        and node.args
        and not _is_constant(node.args[0])
    ]


def made_code(text: str) -> list[str]:
    """Code, or objects with code in them, made of data; formats that are not in the source."""
    found = [
        f"line {line}: imports {name}"
        for line, name in _imports(text)
        if name.split(".")[0] in _OBJECT_READERS
    ]
    for node in nodes_of(text):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _CODE_MAKERS:
                found.append(f"line {node.lineno}: {name}(")
            case ast.Call(func=ast.Attribute(value=receiver, attr="format" | "format_map")) if (
                not _is_constant(receiver)
            ):
                found.append(f"line {node.lineno}: a format that is not in the source")
            case _:
                pass  # makes no code
    return found


def started_processes(text: str) -> list[str]:
    """Other programs, started."""
    found = [
        f"line {line}: imports {name}"
        for line, name in _imports(text)
        if name.split(".")[0] in _PROCESS_STARTERS
    ]
    return found + [
        f"line {node.lineno}: os.{node.attr}"
        for node in nodes_of(text)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and (node.attr in _OS_STARTERS or node.attr.startswith(("exec", "spawn")))
    ]


def built_patterns(text: str) -> list[str]:
    """Regular expressions that are put together from values."""
    return [
        f"line {node.lineno}: a pattern is built"
        for node in nodes_of(text)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in _PATTERN_TAKERS
        and not _is_constant(node.args[0])
    ]


def weak_randomness(text: str) -> list[str]:
    """Random numbers that can be guessed."""
    return [f"line {line}: imports {name}" for line, name in _imports(text) if name == "random"]


def cryptography_in(text: str) -> list[str]:
    """Return the packages of cryptography that the module imports."""
    return sorted({name.split(".")[0] for _, name in _imports(text)} & CRYPTOGRAPHIC)
