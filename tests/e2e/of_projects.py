"""Journeys of projects: a document that an agent patches, its sessions, and the rooms that tell of them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.e2e.service import Service
from tests.http.driving import ok, refusal
from tests.http.streaming import JSON, Stream

_PROMPT = "Create a triage agent."


async def a_project_is_made_changed_and_deleted(service: Service) -> None:
    http = service.api.http
    project = await _project(service)
    path = f"/projects/{project['id']}"

    nodes = {"nodes": {"teller": {"instructions": "Tell a story."}}}
    changed = ok(await http.patch(path, json={"name": "Tales", "document": nodes}))

    assert (changed["name"], changed["revision"]) == ("Tales", project["revision"] + 1)
    assert ok(await http.get(path))["document"] == nodes
    assert project["id"] in [each["id"] for each in ok(await http.get("/projects?limit=200"))["projects"]]
    assert "nodes" in ok(await http.get(changed["document_schema"]))["properties"]
    assert (await http.delete(path)).status_code == 204
    refusal(await http.get(path), 404, "project_not_found")


async def a_prompt_changes_the_document_of_its_project(service: Service) -> None:
    http = service.api.http
    path = f"/projects/{(await _project(service))['id']}"
    started = await http.post(f"{path}/sessions", json={})
    session_id = ok(started, 201)["session_id"]
    assert ok(await http.post(f"{path}/sessions"))["session_id"] == session_id

    message = await service.api.say(session_id, _PROMPT)

    assert message["status"] == "completed"
    assert message["patch"]
    assert ok(await http.get(path))["document"]["nodes"]
    assert [each["session_id"] for each in ok(await http.get(f"{path}/sessions"))["sessions"]] == [session_id]
    usage = ok(await http.get(f"{path}/usage"))
    assert (usage["usage"], usage["sessions"]) == (message["usage"], 1)


async def a_projects_room_tells_of_its_sessions(service: Service) -> None:
    path = f"/projects/{(await _project(service))['id']}"
    async with _room(service, f"{path}/stream") as room:
        await room.until("init")
        session_id = ok(await service.api.http.post(f"{path}/sessions"), 201)["session_id"]
        created = await room.until("session_created")
        await service.api.begin(session_id, _PROMPT)
        usage, response = await room.until("token_usage"), await room.until("vibecode_response")

    assert created.data["session"]["session_id"] == session_id
    assert usage.data["total_tokens"] > 0
    assert (response.data["session_id"], bool(response.data["patch"])) == (session_id, True)


async def everything_a_caller_has_is_told_in_one_room(service: Service) -> None:
    async with _room(service, "/stream") as room:
        async for frame in room:
            assert frame.data["type"] == "init"
            break
        session_id = await service.api.new_session()
        await service.api.append(session_id, {"event_type": "note", "text": "hello"})
        async for frame in room:
            if _is_note(frame.data, session_id):
                break

    assert _is_note(room.seen[-1].data, session_id)


def _is_note(told: JSON, session_id: str) -> bool:
    event: JSON = told["data"] if told["type"] == "event" else {}
    return (event.get("session_id"), event.get("type")) == (session_id, "note")


async def a_watcher_is_let_in_where_there_is_fan_out(service: Service) -> None:
    session_id = await service.api.new_session()

    answer = await service.api.http.post("/negotiate", json={"session_id": session_id})

    if answer.status_code == 501:
        assert "SIGNALR_ENDPOINT" in answer.json()["detail"]
    else:
        assert ok(answer)["accessToken"]


async def _project(service: Service) -> JSON:
    return ok(await service.api.http.post("/projects", json={"name": "Stories"}), 201)


@asynccontextmanager
async def _room(service: Service, path: str) -> AsyncGenerator[Stream]:
    async with service.api.http.stream("GET", path) as response:
        assert response.status_code == 200, await response.aread()
        yield Stream(response)
