"""The tool calls of the scripted model: a request in, the calls of this step out."""

import json
import re
import secrets
from typing import Any, cast

from turnlog.local.model.coder import PATCH_TOOL, plan_patch
from turnlog.local.model.request import ChatRequest, Function, Tool


def plan_calls(request: ChatRequest) -> list[Tool]:
    """Return the tool calls of this step: none after all calls that the last user message asks for."""
    if not request.tools or request.tool_choice == "none":
        return []
    tools = {tool.function.name: tool.function.parameters for tool in request.tools}
    last = max((i for i, message in enumerate(request.messages) if message.role == "user"), default=0)
    content = request.messages[last].text
    steps = _requested_steps(content, tools)
    if not steps and PATCH_TOOL in tools:
        patch = plan_patch(content, request.messages[0].text)
        steps = [[_call(PATCH_TOOL, json.dumps({"patch": patch}))]]
    done = sum(1 for message in request.messages[last + 1 :] if message.tool_calls)
    return steps[done] if done < len(steps) else []


def split_calls(calls: list[Tool]) -> list[dict[str, Any]]:
    """Return the calls as OpenAI streams them: of each call its id and name, then its arguments in pieces."""
    pieces: list[dict[str, Any]] = []
    for index, call in enumerate(calls):
        name, arguments = call.function.name, call.function.arguments
        named = {"id": call.id, "type": "function", "function": {"name": name, "arguments": ""}}
        pieces.append({"tool_calls": [{"index": index, **named}]})
        size = max(1, min(8, len(arguments) // 2))
        for start in range(0, len(arguments), size):
            piece = {"index": index, "function": {"arguments": arguments[start : start + size]}}
            pieces.append({"tool_calls": [piece]})
    return pieces


def _call(name: str, arguments: str) -> Tool:
    return Tool(id=f"call_{secrets.token_hex(12)}", function=Function(name=name, arguments=arguments))


_REQUESTED = re.compile(
    r"\b(?:call|use)\s+`?(?P<name>[\w-]+)`?(?:\s*(?:with\s+|:\s*)?(?P<arguments>\{))?", re.IGNORECASE
)


def _requested_steps(text: str, tools: dict[str, dict[str, Any]]) -> list[list[Tool]]:
    """Return the calls that `text` asks for, in steps: "then" between two calls puts the second into a later step."""
    steps: list[list[Tool]] = []
    end = last_end = 0
    while match := _REQUESTED.search(text, end):
        end = match.end("name")
        if match["name"] not in tools:
            continue
        if match["arguments"]:
            arguments, end = _read_arguments(text, match.start("arguments"))
        else:
            arguments = _minimal_arguments(tools[match["name"]])
        if not steps or re.search(r"\bthen\b", text[last_end : match.start()], re.IGNORECASE):
            steps.append([])
        steps[-1].append(_call(match["name"], arguments))
        last_end = end
    return steps


def _read_arguments(text: str, start: int) -> tuple[str, int]:
    """Return the JSON object at `start` and its end; text that is not JSON is passed on unchanged, as models do."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
        return json.dumps(value), end
    except (ValueError, RecursionError):
        end = text.find("}", start) + 1 or len(text)
        return text[start:end], end


def _minimal_arguments(schema: dict[str, Any]) -> str:
    return json.dumps(minimal({"type": "object", **schema}, schema))


def minimal(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Return a smallest value that fits `schema`; its references are names in the `$defs` of `root`."""
    if "$ref" in schema:
        return minimal(root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {}), root)
    fixed = [schema[key] for key in ("default", "const") if key in schema]
    if known := [*schema.get("examples", []), *fixed, *schema.get("enum", [])]:
        return known[0]
    if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return minimal(choices[0], root)
    kinds: Any = schema.get("type")
    match cast("list[str]", kinds)[0] if isinstance(kinds, list) else kinds:
        case "object":
            fields = schema.get("properties", {})
            return {name: minimal(fields.get(name, {}), root) for name in schema.get("required", [])}
        case "array":
            return [minimal(schema.get("items", {}), root)] * schema.get("minItems", 0)
        case "integer" | "number":
            return max(schema.get("minimum", 0), 0)
        case kind:
            return {"boolean": False, "null": None}.get(kind, "x" * schema.get("minLength", 0))
