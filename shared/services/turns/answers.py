"""What is recorded of a model's answer: the step, its events and its response document."""

from typing import Any

from shared.domain.events import EventData, MessageDelta, TokenUsage
from shared.domain.ids import MessageId, call_id
from shared.domain.session import ActiveTurn
from shared.domain.stored_documents import Message, ModelResponse, Step, response_id
from shared.domain.turn_events import step_completion
from shared.domain.values import MAX_ANSWER_BYTES, ToolCall, Usage, size_of, truncate
from shared.ports import ModelStream
from shared.services.turns.attempts import AttemptRequest


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
        # All steps of a turn are in one document: together they may take as many bytes as one answer.
        bytes_left = max(0, MAX_ANSWER_BYTES - sum(size_of(step.text) for step in message.steps))
        text, truncated = truncate(self._stream.text if self._stream else "", bytes_left)
        requested = () if self.is_partial or self._stream is None else self._stream.tool_calls
        turn_id, step = self._request.fence.turn_id, self._request.step
        calls = tuple(
            ToolCall(id=call_id(turn_id, step, index), name=call.name, arguments=call.arguments)
            for index, call in enumerate(requested)
        )
        finish_reason = self._stream.finish_reason if self._stream else None
        return Step(text=text, read=reading, tool_calls=calls, finish_reason=finish_reason, truncated=truncated)

    def events(self, turn: ActiveTurn, rest: str) -> list[EventData]:
        """The step's last events; `rest` is the text that was not written yet."""
        step, attempt = self._request.step, self._request.attempt
        events: list[EventData] = [MessageDelta(step=step, attempt=attempt, text=rest)] if rest else []
        events.append(step_completion(turn.message_id, step, attempt, self.step, partial=self.is_partial))
        if self._stream is not None and self._stream.usage is not None:
            used = self._stream.usage.model_dump()
            events.append(TokenUsage(**used, model=turn.model, agent=turn.agent, iteration=turn.model_calls + 1))
        return events


def response_document(message: Message, step: int, text: str, body: dict[str, Any] | None = None) -> ModelResponse:
    """The response of a model call. Without a whole `body`, what is known: the model, and the text that was written."""
    choice = {"index": 0, "finish_reason": None, "message": {"role": "assistant", "content": text}}
    known = {"object": "chat.completion", "model": message.model} if body is None else body
    return ModelResponse(
        id=response_id(message.message_id, step),
        sequence=message.sequence,
        message_id=message.message_id,
        step=step,
        body={"choices": [choice], **known},
    )
