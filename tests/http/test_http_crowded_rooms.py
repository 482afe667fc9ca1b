"""A crowded room: fifty sessions at work, fifty who watch, and each is told everything once."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.http.driving import Api, new_id, ok
from tests.http.streaming import Frame, Stream

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

SESSIONS = WATCHERS = 50
TOLD_OF_PROJECTS = {"token_usage", "message.complete", "run.complete", "error"}
DROPS_EVERY = 100


async def _talk(api: Api, session_id: str) -> None:
    await api.say(session_id, headers={"prefer": "wait=200"})
    await api.append(session_id, {"event_type": "progress"}, {"event_type": "error", "message": "no"})
    await api.say(session_id, headers={"prefer": "wait=200"})
    await api.append(session_id, {"event_type": "session_stop"})


async def _now(api: Api, path: str) -> str:
    """The cursor behind everything there is."""
    async with api.http.stream("GET", path) as response:
        async for frame in Stream(response):
            return frame.data["cursor"]
    raise AssertionError("the room ended before its first frame")


async def _watch(api: Api, path: str, cursor: str, marker: str, *, drops: bool) -> list[Frame]:
    """Everything until the room tells of the session `marker`; with `drops`, over many connections."""
    seen: list[Frame] = []
    while not seen or marker not in seen[-1].text:
        async with api.http.stream("GET", f"{path}?after={cursor}", timeout=600) as response:
            assert response.status_code == 200, await response.aread()
            async for frame in (stream := Stream(response)):
                seen.append(frame)
                cursor = frame.cursor
                if marker in frame.text or (drops and len(stream.seen) == DROPS_EVERY):
                    break
    return seen


def _told(frames: Sequence[Frame]) -> dict[str, list[tuple[int, str]]]:
    """The places and types of the events that frames tell of, by their sessions, in the order in which they came."""
    told: dict[str, list[tuple[int, str]]] = {}
    for frame in frames:
        data = frame.data
        if data.get("type") == "event":
            event = data["data"]
            told.setdefault(event["session_id"], []).append((event["sequence"], event["type"]))
        elif frame.event in TOLD_OF_PROJECTS:
            told.setdefault(data["session_id"], []).append((data["sequence"], frame.event))
    return told


async def _logged(api: Api, session_id: str, is_told: Callable[[str], bool]) -> list[tuple[int, str]]:
    events = await api.events(session_id)
    return [(event["sequence"], event["type"]) for event in events[1:] if is_told(event["type"])]


@pytest.mark.parametrize("drops", [False, True])
async def test_fifty_watchers_of_fifty_sessions_are_each_told_every_event_once(api: Api, drops: bool) -> None:
    project = ok(await api.http.post("/projects", json={"name": "Crowd"}), 201)["id"]
    sessions = [await api.new_session(project_id=project, agent_name="assistant") for _ in range(SESSIONS)]
    rooms = [f"/projects/{project}/stream" if number % 2 else "/stream" for number in range(WATCHERS)]
    cursors = {path: await _now(api, path) for path in set(rooms)}
    marker = new_id("marker")
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(_watch(api, path, cursors[path], marker, drops=drops)) for path in rooms]
        await asyncio.gather(*(_talk(api, session_id) for session_id in sessions))
        await api.new_session(session_id=marker, project_id=project)

    named = {each: await _logged(api, each, TOLD_OF_PROJECTS.__contains__) for each in sessions}
    whole = {each: await _logged(api, each, lambda kind: kind != "message.delta") for each in sessions}
    for path, frames in zip(rooms, (each.result() for each in watching), strict=True):
        assert len({frame.cursor for frame in frames}) == len(frames)
        told = _told(frames)
        told.pop(marker, None)
        assert told == (whole if path == "/stream" else named)
