"""Spans and metrics of this process: the one place that calls OpenTelemetry's API."""

import importlib
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from opentelemetry import trace
from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, Tracer

from turnlog.domain.faults import code_of, fault_domain
from turnlog.settings import settings
from turnlog.telemetry import names
from turnlog.telemetry.span_ids import fixed_span_ids

Attributes = Mapping[str, Any]

_MAX_MODELS = 50


class Telemetry:
    """Records spans and metrics. `content`: prompts, answers and tool arguments as well.

    A span never records an exception itself: its text may quote what a user wrote.
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
        """Start a span, which the caller ends. Without a `parent` it is a child of the current span.

        With `trace_id` it is the root of that trace. `span_id` is the span's own id.
        """
        context = None
        if parent is not None:
            context = trace.set_span_in_context(NonRecordingSpan(parent))
        elif trace_id is not None:
            context = trace.set_span_in_context(trace.INVALID_SPAN)
        with fixed_span_ids(trace_id=trace_id, span_id=span_id):
            return self._tracer.start_span(name, context, kind, _without_none(attributes), start_time=start_ns)

    @contextmanager
    def span(self, name: str, attributes: Attributes, **details: Any) -> Generator[Span]:
        """A span that is the current one while the body runs. An exception that leaves the body marks it as failed."""
        span = self.start(name, attributes, **details)
        try:
            with trace.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield span
        except Exception as error:
            mark_failed(span, code_of(error))
            raise
        finally:
            span.end()

    def count(self, name: str, attributes: Attributes, amount: float = 1) -> None:
        instrument = self._instruments[name]
        if not isinstance(instrument, Histogram):
            instrument.add(amount, _without_none(attributes))

    def record(self, name: str, value: float, attributes: Attributes) -> None:
        instrument = self._instruments[name]
        if isinstance(instrument, Histogram):
            instrument.record(value, _without_none(attributes))

    @contextmanager
    def timed(self, name: str, attributes: Attributes) -> Generator[None]:
        """Record how many seconds the body takes, however it ends."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.record(name, time.perf_counter() - started, attributes)

    def model_label(self, name: str) -> str:
        """A model's name in metrics. Clients may ask for any model, so only the first 50 keep their names."""
        if name not in self._models and len(self._models) >= _MAX_MODELS:
            return "other"
        self._models.add(name)
        return name


@cache
def current_telemetry() -> Telemetry | None:
    """The process's telemetry. None if the settings turn it off; then no SDK is imported."""
    current = settings()
    if not current.has_telemetry:
        return None
    return importlib.import_module("turnlog.telemetry.exporters").start_telemetry(current)


def mark_failed(span: Span, code: str) -> None:
    """Give `span` the status and the attributes of a failure."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attributes(error_attributes(code))


def error_attributes(code: str) -> dict[str, str]:
    """The attributes of an error, for spans and metrics."""
    return {names.ERROR: code, names.FAULT_DOMAIN: fault_domain(code)}


def is_traced() -> bool:
    """Whether there is a current span, so that a new span has a parent."""
    return trace.get_current_span().get_span_context().is_valid


def current_trace_id() -> str | None:
    """The trace of the current span. In Azure this is the host's span, which the worker passes on."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def _without_none(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _instrument(meter: Meter, name: str) -> Counter | UpDownCounter | Histogram:
    metric = names.METRICS[name]
    match metric.kind:
        case "counter":
            return meter.create_counter(name, metric.unit, metric.description)
        case "updown":
            return meter.create_up_down_counter(name, metric.unit, metric.description)
        case "histogram":
            buckets = metric.buckets or None
            return meter.create_histogram(
                name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=buckets
            )
