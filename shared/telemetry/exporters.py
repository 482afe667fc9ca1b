"""The SDK with its exporters: imported only where telemetry is to go somewhere.

Exporters are made on the threads that export: they take a third of a second to import, which no request waits for.
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

from shared.settings import Settings
from shared.telemetry.ids import given_ids
from shared.telemetry.logs import TelemetryHandler
from shared.telemetry.recorder import Telemetry

SCOPE = "turnlog"
_OTLP = "opentelemetry.exporter.otlp.proto.http"
_AZURE = "azure.monitor.opentelemetry.exporter"
_DELTA = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)


class GivenIds(RandomIdGenerator):
    """Ids at random, but for a span whose ids follow from what it is a span of."""

    def generate_trace_id(self) -> int:
        return given_ids.get()[0] or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return given_ids.get()[1] or super().generate_span_id()


class _Exporters(NamedTuple):
    """How to make one destination's exporters of spans, metrics and logs."""

    spans: Callable[[], Any]
    metrics: Callable[[], Any]
    logs: Callable[[], Any]
    temporality: dict[type, AggregationTemporality] | None = None


def started(current: Settings) -> Telemetry:
    """Telemetry on its way to where the settings say."""
    resource = Resource.create(_identity())
    # A request's own flag is not asked: it would not reach the turn's attempts, and half a trace says nothing.
    sampler = None if "OTEL_TRACES_SAMPLER" in os.environ else ALWAYS_ON
    spans = TracerProvider(sampler, resource, id_generator=GivenIds())
    logs = LoggerProvider(resource)
    readers: list[PeriodicExportingMetricReader] = []
    if current.telemetry == "console":
        spans.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr, formatter=_line)))
        logs.add_log_record_processor(
            SimpleLogRecordProcessor(ConsoleLogRecordExporter(out=sys.stderr, formatter=_line))
        )
        readers.append(PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr, formatter=_line)))
    for far in _far(current):
        spans.add_span_processor(BatchSpanProcessor(_LateSpans(far.spans)))
        logs.add_log_record_processor(BatchLogRecordProcessor(_LateLogs(far.logs)))
        readers.append(PeriodicExportingMetricReader(_LateMetrics(far.metrics, far.temporality)))
    metrics = MeterProvider(readers, resource)
    logging.getLogger().addHandler(TelemetryHandler(logs, content=current.telemetry_content))
    return Telemetry(spans.get_tracer(SCOPE), metrics.get_meter(SCOPE), content=current.telemetry_content)


def _identity() -> dict[str, Any]:
    """Who tells: in Azure by the names under which the host tells, so that both stand on one map."""
    name = os.environ.get("OTEL_SERVICE_NAME") or os.environ.get("WEBSITE_SITE_NAME") or "turnlog"
    return {SERVICE_NAME: name, SERVICE_INSTANCE_ID: os.environ.get("WEBSITE_INSTANCE_ID") or str(os.getpid())}


def _far(current: Settings) -> list[_Exporters]:
    """The exporters that send something away."""
    found: list[_Exporters] = []
    if (secret := current.applicationinsights_connection_string) is not None:
        # It says of each request that it was made, and the exporter makes one every few seconds.
        logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
        os.environ.setdefault("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")  # its makers' figures of itself
        found.append(_azure_monitor(secret.get_secret_value()))
    if current.otel_exporter_otlp_endpoint is not None:
        found.append(_otlp())
    return found


def _azure_monitor(connection: str) -> _Exporters:
    """Signs in as APPLICATIONINSIGHTS_AUTHENTICATION_STRING says, which the exporter reads itself."""
    spans, metrics, logs = (
        _maker(_AZURE, f"AzureMonitor{kind}Exporter", connection_string=connection)
        for kind in ("Trace", "Metric", "Log")
    )
    return _Exporters(spans, metrics, logs, _DELTA)


def _otlp() -> _Exporters:
    """The endpoint and its headers the exporters read themselves."""
    return _Exporters(
        _maker(f"{_OTLP}.trace_exporter", "OTLPSpanExporter"),
        _maker(f"{_OTLP}.metric_exporter", "OTLPMetricExporter"),
        _maker(f"{_OTLP}._log_exporter", "OTLPLogExporter"),
    )


def _maker(module: str, name: str, **given: Any) -> Callable[[], Any]:
    return lambda: getattr(importlib.import_module(module), name)(**given)


class _Late:
    """An exporter that is made when there is something to export."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None

    def export(self, batch: Any, *given: Any, **named: Any) -> Any:
        if self._made is None:
            self._made = self._make()
        return self._made.export(batch, *given, **named)

    def force_flush(self, timeout_millis: float = 30_000) -> bool:  # noqa: ARG002
        return True

    def shutdown(self, *given: Any, **named: Any) -> None:
        if self._made is not None:
            self._made.shutdown(*given, **named)


class _LateSpans(_Late, SpanExporter):
    pass


class _LateLogs(_Late, LogRecordExporter):
    pass


class _LateMetrics(_Late, MetricExporter):
    def __init__(self, make: Callable[[], Any], temporality: dict[type, AggregationTemporality] | None) -> None:
        _Late.__init__(self, make)
        MetricExporter.__init__(self, preferred_temporality=temporality)


def _line(told: Any) -> str:
    return f"{told.to_json(indent=None)}\n"
