"""Two owners give their sessions the same ids: each has their own, and neither finds out about the other's."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.http.api_client import Api, Host, api_client, new_id, ok, refusal, running_host
from tests.http.process.issuer import Issuer, authorization
from tests.http.sse_client import JSON, Stream, require_public

pytestmark = pytest.mark.anyio


@dataclass
class Caller:
    """One owner, and short names for what owners do."""

    http: httpx2.AsyncClient
    headers: dict[str, str]
    name: str

    async def get(self, path: str) -> httpx2.Response:
        return await self.http.get(path, headers=self.headers)

    async def post(self, path: str, body: JSON, **headers: str) -> httpx2.Response:
        return await self.http.post(path, json=body, headers={**self.headers, **headers})

    async def delete(self, session_id: str) -> None:
        assert (await self.http.delete(f"/sessions/{session_id}", headers=self.headers)).status_code == 204

    async def new_session(self, session_id: str, **fields: Any) -> JSON:
        return ok(await self.post("/sessions", {"session_id": session_id, **fields}), 201)

    async def run_turn(self, session_id: str) -> JSON:
        """Run a turn whose content is the caller's name; return the message."""
        return ok(await self.post(f"/sessions/{session_id}/messages", {"content": self.name}))

    async def read_stream(self, path: str, end: str) -> str:
        """What a stream sends, up to the first frame with the text `end`."""
        text = ""
        async with self.http.stream("GET", path, headers=self.headers) as response:
            async for frame in Stream(response):
                text += f"{frame.event} {frame.text}\n"
                if end in text:
                    return text
        raise AssertionError(f"the stream ended without {end}: {text}")


@pytest.fixture(scope="module")
def issuer() -> Generator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded_host(
    issuer: Issuer, tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]
) -> Generator[Host]:
    env = {**issuer.settings, **store_environment}
    with running_host(tmp_path_factory.mktemp("same_ids"), env) as host:
        yield host


@pytest.fixture
async def api(guarded_host: Host) -> AsyncGenerator[Api]:
    async with api_client(guarded_host) as api:
        yield api


@pytest.fixture
def owners(api: Api, issuer: Issuer) -> tuple[Caller, Caller]:
    """Two owners who have nothing yet."""
    names = (new_id("heron"), new_id("otter"))
    first, second = (Caller(api.http, authorization(issuer.token(name)), name) for name in names)
    return first, second


async def everything_of(caller: Caller, session_id: str) -> str:
    """All that a caller reads of a session and of all sessions, as text."""
    parts = ("", "?include=event_log", "/messages", "/events?limit=1000", "/usage", "/export", "/queue", "/status")
    answers = [await caller.get(f"/sessions/{session_id}{part}") for part in parts]
    answers += [await caller.get(path) for path in ("/sessions", f"/events/{session_id}")]
    texts = [answer.text.replace(answer.headers["x-trace-id"], "") for answer in answers]
    everything = re.sub(r'"exported_at":"[^"]*"', "", "\n".join(texts))
    require_public(everything)
    return everything


async def test_two_owners_have_independent_sessions_of_one_id(owners: tuple[Caller, Caller]) -> None:
    first, second = owners
    session_id = new_id()

    for owner in owners:
        assert (await owner.new_session(session_id, session_name=owner.name))["session_id"] == session_id
    messages = [await owner.run_turn(session_id) for owner in owners]

    for owner, other, message in zip(owners, (second, first), messages, strict=True):
        text = await everything_of(owner, session_id)
        assert owner.name in text
        assert other.name not in text
        assert (message["session_id"], message["status"]) == (session_id, "completed")
        assert ok(await owner.get(f"/messages/{message['message_id']}"))["content"] == owner.name
        refusal(await other.get(f"/messages/{message['message_id']}"), 404, "message_not_found")
        listed = ok(await owner.get("/sessions"))["sessions"]
        assert [each["session_name"] for each in listed] == [owner.name]


Step = Callable[[Caller, str], Awaitable[httpx2.Response]]


async def _create(caller: Caller, session_id: str) -> httpx2.Response:
    return await caller.post("/sessions", {"session_id": session_id})


async def _create_with_key(caller: Caller, session_id: str) -> httpx2.Response:
    return await caller.post("/sessions", {"session_id": session_id}, **{"idempotency-key": session_id})


async def _start(caller: Caller, session_id: str) -> httpx2.Response:
    return await caller.post("/events", {"event_type": "session_start", "session_id": session_id})


async def _append(caller: Caller, session_id: str) -> httpx2.Response:
    return await caller.post("/events", {"event_type": "note", "session_id": session_id})


