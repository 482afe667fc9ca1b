"""What a model call reads of the conversation, in Chat Completions form."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.agents.declaration import Agent
from shared.domain.ids import MessageId, SessionId
from shared.domain.stored_documents import Message, Step, ToolResult
from shared.ports import SessionLog

_UNANSWERED = "The call was not answered."
_MAX_TOOL_RESULTS = 2000


async def recent_messages(log: SessionLog, session_id: SessionId, agent: Agent) -> Sequence[Message]:
    """The newest messages, as many as the agent remembers; among them the waiting ones and the current one."""
    return await log.find(Message, session_id, limit=agent.memory_messages, newest=True)


async def conversation(
    log: SessionLog, agent: Agent, newest: Sequence[Message], current: Message, reading: Sequence[MessageId] = ()
) -> list[dict[str, Any]]:
    """The agent's instructions, the `newest` messages with their answers and tool results, and `current` last.

    A message that was put into a turn comes before the step that read it first; `reading` are those that this call is
    the first to read. Only messages and tool results are read, never deltas: text of an abandoned attempt does not
    belong to the conversation.
    """
    # Messages that wait behind the running turn, or were withdrawn, are not part of the conversation yet.
    earlier = [message for message in newest if message.sequence < current.sequence and message.steers is None]
    messages = [*(message for message in earlier if message.status not in {"queued", "withdrawn"}), current]
    references = _References(
        contents={message.message_id: message.content for message in newest},
        results=await _tool_results(log, current.session_id, messages),
    )
    entries = [entry for message in messages for entry in references.entries(message)]
    return [{"role": "system", "content": agent.instructions}, *entries, *references.steering(reading)]


async def _tool_results(log: SessionLog, session_id: SessionId, messages: Sequence[Message]) -> dict[str, ToolResult]:
    if not any(step.tool_calls for message in messages for step in message.steps):
        return {}
    after = messages[0].sequence - 1
    found = await log.find(ToolResult, session_id, after=after, limit=_MAX_TOOL_RESULTS, newest=True)
    return {result.id: result for result in found}


@dataclass(frozen=True)
class _References:
    """What messages refer to by id: the contents of other messages, and tool results."""

    contents: dict[MessageId, str]
    results: dict[str, ToolResult]

    def entries(self, message: Message) -> Iterator[dict[str, Any]]:
        yield {"role": "user", "content": message.content}
        for step in message.steps:
            yield from self.steering(step.read)
            if not step.text and not step.tool_calls:
                continue
            yield _assistant(step)
            for call in step.tool_calls:
                # A call without its answer makes the next request invalid.
                result = self.results.get(call.id)
                content = _UNANSWERED if result is None else content_of(result)
                yield {"role": "tool", "tool_call_id": call.id, "content": content}

    def steering(self, message_ids: Sequence[MessageId]) -> Iterator[dict[str, Any]]:
        """The messages of these ids, except those that the agent no longer remembers."""
        for message_id in message_ids:
            if message_id in self.contents:
                yield {"role": "user", "content": self.contents[message_id]}


def _assistant(step: Step) -> dict[str, Any]:
    entry: dict[str, Any] = {"role": "assistant", "content": step.text}
    if step.tool_calls:
        entry["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in step.tool_calls
        ]
    return entry


def content_of(result: ToolResult) -> str:
    """A tool's response as text for the model."""
    response = result.outcome.response
    return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)
