"""The model client of OpenAI's Responses API, behind the same port. Selected by MODEL_API=responses.

The app keeps the conversation itself: `store` is false, and reasoning comes back encrypted, to be sent again with the
tool calls that it led to. Background mode is not used: a turn is durable without it.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

from turnlog.domain.errors import ModelError
from turnlog.domain.values import ARGUMENTS_TOO_LARGE, MAX_ARGUMENTS_BYTES, Piece, ToolCall, Usage
from turnlog.models.failures import READING_ERRORS, failure_in, failure_of
from turnlog.models.merging import MAX_TEXT_BYTES, Room, Text, without_surrogates
from turnlog.models.openai import OpenAIModelClient
from turnlog.models.requests.responses import REASONING_ITEMS, responses_body
from turnlog.models.sse import EventStream
from turnlog.models.tool_calls import MAX_CALLS
from turnlog.models.usage import usage_of
from turnlog.ports import ModelRequest

_ENDS = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


@dataclass
class _Call:
    """A function call being assembled."""

    number: int
    id: str
    name: str
    arguments: Text


class ResponsesStream:
    """See `turnlog.ports.ModelStream`."""

    def __init__(self, events: EventStream, model: str) -> None:
        self._events = events
        self._model = model
        self._text, self._refusal, self._reasoning = Text(Room(MAX_TEXT_BYTES)), Text(), Text()
        self._calls: dict[str, _Call] = {}
        self._room = Room(MAX_ARGUMENTS_BYTES)
        self._reasoning_items: list[dict[str, Any]] = []
        self._response: dict[str, Any] = {}
        self.finish_reason: str | None = None

    async def __aiter__(self) -> AsyncIterator[Piece]:
        try:
            async for event in self._events:
                for piece in self._read(event):
                    yield piece
                if self.finish_reason is not None:
                    await self._events.drain()
                    return
                if self._text.is_cut:
                    self.finish_reason = "length"
                    return
        except READING_ERRORS as error:
            raise failure_of(error) from error
        raise ModelError("model_broke_off", "The model's stream ended in mid-answer.", transient=True)

    def _read(self, event: Mapping[str, Any]) -> list[Piece]:
        """Take in an event; return what it adds."""
        delta = event.get("delta")
        match event.get("type"):
            case "response.output_text.delta":
                return _piece("text", self._text.add(delta))
            case "response.refusal.delta":
                return _piece("text", self._refusal.add(delta))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return _piece("reasoning", self._reasoning.add(delta))
            case "response.function_call_arguments.delta":
                return self._argue(_key(event), delta)
            case "response.output_item.added":
                return self._begin(_key(event), _object(event.get("item")))
            case str() as kind if kind in _ENDS:
                return self._end(_object(event.get("response")), _ENDS[kind])
            case _ if event.get("object") == "response":  # from a server that does not stream
                return self._end(event, str(event.get("status")))
            case _:
                return self._read_whole(event)

    def _read_whole(self, event: Mapping[str, Any]) -> list[Piece]:
        """Take in an event that repeats what came in pieces, from servers that send those."""
        match event.get("type"):
            case "response.output_text.done" if not self.text:
                return _piece("text", self._text.add(event.get("text")))
            case "response.function_call_arguments.done":
                return self._finish_arguments(_key(event), event.get("arguments"))
            case "response.output_item.done":
                return self._complete(_key(event), _object(event.get("item")))
            case _:
                return []

    def _begin(self, key: str, item: Mapping[str, Any]) -> list[Piece]:
        if item.get("type") != "function_call" or key in self._calls or len(self._calls) >= MAX_CALLS:
            return []
        own = (str(item.get("call_id") or ""), str(item.get("name") or ""))
        call = _Call(len(self._calls), *own, Text(self._room))
        self._calls[key] = call
        return [Piece("arguments", "", call.number, call.name)]

    def _argue(self, key: str, delta: Any) -> list[Piece]:
        call = self._calls.get(key)
        added = "" if call is None else call.arguments.add(delta)
        return [Piece("arguments", added, call.number, call.name)] if call and added else []

    def _finish_arguments(self, key: str, arguments: Any) -> list[Piece]:
        call = self._calls.get(key)
        return self._argue(key, arguments) if call and not call.arguments.size else []

    def _complete(self, key: str, item: Mapping[str, Any]) -> list[Piece]:
        match item.get("type"):
            case "reasoning" if item.get("encrypted_content"):
                self._reasoning_items.append({name: value for name, value in item.items() if name != "status"})
            case "function_call":
                return [*self._begin(key, item), *self._finish_arguments(key, item.get("arguments"))]
            case "message" if not self.text:
                return _piece("text", self._text.add(_text_of(item)))
            case _:
                pass
        return []

    def _end(self, response: Mapping[str, Any], status: str) -> list[Piece]:
        self._response = dict(response)
        if status in {"failed", "cancelled"}:
            raise failure_in(response.get("error") or "The model's server gave up.", "model_error")
        known = {*(["function_call"] if self._calls else []), *(["reasoning"] if self._reasoning_items else [])}
        items = [item for item in _objects(response.get("output")) if str(item.get("type")) not in known]
        pieces = [piece for number, item in enumerate(items) for piece in self._complete(str(number), item)]
        if status == "incomplete":
            reason = _object(response.get("incomplete_details")).get("reason")
            self.finish_reason = _REASONS.get(str(reason), "length")
        else:
            self.finish_reason = "tool_calls" if self._calls else "stop"
        return pieces

    @property
    def text(self) -> str:
        return self._text.value or self._refusal.value

    @property
    def reasoning(self) -> str:
        return self._reasoning.value

    @property
    def tool_calls(self) -> Sequence[ToolCall]:
        return [
            ToolCall(
                id=call.id,
                name=call.name,
                arguments=call.arguments.value or "{}",
                refused=ARGUMENTS_TOO_LARGE if call.arguments.is_cut else None,
                vendor={"id": call.id} if call.id else {},
            )
            for call in self._calls.values()
        ]

    @property
    def usage(self) -> Usage | None:
        return usage_of(_object(self._response.get("usage")))

    @property
    def vendor(self) -> dict[str, Any]:
        return {REASONING_ITEMS: self._reasoning_items} if self._reasoning_items else {}

    @property
    def response(self) -> dict[str, Any]:
        """The answer in the form of a `chat.completion`, as that of every other server."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self._calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.tool_calls
            ]
        usage = self.usage
        completion = {
            "id": self._response.get("id"),
            "object": "chat.completion",
            "created": self._response.get("created_at"),
            "model": self._response.get("model", self._model),
            "choices": [{"index": 0, "finish_reason": self.finish_reason, "message": message}],
            **({} if usage is None else {"usage": usage.model_dump(exclude_defaults=True)}),
        }
        return without_surrogates(completion)


class ResponsesModelClient(OpenAIModelClient):
    """As `OpenAIModelClient`, on the other API."""

    path = "/responses"

    def body(self, request: ModelRequest) -> dict[str, Any]:
        return responses_body(request)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[ResponsesStream]:  # pyright: ignore[reportIncompatibleMethodOverride]
        async with self.opened(request) as events:
            yield ResponsesStream(events, request.model)


def _piece(kind: Literal["text", "reasoning"], added: str) -> list[Piece]:
    return [Piece(kind, added)] if added else []


def _key(event: Mapping[str, Any]) -> str:
    """Return what an event calls the item that it is about."""
    index = event.get("output_index")
    return str(index if index is not None else event.get("item_id") or _object(event.get("item")).get("id"))


def _text_of(message: Mapping[str, Any]) -> str:
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in _objects(message.get("content")))


def _objects(values: Any) -> list[dict[str, Any]]:
    return [*map(_object, cast("list[Any]", values))] if isinstance(values, list) else []


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
