"""A request belongs to the trace of the host, which the worker passes on if a setting says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_request_without_a_trace_belongs_to_the_trace_of_the_host(settings: None, tmp_path: Path) -> None:
    environment = {"PYTHON_ENABLE_OPENTELEMETRY": "true", "TELEMETRY": "console", "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.worker.tracing", f"00-{TRACE}-{SPAN}-01"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, capture_output=True, text=True)

    spans = [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"name"')]
    (span,) = [span for span in spans if span["name"] == "GET /sessions/{session_id}"]
    assert done.stdout.splitlines()[-1] == TRACE
    assert (span["context"]["trace_id"], span["parent_id"]) == (f"0x{TRACE}", f"0x{SPAN}")
