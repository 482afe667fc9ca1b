"""A crowded room: fifty sessions at work, fifty who watch, and each is told everything once."""

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
TOLD_OF_PROJECTS = {"token_usage", "message.complete", "run.complete", "error"}
DROPS_EVERY = 100


async def _talk(api: Api, session_id: str) -> None:
    await api.say(session_id, headers={"prefer": "wait=200"})
    await api.append(session_id, {"event_type": "progress"}, {"event_type": "error", "message": "no"})
    await api.say(session_id, headers={"prefer": "wait=200"})
    await api.append(session_id, {"event_type": "session_stop"})


async def _behind(api: Api, path: str, cursor: str, sessions: Sequence[str], *kinds: str) -> str:
    """The cursor behind which the room has told one of `kinds` of each of `sessions`."""
    left = set(sessions)
    async with api.http.stream("GET", f"{path}?after={cursor}", timeout=600) as response:
        async for frame in Stream(response):
            left.discard(_subject(frame, kinds))
            if not left:
                return frame.cursor
    raise AssertionError(f"the room ended before it told of {left}")


def _subject(frame: Frame, kinds: Sequence[str]) -> str:
    """The session of which a frame tells one of `kinds`: an event's type, or the name of a project's frame."""
    data = frame.data
    if frame.event:
        kind, told = frame.event, data.get("session", data)
    elif data["type"] == "event":
        kind, told = data["data"]["type"], data["data"]
    else:
        return ""
    return str(told["session_id"]) if kind in kinds else ""


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
    created = ("session.created", "session_created")
    cursors = {path: await _behind(api, path, "0", sessions, *created) for path in set(rooms)}
    marker = new_id("marker")
    async with asyncio.TaskGroup() as group:
        watching = [group.create_task(_watch(api, path, cursors[path], marker, drops=drops)) for path in rooms]
        await asyncio.gather(*(_talk(api, session_id) for session_id in sessions))
        # There is no order between sessions: the marker is the last when all else is told.
        await _behind(api, "/stream", cursors["/stream"], sessions, "session_stop")
        await api.new_session(session_id=marker, project_id=project)

    named = {each: await _logged(api, each, TOLD_OF_PROJECTS.__contains__) for each in sessions}
    whole = {each: await _logged(api, each, lambda kind: kind != "message.delta") for each in sessions}
    for path, frames in zip(rooms, (each.result() for each in watching), strict=True):
        assert len({frame.cursor for frame in frames}) == len(frames)
        told = _told(frames)
        told.pop(marker, None)
        assert told == (whole if path == "/stream" else named)
