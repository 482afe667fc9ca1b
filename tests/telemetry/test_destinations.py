"""The destinations of telemetry: Application Insights, a collector, or none. Without one the SDK is not loaded."""

import gzip
import json
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.http.api_client import ROOT, api_client, running_host, wait_until

pytestmark = pytest.mark.anyio

SHORT_DELAYS = {
    "OTEL_METRIC_EXPORT_INTERVAL": "250",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "OTEL_BLRP_SCHEDULE_DELAY": "100",
}
WORKBOOK = (ROOT / "infra" / "workbook.json").read_text(encoding="utf-8")
KEY = "00000000-0000-0000-0000-000000000001"


@dataclass
class Inbox:
    """The requests to a destination, by path."""

    url: str = ""
    bodies: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])

    def items(self) -> list[dict[str, Any]]:
        """The envelopes sent to Application Insights."""
        found = [json.loads(body) for path, bodies in self.bodies.items() if "track" in path for body in bodies]
        return [item for items in found for item in items]

    def data(self, kind: str) -> list[dict[str, Any]]:
        return [item["data"]["baseData"] for item in self.items() if item["data"]["baseType"] == kind]

    def metric(self, name: str) -> list[dict[str, Any]]:
        return [data for data in self.data("MetricData") if data["metrics"][0]["name"] == name]


@contextmanager
def run_inbox() -> Generator[Inbox]:
    """A server that accepts every request while the body runs."""
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            unpacked = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            inbox.bodies.setdefault(self.path, []).append(unpacked)
            answer = b"{}"
            if "track" in self.path:
                count = len(json.loads(unpacked))
                answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join()


async def test_application_insights_receives_spans_metrics_and_logs(tmp_path: Path) -> None:
    with run_inbox() as sent:
        connection = f"InstrumentationKey={KEY};IngestionEndpoint={sent.url}/"
        env = {
            **SHORT_DELAYS,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": connection,
            "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        }
        with running_host(tmp_path, env) as host:
            async with api_client(host) as api:
                await api.run_turn(await api.new_session(), 'call calculate {"expression": "1+1"}', model="fake-20-0")
                session_id = await api.new_session()
                await api.run_turn(session_id, model="fail-401")
                await api.read(session_id)

            async def is_complete() -> bool:
                ended = [data["properties"].get("turnlog.outcome") for data in sent.metric("turnlog.turns")]
                turns = [span for span in sent.data("RemoteDependencyData") if span["name"].startswith("invoke_agent")]
                others = sent.data("RequestData") and sent.data("MessageData") and sent.metric("turnlog.streams.active")
                return len(turns) == 2 and {"completed", "failed"} <= set(ended) and bool(others)

            await wait_until(is_complete)

    properties = {name for item in sent.items() for name in item["data"]["baseData"].get("properties", {})}
    assert set(re.findall(r"customDimensions\['([^']+)'\]", WORKBOOK)) <= properties
    assert "call_model" in {span["name"] for span in sent.data("RemoteDependencyData")}
    (turn,) = [
        span for span in sent.data("RemoteDependencyData") if "fake-20-0" in str(span) and "invoke" in span["name"]
    ]
    assert turn["properties"]["turnlog.outcome"] == "completed"
    assert turn["properties"]["gen_ai.agent.name"] == "assistant"
    (failed,) = [data for data in sent.metric("turnlog.turns") if data["properties"]["turnlog.outcome"] == "failed"]
    assert failed["metrics"][0]["value"] == 1
    assert failed["properties"]["turnlog.fault_domain"] == "model"
    assert failed["properties"]["error.type"] == "model_unauthorized"
    assert {item["iKey"] for item in sent.items()} == {KEY}


async def test_a_collector_receives_spans_metrics_and_logs(tmp_path: Path) -> None:
    with run_inbox() as sent, running_host(tmp_path, {**SHORT_DELAYS, "OTEL_EXPORTER_OTLP_ENDPOINT": sent.url}) as host:
        async with api_client(host) as api:
            await api.run_turn(await api.new_session(), model="fail-401")

        async def is_complete() -> bool:
            turns = [body for body in sent.bodies.get("/v1/traces", ()) if b"invoke_agent assistant" in body]
            return bool(turns) and sent.bodies.keys() == {"/v1/traces", "/v1/metrics", "/v1/logs"}

        await wait_until(is_complete)


@pytest.mark.parametrize("settings", [{}, {"TELEMETRY": "off", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_destination_the_sdk_is_not_loaded(settings: dict[str, str]) -> None:
    code = (
        "import sys, function_app\n"
        "from turnlog.telemetry.recorder import current_telemetry\n"
        "assert current_telemetry() is None\n"
        "heavy = ('opentelemetry.sdk', 'opentelemetry.exporter', 'azure.monitor')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=settings, check=True, capture_output=True, text=True
    )

    assert done.stdout == "[]\n"
