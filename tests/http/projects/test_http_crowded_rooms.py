"""A crowded room: fifty watchers of fifty active sessions each get every event once."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.http.api_client import Api, new_id, ok
from tests.http.sse_client import Frame, Stream

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

SESSIONS = WATCHERS = 50
PROJECT_EVENTS = {"token_usage", "message.complete", "run.complete", "error"}
FRAMES_PER_CONNECTION = 100


async def _talk(api: Api, session_id: str) -> None:
    await api.run_turn(session_id, headers={"prefer": "wait=200"})
    await api.append(session_id, {"event_type": "progress"}, {"event_type": "error", "message": "no"})
    await api.run_turn(session_id, headers={"prefer": "wait=200"})
    await api.append(session_id, {"event_type": "session_stop"})


async def _cursor_after(api: Api, path: str, cursor: str, sessions: Sequence[str], *kinds: str) -> str:
    """The cursor after which the room has shown one event of `kinds` for each of `sessions`."""
    left = set(sessions)
    async with api.http.stream("GET", f"{path}?after={cursor}", timeout=600) as response:
        async for frame in Stream(response):
            left.discard(_session_of(frame, kinds))
            if not left:
                return frame.cursor
    raise AssertionError(f"the room ended before it showed {left}")


def _session_of(frame: Frame, kinds: Sequence[str]) -> str:
    """The session of the frame, if its event type or its name is one of `kinds`."""
    data = frame.data
    if frame.event:
        kind, content = frame.event, data.get("session", data)
    elif data["type"] == "event":
        kind, content = data["data"]["type"], data["data"]
    else:
        return ""
    return str(content["session_id"]) if kind in kinds else ""


async def _watch(api: Api, path: str, cursor: str, marker: str, *, reconnects: bool) -> list[Frame]:
    """Read frames until one shows the session `marker`; with `reconnects`, over many connections."""
    seen: list[Frame] = []
    while not seen or marker not in seen[-1].text:
        async with api.http.stream("GET", f"{path}?after={cursor}", timeout=600) as response:
            assert response.status_code == 200, await response.aread()
            async for frame in (stream := Stream(response)):
                seen.append(frame)
                cursor = frame.cursor
                if marker in frame.text or (reconnects and len(stream.seen) == FRAMES_PER_CONNECTION):
                    break
    return seen


def _events_by_session(frames: Sequence[Frame]) -> dict[str, list[tuple[int, str]]]:
    """The sequences and types of the events in the frames, by session, in the order in which they came."""
    events: dict[str, list[tuple[int, str]]] = {}
    for frame in frames:
        data = frame.data
        if data.get("type") == "event":
            event = data["data"]
            events.setdefault(event["session_id"], []).append((event["sequence"], event["type"]))
        elif frame.event in PROJECT_EVENTS:
            events.setdefault(data["session_id"], []).append((data["sequence"], frame.event))
    return events


async def _events_of(api: Api, session_id: str, is_shown: Callable[[str], bool]) -> list[tuple[int, str]]:
    events = await api.events(session_id)
    return [(event["sequence"], event["type"]) for event in events[1:] if is_shown(event["type"])]


@pytest.mark.parametrize("reconnects", [False, True])
async def test_fifty_watchers_of_fifty_sessions_each_get_every_event_once(api: Api, reconnects: bool) -> None:
    project = ok(await api.http.post("/projects", json={"name": "Crowd"}), 201)["id"]
    sessions = [await api.new_session(project_id=project, agent_name="assistant") for _ in range(SESSIONS)]
    rooms = [f"/projects/{project}/stream" if number % 2 else "/stream" for number in range(WATCHERS)]
    created = ("session.created", "session_created")
    cursors = {path: await _cursor_after(api, path, "0", sessions, *created) for path in set(rooms)}
    marker = new_id("marker")
    async with asyncio.TaskGroup() as group:
        watching = [
            group.create_task(_watch(api, path, cursors[path], marker, reconnects=reconnects)) for path in rooms
        ]
        await asyncio.gather(*(_talk(api, session_id) for session_id in sessions))
        # Sessions have no common order: the marker is created after all other events were shown.
        await _cursor_after(api, "/stream", cursors["/stream"], sessions, "session_stop")
        await api.new_session(session_id=marker, project_id=project)

    named = {each: await _events_of(api, each, PROJECT_EVENTS.__contains__) for each in sessions}
    whole = {each: await _events_of(api, each, lambda kind: kind != "message.delta") for each in sessions}
    for path, frames in zip(rooms, (each.result() for each in watching), strict=True):
        assert len({frame.cursor for frame in frames}) == len(frames)
        events = _events_by_session(frames)
        events.pop(marker, None)
        assert events == (whole if path == "/stream" else named)
