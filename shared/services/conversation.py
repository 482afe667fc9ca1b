"""What a model call is given of the conversation, in Chat Completions form."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from shared.agents.declaration import Agent
from shared.domain.documents import Message, Step, ToolResult
from shared.domain.ids import SessionId
from shared.ports import SessionLog

_UNANSWERED = "The call was not answered."
_MOST_TOOL_RESULTS = 2000


async def conversation(log: SessionLog, session_id: SessionId, agent: Agent, current: Message) -> list[dict[str, Any]]:
    """The agent's instructions, the newest messages with their answers and tool results, and `current` last.

    Read from messages and tool results, never from deltas: what an abandoned attempt wrote is no part of it.
    """
    newest = await log.find(Message, session_id, limit=agent.memory_messages, newest=True)
    # What is queued behind the running turn has not been said yet.
    said = [message for message in newest if message.order < current.order and message.status != "queued"]
    messages = [*(message for message in said if message.status != "withdrawn"), current]
    results = await _tool_results(log, session_id, messages)
    instructions = {"role": "system", "content": agent.instructions}
    return [instructions, *(entry for message in messages for entry in _entries(message, results))]


async def _tool_results(log: SessionLog, session_id: SessionId, messages: Sequence[Message]) -> dict[str, ToolResult]:
    if not any(step.tool_calls for message in messages for step in message.steps):
        return {}
    after = messages[0].order - 1
    found = await log.find(ToolResult, session_id, after=after, limit=_MOST_TOOL_RESULTS, newest=True)
    return {result.id: result for result in found}


def _entries(message: Message, results: dict[str, ToolResult]) -> Iterator[dict[str, Any]]:
    yield {"role": "user", "content": message.prompt}
    for step in message.steps:
        if not step.text and not step.tool_calls:
            continue
        yield _assistant(step)
        for call in step.tool_calls:
            # A call without its answer makes the next request an invalid one.
            result = results.get(call.id)
            content = _UNANSWERED if result is None else content_of(result)
            yield {"role": "tool", "tool_call_id": call.id, "content": content}


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
