"""The model client with telemetry: each call has a span, its durations and its token counts."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from opentelemetry.trace import Span, SpanKind

from turnlog.domain.errors import ModelError
from turnlog.domain.values import Piece
from turnlog.ports import ModelClient, ModelRequest, ModelStream
from turnlog.telemetry import names
from turnlog.telemetry.content import render_answer, render_request
from turnlog.telemetry.recorder import Telemetry, error_attributes, mark_failed


def observe_model(telemetry: Telemetry, model: ModelClient, provider: str) -> ModelClient:
    """`model` with telemetry for every call."""
    return _ObservedModel(telemetry, model, provider)


class _ObservedModel:
    def __init__(self, telemetry: Telemetry, model: ModelClient, provider: str) -> None:
        self._telemetry = telemetry
        self._model = model
        self._provider = provider

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelStream]:
        # The span is never the current one: the generator that reads the stream may be closed in another context.
        call = _Call(self._telemetry, request, self._provider)
        self._telemetry.count(names.ACTIVE_MODEL_CALLS, {})
        try:
            async with self._model.stream(request) as stream:
                call.stream = stream
                yield cast("ModelStream", _ObservedStream(stream, call))
        except ModelError as problem:
            call.code = problem.failure_code
            raise
        finally:
            self._telemetry.count(names.ACTIVE_MODEL_CALLS, {}, -1)
            call.end()

    async def check(self) -> None:
        await self._model.check()

    async def close(self) -> None:
        await self._model.close()


class _ObservedStream:
    """The stream itself. It reports its first piece to the call."""

    def __init__(self, stream: ModelStream, call: "_Call") -> None:
        self._stream = stream
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        async for piece in self._stream:
            self._call.note_piece()
            yield piece


class _Call:
    """One model call. `code` is the code of its failure."""

    def __init__(self, telemetry: Telemetry, request: ModelRequest, provider: str) -> None:
        self.stream: ModelStream | None = None
        self.code: str | None = None
        self._telemetry = telemetry
        self._started = time.perf_counter()
        self._has_piece = False
        self._labels = {
            names.OPERATION: "chat",
            names.PROVIDER: provider,
            names.MODEL: telemetry.model_label(request.model),
        }
        attributes = self._labels | {names.MODEL: request.model}
        if telemetry.content:
            attributes[names.INPUT_MESSAGES] = render_request(request.conversation)
        self._span: Span = telemetry.start(f"chat {request.model}", attributes, kind=SpanKind.CLIENT)

    def note_piece(self) -> None:
        if self._has_piece:
            return
        self._has_piece = True
        seconds = time.perf_counter() - self._started
        self._span.set_attribute(names.FIRST_CHUNK, seconds)
        self._telemetry.record(names.FIRST_CHUNK_SECONDS, seconds, self._labels)

    def end(self) -> None:
        problem = {} if self.code is None else error_attributes(self.code)
        self._telemetry.record(names.MODEL_SECONDS, time.perf_counter() - self._started, self._labels | problem)
        if self.stream is not None:
            self._record_answer(self.stream)
        if self.code is not None:
            mark_failed(self._span, self.code)
        self._span.end()

    def _record_answer(self, stream: ModelStream) -> None:
        if stream.finish_reason is not None:
            self._span.set_attribute(names.FINISH_REASONS, [stream.finish_reason])
        if (used := stream.usage) is not None:
            self._span.set_attribute(names.INPUT_TOKENS, used.prompt_tokens)
            self._span.set_attribute(names.OUTPUT_TOKENS, used.completion_tokens)
        if self._telemetry.content:
            self._span.set_attribute(names.OUTPUT_MESSAGES, render_answer(stream))
