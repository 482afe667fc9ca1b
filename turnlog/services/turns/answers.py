"""What is recorded of a model's answer: the step, its events and its response document."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from turnlog.agents.registry import require_agent
from turnlog.domain.events import Delta, EventData, MessageDelta, ReasoningDelta, TokenUsage, ToolCallDelta
from turnlog.domain.ids import MessageId, call_id
from turnlog.domain.prices import Prices
from turnlog.domain.responses import without_texts
from turnlog.domain.session import ActiveTurn
from turnlog.domain.sizes import size_as_sent, size_of_body, truncate
from turnlog.domain.stored_documents import Message, ModelResponse, Step, StepDocument, response_id, step_id
from turnlog.domain.turn_events import closed_calls, step_completion, tool_completion
from turnlog.domain.values import (
    ARGUMENTS_TOO_LARGE,
    MAX_ANSWER_BYTES,
    MAX_ARGUMENTS_BYTES,
    MAX_REASONING_BYTES,
    MAX_STEP_BYTES,
    MAX_TOOL_CALLS,
    MAX_VENDOR_BYTES,
    Piece,
    ToolCall,
    Usage,
)
from turnlog.ports import ModelStream
from turnlog.services.turns.attempts import AttemptRequest

_MAX_INLINE_RESPONSE_BYTES = 16 * 1024
"""What is left of a response without the texts of its step is in the step's document up to this size."""

_MAX_NAME_BYTES = 256
_TOO_MANY = f"A step may have {MAX_TOOL_CALLS} tool calls; this one was not run. Make fewer calls at once."


class Answer:
    """What an attempt records of the model's stream. It is partial if the attempt stopped before the stream ended.

    `documents` are the step and, if it is large, what is left of the response. `closed` are the answers to the tool
    calls that are too many.
    """

    def __init__(
        self,
        request: AttemptRequest,
        message: Message,
        stream: ModelStream | None,
        reading: tuple[MessageId, ...],
        prices: Prices,
    ) -> None:
        self._request = request
        self._stream = stream
        self.is_partial = stream is None or stream.finish_reason is None
        self.step = self._step(message, reading)
        self.usage = (stream.usage if stream is not None else None) or Usage()
        self.cost = None if stream is None or stream.usage is None else prices.cost_of(message.model, stream.usage)
        excess = self.step.tool_calls[MAX_TOOL_CALLS:]
        self.closed = closed_calls(excess, message, request.step)
        body = None if stream is None else stream.response
        self.documents = (*step_documents(message, request.step, self.step, body), *self.closed)

    def _step(self, message: Message, reading: tuple[MessageId, ...]) -> Step:
        stream = self._stream
        if stream is None:
            return Step(text="", read=reading)
        text, truncated = truncate(stream.text, MAX_ANSWER_BYTES)
        reasoning, _ = truncate(stream.reasoning, MAX_REASONING_BYTES)
        bytes_left = MAX_STEP_BYTES - size_as_sent(text) - size_as_sent(reasoning)
        calls, vendor = self._calls(stream, message, min(bytes_left, MAX_ARGUMENTS_BYTES))
        return Step(
            text=text,
            reasoning=reasoning,
            read=reading,
            tool_calls=calls,
            finish_reason=stream.finish_reason and truncate(stream.finish_reason, _MAX_NAME_BYTES)[0],
            truncated=truncated,
            vendor=vendor,
        )

    def _calls(
        self, stream: ModelStream, message: Message, max_bytes: int
    ) -> tuple[tuple[ToolCall, ...], dict[str, Any]]:
        """The tool calls with ids of our own, and the vendor fields that their server wants back with them."""
        if self.is_partial or not stream.tool_calls:
            return (), {}
        sent = stream.tool_calls[: 2 * MAX_TOOL_CALLS]
        vendor_bytes = _size(stream.vendor) + sum(_size(call.vendor) for call in sent)
        keeps_vendor = vendor_bytes <= MAX_VENDOR_BYTES
        bytes_left = max_bytes - (vendor_bytes if keeps_vendor else 0)
        calls: list[ToolCall] = []
        for index, call in enumerate(sent):
            arguments, is_cut = truncate(call.arguments, max(0, bytes_left))
            bytes_left = 0 if is_cut else bytes_left - size_as_sent(arguments)
            # The declared name: models may put a namespace before it.
            tool = require_agent(message.agent).find_tool(call.name)
            own = {
                "id": call_id(self._request.fence.turn_id, self._request.step, index),
                "name": truncate(call.name, _MAX_NAME_BYTES)[0] if tool is None else tool.name,
                "arguments": arguments,
                "refused": _TOO_MANY if index >= MAX_TOOL_CALLS else ARGUMENTS_TOO_LARGE if is_cut else call.refused,
                "vendor": call.vendor if keeps_vendor else {},
            }
            calls.append(call.model_copy(update=own))
        return tuple(calls), stream.vendor if keeps_vendor else {}

    def events(self, turn: ActiveTurn, rest: Sequence[Piece]) -> list[EventData]:
        """The step's last events; `rest` are the pieces that were not written yet."""
        step, attempt = self._request.step, self._request.attempt
        events: list[EventData] = [delta_of(self._request, piece) for piece in rest]
        events.append(step_completion(turn.message_id, step, attempt, self.step, partial=self.is_partial))
        if self._stream is not None and self._stream.usage is not None:
            used, iteration = self._stream.usage.model_dump(), turn.model_calls + 1
            call = TokenUsage(**used, cost=self.cost, model=turn.model, agent=turn.agent, iteration=iteration)
            events.append(call)
        return [*events, *map(tool_completion, self.closed)]


def delta_of(request: AttemptRequest, piece: Piece) -> Delta:
    """The event of a piece of the answer."""
    step, attempt = request.step, request.attempt
    if piece.kind == "reasoning":
        return ReasoningDelta(step=step, attempt=attempt, text=piece.text)
    if piece.call is not None:
        own_id = call_id(request.fence.turn_id, step, piece.call)
        return ToolCallDelta(id=own_id, step=step, attempt=attempt, name=piece.name, arguments=piece.text)
    return MessageDelta(step=step, attempt=attempt, text=piece.text)


def _size(fields: dict[str, Any]) -> int:
    return size_of_body(to_json(fields).decode()) if fields else 0


def step_documents(
    message: Message, number: int, step: Step, body: dict[str, Any] | None = None
) -> tuple[StepDocument] | tuple[StepDocument, ModelResponse]:
    """The document of a step with the response of its model call, which may be a document of its own.

    If there is no `body`, or no room for it, the response has only the model and the text.
    """
    document = StepDocument(
        id=step_id(message.message_id, number),
        sequence=message.sequence,
        message_id=message.message_id,
        number=number,
        step=step,
    )
    choice = {"index": 0, "finish_reason": None, "message": {"role": "assistant", "content": step.text}}
    reduced = {"choices": [choice], "object": "chat.completion", "model": message.model}
    response = without_texts({"choices": [choice], **(body or reduced)}, step)
    if (size := _size(response)) <= _MAX_INLINE_RESPONSE_BYTES:
        return (document.model_copy(update={"response": response}),)
    if size + size_of_body(document.model_dump_json()) > MAX_STEP_BYTES:
        return (document.model_copy(update={"response": without_texts(reduced, step)}),)
    own_id = response_id(message.message_id, number)
    return document, ModelResponse(
        id=own_id, sequence=message.sequence, message_id=message.message_id, step=number, body=response
    )
