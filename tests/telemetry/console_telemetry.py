"""Reads a host's telemetry: the lines of its console exporters, as spans, metrics and log records."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.http.api_client import wait_until

CONSOLE_TELEMETRY = {"TELEMETRY": "console", "OTEL_METRIC_EXPORT_INTERVAL": "250"}
"""Settings of a host that prints its telemetry on stderr, and its metrics often."""


@dataclass(frozen=True)
class Span:
    name: str
    trace: str
    id: str
    parent: str | None
    kind: str
    status: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """All telemetry of a host until now. `text` is its whole output."""

    text: str
    spans: list[Span]
    metrics: dict[str, list[dict[str, Any]]]
    """The newest points of each metric."""
    logs: list[dict[str, Any]]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Span:
        (span,) = self.named(name)
        return span

    def in_trace(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]

    def point(self, metric: str, **wanted: Any) -> dict[str, Any] | None:
        """The point of a metric with these attributes. In their names write `_` for `.`."""
        for point in self.metrics.get(metric, []):
            attributes = {name.replace(".", "_"): value for name, value in point["attributes"].items()}
            if wanted.items() <= attributes.items():
                return point
        return None


def read_telemetry(log: Path) -> Recorded:
    text = log.read_text()
    spans: list[Span] = []
    logs: list[dict[str, Any]] = []
    metrics: dict[str, list[dict[str, Any]]] = {}
    for line in text.splitlines():
        if not line.startswith("{") or not line.endswith("}"):
            continue
        item = json.loads(line)
        if "resource_metrics" in item:
            metrics = {metric["name"]: metric["data"]["data_points"] for metric in _metrics(item)}
        elif "body" in item:
            logs.append(item)
        else:
            spans.append(_span(item))
    return Recorded(text, spans, metrics, logs)


async def wait_for_telemetry(log: Path, is_complete: Callable[[Recorded], object]) -> Recorded:
    """Wait until the telemetry of the host is complete."""

    async def read() -> Recorded:
        return read_telemetry(log)

    return await wait_until(read, is_complete)


def span_tree(spans: Iterable[Span]) -> dict[str, set[str]]:
    """The names of spans by the name of their parent, without store operations."""
    listed = [span for span in spans if "db.system.name" not in span.attributes]
    names = {span.id: span.name for span in listed}
    found: dict[str, set[str]] = {}
    for span in listed:
        found.setdefault(names.get(span.parent or "", "no parent"), set()).add(span.name)
    return found


def _metrics(item: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for resource in item["resource_metrics"]:
        for scope in resource["scope_metrics"]:
            yield from scope["metrics"]


def _span(item: dict[str, Any]) -> Span:
    return Span(
        item["name"],
        item["context"]["trace_id"].removeprefix("0x"),
        item["context"]["span_id"],
        item["parent_id"],
        item["kind"].removeprefix("SpanKind."),
        item["status"]["status_code"],
        item["attributes"],
    )
