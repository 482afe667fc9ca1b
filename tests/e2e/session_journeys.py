"""Journeys of sessions: create, find, change, append outside events, fork, export, delete; and the API reference."""

import json
import re

from tests.e2e.service import Service
from tests.http.api_client import is_gapless, new_id, ok, refusal, types

JSON_BODY = {"content-type": "application/json"}


async def check_readiness_and_reference(service: Service) -> None:
    http = service.api.http

    assert ok(await http.get("/health"))["status"] == "ok"
    assert ok(await http.get("/ready"))["checks"] == {"store": "ok", "task_hub": "ok", "model": "ok"}
    description = ok(await http.get("/api/openapi.json"))
    assert description["paths"]["/sessions/{session_id}/messages"].keys() == {"get", "post"}
    page = await http.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    script = await http.get("/api/docs/docs.js")
    assert (script.status_code, "docs.js" in page.text) == (200, True)
    agents = ok(await http.get("/agents"))
    assert agents["default"] in {agent["name"] for agent in agents["agents"]}


async def open_the_console(service: Service) -> None:
    http = service.api.http

    page = await http.get("/", headers={"accept": "text/html"})

    assert page.headers["content-type"].startswith("text/html")
    assert (await http.get("/console")).text == page.text
    (path,) = re.findall(r'<script type="module" src="([^"]+)"', page.text)
    script = await http.get(path)
    assert (script.status_code, script.headers["content-type"].split(";")[0]) == (200, "text/javascript")
    assert ok(await http.get("/"))["links"]["console"] == "/console"


async def create_change_and_delete_a_session(service: Service) -> None:
    http, session_id, tag = service.api.http, new_id("e2e"), new_id()
    created = await http.post("/sessions", json={"session_id": session_id, "metadata": {"tag": tag}})
    assert ok(created, 201)["session_id"] == session_id
    refusal(await http.post("/sessions", json={"session_id": session_id}), 409, "session_exists")

    changed = ok(await http.patch(f"/sessions/{session_id}", json={"session_name": "Renamed"}))

    assert ok(await http.get(created.headers["location"]))["session_name"] == changed["session_name"] == "Renamed"
    (listed,) = ok(await http.get(f"/sessions?metadata.tag={tag}"))["sessions"]
    assert listed["session_id"] == session_id
    refusal(await http.get(f"/sessions/{session_id}/result"), 404, "not_finished")
    deleted = await http.delete(f"/sessions/{session_id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    refusal(await http.get(f"/sessions/{session_id}"), 404, "session_not_found")
    assert ok(await http.get(f"/sessions/{session_id}/status"))["status"] == "not_existent"


async def send_invalid_requests(service: Service) -> None:
    http = service.api.http

    problem = refusal(await http.post("/sessions", json={"session_nam": "typo"}), 422, "invalid_request")

    assert [error["pointer"] for error in problem["errors"]] == ["/session_nam"]
    refusal(await http.post("/sessions", content=b"{", headers=JSON_BODY), 400, "malformed_json")
    assert (await http.get("/nowhere")).status_code == 404


async def append_events_while_another_client_follows(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()

    async with api.stream(session_id, "follow=true") as stream:
        await stream.until("session.created")
        for number in (1, 2):
            await api.append(session_id, {"event_type": "build.progress", "number": number})
            assert (await stream.until("build.progress")).data["number"] == number

    page = ok(await api.http.get(f"/sessions/{session_id}/events?types=build.*"))
    assert [event["number"] for event in page["events"]] == [1, 2]
    await api.append(session_id, {"event_type": "session_stop"})
    assert [frame.event for frame in await api.read(session_id)][-2:] == ["session_stop", "done"]


async def append_and_list_flat_events(service: Service) -> None:
    http, session_id = service.api.http, new_id("e2e")
    for event in ({"event_type": "session_start", "session_name": "Old"}, {"event_type": "note", "text": "hello"}):
        assert ok(await http.post("/events", json={"session_id": session_id, **event}))["ok"] is True

    last = ok(await http.get(f"/events/{session_id}"))["events"][-1]

    assert (last["event_type"], last["text"], last["session_name"]) == ("note", "hello", "Old")


async def fork_and_export_a_session(service: Service) -> None:
    api = service.api
    session_id = await api.new_session()
    message = await api.run_turn(session_id, "Say hello.")

    fork = ok(await api.http.post(f"/sessions/{session_id}/fork", json={}), 201)

    assert fork["forked_from"]["session_id"] == session_id
    (copied,) = ok(await api.http.get(f"/sessions/{fork['session_id']}/messages"))
    assert copied["answer"] == message["answer"]
    events, copies = await api.events(session_id), await api.events(fork["session_id"])
    assert is_gapless(events)
    assert types(copies) == types(events)
    export = await api.http.get(f"/sessions/{session_id}/export")
    assert export.headers["content-type"] == "application/x-ndjson"
    assert message["answer"] in "".join(str(json.loads(line)) for line in export.text.splitlines())
