"""What a host told: the lines of its console exporters, as spans, metrics and log records."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.http.api_client import until

TELLING = {"TELEMETRY": "console", "OTEL_METRIC_EXPORT_INTERVAL": "250"}
"""Settings of a host that tells everything on stderr, its metrics soon."""


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
class Told:
    """Everything that was told so far; `text` as it stands there."""

    text: str
    spans: list[Span]
    metrics: dict[str, list[dict[str, Any]]]
    """The points of each metric as they were last told."""
    logs: list[dict[str, Any]]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def the(self, name: str) -> Span:
        (span,) = self.named(name)
        return span

    def of(self, trace: str) -> list[Span]:
        return [span for span in self.spans if span.trace == trace]

    def point(self, metric: str, **wanted: Any) -> dict[str, Any] | None:
        """The point of a metric that has these attributes, `_` for `.`, among others."""
        for point in self.metrics.get(metric, []):
            said = {name.replace(".", "_"): value for name, value in point["attributes"].items()}
            if wanted.items() <= said.items():
                return point
        return None


def told(log: Path) -> Told:
    text = log.read_text()
    spans: list[Span] = []
    logs: list[dict[str, Any]] = []
    metrics: dict[str, list[dict[str, Any]]] = {}
    for line in text.splitlines():
        if not line.startswith("{") or not line.endswith("}"):
            continue
        said = json.loads(line)
        if "resource_metrics" in said:
            metrics = {metric["name"]: metric["data"]["data_points"] for metric in _metrics(said)}
        elif "body" in said:
            logs.append(said)
        else:
            spans.append(_span(said))
    return Told(text, spans, metrics, logs)


async def told_when(log: Path, good: Callable[[Told], object]) -> Told:
    """Wait until what was told is good."""

    async def look() -> Told:
        return told(log)

    return await until(look, good)


def tree(spans: Iterable[Span]) -> dict[str, set[str]]:
    """The names of spans by the name of their parent, store operations left out."""
    listed = [span for span in spans if "db.system.name" not in span.attributes]
    names = {span.id: span.name for span in listed}
    found: dict[str, set[str]] = {}
    for span in listed:
        found.setdefault(names.get(span.parent or "", "nothing told"), set()).add(span.name)
    return found


def _metrics(said: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for resource in said["resource_metrics"]:
        for scope in resource["scope_metrics"]:
            yield from scope["metrics"]


def _span(said: dict[str, Any]) -> Span:
    return Span(
        said["name"],
        said["context"]["trace_id"].removeprefix("0x"),
        said["context"]["span_id"],
        said["parent_id"],
        said["kind"].removeprefix("SpanKind."),
        said["status"]["status_code"],
        said["attributes"],
    )
