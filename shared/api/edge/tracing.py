"""A request as telemetry tells it: its span, to the end of what is streamed, and the streams there are."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Generator
from contextlib import contextmanager

from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse
from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, SpanKind
from starlette.responses import Content

from shared.domain.faults import code_of
from shared.services.turns.submit import Submission
from shared.settings import settings
from shared.telemetry import names
from shared.telemetry.ids import context_of, posting_span
from shared.telemetry.recorder import Telemetry, current_telemetry, failed
from shared.telemetry.recorder import error as told_error

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_SERVER_ERROR = 500


class RequestSpan:
    """What is told of a request; where nothing is told, this."""

    def failed(self, error: Exception) -> None:
        """What was raised is what it is answered with."""

    def answered(self, response: Response) -> None:
        """It is answered, or begins to be."""


_UNTOLD = RequestSpan()


@contextmanager
def request_span(req: Request, trace_id: str) -> Generator[RequestSpan]:
    """The request's span, current while the body runs. Who streams keeps it open until the stream ends."""
    if (on := current_telemetry()) is None:
        yield _UNTOLD
        return
    told = _ToldRequest(on, req, trace_id)
    with trace.use_span(told.span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
        try:
            yield told
        finally:
            told.leave()


def told_posting(submission: Submission) -> None:
    """Tell that a message was taken: the span that its turn, whoever runs that, is a child of."""
    message = submission.message
    if submission.replayed or (on := current_telemetry()) is None:
        return
    told = {names.POSTED_MESSAGE: message.id, names.TURN: message.turn_id, names.SESSION: message.session_id}
    on.start("post message", told, kind=SpanKind.PRODUCER, span_id=posting_span(message.id)).end()


class _ToldRequest(RequestSpan):
    def __init__(self, on: Telemetry, req: Request, trace_id: str) -> None:
        self._on = on
        self._is_resumed = "last-event-id" in req.headers
        self._streams = False
        self._code = "internal_error"
        route = _route(req)
        self.span: Span = on.start(
            f"{req.method} {route}",
            {
                names.METHOD: req.method,
                names.ROUTE: route,
                names.SESSION: req.path_params.get("session_id"),
            },
            # In Azure the host has told of the request itself, as the server that it is.
            kind=SpanKind.INTERNAL if settings().on_azure else SpanKind.SERVER,
            parent=_parent(req, trace_id),
            trace_id=int(trace_id, 16),
        )

    def failed(self, error: Exception) -> None:
        self._code = code_of(error)
        self.span.set_attributes(told_error(self._code))

    def answered(self, response: Response) -> None:
        self.span.set_attribute(names.STATUS, response.status_code)
        if response.status_code >= _SERVER_ERROR:
            failed(self.span, self._code)
        if isinstance(response, StreamingResponse):
            self._streams = True
            is_events = response.media_type == "text/event-stream"
            response.body_iterator = self._told(response.body_iterator, is_events=is_events)

    def leave(self) -> None:
        if not self._streams:
            self.span.end()

    async def _told(self, body: AsyncIterable[Content], *, is_events: bool) -> AsyncGenerator[Content]:
        # The span is not made the current one: a generator may be closed in another context than it was begun in.
        if is_events:
            self._on.count(names.OPENED_STREAMS, {names.RESUMED: self._is_resumed})
            self._on.count(names.ACTIVE_STREAMS, {})
        try:
            async for part in body:
                yield part
        finally:
            if is_events:
                self._on.count(names.ACTIVE_STREAMS, {}, -1)
            self.span.end()
            if isinstance(body, AsyncGenerator):
                await body.aclose()


def _parent(req: Request, trace_id: str) -> SpanContext | None:
    """The host's span where the worker hands that on, else the caller's."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid and current.trace_id == int(trace_id, 16):
        return current
    match = _TRACEPARENT.match(req.headers.get("traceparent", ""))
    is_its = match is not None and match[1] == trace_id and int(match[2], 16)
    return context_of(trace_id, int(match[2], 16)) if match is not None and is_its else None


def _route(req: Request) -> str:
    """The path with names for what callers put in: ids are many, and theirs."""
    parts = {value: f"{{{name}}}" for name, value in req.path_params.items()}
    return "/" + "/".join(parts.get(part, part.lower()) for part in req.url.path.strip("/").split("/"))
