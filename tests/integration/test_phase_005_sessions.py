"""Phase 005, the same with real-time streaming: the project's room carries what the document broadcasts."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.http.api_client import JSON, Api, Host, ok
from tests.http.push.sockets import open_socket
from tests.integration.test_phase_004_sessions import new_project, prompt, start

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def joined(api: Api, project_id: str, query: str = "") -> AsyncGenerator[AsyncGenerator[tuple[str, JSON]]]:
    """Join the project's room: pairs of an event's name and its data, as they come."""
    async with api.http.stream("GET", f"/projects/{project_id}/stream?{query}") as response:
        assert response.status_code == 200

        async def events() -> AsyncGenerator[tuple[str, JSON]]:
            name = ""
            async for line in response.aiter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                if field == "data":
                    yield name, json.loads(value)

        yield events()


async def test_session_with_socket_streaming(api: Api) -> None:
    project_id = await new_project(api)
    session_id = (await start(api, project_id))["session_id"]

    async with joined(api, project_id) as events:
        name, hello = await anext(events)
        assert name == "init"
        assert [session["session_id"] for session in hello["sessions"]] == [session_id]

        message = await prompt(api, session_id, "Create a triage agent")

        seen: list[tuple[str, JSON]] = []
        async for name, data in events:
            seen.append((name, data))
            if name == "run.complete":
                break

    usages = [data for name, data in seen if name == "token_usage"]
    assert [usage["iteration"] for usage in usages] == list(range(1, len(usages) + 1))
    for usage in usages:
        assert usage["session_id"] == session_id
        assert usage["agent"] == "vibecoder"
        assert usage["model"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    (response,) = [data for name, data in seen if name == "vibecode_response"]
    assert response["session_id"] == session_id
    assert response["patch"] == message["patch"]
    assert response["patch"]
    assert response["token_usage"]["total_tokens"] == sum(usage["total_tokens"] for usage in usages)


async def test_session_with_socketio_streaming(api: Api, host: Host) -> None:
    project_id = await new_project(api)
    session_id = (await start(api, project_id))["session_id"]

    async with open_socket(host) as socket:
        assert await socket.join(project_id=project_id) == f"project_{project_id}"
        message = await prompt(api, session_id, "Create a triage agent")
        usage = await socket.until("token_usage")
        response = await socket.until("vibecode_response")

    assert usage["session_id"] == response["session_id"] == session_id
    assert (usage["agent"], usage["iteration"]) == ("vibecoder", 1)
    assert response["patch"] == message["patch"]
    assert response["token_usage"]["total_tokens"] >= usage["total_tokens"] > 0


async def test_a_response_is_broadcast_with_the_revision_that_it_made(api: Api) -> None:
    project_id = await new_project(api)
    session_id = (await start(api, project_id))["session_id"]

    await prompt(api, session_id, "Create a triage agent")
    await prompt(api, session_id, "Make it Spanish")

    revisions: list[int] = []
    async with joined(api, project_id, "after=0") as events:
        async for name, data in events:
            if name == "vibecode_response":
                revisions.append(data["project_revision"])
            if len(revisions) == 2:
                break
    project = ok(await api.http.get(f"/projects/{project_id}"))
    assert revisions == [project["revision"] - 1, project["revision"]]


async def test_session_persistence(api: Api) -> None:
    session_id = (await start(api, await new_project(api)))["session_id"]

    first = await prompt(api, session_id, "Create a triage agent")
    second = await prompt(api, session_id, "Make it Spanish")

    assert first["session_id"] == second["session_id"] == session_id
    assert len(ok(await api.http.get(f"/sessions/{session_id}/messages"))) == 2
    # What the second message calls "it" is what the first one made.
    assert first["patch"][0]["path"] in second["patch"][-1]["path"]


async def test_full_response_storage(api: Api) -> None:
    session_id = (await start(api, await new_project(api)))["session_id"]
    message = await prompt(api, session_id, "Create a triage agent")

    full = ok(await api.http.get(f"/messages/{message['message_id']}/full"))

    assert full["session_id"] == session_id
    assert full["tool_calls"]
    assert full["usage"] == message["usage"]
    assert full["model"]
