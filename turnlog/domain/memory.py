"""A session's log as items of the Responses API: the form in which openai-agents stores a conversation."""

import json
from typing import Any, TypeAlias

from turnlog.domain.chunks import Event
from turnlog.domain.content import input_content
from turnlog.domain.events import (
    MessageComplete,
    MessageQueued,
    MessageWithdrawn,
    Outside,
    RunComplete,
    ToolCallComplete,
    UserMessage,
)
from turnlog.domain.ids import MessageId, TurnId

Item: TypeAlias = dict[str, Any]

ADDED = "memory.items"
POPPED = "memory.popped"
CLEARED = "memory.cleared"


class Memory:
    """The items after the added events, in the order of the log. A turn's items appear when the turn has ended."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._turns: dict[TurnId, list[tuple[MessageId | None, Item]]] = {}

    def add(self, event: Event) -> None:
        """Add `event`, with its large texts filled in."""
        match event.data:
            case Outside(event_type=event_type, fields=fields):
                self._apply_outside(event_type, fields)
            case MessageQueued() | MessageWithdrawn():
                self._drop_unread(event.message_id)
            case RunComplete() if event.turn_id is not None:
                self.items += [item for _, item in self._turns.pop(event.turn_id, [])]
            case UserMessage(content=content) if event.turn_id is not None:
                question = (event.message_id, {"role": "user", "content": input_content(content)})
                self._turns.setdefault(event.turn_id, []).append(question)
            case MessageComplete() | ToolCallComplete() if event.turn_id is not None:
                answers = [(None, item) for item in _items(event.data)]
                self._turns.setdefault(event.turn_id, []).extend(answers)
            case _:
                pass

    def _apply_outside(self, event_type: str, fields: dict[str, Any]) -> None:
        match event_type:
            case "memory.items":
                self.items += fields["items"]
            case "memory.popped" if self.items:
                self.items.pop()
            case "memory.cleared":
                self.items.clear()
                self._turns.clear()
            case _:
                pass

    def _drop_unread(self, message_id: MessageId | None) -> None:
        """Remove a message from the turn that did not read it. It gets its own turn, or none."""
        for turn_id, items in self._turns.items():
            self._turns[turn_id] = [(owner, item) for owner, item in items if owner is None or owner != message_id]


def _items(data: MessageComplete | ToolCallComplete) -> list[Item]:
    if isinstance(data, MessageComplete):
        return [{"role": "assistant", "content": data.text}] if data.text else []
    output = data.response if isinstance(data.response, str) else json.dumps(data.response, ensure_ascii=False)
    call = {"type": "function_call", "call_id": data.id, "name": data.name, "arguments": data.arguments}
    return [call, {"type": "function_call_output", "call_id": data.id, "output": output}]
