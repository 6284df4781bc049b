"""Takes secrets out of whatever is about to be logged.

Nothing should ever log a token or a key; this is the second wall, for the library, traceback or
message that does. It works on the finished values, after exceptions were turned into text.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Final

SECRET_NAMES: Final = frozenset(
    {
        "authorization",
        "api_key",
        "cookie",
        "database_url",
        "decoder_key",
        "digits",
        "key",
        "material",
        "passphrase",
        "password",
        "secret",
        "token",
        "tokens",
        "vending_key",
    }
)
"""Field names whose value is never shown, whatever it looks like."""

MASK: Final = "[redacted]"
DEPTH_MAX: Final = 6
"""Deeper nesting than this is no log field of ours; it is masked whole."""

_TOKEN: Final = re.compile(r"(?<!\d)(?:\d[ -]?){16}(?P<last>(?:\d[ -]?){3}\d)(?!\d)")
_API_KEY: Final = re.compile(r"\bpk_[A-Za-z0-9]+_[A-Za-z0-9_-]+")
_PAPER_CODE: Final = re.compile(r"\b(?:[A-Z2-7]{4}-){5}[A-Z2-7]{4}\b")
_URL_PASSWORD: Final = re.compile(r"(?P<head>://[^\s:/@]+:)[^\s@]+@")
_HEX_KEY: Final = re.compile(r"(?<![0-9A-Za-z-])(?=[0-9]*[A-Fa-f])[0-9A-Fa-f]{16,}(?![0-9A-Za-z-])")


def redact_text(text: str) -> str:
    """Return the text with 20-digit tokens cut to their last four, and keys masked."""
    text = _TOKEN.sub(lambda match: f"****{match['last'].replace(' ', '')[-4:]}", text)
    text = _API_KEY.sub(MASK, text)
    text = _PAPER_CODE.sub(MASK, text)
    text = _URL_PASSWORD.sub(lambda match: f"{match['head']}{MASK}@", text)
    return _HEX_KEY.sub(MASK, text)


def redact(value: object, depth: int = 0) -> object:
    """Return the value with every secret in it masked; numbers and flags pass unchanged."""
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if abs(value) < 10**15 else redact_text(str(value))
        case str():
            return redact_text(value)
        case bytes() | bytearray() | memoryview():
            return MASK
        case Mapping() if depth < DEPTH_MAX:
            return {
                redact_text(str(name)): _redact_field(name, item, depth)
                for name, item in value.items()
            }
        case list() | tuple() | set() | frozenset() if depth < DEPTH_MAX:
            return [redact(item, depth + 1) for item in value]
        case Mapping() | list() | tuple() | set() | frozenset():
            return MASK
        case _:
            return redact_text(str(value))


def redact_event(
    logger: object, method: str, event: MutableMapping[str, object]
) -> Mapping[str, object]:
    """Redact one structlog event; a processor, placed just before the renderer."""
    del logger, method
    return {name: _redact_field(name, value, 0) for name, value in event.items()}


def escape_event(
    logger: object, method: str, event: MutableMapping[str, object]
) -> Mapping[str, object]:
    """Return the event with control characters shown as escapes: no value forges a line.

    For people's consoles; JSON escapes them by itself. A traceback keeps its lines.
    """
    del logger, method
    return {
        name: _escape(value, kept="\n\t" if name == "exception" else "")
        for name, value in event.items()
    }


def _escape(value: object, *, kept: str) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in value
    )


def _redact_field(name: object, value: object, depth: int) -> object:
    return MASK if str(name).lower() in SECRET_NAMES else redact(value, depth + 1)
