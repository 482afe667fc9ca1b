"""The span of a request, open until its stream ends, and the count of open streams."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Generator
from contextlib import contextmanager

from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse
from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, SpanKind
from starlette.responses import Content

from turnlog.domain.faults import code_of
from turnlog.domain.ids import public_id
from turnlog.services.turns.submit import Submission
from turnlog.settings import settings
from turnlog.telemetry import names
from turnlog.telemetry.recorder import Telemetry, current_telemetry, error_attributes, mark_failed
from turnlog.telemetry.span_ids import posting_span_id, span_context

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_SERVER_ERROR = 500


class RequestSpan:
    """The span of a request. This one records nothing: it is used when telemetry is off."""

    def record_error(self, error: Exception) -> None:
        """Record the error that the request will be answered with."""

    def record_response(self, response: Response) -> None:
        """Record the response. The body of a stream is not sent yet."""


_UNRECORDED = RequestSpan()


@contextmanager
def request_span(req: Request, trace_id: str) -> Generator[RequestSpan]:
    """The span of the request, current while the body runs. A stream keeps the span open until it ends."""
    if (telemetry := current_telemetry()) is None:
        yield _UNRECORDED
        return
    recorded = _RecordedSpan(telemetry, req, trace_id)
    with trace.use_span(recorded.span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
        try:
            yield recorded
        finally:
            recorded.leave()


def record_posting(submission: Submission | None) -> None:
    """Record that a message was accepted. The span of its turn is a child of this one, in whatever process it runs."""
    if submission is None or submission.replayed or (telemetry := current_telemetry()) is None:
        return
    message = submission.message
    session_id = public_id(message.session_id)
    ids = {names.POSTED_MESSAGE: message.id, names.TURN: message.turn_id, names.SESSION: session_id}
    telemetry.start("post message", ids, kind=SpanKind.PRODUCER, span_id=posting_span_id(message.id)).end()


class _RecordedSpan(RequestSpan):
    def __init__(self, telemetry: Telemetry, req: Request, trace_id: str) -> None:
        self._telemetry = telemetry
        self._is_resumed = "last-event-id" in req.headers
        self._streams = False
        self._code = "internal_error"
        route = _route(req)
        self.span: Span = telemetry.start(
            f"{req.method} {route}",
            {
                names.METHOD: req.method,
                names.ROUTE: route,
                names.SESSION: req.path_params.get("session_id"),
            },
            # In Azure the host itself records the request, as a server span.
            kind=SpanKind.INTERNAL if settings().on_azure else SpanKind.SERVER,
            parent=_parent(req, trace_id),
            trace_id=int(trace_id, 16),
        )

    def record_error(self, error: Exception) -> None:
        self._code = code_of(error)
        self.span.set_attributes(error_attributes(self._code))

    def record_response(self, response: Response) -> None:
        self.span.set_attribute(names.STATUS, response.status_code)
        if response.status_code >= _SERVER_ERROR:
            mark_failed(self.span, self._code)
        if isinstance(response, StreamingResponse):
            self._streams = True
            is_events = response.media_type == "text/event-stream"
            response.body_iterator = self._until_end(response.body_iterator, is_events=is_events)

    def leave(self) -> None:
        if not self._streams:
            self.span.end()

    async def _until_end(self, body: AsyncIterable[Content], *, is_events: bool) -> AsyncGenerator[Content]:
        # The span is not made current here: a generator may be closed in another context than it was started in.
        if is_events:
            self._telemetry.count(names.OPENED_STREAMS, {names.RESUMED: self._is_resumed})
            self._telemetry.count(names.ACTIVE_STREAMS, {})
        try:
            async for part in body:
                yield part
        finally:
            if is_events:
                self._telemetry.count(names.ACTIVE_STREAMS, {}, -1)
            self.span.end()
            if isinstance(body, AsyncGenerator):
                await body.aclose()


def _parent(req: Request, trace_id: str) -> SpanContext | None:
    """The host's span if the worker passes it on, otherwise the caller's."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid and current.trace_id == int(trace_id, 16):
        return current
    match = _TRACEPARENT.match(req.headers.get("traceparent", ""))
    if match is None or match[1] != trace_id or not int(match[2], 16):
        return None
    return span_context(trace_id, int(match[2], 16))


def _route(req: Request) -> str:
    """The path with names in the place of ids: a span's name must not have many values or hold what callers send."""
    parts = {value: f"{{{name}}}" for name, value in req.path_params.items()}
    return "/" + "/".join(parts.get(part, part.lower()) for part in req.url.path.strip("/").split("/"))
