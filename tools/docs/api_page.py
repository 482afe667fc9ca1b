"""The page docs/use/api.md: every route, from the API's description."""

import json
import shlex
from collections.abc import Iterator

from tools.docs.headings import anchor
from tools.docs.limits import limits_section
from tools.docs.shapes import Schema, body_shape, field_table, shape_section, shown_shapes, type_of
from turnlog.api.resources import document

_HOST = "http://127.0.0.1:7071"
_HEAD = """# HTTP API

Generated from the handlers under `turnlog/api` by `make docs`; do not edit. `/api/openapi.json` is the same in OpenAPI
3.1. `/api/docs` is a page on which you can try the API.

**Requests and answers** are JSON in UTF-8. Timestamps are RFC 3339 with `Z`. An absent body counts as `{}`. Unknown
fields are refused. Every answer has `x-trace-id`: the trace of the request's `traceparent`, or a new one. Answers about
a session have `x-session-id`.

**Refusals** are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, `code`, `retryable` and
`trace_id`. If fields are wrong, `errors` lists them (`pointer`, `detail`). A refused request has written nothing. 429
and 503 have `retry-after`. Unknown paths and methods get the platform's own empty 404.

Every route except those of [health](#health), [reference](#reference) and [console](#console) may answer with these.
The tables below list only what is added to them.

| status | | |
| --- | --- | --- |
| 401 | `unauthenticated` | no token, or one that is not valid |
| 403 | `forbidden` | the token does not allow this |
| 422 | `invalid_request` | a body, parameter or header does not fit |
| 500 | `internal_error` | a fault of the service |
| 503 | `identity_unavailable`, `store_unavailable` | try again |
| 400, 413, 415 | `malformed_json`, `too_large`, `unsupported_media_type` | what is wrong with a body |

[events.md](events.md) describes the events.
"""
_COMMON = {
    *("`unauthenticated`", "`forbidden`", "`invalid_request`", "`internal_error`"),
    *("`identity_unavailable`", "`store_unavailable`"),
    *("`malformed_json`", "`too_large`", "`unsupported_media_type`"),
}
_USUAL_HEADERS = {"x-trace-id", "x-session-id", "retry-after"}


def api_page() -> str:
    described = document()
    parts = [_HEAD, limits_section()]
    for tag in described["tags"]:
        parts += [f"\n## {_title(tag['name'])}\n", *_sections(described, tag["name"])]
    operations = [operation for methods in described["paths"].values() for operation in methods.values()]
    return "".join([*parts, "\n## Shapes\n", *map(shape_section, shown_shapes(operations))])


def _title(tag: str) -> str:
    names = {"ag ui runs": "AG-UI", "signalr": "SignalR", "socketio": "Socket.IO", "websocket": "WebSocket"}
    return names.get(tag, tag.capitalize())


def _sections(described: Schema, tag: str) -> Iterator[str]:
    """A section for each operation of `tag`."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if tag not in operation["tags"]:
                continue
            twin = path.removeprefix("/api")
            if twin != path and described["paths"].get(twin, {}).get(method, {}).get("operationId"):
                yield _twin_section(method.upper(), path, twin)
            else:
                yield _section(method.upper(), path, operation)


def _twin_section(method: str, path: str, twin: str) -> str:
    return f"\n### `{method} {path}`\n\nThe same as [`{method} {twin}`](#{anchor(f'{method} {twin}')}).\n"


def _section(method: str, path: str, operation: Schema) -> str:
    texts = [operation["summary"], operation.get("description", "")]
    texts += [_parameters(operation), _body(operation), _answers(operation), _curl(method, path, operation)]
    deprecated = " (deprecated)" if operation.get("deprecated") else ""
    return f"\n### `{method} {path}`{deprecated}\n\n" + "\n\n".join(filter(None, texts)) + "\n"


def _parameters(operation: Schema) -> str:
    listed = [each for each in operation["parameters"] if each.get("in") in {"query", "header"}]
    rows = [
        f"| `{each['name']}` | {each['in']} | {type_of(each['schema'])} | {each['description']} |" for each in listed
    ]
    return "\n".join(["| parameter | in | | |", "| --- | --- | --- | --- |", *rows]) if rows else ""


def _body(operation: Schema) -> str:
    if "requestBody" not in operation:
        return ""
    shape, may_be_list = body_shape(operation)
    also = ", or a list of such events" if may_be_list else ""
    about = f" {' '.join(shape['description'].split())}" if "description" in shape else ""
    return f"Body{also}:{about}\n\n{field_table(shape)}"


def _answers(operation: Schema) -> str:
    rows = [
        f"| {status} | {text} | {_content(answer)} |"
        for status, answer in operation["responses"].items()
        if (text := _without_common(answer["description"].removesuffix(".")))
    ]
    return "\n".join(["| status | | |", "| --- | --- | --- |", *rows])


def _without_common(description: str) -> str:
    """An answer's description without the refusals that the head of the page lists."""
    return ", ".join(part for part in description.split(", ") if part not in _COMMON)


def _content(answer: Schema) -> str:
    contents = [
        type_of(content["schema"]) if media_type == "application/json" else f"`{media_type}`"
        for media_type, content in answer.get("content", {}).items()
        if media_type != "application/problem+json"
    ]
    headers = [f"`{name}`" for name in answer.get("headers", {}) if name not in _USUAL_HEADERS]
    return "; ".join(filter(None, [" or ".join(contents), ", ".join(headers)]))


def _curl(method: str, path: str, operation: Schema) -> str:
    for each in operation["parameters"]:
        if each.get("in") == "path":
            path = path.replace(f"{{{each['name']}}}", each.get("example", each["name"].upper()))
    is_stream = method == "GET" and "text/event-stream" in operation["responses"].get("200", {}).get("content", {})
    words = ["curl", "-sN" if is_stream else "-s", *([] if method == "GET" else ["-X", method]), _HOST + path]
    line = shlex.join(words)
    if "requestBody" in operation:
        example = json.dumps(body_shape(operation)[0].get("examples", [{}])[0])
        line += f" -H 'content-type: application/json' \\\n     -d {shlex.quote(example)}"
    return f"```\n{line}\n```"
