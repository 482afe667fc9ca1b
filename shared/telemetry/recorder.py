"""Making spans and counting: the one place that calls OpenTelemetry's API."""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, Tracer

from shared.domain.faults import code_of, fault_domain
from shared.telemetry import names
from shared.telemetry.ids import given

Attributes = Mapping[str, Any]

_MOST_MODELS = 50


class Telemetry:
    """What this process tells. `content`: prompts, answers and tool arguments too.

    A span is never given an exception: its text may quote what a user wrote.
    """

    def __init__(self, tracer: Tracer, meter: Meter, *, content: bool = False) -> None:
        self.content = content
        self._tracer = tracer
        self._instruments = {name: _instrument(meter, name) for name in names.METRICS}
        self._models: set[str] = set()

    def start(
        self,
        name: str,
        attributes: Attributes,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: SpanContext | None = None,
        trace_id: int | None = None,
        span_id: int | None = None,
        start_ns: int | None = None,
    ) -> Span:
        """A span that whoever started it ends. Without a `parent` it is a child of the current one.

        `trace_id` makes it the root of that trace, `span_id` is the id it is to have.
        """
        context = None
        if parent is not None:
            context = trace.set_span_in_context(NonRecordingSpan(parent))
        elif trace_id is not None:
            context = trace.set_span_in_context(trace.INVALID_SPAN)
        with given(trace_id=trace_id, span_id=span_id):
            return self._tracer.start_span(name, context, kind, _told(attributes), start_time=start_ns)

    @contextmanager
    def span(self, name: str, attributes: Attributes, **details: Any) -> Generator[Span]:
        """A span that is the current one meanwhile; an exception that goes through it is its error."""
        span = self.start(name, attributes, **details)
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield span
        except Exception as error:
            failed(span, code_of(error))
            raise
        finally:
            span.end()

    def count(self, name: str, attributes: Attributes, amount: float = 1) -> None:
        instrument = self._instruments[name]
        if not isinstance(instrument, Histogram):
            instrument.add(amount, _told(attributes))

    def record(self, name: str, value: float, attributes: Attributes) -> None:
        instrument = self._instruments[name]
        if isinstance(instrument, Histogram):
            instrument.record(value, _told(attributes))

    @contextmanager
    def timed(self, name: str, attributes: Attributes) -> Generator[None]:
        """Record how many seconds the body takes, however it ends."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.record(name, time.perf_counter() - began, attributes)

    def model(self, name: str) -> str:
        """A model as metrics name it: clients may ask for any, so that only so many get a name of their own."""
        if name not in self._models and len(self._models) >= _MOST_MODELS:
            return "other"
        self._models.add(name)
        return name


def failed(span: Span, code: str) -> None:
    """Mark what `span` is of as failed."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attributes(error(code))


def error(code: str) -> dict[str, str]:
    """What a span and a metric say of an error."""
    return {names.ERROR: code, names.FAULT_DOMAIN: fault_domain(code)}


def is_traced() -> bool:
    """Whether there is a span that one started now would be a child of."""
    return trace.get_current_span().get_span_context().is_valid


def current_trace() -> str | None:
    """The trace of the current span: in Azure the host's, which the worker hands on."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def _told(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _instrument(meter: Meter, name: str) -> Counter | UpDownCounter | Histogram:
    told = names.METRICS[name]
    match told.kind:
        case "counter":
            return meter.create_counter(name, told.unit, told.says)
        case "updown":
            return meter.create_up_down_counter(name, told.unit, told.says)
        case "histogram":
            buckets = told.buckets or None
            return meter.create_histogram(name, told.unit, told.says, explicit_bucket_boundaries_advisory=buckets)
