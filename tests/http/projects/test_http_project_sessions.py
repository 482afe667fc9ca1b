"""Sessions of a project: one per node, each with its own conversation."""

import asyncio

import pytest

from tests.http.api_client import JSON, Api, new_id, ok, refusal

pytestmark = pytest.mark.anyio


async def _new_project(api: Api) -> str:
    """Create a project; return its path."""
    return f"/projects/{ok(await api.http.post('/projects', json={'name': 'Stories'}), 201)['id']}"


async def _start(api: Api, path: str, **fields: str) -> JSON:
    return ok(await api.http.post(f"{path}/sessions", json={"agent_name": "assistant", **fields}), 201)


async def _start_again(api: Api, path: str, **fields: str) -> JSON:
    return ok(await api.http.post(f"{path}/sessions", json=fields))


async def test_without_a_node_the_session_is_for_the_whole_project(api: Api) -> None:
    path = await _new_project(api)

    response = await api.http.post(f"{path}/sessions")

    session = ok(response, 201)
    assert (session["project_id"], session["node_id"], session["agent_name"]) == (path[10:], None, "vibecoder")
    assert response.headers["location"] == f"/sessions/{session['session_id']}"
    assert response.headers["x-session-id"] == session["session_id"]
    assert (await _start_again(api, path))["session_id"] == session["session_id"]
    assert (await api.session(session["session_id"]))["head"] == 1


@pytest.mark.parametrize("route", ["/sessions", "/events"])
async def test_the_vibecoder_is_the_default_agent_in_a_project(api: Api, route: str) -> None:
    project_id = (await _new_project(api))[10:]

    async def agent_of(**fields: str | None) -> str | None:
        session_id = new_id()
        event = {"event_type": "session_start"} if route == "/events" else {}
        response = await api.http.post(route, json={**event, "session_id": session_id, **fields})
        assert response.status_code in {200, 201}
        return (await api.session(session_id))["agent_name"]

    assert await agent_of(project_id=project_id) == "vibecoder"
    assert await agent_of(project_id=project_id, agent_name="assistant") == "assistant"
    assert await agent_of(project_id="a label") is None
    assert await agent_of() is None


@pytest.mark.parametrize("route", ["/sessions", "/events"])
@pytest.mark.parametrize("agent", [None, "assistant"])
async def test_a_deleted_project_takes_no_session_from_any_route(api: Api, route: str, agent: str | None) -> None:
    path, session_id = await _new_project(api), new_id()
    assert (await api.http.delete(path)).status_code == 204

    event = {"event_type": "session_start"} if route == "/events" else {}
    body = {**event, "session_id": session_id, "project_id": path.rpartition("/")[2], "agent_name": agent}
    refusal(await api.http.post(route, json=body), 404, "project_not_found")

    refusal(await api.http.get(f"/sessions/{session_id}"), 404, "session_not_found")


async def test_each_node_has_its_own_session_that_keeps_its_first_fields(api: Api) -> None:
    path = await _new_project(api)

    writer = await _start(api, path, node_id="writer-1.a", session_name="Writer")
    critic = await _start(api, path, node_id="critic")
    own = await _start(api, path)

    assert len({session["session_id"] for session in (writer, critic, own)}) == 3
    again = await _start_again(api, path, node_id="writer-1.a", session_name="Another", agent_name="vibecoder")
    assert again | {"trace_id": ""} == writer | {"trace_id": ""}
    assert (again["session_name"], again["agent_name"], again["node_id"]) == ("Writer", "assistant", "writer-1.a")


async def test_simultaneous_starts_return_one_session(api: Api) -> None:
    path = await _new_project(api)

    for _ in range(3):
        answers = await asyncio.gather(*(api.http.post(f"{path}/sessions", json={"node_id": "n"}) for _ in range(20)))

        (session_id,) = {answer.json()["session_id"] for answer in answers}
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        await api.http.patch(f"/sessions/{session_id}", json={"archived": True})


async def test_after_an_archived_or_deleted_session_a_new_one_is_started(api: Api) -> None:
    path = await _new_project(api)
    ids: list[str] = []
    for number in range(11):
        session_id = (await _start(api, path, node_id="n"))["session_id"]
        assert (await _start_again(api, path, node_id="n"))["session_id"] == session_id
        ids.append(session_id)
        if number % 2:
            await api.http.patch(f"/sessions/{session_id}", json={"archived": True})
        else:
            await api.http.delete(f"/sessions/{session_id}")

    assert len(set(ids)) == 11
    await api.http.patch(f"/sessions/{ids[9]}", json={"archived": False})
    newest = (await _start(api, path, node_id="n"))["session_id"]  # an unarchived older session is not returned
    assert newest not in ids


async def test_sessions_of_a_project_share_neither_messages_nor_memory(api: Api) -> None:
    path = await _new_project(api)
    one = (await _start(api, path, node_id="one"))["session_id"]
    two = (await _start(api, path, node_id="two"))["session_id"]
    secret = new_id("secret")

    await api.run_turn(one, f"say {secret}", model="fake-5-0")
    await api.run_turn(two, "Hello", model="fake-5-0")

    exported = [(await api.http.get(f"/sessions/{session}/export")).text for session in (one, two)]
    assert [secret in text for text in exported] == [True, False]
    messages = [ok(await api.http.get(f"/sessions/{session}/messages")) for session in (one, two)]
    assert [len(each) for each in messages] == [1, 1]
    # The model counts the tokens it got: the second conversation is as short as it would be alone.
    alone = await api.new_session(agent_name="assistant")
    await api.run_turn(alone, "Hello", model="fake-5-0")
    assert (await api.session(two))["usage"] == (await api.session(alone))["usage"]


async def test_the_projects_sessions_are_listed_and_filtered(api: Api) -> None:
    path = await _new_project(api)
    other = await _new_project(api)
    await _start(api, other)
    one, two, three = [(await _start(api, path, node_id=f"n{number}"))["session_id"] for number in range(3)]
    await api.http.patch(f"/sessions/{two}", json={"archived": True})
    await api.http.delete(f"/sessions/{three}")

    async def listed(query: str = "") -> list[str]:
        page = ok(await api.http.get(f"{path}/sessions?{query}"))
        assert page.keys() == {"sessions", "next_cursor", "trace_id"}
        return [session["session_id"] for session in page["sessions"]]

    assert await listed() == [two, one]
    assert await listed("limit=1") == [two]
    assert await listed("archived=false") == [one]
    assert await listed("agent_name=vibecoder") == []
    refusal(await api.http.get(f"{path}/sessions?limit=0"), 422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [{"node_id": ""}, {"node_id": "a b"}, {"node_id": "a/b"}, {"node_id": "x" * 129}, {"node_id": 1},
     {"session_id": "own"}, {"agent_name": None}, {"session_name": "x" * 257}, {"project_id": "p"}],
)  # fmt: skip
async def test_an_invalid_body_starts_nothing(api: Api, body: JSON) -> None:
    path = await _new_project(api)

    refusal(await api.http.post(f"{path}/sessions", json=body), 422, "invalid_request")

    assert ok(await api.http.get(f"{path}/sessions"))["sessions"] == []


async def test_a_missing_project_has_no_sessions(api: Api) -> None:
    for name in ("prj_none", "x" * 300, "%2e%2e%2f", "a%20b"):
        refusal(await api.http.post(f"/projects/{name}/sessions", json={}), 404, "project_not_found")
        refusal(await api.http.get(f"/projects/{name}/usage"), 404, "project_not_found")
