"""A session's log as items of the Responses API: the form in which openai-agents remembers a conversation."""

import json
from typing import Any, TypeAlias

from shared.domain.chunks import Event
from shared.domain.events import (
    MessageComplete,
    MessageQueued,
    MessageWithdrawn,
    Outside,
    RunComplete,
    ToolCallComplete,
    UserMessage,
)
from shared.domain.ids import MessageId, TurnId

Item: TypeAlias = dict[str, Any]

ADDED = "memory.items"
POPPED = "memory.popped"
CLEARED = "memory.cleared"


class Memory:
    """The items after the events it was given, in the log's order. A turn's are there once the turn has ended."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._turns: dict[TurnId, list[tuple[MessageId | None, Item]]] = {}

    def after(self, event: Event) -> None:
        """Take in `event`, its large texts in place."""
        match event.data:
            case Outside(event_type=event_type, fields=fields):
                self._kept(event_type, fields)
            case MessageQueued() | MessageWithdrawn():
                self._unsay(event.message_id)
            case RunComplete() if event.turn_id is not None:
                self.items += [item for _, item in self._turns.pop(event.turn_id, [])]
            case UserMessage(content=content) if event.turn_id is not None:
                said = (event.message_id, {"role": "user", "content": content})
                self._turns.setdefault(event.turn_id, []).append(said)
            case MessageComplete() | ToolCallComplete() if event.turn_id is not None:
                told = [(None, item) for item in _items(event.data)]
                self._turns.setdefault(event.turn_id, []).extend(told)
            case _:
                pass

    def _kept(self, event_type: str, fields: dict[str, Any]) -> None:
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

    def _unsay(self, message_id: MessageId | None) -> None:
        """A message that was put into a turn was not read there: it has a turn of its own, or none."""
        for turn_id, said in self._turns.items():
            self._turns[turn_id] = [(who, item) for who, item in said if who is None or who != message_id]


def _items(data: MessageComplete | ToolCallComplete) -> list[Item]:
    if isinstance(data, MessageComplete):
        return [{"role": "assistant", "content": data.text}] if data.text else []
    output = data.response if isinstance(data.response, str) else json.dumps(data.response, ensure_ascii=False)
    call = {"type": "function_call", "call_id": data.id, "name": data.name, "arguments": data.arguments}
    return [call, {"type": "function_call_output", "call_id": data.id, "output": output}]
