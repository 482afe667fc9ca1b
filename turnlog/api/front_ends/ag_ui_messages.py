"""The messages of an AG-UI conversation: those that a client has, and those of the stored log."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from turnlog.api.shapes.ag_ui import content_parts
from turnlog.api.shapes.events import response_of
from turnlog.domain.content import Content
from turnlog.domain.events import ToolCallComplete
from turnlog.domain.ids import TurnId, public_id
from turnlog.domain.stored_documents import Message

JSON: TypeAlias = dict[str, Any]


def assistant_id(turn_id: TurnId, step: int) -> str:
    return f"{turn_id}-{step}"


def reasoning_id(turn_id: TurnId, step: int) -> str:
    return f"{turn_id}-{step}-reasoning"


def result_id(call_id: str) -> str:
    return f"{call_id}-result"


def tool_text(response: Any) -> str:
    """What a tool returned, as the protocol has it: a text."""
    return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)


@dataclass
class Call:
    """A tool call of an assistant's message, as far as it was sent."""

    name: str
    arguments: list[str] = field(default_factory=list[str])

    def is_whole(self, name: str, arguments: str) -> bool:
        return self.name == name and "".join(self.arguments) == arguments


@dataclass
class _Written:
    """A message that the run writes: its fields, its text in pieces, and its calls."""

    fields: JSON
    pieces: list[str] = field(default_factory=list[str])
    calls: dict[str, Call] = field(default_factory=dict[str, Call])

    def as_message(self) -> JSON:
        message = {**self.fields, "content": "".join(self.pieces)}
        if self.calls:
            message["toolCalls"] = [
                _tool_call(call_id, call.name, "".join(call.arguments)) for call_id, call in self.calls.items()
            ]
        return message


class RunMessages:
    """What a client has while it reads a run: `earlier` messages, and those that the run has written.

    A snapshot of them replaces the client's messages. This is how text is taken back.
    """

    def __init__(self, earlier: Sequence[JSON]) -> None:
        self._earlier = earlier
        self._written: dict[str, _Written] = {}

    def write(self, message_id: str, role: str, text: str, **fields: Any) -> None:
        written = self._written.setdefault(message_id, _Written({"id": message_id, "role": role, **fields}))
        written.pieces.append(text)

    def call(self, message_id: str, call_id: str, name: str) -> Call:
        """The call of an assistant's message, which is created with `name` if it is new."""
        written = self._written.setdefault(message_id, _Written({"id": message_id, "role": "assistant"}))
        return written.calls.setdefault(call_id, Call(name))

    def drop(self, message_id: str) -> bool:
        """Take the message back. Returns whether the client has it."""
        return self._written.pop(message_id, None) is not None

    def blank(self, message_id: str) -> bool:
        """Take back the text of a message. Returns whether the client has it.

        A client keeps its reasoning if a snapshot has no reasoning at all, so a blank message takes its place.
        """
        written = self._written.get(message_id)
        if written is not None:
            written.pieces.clear()
        return written is not None

    def snapshot(self) -> list[JSON]:
        return [*self._earlier, *(written.as_message() for written in self._written.values())]


def earlier_messages(messages: Sequence[JSON]) -> list[JSON]:
    """The client's messages up to the newest one of the user: those before a turn that is sent from its start.

    The first reasoning behind it stays, as a blank: otherwise a client would keep all reasoning that it has.
    """
    newest = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=-1)
    earlier = list(messages[: newest + 1])
    stale = [message for message in messages[newest + 1 :] if message["role"] == "reasoning"]
    return [*earlier, *({**message, "content": ""} for message in stale[:1])]


def called_in(messages: Sequence[JSON]) -> set[str]:
    """The ids of the tool calls in `messages`, which a client sent."""
    found: set[str] = set()
    for message in messages:
        match message.get("toolCalls"):
            case [*calls]:
                found |= {call["id"] for call in calls if _has_id(call)}
            case _:
                pass
    return found


def _has_id(call: object) -> bool:
    match call:
        case {"id": str()}:
            return True
        case _:
            return False


def conversation(
    messages: Sequence[Message], contents: Sequence[Content], outcomes: Mapping[str, ToolCallComplete]
) -> list[JSON]:
    """The messages of the stored log: each one of a user, then what its turn has written until now."""
    found: list[JSON] = []
    for message, content in zip(messages, contents, strict=True):
        found.append({"id": message.client_id or message.id, "role": "user", "content": content_parts(content)})
        if message.steers is None:
            found += _answers(message, outcomes)
    return found


def _answers(message: Message, outcomes: Mapping[str, ToolCallComplete]) -> list[JSON]:
    found: list[JSON] = []
    for number, step in enumerate(message.steps, start=1):
        if step.reasoning:
            reasoning = {"id": reasoning_id(message.turn_id, number), "role": "reasoning", "content": step.reasoning}
            found.append(reasoning)
        if step.text or step.tool_calls:
            answer: JSON = {"id": assistant_id(message.turn_id, number), "role": "assistant", "content": step.text}
            if step.tool_calls:
                answer["toolCalls"] = [_tool_call(call.id, call.name, call.arguments) for call in step.tool_calls]
            found.append(answer)
        found += [
            {
                "id": result_id(call.id),
                "role": "tool",
                "toolCallId": call.id,
                "content": tool_text(response_of(public_id(message.session_id), outcomes[call.id])),
            }
            for call in step.tool_calls
            if call.id in outcomes
        ]
    return found


def _tool_call(call_id: str, name: str, arguments: str) -> JSON:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
