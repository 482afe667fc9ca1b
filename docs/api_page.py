"""The page docs/api.md, made from the API's description."""

import json
import re
import shlex
from typing import Any, TypeAlias

from docs.limits import limits_section
from shared.api.description.schemas import event_types
from shared.api.edge.parameters import MAX_SEQUENCE
from shared.api.resources import document

Schema: TypeAlias = dict[str, Any]

_HOST = "http://127.0.0.1:7071"
_HEAD = """# HTTP API

Generated from the handlers under `shared/api` by `make docs`; do not edit. The same as OpenAPI 3.1 is at
`/api/openapi.json`, a page to try it at `/api/docs`.

JSON in and out, UTF-8, timestamps RFC 3339 with `Z`. An absent body is `{}`; unknown fields are refused. Every answer
carries `x-trace-id`, the trace of the request's `traceparent` or a new one, and `x-session-id` where a session is
concerned.

Refusals are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, `code`, `retryable`,
`trace_id`, and `errors` (`pointer`, `detail`) where fields are at fault. A refused request has written nothing; 429 and
503 carry `retry-after`. Unknown paths and methods are the platform's own empty 404.

These may come from any route but those of [health](#health) and [reference](#reference), which name their own; the
tables below list what comes beside them.

| status | | |
| --- | --- | --- |
| 401 | `unauthenticated` | no token, or one that is not valid |
| 403 | `forbidden` | the token does not allow this |
| 422 | `invalid_request` | a body, parameter or header does not fit |
| 500 | `internal_error` | a fault of the service |
| 503 | `identity_unavailable`, `store_unavailable` | try again |
| 400, 413, 415 | `malformed_json`, `too_large`, `unsupported_media_type` | what is wrong with a body |

What is in an event is told in [events.md](events.md).
"""
_COMMON = {
    *("`unauthenticated`", "`forbidden`", "`invalid_request`", "`internal_error`"),
    *("`identity_unavailable`", "`store_unavailable`"),
    *("`malformed_json`", "`too_large`", "`unsupported_media_type`"),
}
_UNSHOWN = {"Frame", "JsonValue", "Problem"}


def api_page() -> str:
    described = document()
    parts = [_HEAD, limits_section()]
    for tag in described["tags"]:
        parts.append(f"\n## {tag['name'].capitalize()}\n")
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                if tag["name"] not in operation["tags"]:
                    continue
                twin = path.removeprefix("/api")
                if twin != path and described["paths"].get(twin, {}).get(method, {}).get("operationId"):
                    parts.append(_also(method.upper(), path, twin))
                else:
                    parts.append(_operation(method.upper(), path, operation))
    parts.append("\n## Shapes\n")
    schemas = described["components"]["schemas"]
    parts += [_shape(name, schemas[name]) for name in _shown(described)]
    return "".join(parts)


def _also(method: str, path: str, twin: str) -> str:
    return f"\n### `{method} {path}`\n\nThe same as [`{method} {twin}`](#{anchor(f'{method} {twin}')}).\n"


def anchor(heading: str) -> str:
    """What GitHub makes of a heading, the first of its name on a page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _operation(method: str, path: str, operation: Schema) -> str:
    texts = [operation["summary"], operation.get("description", "")]
    texts += [_parameters(operation), _body(operation), _answers(operation), _curl(method, path, operation)]
    deprecated = " (deprecated)" if operation.get("deprecated") else ""
    return f"\n### `{method} {path}`{deprecated}\n\n" + "\n\n".join(filter(None, texts)) + "\n"


def _parameters(operation: Schema) -> str:
    beside = [each for each in operation["parameters"] if each.get("in") in {"query", "header"}]
    rows = [f"| `{each['name']}` | {each['in']} | {_type(each['schema'])} | {each['description']} |" for each in beside]
    return "\n".join(["| parameter | in | | |", "| --- | --- | --- | --- |", *rows]) if rows else ""


def _body(operation: Schema) -> str:
    if "requestBody" not in operation:
        return ""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    shape = _resolved(schema["anyOf"][0] if "anyOf" in schema else schema)
    also = ", or a list of such events" if "anyOf" in schema else ""
    about = f" {' '.join(shape['description'].split())}" if "description" in shape else ""
    return f"Body{also}:{about}\n\n{_fields(shape)}"


def _fields(shape: Schema) -> str:
    required = set(shape.get("required", []))
    rows = [
        f"| `{name}` | {_type(field)} | {_note(field, is_required=name in required)} |"
        for name, field in shape["properties"].items()
    ]
    return "\n".join(["| field | type | |", "| --- | --- | --- |", *rows])


def _note(field: Schema, *, is_required: bool) -> str:
    return "; ".join(filter(None, ["required" if is_required else "", field.get("description", "")]))


def _answers(operation: Schema) -> str:
    rows = [
        f"| {status} | {says} | {_content(answer)} |"
        for status, answer in operation["responses"].items()
        if (says := _own(answer["description"].removesuffix(".")))
    ]
    return "\n".join(["| status | | |", "| --- | --- | --- |", *rows])


def _own(says: str) -> str:
    """An answer's description without the refusals that the head of the page tells."""
    return ", ".join(part for part in says.split(", ") if part not in _COMMON)


