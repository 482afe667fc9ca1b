"""What the scripted model says: a conversation in, words out."""

import json
import zlib
from collections.abc import Iterator
from itertools import chain, count, islice, takewhile

from local.model.coder import PATCHING, describe
from local.model.script import ChatRequest, Message, Tool, minimal


def plan_words(request: ChatRequest, tokens: int) -> list[str]:
    """What to say: words, or where a JSON Schema is given, a smallest value that fits it."""
    schema = (request.response_format or {}).get("json_schema", {}).get("schema")
    return write_words(request.messages, tokens) if schema is None else [json.dumps(minimal(schema, schema))]


def write_words(messages: list[Message], tokens: int) -> list[str]:
    """The answer to `messages` in exactly `tokens` pieces, each a word with the space behind it."""
    said = next((message.text for message in reversed(messages) if message.role == "user"), "")
    given = sum(1 for message in messages if message.role not in ("system", "developer"))
    opening = "Scripted model here, in place of a real one. "
    opening += "".join(f"{describe(call.function.arguments)} " for call in _patches(messages))
    opening += "".join(f"{name} returned “{_shorten(result)}”. " for name, result in _fresh_results(messages))
    opening += f"You said “{_shorten(said)}”. I was given {given} message{'s' * (given != 1)} of this conversation."
    words = list(islice(chain(opening.split(), _filler(zlib.crc32(said.encode(errors="replace")))), tokens))
    return [word + " " for word in words[:-1]] + words[-1:]


def _patches(messages: list[Message]) -> list[Tool]:
    """The patches that were proposed in the newest step."""
    spoken = next((message for message in reversed(messages) if message.role != "tool"), messages[-1])
    return [call for call in spoken.tool_calls or [] if call.function.name == PATCHING]


def _fresh_results(messages: list[Message]) -> Iterator[tuple[str, str]]:
    """Name and result of each tool that ran since the model last spoke."""
    names = {call.id: call.function.name for message in messages for call in message.tool_calls or []}
    results = takewhile(lambda message: message.role == "tool", reversed(messages))
    for message in reversed(list(results)):
        yield names[message.tool_call_id or ""], message.text


def _shorten(text: str, limit: int = 60) -> str:
    words = " ".join(text[: 4 * limit].split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


_SUBJECTS = ("The log", "A reader", "Each turn", "The session", "Every event", "A cursor", "One writer")
_VERBS = ("keeps", "remembers", "carries", "outlives", "returns to")
_OBJECTS = ("its place", "the whole story", "what came before", "a slow line", "the last word", "a quiet night")


def _filler(seed: int) -> Iterator[str]:
    """Words of sentences without end; the lists' lengths share no factor, so a sentence comes back late."""
    for n in count(seed):
        yield from f"{_SUBJECTS[n % 7]} {_VERBS[n % 5]} {_OBJECTS[n % 6]}.".split()
