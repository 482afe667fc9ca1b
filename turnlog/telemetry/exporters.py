"""The OpenTelemetry SDK and its exporters. Imported only if telemetry has a destination.

Remote exporters are created on the threads that export. Their import takes a third of a second, and no request waits
for it.
"""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from turnlog.settings import Settings
from turnlog.telemetry.logs import TelemetryHandler
from turnlog.telemetry.recorder import Telemetry
from turnlog.telemetry.span_ids import fixed_ids

SCOPE = "turnlog"
_OTLP = "opentelemetry.exporter.otlp.proto.http"
_AZURE = "azure.monitor.opentelemetry.exporter"
_DELTA = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)


class _IdGenerator(RandomIdGenerator):
    """Gives random ids, except to a span whose ids are fixed (see span_ids.py)."""

    def generate_trace_id(self) -> int:
        return fixed_ids.get()[0] or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return fixed_ids.get()[1] or super().generate_span_id()


class _Exporters(NamedTuple):
    """Functions that create the exporters of one destination, for spans, metrics and logs."""

    spans: Callable[[], Any]
    metrics: Callable[[], Any]
    logs: Callable[[], Any]
    temporality: dict[type, AggregationTemporality] | None = None


def start_telemetry(current: Settings) -> Telemetry:
    """Set up telemetry with the destinations that the settings name."""
    resource = Resource.create(_identity())
    # A request's own sampling flag is ignored: it would not reach the turn's attempts, and half a trace is useless.
    sampler = None if "OTEL_TRACES_SAMPLER" in os.environ else ALWAYS_ON
    spans = TracerProvider(sampler, resource, id_generator=_IdGenerator())
    logs = LoggerProvider(resource)
    readers: list[PeriodicExportingMetricReader] = []
    if current.telemetry == "console":
        spans.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr, formatter=_line)))
        logs.add_log_record_processor(
            SimpleLogRecordProcessor(ConsoleLogRecordExporter(out=sys.stderr, formatter=_line))
        )
        readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr, formatter=_line)))
    for remote in _remote_exporters(current):
        spans.add_span_processor(BatchSpanProcessor(_LazySpanExporter(remote.spans)))
        logs.add_log_record_processor(BatchLogRecordProcessor(_LazyLogExporter(remote.logs)))
        readers.append(PeriodicExportingMetricReader(_LazyMetricExporter(remote.metrics, remote.temporality)))
    metrics = MeterProvider(readers, resource)
    logging.getLogger().addHandler(TelemetryHandler(logs, content=current.telemetry_content))
    return Telemetry(spans.get_tracer(SCOPE), metrics.get_meter(SCOPE), content=current.telemetry_content)


def _identity() -> dict[str, Any]:
    """The service's name and instance. In Azure they are the host's, so that both are one node on the map."""
    name = os.environ.get("OTEL_SERVICE_NAME") or os.environ.get("WEBSITE_SITE_NAME") or "turnlog"
    return {SERVICE_NAME: name, SERVICE_INSTANCE_ID: os.environ.get("WEBSITE_INSTANCE_ID") or str(os.getpid())}


def _remote_exporters(current: Settings) -> list[_Exporters]:
    """The destinations outside this process."""
    found: list[_Exporters] = []
    if (secret := current.applicationinsights_connection_string) is not None:
        # It logs every request, and the exporter sends one every few seconds.
        logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
        os.environ.setdefault("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")  # usage statistics for its vendor
        found.append(_azure_monitor(secret.get_secret_value()))
    if current.otel_exporter_otlp_endpoint is not None:
        found.append(_otlp())
    return found


def _azure_monitor(connection: str) -> _Exporters:
    """The exporter itself reads APPLICATIONINSIGHTS_AUTHENTICATION_STRING, and signs in with it."""
    spans, metrics, logs = (
        _factory(_AZURE, f"AzureMonitor{kind}Exporter", connection_string=connection)
        for kind in ("Trace", "Metric", "Log")
    )
    return _Exporters(spans, metrics, logs, _DELTA)


def _otlp() -> _Exporters:
    """The exporters themselves read the endpoint and its headers from the environment."""
    return _Exporters(
        _factory(f"{_OTLP}.trace_exporter", "OTLPSpanExporter"),
        _factory(f"{_OTLP}.metric_exporter", "OTLPMetricExporter"),
        _factory(f"{_OTLP}._log_exporter", "OTLPLogExporter"),
    )


def _factory(module: str, name: str, **arguments: Any) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(module), name)(**arguments)


class _LazyExporter:
    """An exporter that is created at its first export."""

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._exporter: Any = None

    def export(self, batch: Any, *arguments: Any, **options: Any) -> Any:
        if self._exporter is None:
            self._exporter = self._create()
        return self._exporter.export(batch, *arguments, **options)

    def force_flush(self, timeout_millis: float = 30_000) -> bool:  # noqa: ARG002
        return True

    def shutdown(self, *arguments: Any, **options: Any) -> None:
        if self._exporter is not None:
            self._exporter.shutdown(*arguments, **options)


class _LazySpanExporter(_LazyExporter, SpanExporter):
    pass


class _LazyLogExporter(_LazyExporter, LogRecordExporter):
    pass


class _LazyMetricExporter(_LazyExporter, MetricExporter):
    def __init__(self, create: Callable[[], Any], temporality: dict[type, AggregationTemporality] | None) -> None:
        _LazyExporter.__init__(self, create)
        MetricExporter.__init__(self, preferred_temporality=temporality)


def _line(item: Any) -> str:
    return f"{item.to_json(indent=None)}\n"
