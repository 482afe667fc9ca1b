"""On Azure the host records requests. The app's spans are their children, and don't count as requests again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http.api_client import ROOT, api_client, refusal, running_host
from tests.telemetry.console_telemetry import CONSOLE_TELEMETRY, read_telemetry, wait_for_telemetry

AZURE = {
    "WEBSITE_INSTANCE_ID": "instance-1",
    "COSMOS_ENDPOINT": "https://127.0.0.1:9",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_API_KEY": "unused",
    "AUTH_MODE": "easyauth",
    "TICKET_KEY": "0f8fad5b-d9cb-469f-a165-70867728950e",
}
# The worker does this before it calls a function, if PYTHON_ENABLE_OPENTELEMETRY is set.
WORKER_SCRIPT = """
import sys
from opentelemetry import context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from azurefunctions.extensions.http.fastapi import Request, Response
from turnlog.api.edge.tracing import request_span
from turnlog.api.edge.principal import trace_id_of

host = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
context.attach(TraceContextTextMapPropagator().extract({"traceparent": host}))
for sent in sys.argv[1:]:
    headers = [(b"traceparent", sent.encode())]
    scope = {"type": "http", "method": "GET", "path": "/sessions", "headers": headers, "query_string": b""}
    req = Request({**scope, "path_params": {}})
    with request_span(req, trace_id_of(req)) as span:
        span.record_response(Response())
"""


@pytest.mark.anyio
async def test_a_request_span_is_internal_because_the_host_has_its_own(tmp_path: Path) -> None:
    with running_host(tmp_path, {**CONSOLE_TELEMETRY, **AZURE}) as host:
        async with api_client(host) as api:
            refusal(await api.http.get("/sessions"), 401, "unauthenticated")
        seen = await wait_for_telemetry(tmp_path / "host.log", lambda seen: seen.named("GET /sessions"))

    span = seen.one("GET /sessions")
    assert (span.kind, span.attributes["error.type"]) == ("INTERNAL", "unauthenticated")


def test_the_hosts_span_is_the_parent_if_it_has_the_requests_trace(tmp_path: Path) -> None:
    parents = {
        "": ("a" * 32, "b" * 16),  # no trace was sent
        f"00-{'a' * 32}-{'c' * 16}-01": ("a" * 32, "b" * 16),  # the host continued the sent trace
        f"00-{'d' * 32}-{'c' * 16}-01": ("d" * 32, "c" * 16),  # the host did not
    }
    log = tmp_path / "log"
    with log.open("w") as out:
        env = {"PATH": os.environ["PATH"], "TELEMETRY": "console"}
        subprocess.run([sys.executable, "-c", WORKER_SCRIPT, *parents], cwd=ROOT, env=env, stderr=out, check=True)

    spans = read_telemetry(log).named("GET /sessions")
    assert [(span.trace, span.parent) for span in spans] == [
        (trace, f"0x{parent}") for trace, parent in parents.values()
    ]
