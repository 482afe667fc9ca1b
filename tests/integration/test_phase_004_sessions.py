"""Phase 004, session management: what its document asks for, test by test."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.http.api_client import JSON, Api, Host, ok, refusal

pytestmark = pytest.mark.anyio

# The document's validation script from "Test session flow" on; its first lines run this very file.
SCRIPT = """
OUTPUT_DIR="validated_test_evidence/phase-004"
mkdir -p $OUTPUT_DIR

# Test session flow
PROJECT_ID=$(curl -X POST http://localhost:8000/projects \\
  -H "Content-Type: application/json" \\
  -d '{"name": "Session Test"}' | jq -r .id)

# Create and use session
SESSION_ID=$(curl -X POST http://localhost:8000/projects/${PROJECT_ID}/sessions | jq -r .session_id)

# Send messages
curl -X POST http://localhost:8000/sessions/${SESSION_ID}/messages \\
  -H "Content-Type: application/json" \\
  -d '{"prompt": "Create agent"}' > $OUTPUT_DIR/msg1.json

curl -X POST http://localhost:8000/sessions/${SESSION_ID}/messages \\
  -H "Content-Type: application/json" \\
  -d '{"prompt": "Add Spanish"}' > $OUTPUT_DIR/msg2.json

# Get full response
MSG_ID=$(cat $OUTPUT_DIR/msg1.json | jq -r .message_id)
curl http://localhost:8000/messages/${MSG_ID}/full > $OUTPUT_DIR/full_response.json

echo "Phase 004 validation complete"
"""


async def new_project(api: Api) -> str:
    return ok(await api.http.post("/projects", json={"name": "Session Test"}), 201)["id"]


async def start(api: Api, project_id: str, **fields: str) -> JSON:
    """Start or retrieve; without fields there is no body at all, as in the document."""
    response = await api.http.post(f"/projects/{project_id}/sessions", json=fields or None)
    assert response.status_code in {200, 201}, response.text
    return response.json()


async def prompt(api: Api, session_id: str, text: str) -> JSON:
    return ok(await api.http.post(f"/sessions/{session_id}/messages", json={"prompt": text}))


async def test_session_persistence(api: Api) -> None:
    session = await start(api, await new_project(api))
    session_id = session["session_id"]
    assert session["openai_session_key"]
    assert session["trace_id"]

    first = await prompt(api, session_id, "Create a triage agent")
    second = await prompt(api, session_id, "Make it Spanish")

    assert first["trace_id"]
    assert second["trace_id"] != first["trace_id"]
    messages = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert [message["content"] for message in messages] == ["Create a triage agent", "Make it Spanish"]
    # What the second message calls "it" is what the first one made.
    assert "triage" in json.dumps(second["patch"])


async def test_full_response_storage(api: Api) -> None:
    session = await start(api, await new_project(api))
    message = await prompt(api, session["session_id"], "Create a triage agent")

    full = ok(await api.http.get(f"/messages/{message['message_id']}/full"))

    assert full["tool_calls"]
    assert full["usage"]["total_tokens"] > 0
    assert full["model"]
    assert full["response"]["object"] == "chat.completion"
    assert full["trace_id"] == message["trace_id"]


async def test_node_session_isolation(api: Api) -> None:
    project_id = await new_project(api)
    global_id = (await start(api, project_id))["session_id"]
    node_id = (await start(api, project_id, node_id="agent1"))["session_id"]
    assert node_id != global_id

    await prompt(api, global_id, "global message")
    await prompt(api, node_id, "node message")

    global_messages = ok(await api.http.get(f"/sessions/{global_id}/messages"))
    assert len(global_messages) == 1
    assert "global" in global_messages[0]["content"]
    node_messages = ok(await api.http.get(f"/sessions/{node_id}/messages"))
    assert len(node_messages) == 1
    assert "node" in node_messages[0]["content"]


async def test_a_session_is_retrieved_until_it_is_deleted(api: Api) -> None:
    project_id = await new_project(api)
    first = await start(api, project_id)
    assert (await start(api, project_id))["session_id"] == first["session_id"]

    deleted = await api.http.delete(f"/sessions/{first['session_id']}")

    assert deleted.status_code == 204
    refusal(await api.http.get(f"/sessions/{first['session_id']}"), 404, "session_not_found")
    assert (await start(api, project_id))["session_id"] != first["session_id"]


def test_the_validation_script_runs_unchanged(host: Host, tmp_path: Path) -> None:
    if not (shutil.which("curl") and shutil.which("jq")):
        if os.environ.get("CI") == "true":
            pytest.fail("the script needs curl and jq")
        pytest.skip("the script needs curl and jq")

    script = "set -e\n" + SCRIPT.replace("http://localhost:8000", host.url)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.endswith("Phase 004 validation complete\n")
    evidence = {path.stem: json.loads(path.read_text()) for path in tmp_path.rglob("*.json")}
    assert (evidence["msg1"]["status"], evidence["msg2"]["status"]) == ("completed", "completed")
    assert evidence["msg1"]["trace_id"]
    assert evidence["full_response"]["message_id"] == evidence["msg1"]["message_id"]
    assert evidence["full_response"].keys() >= {"tool_calls", "usage", "model", "response", "trace_id"}
