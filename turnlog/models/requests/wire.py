"""The wire form of a conversation: Chat Completions messages that the strictest server accepts.

Servers differ in what they refuse, and a history that one of them refuses once would break its session for ever. So
this form suits them all: ids of nine letters or digits (Mistral) that differ from each other (Claude), names of
`[A-Za-z0-9_-]{1,64}` (OpenAI, Gemini), arguments that are JSON objects (vLLM, SGLang), no blank text (Bedrock), user
and assistant in turns with an assistant between a tool and a user (Mistral, Gemma), every call answered at once
(OpenAI). To the model that made a call, its server's own id and fields go back: some put a signature into them. The
log keeps what was really written.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from turnlog.domain.content import Content, TextPart, content_text, has_media, readable_parts
from turnlog.domain.conversation import AnsweredCall, Conversation, ConversationTurn, ModelStep
from turnlog.domain.values import ToolCall
from turnlog.models.merging import replaced_surrogates

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 9
NO_ANSWER = {
    "failed": "[This turn failed before it was answered.]",
    "cancelled": "[This turn was cancelled before it was answered.]",
}
UNANSWERED = "[The call was not answered.]"
EMPTY_MESSAGE = "[The message is empty.]"
EMPTY_RESULT = "[The tool returned nothing.]"
UNFINISHED = "[This turn ended without an answer.]"

Entry = dict[str, Any]


class CallIds:
    """Gives each call of one request an id that no other call of it has."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def give(self, call: ToolCall, *, is_same_model: bool) -> str:
        """Return the id that the call's server gave it, to its own model; else one that every server accepts."""
        own = call.vendor.get("id") if is_same_model else None
        call_id = own if isinstance(own, str) and own.strip() else wire_id(call.id)
        number = 1
        while call_id in self._used:
            number += 1
            call_id = wire_id(f"{call.id} {number}")
        self._used.add(call_id)
        return call_id


def chat_messages(conversation: Conversation, model: str) -> list[Entry]:
    """Return the `messages` of a request to `model`."""
    entries: list[Entry] = []
    if conversation.instructions.strip():
        entries.append({"role": "system", "content": conversation.instructions})
    ids = CallIds()
    last = len(conversation.turns) - 1
    for number, turn in enumerate(conversation.turns):
        _append(entries, _entries_of(turn, ids, is_same_model=turn.model == model))
        if number < last:
            _close(entries, turn)
    _append(entries, map(_user, conversation.reading))
    return entries


def _entries_of(turn: ConversationTurn, ids: CallIds, *, is_same_model: bool) -> Iterator[Entry]:
    yield _user(turn.content)
    for step in turn.steps:
        yield from map(_user, step.read)
        if step.calls:
            call_ids = [ids.give(answered.call, is_same_model=is_same_model) for answered in step.calls]
            yield _calling(step, call_ids, is_same_model=is_same_model)
            for call_id, answered in zip(call_ids, step.calls, strict=True):
                yield {"role": "tool", "tool_call_id": call_id, "content": wire_result(answered)}
        elif step.text.strip():
            yield {"role": "assistant", "content": step.text}


def _append(entries: list[Entry], more: Iterable[Entry]) -> None:
    """Append `more` so that the roles follow each other as every server wants it."""
    for entry in more:
        before = entries[-1] if entries else {"role": None}
        if before["role"] == entry["role"] != "tool" and "tool_calls" not in before:
            entries[-1] = {**entry, "content": _joined(before["content"], entry["content"])}
            continue
        if before["role"] == "tool" and entry["role"] == "user":
            entries.append({"role": "assistant", "content": UNFINISHED})
        entries.append(entry)


def _close(entries: list[Entry], turn: ConversationTurn) -> None:
    """Say that an earlier turn ended without an answer, so that the next user's message does not follow one."""
    if entries[-1]["role"] in {"user", "tool"}:
        entries.append({"role": "assistant", "content": NO_ANSWER.get(turn.status, UNFINISHED)})


def _joined(before: Any, after: Any) -> Any:
    if after is None:
        return before
    if isinstance(before, str) and isinstance(after, str):
        return f"{before}\n\n{after}"
    return [*_parts(before), *_parts(after)]


def _parts(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _user(content: Content) -> Entry:
    sent = content_to_send(content)
    return {"role": "user", "content": sent if isinstance(sent, str) else [part.model_dump() for part in sent]}


def _calling(step: ModelStep, call_ids: Iterable[str], *, is_same_model: bool) -> Entry:
    calls = [
        {
            **(answered.call.vendor if is_same_model else {}),
            "id": call_id,
            "type": "function",
            "function": {"name": wire_name(answered.call.name), "arguments": wire_arguments(answered.call.arguments)},
        }
        for call_id, answered in zip(call_ids, step.calls, strict=True)
    ]
    # Only a call's server wants its fields back, and other servers refuse them.
    vendor = step.vendor if is_same_model and step.vendor else {}
    content = step.text if step.text.strip() else None
    return {**vendor, "role": "assistant", "content": content, "tool_calls": calls}


def content_to_send(content: Content) -> Content:
    """Return what a user wrote, a text or parts, without a text that is blank."""
    if isinstance(content, str):
        return content if content.strip() else EMPTY_MESSAGE
    parts = tuple(part for part in readable_parts(content) if not isinstance(part, TextPart) or part.text.strip())
    # Some servers take only texts.
    return parts if has_media(parts) else content_text(parts) or EMPTY_MESSAGE


def wire_result(answered: AnsweredCall) -> str:
    """Return a call's result as text that is not blank."""
    if answered.result is None:
        return UNANSWERED
    return answered.result if answered.result.strip() else EMPTY_RESULT


def wire_id(call_id: str) -> str:
    """Return the id of a call in requests: nine letters or digits, always the same for one id."""
    number = int.from_bytes(hashlib.sha256(call_id.encode(errors="replace")).digest()[:8])
    digits: list[str] = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def wire_name(name: str) -> str:
    """Return a tool's name as every server takes it, also one that the model made up."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "unnamed"


def wire_arguments(arguments: str) -> str:
    """Return the arguments if they are a JSON object; else an empty one, since some servers refuse all others."""
    try:
        value = json.loads(arguments, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return "{}"
    if not isinstance(value, dict):
        return "{}"
    if "\\ud" in arguments.lower():  # maybe half a character, which strict parsers refuse
        arguments = json.dumps(value, ensure_ascii=False)
    return replaced_surrogates(arguments)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
