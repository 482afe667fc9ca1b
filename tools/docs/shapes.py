"""Schemas of the API's description, as Markdown: a type in a few words, a table of fields, a section."""

import json
from typing import Any, TypeAlias, cast

from tools.docs.headings import anchor
from turnlog.api.description.schemas import event_types
from turnlog.api.edge.parameters import MAX_SEQUENCE
from turnlog.api.resources import document

Schema: TypeAlias = dict[str, Any]

_UNSHOWN = {"JsonValue", "Problem"}
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "boolean": "`true`, `false`",
    "number": "number",
    "object": "object",
    "null": "null",
}


def body_shape(operation: Schema) -> tuple[Schema, bool]:
    """The shape of the operation's body, and whether the body may also be a list of such."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return (resolved(schema["anyOf"][0]), True) if "anyOf" in schema else (resolved(schema), False)


def resolved(schema: Schema) -> Schema:
    return document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def shape_section(name: str) -> str:
    shape = document()["components"]["schemas"][name]
    about = " ".join(shape.get("description", "").split())
    fields = field_table(shape | {"required": []}) if "properties" in shape else ""
    return f"\n### {name}\n\n" + "\n\n".join(filter(None, [about, fields])) + "\n"


def shown_shapes(operations: list[Schema]) -> list[str]:
    """The names of the shapes to show: those of answers, in order of appearance, then those inside bodies."""
    names = [name for operation in operations for name in _names(operation["responses"])]
    for operation in operations:
        if "requestBody" in operation:
            names += _names(body_shape(operation)[0])
    return list(dict.fromkeys(name for name in names if name not in _UNSHOWN))


def _names(value: Any) -> list[str]:
    """The shapes that `value` names, and those that these name. Events have a separate page."""
    if isinstance(value, list):
        return [name for item in cast("list[Any]", value) for name in _names(item)]
    if not isinstance(value, dict):
        return []
    schema = cast("Schema", value)
    if "/schemas/" not in schema.get("$ref", ""):
        return [name for item in schema.values() for name in _names(item)]
    name = schema["$ref"].rpartition("/")[2]
    return [name] if name == "Event" else [name, *_names(resolved(schema))]


def field_table(shape: Schema) -> str:
    required = set(shape.get("required", []))
    rows = [
        f"| `{name}` | {type_of(field)} | {_note(field, is_required=name in required)} |"
        for name, field in shape["properties"].items()
    ]
    return "\n".join(["| field | type | |", "| --- | --- | --- |", *rows])


def _note(field: Schema, *, is_required: bool) -> str:
    return "; ".join(filter(None, ["required" if is_required else "", field.get("description", "")]))


def type_of(schema: Schema) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(map(type_of, alternatives)))
    if "const" in schema:
        return f"`{schema['const']}`"
    if isinstance(schema.get("type"), list):
        return " or ".join(type_of({"type": kind}) for kind in schema["type"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}"
    if "enum" in schema:
        text = ", ".join(f"`{value}`" for value in schema["enum"])
    else:
        text = "timestamp" if schema.get("format") == "date-time" else _TYPES.get(schema.get("type", ""), "JSON")
    return text + _bounds(schema)


def _link(name: str) -> str:
    if name == "JsonValue":
        return "JSON"
    if name in {kind.__name__ for kind in event_types()}:
        title = document()["components"]["schemas"][name]["title"]
        return f"[{title}](events.md#{anchor(title)})"
    is_second = anchor(name) in {anchor(tag["name"]) for tag in document()["tags"]}  # the tag's heading comes first
    return f"[{name}](#{anchor(name)}{'-1' if is_second else ''})"


def _bounds(schema: Schema) -> str:
    bounds: list[str] = []
    if "maximum" in schema:
        is_bounded = schema["maximum"] < MAX_SEQUENCE
        bounds.append(f"{schema['minimum']} to {schema['maximum']}" if is_bounded else f"from {schema['minimum']}")
    if "maxLength" in schema:
        bounds.append(f"at most {schema['maxLength']} characters")
    if "default" in schema:
        bounds.append(f"default {json.dumps(schema['default']).strip(chr(34))}")
    return f" ({', '.join(bounds)})" if bounds else ""