def _content(answer: Schema) -> str:
    contents = [
        _type(content["schema"]) if media_type == "application/json" else f"`{media_type}`"
        for media_type, content in answer.get("content", {}).items()
        if media_type != "application/problem+json"
    ]
    usual = {"x-trace-id", "x-session-id", "retry-after"}
    headers = [f"`{name}`" for name in answer.get("headers", {}) if name not in usual]
    return "; ".join(filter(None, [" or ".join(contents), ", ".join(headers)]))


def _curl(method: str, path: str, operation: Schema) -> str:
    for each in operation["parameters"]:
        if each.get("in") == "path":
            path = path.replace(f"{{{each['name']}}}", each["example"])
    is_stream = method == "GET" and "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    words = ["curl", "-sN" if is_stream else "-s", *([] if method == "GET" else ["-X", method]), _HOST + path]
    line = shlex.join(words)
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        shape = _resolved(schema["anyOf"][0] if "anyOf" in schema else schema)
        example = json.dumps(shape.get("examples", [{}])[0])
        line += f" -H 'content-type: application/json' \\\n     -d {shlex.quote(example)}"
    return f"```\n{line}\n```"


def _shown(described: Schema) -> list[str]:
    """The shapes that answers name, in order of their appearance, those that these name, and what bodies hold."""
    all_operations = [operation for methods in described["paths"].values() for operation in methods.values()]
    names = [name for each in all_operations for name in _names(each["responses"])]
    for each in all_operations:
        if "requestBody" in each:
            schema = each["requestBody"]["content"]["application/json"]["schema"]
            names += _names(_resolved(schema["anyOf"][0] if "anyOf" in schema else schema))
    return list(dict.fromkeys(name for name in names if name not in _UNSHOWN))


def _names(value: Any) -> list[str]:
    """The shapes in `value`, and in those; not what is in an event, which has a page of its own."""
    match value:
        case {"$ref": str(link)} if "/schemas/" in link:
            name = link.rpartition("/")[2]
            inner = [] if name in {"Event", "Frame"} else _names(_resolved(value))
            return [name, *inner]
        case dict():
            return [name for item in value.values() for name in _names(item)]
        case list():
            return [name for item in value for name in _names(item)]
        case _:
            return []


def _shape(name: str, shape: Schema) -> str:
    about = " ".join(shape.get("description", "").split())
    fields = _fields(shape | {"required": []}) if "properties" in shape else ""
    return f"\n### {name}\n\n" + "\n\n".join(filter(None, [about, fields])) + "\n"


def _resolved(schema: Schema) -> Schema:
    return document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _type(schema: Schema) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "enum" in schema:
        text = ", ".join(f"`{value}`" for value in schema["enum"])
    elif "const" in schema:
        return f"`{schema['const']}`"
    elif isinstance(schema.get("type"), list):
        return " or ".join(_type({"type": kind}) for kind in schema["type"])
    elif schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    else:
        names = {"string": "text", "integer": "whole number", "boolean": "`true`, `false`", "number": "number"}
        names |= {"object": "object", "null": "null"}
        text = "timestamp" if schema.get("format") == "date-time" else names.get(schema.get("type", ""), "JSON")
    return text + _limits(schema)


def _link(name: str) -> str:
    if name == "JsonValue":
        return "JSON"
    if name in {kind.__name__ for kind in event_types()}:
        title = document()["components"]["schemas"][name]["title"]
        return f"[{title}](events.md#{anchor(title)})"
    is_second = anchor(name) in {anchor(tag["name"]) for tag in document()["tags"]}  # the tag's heading comes first
    return f"[{name}](#{anchor(name)}{'-1' if is_second else ''})"


def _limits(schema: Schema) -> str:
    limits: list[str] = []
    is_bounded = schema.get("maximum", 0) < MAX_SEQUENCE
    if "maximum" in schema:
        limits.append(f"{schema['minimum']} to {schema['maximum']}" if is_bounded else f"from {schema['minimum']}")
    if "maxLength" in schema:
        limits.append(f"at most {schema['maxLength']} characters")
    if schema.get("default") not in (None, {}, [], MAX_SEQUENCE):
        limits.append(f"default {json.dumps(schema['default']).strip(chr(34))}")
    return f" ({', '.join(limits)})" if limits else ""
