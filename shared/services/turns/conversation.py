"""What a model call is given of the conversation, in Chat Completions form."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.agents.declaration import Agent
from shared.domain.documents import Message, Step, ToolResult
from shared.domain.ids import MessageId, SessionId
from shared.ports import SessionLog

_UNANSWERED = "The call was not answered."
_MOST_TOOL_RESULTS = 2000


async def recent_messages(log: SessionLog, session_id: SessionId, agent: Agent) -> Sequence[Message]:
    """The newest messages, as many as the agent remembers: also those that wait, and the one it is at."""
    return await log.find(Message, session_id, limit=agent.memory_messages, newest=True)


async def conversation(
    log: SessionLog, agent: Agent, newest: Sequence[Message], current: Message, reading: Sequence[MessageId] = ()
) -> list[dict[str, Any]]:
    """The agent's instructions, the `newest` messages with their answers and tool results, and `current` last.

    A message put into a turn stands where that turn's steps read it; `reading` are those that this call is the first
    to read. Read from messages and tool results, never from deltas: what an abandoned attempt wrote is no part of it.
    """
    # What is queued behind the running turn, or was withdrawn from there, has not been said.
    said = [message for message in newest if message.sequence < current.sequence and message.steers is None]
    messages = [*(message for message in said if message.status not in {"queued", "withdrawn"}), current]
    told = _Told(
        prompts={message.message_id: message.content for message in newest},
        results=await _tool_results(log, current.session_id, messages),
    )
    entries = [entry for message in messages for entry in told.entries(message)]
    return [{"role": "system", "content": agent.instructions}, *entries, *told.steering(reading)]


async def _tool_results(log: SessionLog, session_id: SessionId, messages: Sequence[Message]) -> dict[str, ToolResult]:
    if not any(step.tool_calls for message in messages for step in message.steps):
        return {}
    after = messages[0].sequence - 1
    found = await log.find(ToolResult, session_id, after=after, limit=_MOST_TOOL_RESULTS, newest=True)
    return {result.id: result for result in found}


@dataclass(frozen=True)
class _Told:
    """What messages refer to by id: the prompts of others, and tool results."""

    prompts: dict[MessageId, str]
    results: dict[str, ToolResult]

    def entries(self, message: Message) -> Iterator[dict[str, Any]]:
        yield {"role": "user", "content": message.content}
        for step in message.steps:
            yield from self.steering(step.read)
            if not step.text and not step.tool_calls:
                continue
            yield _assistant(step)
            for call in step.tool_calls:
                # A call without its answer makes the next request an invalid one.
                result = self.results.get(call.id)
                content = _UNANSWERED if result is None else content_of(result)
                yield {"role": "tool", "tool_call_id": call.id, "content": content}

    def steering(self, message_ids: Sequence[MessageId]) -> Iterator[dict[str, Any]]:
        for message_id in message_ids:
            if message_id in self.prompts:  # else it lies beyond what the agent remembers
                yield {"role": "user", "content": self.prompts[message_id]}


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
