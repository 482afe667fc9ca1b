"""What the scripted model does: a model name and a conversation in, the calls it makes out."""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from pydantic import BaseModel, Field, model_validator

from local.model.coder import PATCHING, plan_patch


@dataclass(frozen=True)
class Script:
    """How a request is answered, as its model name says; times in seconds."""

    tokens: int = 20
    delay: float = 0.0
    finish_reason: str | None = "stop"
    ending: Literal["done", "cut", "hang", "garbage", "error"] = "done"
    usage: bool = True
    silence: float = 0.0
    status: int = 200
    failures: int = 0


_KINDS: dict[str, Callable[[int], Script]] = {
    "fail": lambda number: Script(status=number),
    "flaky": lambda number: Script(failures=number),
    "mute": lambda number: Script(silence=number),
    "cut": lambda number: Script(tokens=number, ending="cut"),
    "hang": lambda number: Script(tokens=number, ending="hang"),
    "end": lambda number: Script(tokens=number, finish_reason=None, usage=False),
    "error": lambda number: Script(tokens=number, ending="error"),
    "garbage": lambda number: Script(tokens=number, ending="garbage"),
    "length": lambda number: Script(tokens=number, finish_reason="length"),
    "filter": lambda number: Script(tokens=number, finish_reason="content_filter"),
    "nousage": lambda number: Script(tokens=number, usage=False),
}
_NAME = r"fail-[45]\d\d|flaky-\d{1,6}-.+|(?:mute|cut|hang|end|error|garbage|length|filter|nousage)-\d{1,6}"


@lru_cache(maxsize=1024)
def parse_model_name(name: str) -> Script | None:
    """The script that `name` stands for, or None when it is no scripted model's name."""
    if match := re.fullmatch(r"fake-(\d{1,6})-(\d{1,6})", name):
        return Script(tokens=int(match[1]), delay=int(match[2]) / 1000)
    if not re.fullmatch(_NAME, name):
        return None
    kind, number, *_ = name.split("-")
    return _KINDS[kind](int(number))


class Function(BaseModel):
    """A function as offered (with `parameters`), called (with `arguments`) or chosen (by its name alone)."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    parameters: dict[str, Any] = {}
    arguments: str = ""


class Tool(BaseModel):
    """A tool as offered, called (then with an `id`) or chosen."""

    id: str = ""
    type: Literal["function"] = "function"
    function: Function


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Tool] | None = Field(default=None, min_length=1)
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return " ".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class ChatRequest(BaseModel):
    """The part of a chat completion request that the scripted model heeds."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    tools: list[Tool] | None = Field(default=None, min_length=1)
    tool_choice: Literal["none", "auto", "required"] | Tool | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _answer_every_call(self) -> "ChatRequest":
        """OpenAI refuses a conversation in which a tool call and its result do not follow each other."""
        waiting: set[str] = set()
        for message in self.messages:
            if message.role == "tool":
                if message.tool_call_id not in waiting:
                    raise ValueError("messages with role 'tool' must answer a preceding message with 'tool_calls'")
                waiting.remove(message.tool_call_id)
            elif waiting:
                break
            else:
                waiting = {call.id for call in message.tool_calls or []}
        if waiting:
            msg = f"these tool_call_ids have no response message: {', '.join(sorted(waiting))}"
            raise ValueError(msg)
        return self


def plan_calls(request: ChatRequest) -> list[Tool]:
    """The tool calls to answer with now: none once all that the last user message asks for were made."""
    if not request.tools or request.tool_choice == "none":
        return []
    tools = {tool.function.name: tool.function.parameters for tool in request.tools}
    if isinstance(request.tool_choice, Tool):
        tools = {name: tools[name] for name in tools if name == request.tool_choice.function.name}
    last = max((i for i, message in enumerate(request.messages) if message.role == "user"), default=0)
    prompt = request.messages[last].text
    steps = _asked_steps(prompt, tools)
    if not steps and PATCHING in tools:
        patch = plan_patch(prompt, request.messages[0].text)
        steps = [[_call(PATCHING, json.dumps({"patch": patch}))]]
    if request.parallel_tool_calls is False:
        steps = [[call] for step in steps for call in step]
    done = sum(1 for message in request.messages[last + 1 :] if message.tool_calls)
    if done < len(steps):
        return steps[done]
    forced = request.tool_choice not in (None, "auto")
    return [_call(name, _minimal_arguments(tools[name])) for name in tools][:1] if forced else []


def split_calls(calls: list[Tool]) -> list[dict[str, Any]]:
    """The calls as OpenAI streams them: of each its id and name, then its arguments in pieces."""
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


_ASKED = re.compile(r"\b(?:call|use)\s+`?(?P<name>[\w-]+)`?(?:\s*(?:with\s+|:\s*)?(?P<arguments>\{))?", re.IGNORECASE)


def _asked_steps(text: str, tools: dict[str, dict[str, Any]]) -> list[list[Tool]]:
    """What `text` asks to call, in steps: "then" between two calls puts the second into a later step."""
    steps: list[list[Tool]] = []
    end = called = 0
    while match := _ASKED.search(text, end):
        end = match.end("name")
        if match["name"] not in tools:
            continue
        if match["arguments"]:
            arguments, end = _given_arguments(text, match.start("arguments"))
        else:
            arguments = _minimal_arguments(tools[match["name"]])
        if not steps or re.search(r"\bthen\b", text[called : match.start()], re.IGNORECASE):
            steps.append([])
        steps[-1].append(_call(match["name"], arguments))
        called = end
    return steps


def _given_arguments(text: str, start: int) -> tuple[str, int]:
    """The JSON object at `start` and where it ends; what is no JSON goes out as it stands, as models do."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
        return json.dumps(value), end
    except (ValueError, RecursionError):
        end = text.find("}", start) + 1 or len(text)
        return text[start:end], end


def _minimal_arguments(schema: dict[str, Any]) -> str:
    return json.dumps(minimal({"type": "object", **schema}, schema))


def minimal(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """A smallest value that fits `schema`; references are looked up in the `$defs` of `root`."""
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
