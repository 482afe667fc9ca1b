"""What strict servers demand of a conversation. A demand returns what is wrong with it; None if nothing is."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from tests.model_servers.server import Json

Messages: TypeAlias = Sequence[Json]
Demand: TypeAlias = Callable[[Messages], str | None]

FIELDS_OF_OPENAI = frozenset(
    {"role", "content", "tool_calls", "tool_call_id", "name", "refusal", "id", "type", "function"}
)
_ROLES_AFTER = {
    "system": {"user"},
    "user": {"assistant"},
    "assistant": {"user", "tool"},
    "tool": {"assistant", "tool"},
}


def calls_in(messages: Messages) -> list[Json]:
    return [call for message in messages for call in _calls_of(message)]


def _calls_of(message: Json) -> list[Json]:
    return message.get("tool_calls") or []


def of_each_call(problem_of: Callable[[Json], str | None]) -> Demand:
    """Return the demand that `problem_of` makes of each call in the history."""
    return lambda messages: next(filter(None, map(problem_of, calls_in(messages))), None)


def of_each_message(problem_of: Callable[[Json], str | None]) -> Demand:
    return lambda messages: next(filter(None, map(problem_of, messages)), None)


def _id_of_nine(call: Json) -> str | None:
    if re.fullmatch("[a-zA-Z0-9]{9}", call["id"]):
        return None
    return f"Tool call id was {call['id']} but must be a-z, A-Z, 0-9, with a length of 9."


def _plain_id(call: Json) -> str | None:
    is_plain = re.fullmatch("[a-zA-Z0-9_-]{1,40}", call["id"])
    return None if is_plain else "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"


def _plain_name(call: Json) -> str | None:
    is_plain = re.fullmatch("[a-zA-Z0-9_-]{1,64}", call["function"]["name"])
    return None if is_plain else "Invalid 'messages[2].tool_calls[0].function.name': string does not match pattern."


def _object_arguments(call: Json) -> str | None:
    arguments = call["function"]["arguments"]
    try:
        is_object = isinstance(json.loads(arguments, parse_constant=_refuse), dict)
        json.dumps(json.loads(arguments), ensure_ascii=False).encode()
    except ValueError as problem:
        return str(problem)
    return None if is_object else 'The "function.arguments" parameter must be in JSON format.'


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _some_text(message: Json) -> str | None:
    content = message["content"]
    if content is None:
        return None if message.get("tool_calls") else "Invalid value for 'content': expected a string, got null."
    texts: Iterable[Any] = [content] if isinstance(content, str) else [part.get("text", "…") for part in content]
    return "messages: text content blocks must be non-empty" if any(not text.strip() for text in texts) else None


def _own_fields(message: Json) -> str | None:
    unknown = {name for each in (message, *_calls_of(message)) for name in each} - FIELDS_OF_OPENAI
    return f"{sorted(unknown)}: extra fields not permitted" if unknown else None


def answered_at_once(messages: Messages) -> str | None:
    """As OpenAI: the results of a message's calls follow it at once."""
    wanted: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in wanted:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            wanted.remove(message["tool_call_id"])
        elif wanted:
            return f"tool_call_ids did not have response messages: {wanted}"
        else:
            wanted = [call["id"] for call in _calls_of(message)]
    return f"tool_call_ids did not have response messages: {wanted}" if wanted else None


def answered_in_order(messages: Messages) -> str | None:
    """As templates that pair calls and results by their position."""
    asked = [call["id"] for call in calls_in(messages)]
    given = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    return None if asked == given else "Not the same number of function calls and responses"


def different_ids(messages: Messages) -> str | None:
    """As Claude: no two calls of a conversation have one id."""
    ids = [call["id"] for call in calls_in(messages)]
    return None if len(ids) == len(set(ids)) else "messages.3.content.1: `tool_use` ids must be unique"


def alternating(messages: Messages) -> str | None:
    """As Mistral, and the templates of Gemma and Llama."""
    roles = [message["role"] for message in messages]
    for before, role in pairwise(roles):
        if role not in _ROLES_AFTER[before]:
            return f"Unexpected role '{role}' after role '{before}'"
    return None if roles[-1] in {"user", "tool"} else f"Expected last role User or Tool, but got {roles[-1]}"


def reasoning_everywhere(messages: Messages) -> str | None:
    """As DeepSeek since V4, also for what another model wrote."""
    for number, message in enumerate(messages):
        if message["role"] == "assistant" and "reasoning_content" not in message:
            return f"Missing `reasoning_content` field in the assistant message at message index {number}."
    return None


ids_of_nine = of_each_call(_id_of_nine)
plain_ids = of_each_call(_plain_id)
plain_names = of_each_call(_plain_name)
object_arguments = of_each_call(_object_arguments)
some_text = of_each_message(_some_text)
own_fields = of_each_message(_own_fields)

ALL_AT_ONCE: tuple[Demand, ...] = (
    *(ids_of_nine, plain_ids, different_ids, plain_names, object_arguments),
    *(some_text, own_fields, answered_at_once, answered_in_order, alternating),
)
"""What a conversation meets that any server takes."""


def broken_by(messages: Messages) -> list[str]:
    """Return what all strict servers together have against a conversation."""
    return [problem for demand in ALL_AT_ONCE if (problem := demand(messages)) is not None]
