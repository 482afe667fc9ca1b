"""Where telemetry goes: Application Insights, a collector, or nowhere, and then nothing of it is loaded."""

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

from tests.http.api_client import ROOT, api_of, running_host, until

pytestmark = pytest.mark.anyio

SOON = {"OTEL_METRIC_EXPORT_INTERVAL": "250", "OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100"}
WORKBOOK = (ROOT / "infra" / "workbook.json").read_text(encoding="utf-8")
KEY = "00000000-0000-0000-0000-000000000001"


@dataclass
class Inbox:
    """What a destination was sent, by path."""

    url: str = ""
    bodies: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])

    def items(self) -> list[dict[str, Any]]:
        """The envelopes that Application Insights was sent."""
        found = [json.loads(body) for path, bodies in self.bodies.items() if "track" in path for body in bodies]
        return [item for items in found for item in items]

    def data(self, kind: str) -> list[dict[str, Any]]:
        return [item["data"]["baseData"] for item in self.items() if item["data"]["baseType"] == kind]

    def metric(self, name: str) -> list[dict[str, Any]]:
        return [data for data in self.data("MetricData") if data["metrics"][0]["name"] == name]


@contextmanager
def inbox() -> Generator[Inbox]:
    """A server that accepts whatever it is sent, meanwhile."""
    found = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            unpacked = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            found.bodies.setdefault(self.path, []).append(unpacked)
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
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()


async def test_application_insights_is_sent_spans_metrics_and_logs(tmp_path: Path) -> None:
    with inbox() as sent:
        connection = f"InstrumentationKey={KEY};IngestionEndpoint={sent.url}/"
        env = {
            **SOON,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": connection,
            "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        }
        with running_host(tmp_path, env) as host:
            async with api_of(host) as api:
                await api.say(await api.new_session(), 'call calculate {"expression": "1+1"}', model="fake-20-0")
                session_id = await api.new_session()
                await api.say(session_id, model="fail-401")
                await api.read(session_id)

            async def have() -> bool:
                ended = [data["properties"].get("turnlog.outcome") for data in sent.metric("turnlog.turns")]
                turns = [span for span in sent.data("RemoteDependencyData") if span["name"].startswith("invoke_agent")]
                told = sent.data("RequestData") and sent.data("MessageData") and sent.metric("turnlog.streams.active")
                return len(turns) == 2 and {"completed", "failed"} <= set(ended) and bool(told)

            await until(have)

    told = {name for item in sent.items() for name in item["data"]["baseData"].get("properties", {})}
    assert set(re.findall(r"customDimensions\['([^']+)'\]", WORKBOOK)) <= told
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


async def test_a_collector_is_sent_spans_metrics_and_logs(tmp_path: Path) -> None:
    with inbox() as sent, running_host(tmp_path, {**SOON, "OTEL_EXPORTER_OTLP_ENDPOINT": sent.url}) as host:
        async with api_of(host) as api:
            await api.say(await api.new_session(), model="fail-401")

        async def have() -> bool:
            turns = [body for body in sent.bodies.get("/v1/traces", ()) if b"invoke_agent assistant" in body]
            return bool(turns) and sent.bodies.keys() == {"/v1/traces", "/v1/metrics", "/v1/logs"}

        await until(have)


@pytest.mark.parametrize("settings", [{}, {"TELEMETRY": "off", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}])
def test_where_nothing_is_told_nothing_of_it_is_loaded(settings: dict[str, str]) -> None:
    code = (
        "import sys, function_app\n"
        "from shared.telemetry.active import telemetry\n"
        "assert telemetry() is None\n"
        "heavy = ('opentelemetry.sdk', 'opentelemetry.exporter', 'azure.monitor')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=settings, check=True, capture_output=True, text=True
    )

    assert done.stdout == "[]\n"
