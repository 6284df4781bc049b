"""The part of JSON Schema 2020-12 that our OpenAPI document uses; an unknown keyword is an error.

A second reading of the schema, written here so that it shares nothing with the one that made it.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

ANNOTATIONS = {
    "title", "description", "examples", "default", "$ref", "$defs", "type", "anyOf", "enum",
    "const", "pattern", "format", "minLength", "maxLength", "minimum", "maximum",
    "exclusiveMinimum", "items", "properties", "required", "additionalProperties",
    "writeOnly",
}  # fmt: skip
_TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "null": type(None), "boolean": bool,
}  # fmt: skip
Schema = Mapping[str, Any]


def list_faults(value: object, schema: Schema, root: Schema, at: str = "$") -> list[str]:
    """Return where the value does not fit the schema; nothing when it does."""
    unknown = set(schema) - ANNOTATIONS
    assert not unknown, f"{at}: teach the validator {unknown}"
    return list(_faults(value, schema, root, at))


def resolve(schema: Schema, root: Schema) -> Schema:
    """Follow a reference inside the document."""
    if "$ref" not in schema:
        return schema
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, Mapping)
    return found


def _faults(value: object, schema: Schema, root: Schema, at: str) -> Iterator[str]:
    if "$ref" in schema:
        yield from list_faults(value, resolve(schema, root), root, at)
        return
    if "anyOf" in schema and all(list_faults(value, one, root, at) for one in schema["anyOf"]):
        yield f"{at}: {value!r:.60} fits none of anyOf"
    if "type" in schema and not _is_of_type(value, schema["type"]):
        yield f"{at}: {value!r:.60} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r:.60} is not in the enum"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r:.60} is not the constant"
    yield from _inner_faults(value, schema, root, at)


def _inner_faults(value: object, schema: Schema, root: Schema, at: str) -> Iterator[str]:
    match value:
        case str():
            yield from _string_faults(value, schema, at)
        case int() if not isinstance(value, bool):
            yield from _number_faults(value, schema, at)
        case list():
            for index, item in enumerate(value):
                yield from list_faults(item, schema.get("items", {}), root, f"{at}[{index}]")
        case dict():
            yield from _object_faults(value, schema, root, at)
        case None | bool():
            pass  # nothing inside
        case _:
            yield f"{at}: teach the validator {type(value).__name__}"


def _is_of_type(value: object, name: str) -> bool:
    if name in {"integer", "number"}:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, _TYPES[name])


def _string_faults(value: str, schema: Schema, at: str) -> Iterator[str]:
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        yield f"{at}: {value!r} does not match {schema['pattern']}"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9):
        yield f"{at}: {len(value)} characters"
    match schema.get("format"):
        case None | "password":
            pass
        case "uuid":
            if str(uuid.UUID(value)) != value:
                yield f"{at}: {value!r} is no UUID"
        case "date-time":
            if datetime.fromisoformat(value).tzinfo is None:
                yield f"{at}: {value!r} has no offset (RFC 3339)"
        case other:
            yield f"{at}: teach the validator format {other}"


def _number_faults(value: int, schema: Schema, at: str) -> Iterator[str]:
    if value < schema.get("minimum", value) or value > schema.get("maximum", value):
        yield f"{at}: {value} is out of range"
    if value <= schema.get("exclusiveMinimum", value - 1):
        yield f"{at}: {value} is too small"


def _object_faults(
    value: dict[str, object], schema: Schema, root: Schema, at: str
) -> Iterator[str]:
    properties = schema.get("properties", {})
    yield from (f"{at}: no {name}" for name in schema.get("required", []) if name not in value)
    for name, member in value.items():
        inner = properties.get(name, schema.get("additionalProperties", {}))
        if inner is False:
            yield f"{at}: stranger {name}"
        elif inner is not True:
            yield from list_faults(member, inner, root, f"{at}.{name}")
