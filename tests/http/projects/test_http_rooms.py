"""Rooms: one stream of all sessions of a project, or of all sessions of a caller."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.domain.media import picture_of
from tests.http.api_client import TIMEOUT_SECONDS, Api, api_client, new_id, ok, refusal, running_host
from tests.http.sse_client import JSON, Frame, Stream, names
from turnlog.domain.events import DELTA_TYPES

pytestmark = pytest.mark.anyio

STOP = {"event_type": "session_stop"}


@asynccontextmanager
async def _open_room(api: Api, path: str = "/stream", query: str = "", **headers: str) -> AsyncGenerator[Stream]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.http.stream("GET", f"{path}?{query}", headers=sent) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


async def _new_project(api: Api) -> tuple[str, str]:
    """Create a project; return its id and the path of its room."""
    project = ok(await api.http.post("/projects", json={"name": "Rooms"}), 201)["id"]
    return project, f"/projects/{project}/stream"


async def _until(stream: Stream, is_wanted: Callable[[Frame], object]) -> Frame:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        async for frame in stream:
            if is_wanted(frame):
                return frame
    raise AssertionError(f"the stream ended: {names(stream.seen)}")


async def _read_until_finished(stream: Stream, sessions: set[str]) -> list[Frame]:
    """Read frames until each of `sessions` is finished; return all of them."""
    left = set(sessions)

    def is_last(frame: Frame) -> bool:
        data = frame.data
        if (frame.event or data.get("type")) == "session_updated" and data["session"]["status"] == "finished":
            left.discard(data["session"]["session_id"])
        return not left

    await _until(stream, is_last)
    return stream.seen


def _events(frames: list[Frame], session_id: str) -> list[JSON]:
    """The events of a session in unnamed frames."""
    return [
        frame.data["data"]
        for frame in frames
        if frame.data["type"] == "event" and frame.data["data"]["session_id"] == session_id
    ]


async def _visible_events(api: Api, session_id: str) -> list[JSON]:
    return [event for event in await api.events(session_id) if event["type"] not in DELTA_TYPES]


def _session_in(frame: Frame) -> str:
    data = frame.data
    return str(data["session"]["session_id"] if "session" in data else data["session_id"])


async def test_the_room_of_a_caller_shows_a_session_from_creation_to_end(api: Api) -> None:
    session_id = new_id()
    async with _open_room(api) as stream:
        first = await _until(stream, lambda _: True)
        session = ok(await api.http.post("/sessions", json={"session_id": session_id}), 201)
        await api.append(session_id, {"event_type": "progress", "percent": 40})
        await api.append(session_id, STOP)
        frames = await _read_until_finished(stream, {session_id})

    log = await api.events(session_id)
    mine = [frame.data for frame in frames if session_id in frame.text]
    assert first.data["type"] == "init"
    assert first.data["cursor"] == first.cursor
    assert {frame.event for frame in frames} == {None}
    assert [each["type"] for each in mine] == ["session_created", "event", "event", "event", "session_updated"]
    changed = {"trace_id", "head", "updated_at", "status"}  # the state at that time or later
    assert {**mine[0]["session"], **dict.fromkeys(changed)} == {**session, **dict.fromkeys(changed)}
    assert [each["data"] for each in mine[1:4]] == log
    assert log[1]["percent"] == 40
    assert mine[4]["session"]["status"] == "finished"


async def test_a_session_that_a_run_creates_is_shown_from_creation_to_end(api: Api) -> None:
    session_id = new_id()
    body = {"threadId": session_id, "runId": "run", "messages": [{"id": "m1", "role": "user", "content": "Hello"}]}
    async with _open_room(api) as stream:
        await _until(stream, lambda _: True)
        await api.http.post("/ag-ui/assistant", json=body)
        frames = await _read_until_finished(stream, {session_id})

    mine = [frame.data for frame in frames if session_id in frame.text]
    assert [each["type"] for each in mine].count("session_created") == 1
    assert mine[0]["type"] == "session_created"
    assert _events(frames, session_id) == await _visible_events(api, session_id)


async def test_the_room_of_a_project_shows_only_its_sessions(api: Api) -> None:
    project, path = await _new_project(api)
    other = await api.new_session(project_id=new_id("project"))
    async with _open_room(api, path) as stream:
        await _until(stream, lambda frame: frame.event == "init")
        session_id = await api.new_session(project_id=project, agent_name="assistant")
        await api.run_turn(other)
        await api.run_turn(session_id)
        await api.http.patch(f"/sessions/{session_id}", json={"session_name": "renamed"})
        await _until(stream, lambda _: names(stream.seen).count("session_updated") == 3)
        await api.http.delete(f"/sessions/{session_id}")
        await _until(stream, lambda frame: frame.event == "session_deleted")

    assert names(stream.seen) == [
        "init",
        "session_created",
        "session_updated",  # the message, and its turn
        "message.complete",
        "token_usage",
        "run.complete",
        "session_updated",
        "session_updated",  # its name
        "session_deleted",
    ]
    assert {_session_in(frame) for frame in stream.seen[1:]} == {session_id}
    assert [frame.data["sequence"] for frame in stream.seen[3:6]] == sorted(
        frame.data["sequence"] for frame in stream.seen[3:6]
    )
    assert stream.seen[3].data["text"]
    states = [frame.data["session"]["state"] for frame in stream.seen if frame.event == "session_updated"]
    assert states in (["running", "idle", "idle"], ["idle"] * 3)  # the state at that time or later


async def test_the_first_frame_has_the_sessions_that_are_not_archived_and_a_cursor(api: Api) -> None:
    project, path = await _new_project(api)
    listed, archived = await api.new_session(project_id=project), await api.new_session(project_id=project)
    await api.http.patch(f"/sessions/{archived}", json={"archived": True})
    async with _open_room(api, path) as stream:
        init = await _until(stream, lambda frame: frame.event == "init")
    await api.append(listed, STOP)

    async with _open_room(api, path, f"after={init.data['cursor']}") as stream:
        await _read_until_finished(stream, {listed})

    assert init.cursor == init.data["cursor"]
    assert [each["session_id"] for each in init.data["sessions"]] == [listed]
    assert stream.seen[-1].event == "session_updated"


async def test_an_answer_too_large_for_its_event_is_sent_whole(api: Api) -> None:
    project, path = await _new_project(api)
    session_id = await api.new_session(project_id=project, agent_name="assistant")

    message = await api.run_turn(session_id, model="fake-8000-0")

    async with _open_room(api, path, "after=0") as stream:
        complete = await _until(stream, lambda frame: frame.event == "message.complete")
    assert len(message["answer"]) > 32 * 1024
    assert complete.data["text"] == message["answer"]


async def test_a_picture_too_large_for_its_event_is_sent_whole_to_the_room_of_its_owner(api: Api) -> None:
    content = [picture_of(600_000)]
    session_id = await api.new_session()

    await api.run_turn(session_id, content, model="fake-1-0")

    async with _open_room(api, query="after=0") as stream:
        frame = await _until(stream, lambda frame: frame.data["type"] == "event" and _is_of(frame, session_id))
    assert frame.data["data"]["data"]["content"] == content


def _is_of(frame: Frame, session_id: str) -> bool:
    event = frame.data["data"]
    return (event["type"], event["session_id"]) == ("user_message", session_id)


async def test_resuming_after_any_frame_loses_and_repeats_nothing(api: Api) -> None:
    project, path = await _new_project(api)
    sessions = [await api.new_session(project_id=project) for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        for session_id in sessions:
            group.create_task(_talk(api, session_id))
    async with _open_room(api, "/stream", "after=0") as stream:
        await _read_until_stopped(stream, sessions)
    marker = await api.new_session(project_id=project)
    async with _open_room(api, path, "after=0") as stream:
        await _until(stream, lambda frame: marker in frame.text)
        named = stream.seen
    async with _open_room(api, "/stream", "after=0") as stream:
        await _until(stream, lambda frame: marker in frame.text)
        unnamed = stream.seen

    for session_id in sessions:
        assert _events(unnamed, session_id) == await _visible_events(api, session_id)
    for whole, where in ((named, path), (unnamed[-100:], "/stream")):
        assert len({frame.cursor for frame in whole}) == len(whole)
        for index in range(len(whole) - 1):
            seen = {"last_event_id": whole[index].cursor} if index % 2 else {}
            query = "after=0" if seen else f"after={whole[index].cursor}"
            async with _open_room(api, where, query, **seen) as stream:
                following = [await _until(stream, lambda _: True) for _ in range(min(3, len(whole) - index - 1))]
            assert [frame.cursor for frame in following] == [
                frame.cursor for frame in whole[index + 1 : index + 1 + len(following)]
            ]
            assert names(following) == names(whole[index + 1 : index + 1 + len(following)])


async def test_a_watcher_that_reconnects_after_each_frame_sees_everything_once(api: Api) -> None:
    project, path = await _new_project(api)
    sessions = [await api.new_session(project_id=project) for _ in range(4)]
    seen: list[Frame] = []
    async with asyncio.TaskGroup() as group:
        for session_id in sessions:
            group.create_task(_talk(api, session_id))
        while sum(frame.event == "run.complete" for frame in seen) < 2 * len(sessions):
            cursor = seen[-1].cursor if seen else "0"
            async with _open_room(api, path, last_event_id=cursor) as stream:
                seen.append(await _until(stream, lambda _: True))

    async with _open_room(api, path, "after=0") as stream:
        whole = [await _until(stream, lambda _: True) for _ in seen]
    assert [(frame.cursor, frame.event) for frame in seen] == [(frame.cursor, frame.event) for frame in whole]


async def _talk(api: Api, session_id: str) -> None:
    await api.run_turn(session_id)
    await api.append(session_id, {"event_type": "progress"}, {"event_type": "error", "message": "no"})
    await api.run_turn(session_id)
    await api.append(session_id, STOP)


async def test_many_watchers_see_every_event_and_idle_watchers_delay_nobody(api: Api) -> None:
    sessions = {await api.new_session() for _ in range(12)}
    async with asyncio.TaskGroup() as group, _open_room(api) as idle, _open_room(api) as idle_later:
        await _until(idle, lambda _: True)
        watching = [group.create_task(_watch(api, sessions)) for _ in range(12)]
        watched = [await each for each in [group.create_task(_talk(api, session)) for session in sessions]]
        seen = [await each for each in watching]
        await _until(idle_later, lambda frame: frame.data["type"] == "event")

    assert len(watched) == 12
    for session_id in sessions:
        log = await _visible_events(api, session_id)
        for frames in seen:
            assert _events(frames, session_id) == log[1:]


async def _watch(api: Api, sessions: set[str]) -> list[Frame]:
    """Read all frames from the creation of `sessions` to the last stop."""
    cursor = await _cursor_after_creation(api, sessions)
    async with _open_room(api, "/stream", f"after={cursor}") as stream:
        await _read_until_stopped(stream, sessions)
        return stream.seen


async def _read_until_stopped(stream: Stream, sessions: Iterable[str]) -> None:
    """Read frames until each of `sessions` has stopped."""
    left = set(sessions)

    def is_last(frame: Frame) -> bool:
        data = frame.data
        if data["type"] == "event" and data["data"]["type"] == "session_stop":
            left.discard(data["data"]["session_id"])
        return not left

    await _until(stream, is_last)


async def _cursor_after_creation(api: Api, sessions: set[str]) -> str:
    """The cursor after the creation of all `sessions`."""
    left = set(sessions)
    async with _open_room(api, "/stream", "after=0") as stream:

        def is_last(frame: Frame) -> bool:
            data = frame.data
            if data["type"] == "event" and data["data"]["type"] == "session.created":
                left.discard(data["data"]["session_id"])
            return not left

        return (await _until(stream, is_last)).cursor


async def test_of_a_deleted_session_later_watchers_see_only_the_deletion(api: Api) -> None:
    project, path = await _new_project(api)
    session_id = await api.new_session(project_id=project)
    await api.run_turn(session_id)
    await api.http.delete(f"/sessions/{session_id}")
    async with _open_room(api, path, "after=0") as stream:
        await _until(stream, lambda frame: frame.event == "session_deleted")
    last = await api.new_session(project_id=project)

    async with _open_room(api, path, "after=0") as stream:
        await _until(stream, lambda frame: frame.event == "session_created" and _session_in(frame) == last)

    assert (names(stream.seen), _session_in(stream.seen[0])) == (["session_deleted", "session_created"], session_id)


@pytest.mark.parametrize("cursor", ["", "abc", "-1", "1~", "1~x", "~1", "1~99999", "9" * 3000])
async def test_an_invalid_room_cursor_is_refused(api: Api, cursor: str) -> None:
    for path in ("/stream", (await _new_project(api))[1]):
        refusal(await api.http.get(path, params={"after": cursor}), 422, "invalid_request")
        refusal(await api.http.get(path, headers={"last-event-id": cursor}), 422, "invalid_request")


async def test_a_cursor_beyond_the_end_continues_from_now(api: Api) -> None:
    project, path = await _new_project(api)
    async with _open_room(api, path, "after=999999999") as stream:
        session_id = await api.new_session(project_id=project)

        assert _session_in(await _until(stream, lambda _: True)) == session_id


async def test_a_planned_end_asks_to_resume(tmp_path: Path, store_environment: dict[str, str]) -> None:
    with running_host(tmp_path, {"STREAM_MAX_SECONDS": "1", **store_environment}) as host:
        async with api_client(host) as api:
            text = (await api.http.get("/stream")).text

    assert text.endswith("retry: 500\n\n")
    assert "event: done" not in text


async def test_another_owner_sees_nothing_of_a_room_of_the_same_name(
    tmp_path: Path, store_environment: dict[str, str]
) -> None:
    env = {"AUTH_MODE": "easyauth", "WEBSITE_AUTH_ENABLED": "True", **store_environment}
    with running_host(tmp_path, env) as host:
        async with api_client(host) as api:
            mine, theirs = _identity(), _identity()
            response = await api.http.post("/projects", json={"name": "Mine"}, headers=mine)
            project, path = ok(response, 201)["id"], f"/projects/{response.json()['id']}/stream"
            for caller in (mine, theirs):  # for the other caller it is only a label
                ok(await api.http.post("/sessions", json={"project_id": project}, headers=caller), 201)
            refusal(await api.http.get(path, headers=theirs), 404, "project_not_found")
            rooms = [(path, mine), ("/stream", mine), ("/stream", theirs)]
            seen = [await _only_session(api, each, caller) for each, caller in rooms]

            assert (await api.http.get("/stream")).status_code == 401

    assert seen[0] == seen[1] != seen[2]


async def _only_session(api: Api, path: str, caller: dict[str, str]) -> str:
    """The only session in `init` and in all kept frames. It is stopped here, so that the frames have an end."""
    async with api.http.stream("GET", path, headers=caller) as response:
        init = await _until(Stream(response), lambda _: True)
    async with api.http.stream("GET", f"{path}?after=0", headers=caller) as response:
        stream = Stream(response)
        created = await _until(stream, lambda _: True)
        session_id = _session_in(created)
        await api.http.post(f"/sessions/{session_id}/events", json=[STOP], headers=caller)
        frames = await _read_until_finished(stream, {session_id})
    assert [each["session_id"] for each in init.data["sessions"]] == [session_id]
    assert all(session_id in frame.text for frame in frames)
    return session_id


def _identity() -> dict[str, str]:
    claims = [{"typ": "oid", "val": secrets.token_hex(8)}]
    return {"x-ms-client-principal": base64.b64encode(json.dumps({"claims": claims}).encode()).decode()}


async def test_a_fork_is_shown_as_a_new_session(api: Api) -> None:
    project, path = await _new_project(api)
    source = await api.new_session(project_id=project)
    await api.run_turn(source)

    fork = ok(await api.http.post(f"/sessions/{source}/fork"), 201)["session_id"]

    async with _open_room(api, path, "after=0") as stream:
        created = [await stream.until("session_created") for _ in range(2)]
    assert {frame.data["session"]["session_id"] for frame in created} == {source, fork}
