"""The objects of OpenAI's Chat Completions, as its own server sends them; habits change what they need."""

from typing import Any

from tests.model_servers.server import Json

TEXT = "Good morning, Zoë 🙂. All is well."
PIECES = ("Good mor", "ning, Zo", "ë 🙂.", " All is", " well.")
BEGINNING = PIECES[0]
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
TWICE = {name: 2 * count for name, count in USAGE.items()}
"""What a turn of two calls has used."""

ENVELOPE: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "a-model"}
DONE = "[DONE]"


def chunk(delta: Any = None, reason: str | None = None, **fields: Any) -> Json:
    """Return a chunk whose only choice adds `delta`."""
    choice: Json = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": reason}
    return {**ENVELOPE, "choices": [choice], **fields}


def with_choice(each: Json, **fields: Any) -> Json:
    """Return a chunk with more fields in its first choice."""
    first, *others = each["choices"]
    return {**each, "choices": [{**first, **fields}, *others]}


def text(*pieces: str) -> list[Json]:
    """Return the chunks of an answer's text; by default the whole one."""
    return [chunk({"content": piece}) for piece in pieces or PIECES]


def used(usage: Any = USAGE) -> Json:
    """Return the chunk without choices that counts the tokens."""
    return {**ENVELOPE, "choices": [], "usage": usage}


def ending(reason: str = "stop", usage: Any = USAGE) -> list[Json | str]:
    """Return what follows the last piece of an answer."""
    return [chunk(reason=reason), used(usage), DONE]


def whole(reason: str = "stop", usage: Any = USAGE, **message: Any) -> Json:
    """Return a completion that is not streamed."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT, **message}, "finish_reason": reason}
    return {**ENVELOPE, "object": "chat.completion", "choices": [choice], "usage": usage}


def call(arguments: Any = '{"expression": "6*7"}', name: str = "calculate", **fields: Any) -> Json:
    """Return a whole tool call; as a fragment it lacks its index."""
    return {"id": "call_0", "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def rest(arguments: str, **fields: Any) -> Json:
    """Return a fragment that continues a tool call's arguments."""
    return {"function": {"arguments": arguments}, **fields}


def calls(*fragments: Any, **delta: Any) -> Json:
    """Return a chunk of tool calls."""
    return chunk({**delta, "tool_calls": list(fragments)})


def error(message: Any, code: Any = None, **fields: Any) -> Json:
    """Return the body of a refusal."""
    return {"error": {"message": message, "type": "error", "param": None, "code": code, **fields}}
