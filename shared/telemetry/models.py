"""The model client as it is told of: a span and the times of each call, and what it used."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from opentelemetry.trace import Span, SpanKind

from shared.domain.errors import ModelError
from shared.domain.values import ModelRequest
from shared.ports import ModelClient, ModelStream
from shared.telemetry import names
from shared.telemetry.content import asked, said
from shared.telemetry.recorder import Telemetry, error, failed


def observed_model(on: Telemetry, model: ModelClient, provider: str) -> ModelClient:
    """`model`, every call of which is told of."""
    return _ObservedModel(on, model, provider)


class _ObservedModel:
    def __init__(self, on: Telemetry, model: ModelClient, provider: str) -> None:
        self._on = on
        self._model = model
        self._provider = provider

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelStream]:
        # The span is never the current one: this is left wherever the generator that reads the stream is closed.
        call = _Call(self._on, request, self._provider)
        try:
            async with self._model.stream(request) as stream:
                call.stream = stream
                yield cast("ModelStream", _ObservedStream(stream, call))
        except ModelError as problem:
            call.code = problem.failure_code
            raise
        finally:
            call.end()

    async def check(self) -> None:
        await self._model.check()

    async def close(self) -> None:
        await self._model.close()


class _ObservedStream:
    """The stream itself, whose first piece is noticed."""

    def __init__(self, stream: ModelStream, call: "_Call") -> None:
        self._stream = stream
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aiter__(self) -> AsyncIterator[str]:
        async for piece in self._stream:
            self._call.heard()
            yield piece


class _Call:
    """One call of the model. `code`: what it failed with."""

    def __init__(self, on: Telemetry, request: ModelRequest, provider: str) -> None:
        self.stream: ModelStream | None = None
        self.code: str | None = None
        self._on = on
        self._began = time.perf_counter()
        self._is_silent = True
        self._whose = {names.OPERATION: "chat", names.PROVIDER: provider, names.MODEL: on.model(request.model)}
        told = self._whose | {names.MODEL: request.model}
        if on.content:
            told[names.INPUT_MESSAGES] = asked(request.messages)
        self._span: Span = on.start(f"chat {request.model}", told, kind=SpanKind.CLIENT)

    def heard(self) -> None:
        if not self._is_silent:
            return
        self._is_silent = False
        seconds = time.perf_counter() - self._began
        self._span.set_attribute(names.FIRST_CHUNK, seconds)
        self._on.record(names.FIRST_CHUNK_SECONDS, seconds, self._whose)

    def end(self) -> None:
        problem = {} if self.code is None else error(self.code)
        self._on.record(names.MODEL_SECONDS, time.perf_counter() - self._began, self._whose | problem)
        if self.stream is not None:
            self._tell(self.stream)
        if self.code is not None:
            failed(self._span, self.code)
        self._span.end()

    def _tell(self, stream: ModelStream) -> None:
        if stream.finish_reason is not None:
            self._span.set_attribute(names.FINISH_REASONS, [stream.finish_reason])
        if (used := stream.usage) is not None:
            self._span.set_attribute(names.INPUT_TOKENS, used.prompt_tokens)
            self._span.set_attribute(names.OUTPUT_TOKENS, used.completion_tokens)
        if self._on.content:
            self._span.set_attribute(names.OUTPUT_MESSAGES, said(stream))
