"""The words of the scripted model: a conversation in, the text of the answer out."""

import json
import zlib
from collections.abc import Iterator
from itertools import chain, count, islice, takewhile

from turnlog.local.model.calls import minimal
from turnlog.local.model.coder import PATCH_TOOL, describe
from turnlog.local.model.request import ChatRequest, Message, Tool


def plan_words(request: ChatRequest, tokens: int) -> list[str]:
    """Return the answer in pieces: words, or one smallest value if the request has a JSON Schema for the answer."""
    schema = (request.response_format or {}).get("json_schema", {}).get("schema")
    return write_words(request.messages, tokens) if schema is None else [json.dumps(minimal(schema, schema))]


def write_words(messages: list[Message], tokens: int) -> list[str]:
    """Return the answer to `messages` in exactly `tokens` pieces, each a word with the space behind it."""
    content = next((message.text for message in reversed(messages) if message.role == "user"), "")
    given = sum(1 for message in messages if message.role not in ("system", "developer"))
    opening = "Scripted model here, in place of a real one. "
    opening += "".join(f"{describe(call.function.arguments)} " for call in _new_patches(messages))
    opening += "".join(f"{name} returned “{_shorten(result)}”. " for name, result in _new_results(messages))
    opening += f"You said “{_shorten(content)}”. I was given {given} message{'s' * (given != 1)} of this conversation"
    pictures = sum(message.pictures for message in messages)
    opening += f", with {pictures} picture{'s' * (pictures != 1)}." if pictures else "."
    filler = _filler(zlib.crc32(content.encode(errors="replace")))
    words = list(islice(chain(opening.split(), filler), tokens))
    return [word + " " for word in words[:-1]] + words[-1:]


def _new_patches(messages: list[Message]) -> list[Tool]:
    """Return the patches that the newest step proposed."""
    last = next((message for message in reversed(messages) if message.role != "tool"), messages[-1])
    return [call for call in last.tool_calls or [] if call.function.name == PATCH_TOOL]


def _new_results(messages: list[Message]) -> Iterator[tuple[str, str]]:
    """Yield name and result of each tool that ran since the model's last message."""
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
    """Yield words of sentences without end; the lists' lengths share no factor, so a sentence is repeated late."""
    for n in count(seed):
        yield from f"{_SUBJECTS[n % 7]} {_VERBS[n % 5]} {_OBJECTS[n % 6]}.".split()
