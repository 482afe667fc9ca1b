"""Journeys of projects: a document that an agent patches, its sessions, and the rooms that show them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.e2e.service import Service
from tests.http.api_client import ok, refusal, wait_until
from tests.http.projects.receiver import running_receiver
from tests.http.sse_client import JSON, Stream

_CONTENT = "Create a triage agent."
_SESSIONS = 110
"""More than one request deletes."""
_AT_ONCE = 10


async def create_change_and_delete_a_project(service: Service) -> None:
    http = service.api.http
    project = await _create_project(service)
    path = f"/projects/{project['id']}"

    nodes = {"nodes": {"teller": {"instructions": "Tell a story."}}}
    changed = ok(await http.patch(path, json={"name": "Tales", "document": nodes}))

    assert (changed["name"], changed["revision"]) == ("Tales", project["revision"] + 1)
    assert ok(await http.get(path))["document"] == nodes
    assert project["id"] in [each["id"] for each in ok(await http.get("/projects?limit=200"))["projects"]]
    assert "nodes" in ok(await http.get(changed["document_schema"]))["properties"]
    assert (await http.delete(path)).status_code == 204
    refusal(await http.get(path), 404, "project_not_found")


async def delete_a_project_with_many_sessions(service: Service) -> None:
    http = service.api.http
    path = f"/projects/{(await _create_project(service))['id']}"
    body = {"project_id": path.rpartition("/")[2]}
    for _ in range(_SESSIONS // _AT_ONCE):
        for opened in await asyncio.gather(*(http.post("/sessions", json=body) for _ in range(_AT_ONCE))):
            ok(opened, 201)

    begun = await http.delete(path)

    assert ok(begun, 202)["status"] == "deleting"
    refusal(await http.get(path), 404, "project_not_found")
    progress = begun.headers["location"]
    ended = await wait_until(lambda: http.get(progress), lambda answer: ok(answer)["ended_at"])
    assert (ended.json()["status"], ended.json()["deleted"]) == ("deleted", _SESSIONS)


async def change_a_project_by_a_message(service: Service) -> None:
    http = service.api.http
    path = f"/projects/{(await _create_project(service))['id']}"
    started = await http.post(f"{path}/sessions", json={})
    session_id = ok(started, 201)["session_id"]
    assert ok(await http.post(f"{path}/sessions"))["session_id"] == session_id

    message = await service.api.run_turn(session_id, _CONTENT)

    assert message["status"] == "completed"
    assert message["patch"]
    assert ok(await http.get(path))["document"]["nodes"]
    assert [each["session_id"] for each in ok(await http.get(f"{path}/sessions"))["sessions"]] == [session_id]
    usage = ok(await http.get(f"{path}/usage"))
    assert (usage["usage"], usage["sessions"]) == (message["usage"], 1)


async def follow_the_room_of_a_project(service: Service) -> None:
    path = f"/projects/{(await _create_project(service))['id']}"
    async with _open_room(service, f"{path}/stream") as room:
        await room.until("init")
        session_id = ok(await service.api.http.post(f"{path}/sessions"), 201)["session_id"]
        created = await room.until("session_created")
        await service.api.start_turn(session_id, _CONTENT)
        usage, response = await room.until("token_usage"), await room.until("vibecode_response")

    assert created.data["session"]["session_id"] == session_id
    assert usage.data["total_tokens"] > 0
    assert (response.data["session_id"], bool(response.data["patch"])) == (session_id, True)


async def follow_the_room_of_a_caller(service: Service) -> None:
    async with _open_room(service, "/stream") as room:
        async for frame in room:
            assert frame.data["type"] == "init"
            break
        session_id = await service.api.new_session()
        await service.api.append(session_id, {"event_type": "note", "text": "hello"})
        async for frame in room:
            if _is_note(frame.data, session_id):
                break

    assert _is_note(room.seen[-1].data, session_id)


def _is_note(frame: JSON, session_id: str) -> bool:
    event: JSON = frame["data"] if frame["type"] == "event" else {}
    return (event.get("session_id"), event.get("type")) == (session_id, "note")


async def open_streams_with_tickets(service: Service) -> None:
    http, session_id = service.api.http, await service.api.new_session()
    project = ok(await http.post("/projects", json={"name": "e2e"}), 201)["id"]

    for owner, first in ((f"sessions/{session_id}", "session.created"), (f"projects/{project}", "init")):
        ticket = ok(await http.post(f"/{owner}/ticket"))["ticket"]
        async with http.stream("GET", f"/{owner}/stream", params={"ticket": ticket}) as response:
            assert response.status_code == 200
            await Stream(response).until(first)
        refusal(await http.get(f"/{owner}/stream", params={"ticket": ticket[:-4]}), 401, "unauthenticated")


async def negotiate_a_signalr_connection(service: Service) -> None:
    session_id = await service.api.new_session()

    response = await service.api.http.post("/negotiate", json={"session_id": session_id})

    if response.status_code == 501:
        assert "SIGNALR_ENDPOINT" in response.json()["detail"]
    else:
        assert ok(response)["accessToken"]


async def negotiate_web_pubsub_connections(service: Service) -> None:
    http = service.api.http
    for protocol in ("socketio", "websocket"):
        response = await http.post(f"/{protocol}/negotiate")
        if response.status_code == 501:
            assert f"{protocol.upper()}_ENDPOINT" in response.json()["detail"]
        else:
            assert ok(response)["url"]

    # Only the service itself may send events.
    asked = await http.options("/socketio/events", headers={"webhook-request-origin": "example.com"})
    assert (asked.status_code, "webhook-allowed-origin" in asked.headers) in {(403, False), (200, True)}
    assert (await http.post("/socketio/events", headers={"ce-signature": "sha256=0"})).status_code in {401, 403, 501}


async def have_the_end_of_a_turn_delivered(service: Service) -> None:
    api = service.api
    async with running_receiver() as receiver:
        body = {"name": "Hooks", "webhooks": [{"url": receiver.url, "events": ["run.complete"]}]}
        response = await api.http.post("/projects", json=body)
        if response.status_code == 422:  # a deployed app sends to public addresses only, and this machine has none
            refusal(response, 422, "invalid_request")
            return
        session_id = await api.new_session(project_id=ok(response, 201)["id"], agent_name="assistant")
        message = await api.run_turn(session_id)

        (received,) = await receiver.wait_for(1)

    assert (received.json["type"], received.json["data"]["turn_id"]) == ("run.complete", message["turn_id"])


async def _create_project(service: Service) -> JSON:
    return ok(await service.api.http.post("/projects", json={"name": "Stories"}), 201)


@asynccontextmanager
async def _open_room(service: Service, path: str) -> AsyncGenerator[Stream]:
    async with service.api.http.stream("GET", path) as response:
        assert response.status_code == 200, await response.aread()
        yield Stream(response)
