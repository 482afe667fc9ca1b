"""What is recorded of a model's answer: the step, its events and its response document."""

import json
from collections.abc import Sequence
from typing import Any

from shared.agents.registry import require_agent
from shared.domain.events import Delta, EventData, MessageDelta, ReasoningDelta, TokenUsage, ToolCallDelta
from shared.domain.ids import MessageId, call_id
from shared.domain.session import ActiveTurn
from shared.domain.sizes import size_of, truncate
from shared.domain.stored_documents import Message, ModelResponse, Step, response_id
from shared.domain.turn_events import step_completion
from shared.domain.values import (
    MAX_ANSWER_BYTES,
    MAX_ARGUMENTS_BYTES,
    MAX_REASONING_BYTES,
    MAX_VENDOR_BYTES,
    Piece,
    ToolCall,
    Usage,
)
from shared.ports import ModelStream
from shared.services.turns.attempts import AttemptRequest

_MAX_RESPONSE_BYTES = 1024 * 1024
"""The maximum size of a stored response as JSON. The text is in its item once more, and an item holds 2 MB."""


class Answer:
    """What an attempt records of the model's stream. It is partial if the attempt stopped before the stream ended."""

    def __init__(
        self, request: AttemptRequest, message: Message, stream: ModelStream | None, reading: tuple[MessageId, ...]
    ) -> None:
        self._request = request
        self._stream = stream
        self.is_partial = stream is None or stream.finish_reason is None
        self.step = self._step(message, reading)
        self.usage = (stream.usage if stream is not None else None) or Usage()
        steps = (*message.steps, self.step)
        self.message = message.model_copy(update={"steps": steps, "usage": message.usage + self.usage})
        body = None if stream is None else stream.response
        self.response = response_document(message, request.step, self.step.text, body)

    def _step(self, message: Message, reading: tuple[MessageId, ...]) -> Step:
        stream = self._stream
        if stream is None:
            return Step(text="", read=reading)
        # All steps of a turn are in one document: together they may take as many bytes as one answer.
        bytes_left = max(0, MAX_ANSWER_BYTES - sum(size_of(step.text) for step in message.steps))
        text, truncated = truncate(stream.text, bytes_left)
        bytes_left = max(0, 4 * MAX_REASONING_BYTES - sum(size_of(step.reasoning) for step in message.steps))
        reasoning, _ = truncate(stream.reasoning, min(bytes_left, MAX_REASONING_BYTES))
        calls, vendor = self._calls(stream, message)
        return Step(
            text=text,
            reasoning=reasoning,
            read=reading,
            tool_calls=calls,
            finish_reason=stream.finish_reason,
            truncated=truncated,
            vendor=vendor,
        )

    def _calls(self, stream: ModelStream, message: Message) -> tuple[tuple[ToolCall, ...], dict[str, Any]]:
        """The tool calls with ids of our own, and the vendor fields that their server wants back with them."""
        if self.is_partial or not stream.tool_calls:
            return (), {}
        turn_id, step = self._request.fence.turn_id, self._request.step
        calls: list[ToolCall] = []
        bytes_left = MAX_ARGUMENTS_BYTES - sum(
            size_of(call.arguments) for each in message.steps for call in each.tool_calls
        )
        for index, call in enumerate(stream.tool_calls):
            arguments, _ = truncate(call.arguments, max(0, bytes_left))
            bytes_left -= size_of(arguments)
            # The declared name: models may put a namespace before it.
            tool = require_agent(message.agent).find_tool(call.name)
            own = {"id": call_id(turn_id, step, index), "name": call.name if tool is None else tool.name}
            calls.append(call.model_copy(update={**own, "arguments": arguments}))
        size = sum(_vendor_size(holder) for each in message.steps for holder in (each, *each.tool_calls))
        if size + _size(stream.vendor) + sum(map(_vendor_size, calls)) > MAX_VENDOR_BYTES:
            return tuple(call.model_copy(update={"vendor": {}}) for call in calls), {}
        return tuple(calls), stream.vendor

    def events(self, turn: ActiveTurn, rest: Sequence[Piece]) -> list[EventData]:
        """The step's last events; `rest` are the pieces that were not written yet."""
        step, attempt = self._request.step, self._request.attempt
        events: list[EventData] = [delta_of(self._request, piece) for piece in rest]
        events.append(step_completion(turn.message_id, step, attempt, self.step, partial=self.is_partial))
        if self._stream is not None and self._stream.usage is not None:
            used = self._stream.usage.model_dump()
            events.append(TokenUsage(**used, model=turn.model, agent=turn.agent, iteration=turn.model_calls + 1))
        return events


def delta_of(request: AttemptRequest, piece: Piece) -> Delta:
    """The event of a piece of the answer."""
    step, attempt = request.step, request.attempt
    if piece.kind == "reasoning":
        return ReasoningDelta(step=step, attempt=attempt, text=piece.text)
    if piece.call is not None:
        own_id = call_id(request.fence.turn_id, step, piece.call)
        return ToolCallDelta(id=own_id, step=step, attempt=attempt, name=piece.name, arguments=piece.text)
    return MessageDelta(step=step, attempt=attempt, text=piece.text)


def _vendor_size(holder: Step | ToolCall) -> int:
    return _size(holder.vendor) if holder.vendor else 0


def _size(fields: dict[str, Any]) -> int:
    return len(json.dumps(fields)) if fields else 0


def response_document(message: Message, step: int, text: str, body: dict[str, Any] | None = None) -> ModelResponse:
    """The response of a model call. If there is no `body`, or it is too large, it has only the model and the text."""
    choice = {"index": 0, "finish_reason": None, "message": {"role": "assistant", "content": text}}
    if body is None or _size(body) > _MAX_RESPONSE_BYTES:
        body = {"object": "chat.completion", "model": message.model}
    return ModelResponse(
        id=response_id(message.message_id, step),
        sequence=message.sequence,
        message_id=message.message_id,
        step=step,
        body={"choices": [choice], **body},
    )