def _shown(response: httpx2.Response) -> tuple[int, JSON]:
    """An answer without what differs between any two requests."""
    varying = {"trace_id", "created_at", "updated_at"}
    return response.status_code, {name: value for name, value in response.json().items() if name not in varying}


@pytest.mark.parametrize("step", [_create, _create_with_key, _start, _append])
@pytest.mark.parametrize("is_deleted", [False, True])
async def test_whether_another_owner_has_or_had_an_id_shows_in_no_answer(
    owners: tuple[Caller, Caller], step: Step, is_deleted: bool
) -> None:
    first, second = owners
    taken, free = new_id(), new_id()
    ok(await _create_with_key(first, taken), 201)
    if is_deleted:
        await first.delete(taken)

    answers = [await step(second, session_id) for session_id in (taken, free)]

    (status, of_taken), (_, of_free) = (_shown(answer) for answer in answers)
    assert status == answers[1].status_code
    assert str(of_taken).replace(taken, "id") == str(of_free).replace(free, "id")


async def test_an_owner_deletes_only_their_own_session(owners: tuple[Caller, Caller]) -> None:
    first, second = owners
    session_id = new_id()
    for owner in owners:
        await owner.new_session(session_id)
        await owner.run_turn(session_id)
    of_second = await everything_of(second, session_id)

    await first.delete(session_id)

    refusal(await first.get(f"/sessions/{session_id}"), 404, "session_not_found")
    refusal(await _create(first, session_id), 409, "session_deleted")
    refusal(await _create(second, session_id), 409, "session_exists")
    assert await everything_of(second, session_id) == of_second
    assert (await second.run_turn(session_id))["status"] == "completed"


async def test_streams_and_rooms_show_only_what_is_the_callers(owners: tuple[Caller, Caller]) -> None:
    first, second = owners
    session_id = new_id()
    for owner in owners:
        await owner.new_session(session_id)
        await owner.run_turn(session_id)
        await owner.delete(session_id)
        await owner.new_session(f"{session_id}:last")
        await owner.run_turn(f"{session_id}:last")

    for owner, other in ((first, second), (second, first)):
        texts = [
            await owner.read_stream("/stream?after=0", "run.complete"),
            await owner.read_stream(f"/sessions/{session_id}:last/stream", "done"),
            await owner.read_stream(f"/sessions/{session_id}:last/stream?format=envelope", "done"),
        ]
        assert all(session_id in text and owner.name in text and other.name not in text for text in texts)


async def test_a_turn_of_one_owner_is_not_cancelled_by_another(owners: tuple[Caller, Caller]) -> None:
    first, second = owners
    session_id, slow = new_id(), {"content": "slow", "model": "fake-1000-50"}
    for owner in owners:
        await owner.new_session(session_id)
    message = ok(await first.post(f"/sessions/{session_id}/messages", slow, prefer="respond-async"), 202)

    receipt = ok(await second.post(f"/sessions/{session_id}/cancel", {"turn_id": message["turn_id"]}))

    assert receipt["status"] == "idle"
    assert ok(await first.get(f"/sessions/{session_id}"))["state"] == "running"
    ok(await first.post(f"/sessions/{session_id}/cancel", {}, prefer="wait=30"))


async def test_a_fork_belongs_to_its_owner_and_names_its_source(owners: tuple[Caller, Caller]) -> None:
    first, second = owners
    session_id = new_id()
    for owner in owners:
        await owner.new_session(session_id, session_name=owner.name)
        await owner.run_turn(session_id)

    fork = ok(await first.post(f"/sessions/{session_id}/fork", {}), 201)

    assert fork["forked_from"]["session_id"] == session_id
    assert fork["session_name"] == first.name
    refusal(await second.get(f"/sessions/{fork['session_id']}"), 404, "session_not_found")
    text = await everything_of(first, fork["session_id"])
    assert second.name not in text


async def test_two_owners_with_one_idempotency_key_get_projects_and_sessions_of_their_own(
    owners: tuple[Caller, Caller],
) -> None:
    first, second = owners
    key = {"idempotency-key": new_id()}

    projects = [ok(await owner.post("/projects", {"name": "p"}, **key), 201)["id"] for owner in owners]
    started = [
        ok(await owner.post(f"/projects/{project}/sessions", {"node_id": "n"}, **key), 201)["session_id"]
        for owner, project in zip(owners, projects, strict=True)
    ]

    assert len({*projects, *started}) == 4
    for owner, project, session_id in zip((second, first), projects, started, strict=True):
        refusal(await owner.get(f"/projects/{project}"), 404, "project_not_found")
        # The id follows from the project: another owner can only make a session of their own with it.
        ok(await _create(owner, session_id), 201)
    again = await first.post(f"/projects/{projects[0]}/sessions", {"node_id": "n"})
    assert ok(again)["project_id"] == projects[0]
