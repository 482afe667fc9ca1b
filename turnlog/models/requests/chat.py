"""The body of a Chat Completions request: what the app asks for, the options of agent and deployment, and no more."""

import re
from collections.abc import Mapping
from typing import Any

from turnlog.models.requests.wire import chat_messages
from turnlog.ports import ModelRequest

_FIRST_CALL_CHOICES = frozenset({"required", "any"})


def chat_body(request: ModelRequest) -> dict[str, Any]:
    """Return the body. An option of null takes a field out."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": chat_messages(request.conversation, request.model),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.output_schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": named_schema(request.output_schema)}
    if request.tools:
        body |= {"tools": request.tools, "tool_choice": "auto"}
    body = merged(body, request.options)
    if not request.tools:
        body.pop("tool_choice", None)
        body.pop("parallel_tool_calls", None)
    elif not request.may_call_tools:
        body["tool_choice"] = "none"
    elif request.conversation.has_tool_results and _demands_call(body.get("tool_choice")):
        body["tool_choice"] = "auto"  # asked for again after each result, a turn would never end
    return body


def merged(body: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `body` with `options` over it: objects merge, null removes."""
    result = dict(body)
    for name, value in options.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            result[name] = merged(result[name], value)  # pyright: ignore[reportUnknownArgumentType]
        else:
            result[name] = value
    return result


def named_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema with the name that servers ask for: of letters, digits, `_` and `-`, at most 64."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title", "output"))).strip("_")[:64]
    return {"name": name or "output", "schema": schema}


def _demands_call(choice: Any) -> bool:
    return isinstance(choice, Mapping) or choice in _FIRST_CALL_CHOICES
