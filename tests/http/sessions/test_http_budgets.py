"""Budgets: what may be used in all, what is left, and what happens when nothing is left."""

import asyncio
from typing import Any

import pytest

from tests.http.api_client import JSON, Api, ok, refusal

pytestmark = pytest.mark.anyio

TOOL = 'call calculate {"expression": "6*7"}'


async def _new_project(api: Api, **fields: Any) -> JSON:
    return ok(await api.http.post("/projects", json={"name": "Budgets", **fields}), 201)


async def _patch(api: Api, path: str, **fields: Any) -> JSON:
    return ok(await api.http.patch(path, json=fields))


async def _in_project(api: Api, project: JSON) -> str:
    return await api.new_session(project_id=project["id"], agent_name="assistant")


async def test_a_session_shows_its_budget_and_what_is_left(api: Api) -> None:
    session_id = await api.new_session(budget={"total_tokens": 1000})

    message = await api.run_turn(session_id)

    left = 1000 - message["usage"]["total_tokens"]
    assert (await api.session(session_id))["budget"] == {"total_tokens": 1000, "left_tokens": left}
    usage = ok(await api.http.get(f"/sessions/{session_id}/usage"))
    assert usage["budget"] == {"total_tokens": 1000, "left_tokens": left}


async def test_an_exhausted_session_refuses_messages_and_writes_nothing(api: Api) -> None:
    session_id = await api.new_session(budget={"total_tokens": 1})
    assert (await api.run_turn(session_id))["status"] == "completed"
    before = await api.events(session_id)

    for on_busy in ("enqueue", "steer", "reject"):
        refusal(await api.post(session_id, on_busy=on_busy), 409, "budget_exceeded")

    assert await api.events(session_id) == before
    assert (await api.session(session_id))["budget"] == {"total_tokens": 1, "left_tokens": 0}


async def test_a_higher_budget_or_none_lets_a_session_continue(api: Api) -> None:
    session_id = await api.new_session(budget={"total_tokens": 1})
    used = (await api.run_turn(session_id))["usage"]["total_tokens"]

    raised = await _patch(api, f"/sessions/{session_id}", budget={"total_tokens": used + 1})
    await api.run_turn(session_id)
    refusal(await api.post(session_id), 409, "budget_exceeded")
    removed = await _patch(api, f"/sessions/{session_id}", budget=None)

    assert raised["budget"] == {"total_tokens": used + 1, "left_tokens": 1}
    assert removed["budget"] is None
    assert (await api.run_turn(session_id))["status"] == "completed"
    updates = [event["data"] for event in await api.events(session_id) if event["type"] == "session.updated"]
    assert [update["budget"] for update in updates] == [{"total_tokens": used + 1}, None]


async def test_a_turn_whose_budget_is_exhausted_between_its_steps_fails(api: Api) -> None:
    session_id = await api.new_session(budget={"total_tokens": 1})

    message = await api.run_turn(session_id, TOOL)

    events = [event for event in await api.events(session_id) if event["turn_id"] == message["turn_id"]]
    (error,) = [event["data"] for event in events if event["type"] == "error"]
    assert (message["status"], message["error"]["code"], error["code"]) == ("failed", *["budget_exceeded"] * 2)
    assert (events[-1]["type"], events[-1]["data"]["status"]) == ("run.complete", "failed")
    assert events[-1]["data"]["error"]["code"] == "budget_exceeded"
    assert sum(event["type"] == "token_usage" for event in events) == 1
    assert ok(await api.model.get("/stats"))["requests"] == 1


async def test_a_fork_has_the_budget_and_has_used_nothing_of_it(api: Api) -> None:
    session_id = await api.new_session(budget={"total_tokens": 5})
    await api.run_turn(session_id)

    fork = ok(await api.http.post(f"/sessions/{session_id}/fork", json={}), 201)

    assert fork["budget"] == {"total_tokens": 5, "left_tokens": 5}
    assert (await api.run_turn(fork["session_id"]))["status"] == "completed"


async def test_the_sessions_of_a_project_share_its_budget(api: Api) -> None:
    project = await _new_project(api, budget={"total_tokens": 1})
    one, two = await _in_project(api, project), await _in_project(api, project)
    elsewhere = await _in_project(api, await _new_project(api))

    used = (await api.run_turn(one))["usage"]["total_tokens"]

    for session_id in (one, two):
        refusal(await api.post(session_id), 409, "budget_exceeded")
    assert (await api.run_turn(elsewhere))["status"] == "completed"
    usage = ok(await api.http.get(f"/projects/{project['id']}/usage"))
    assert usage["usage"]["total_tokens"] == used
    assert usage["budget"] == {"total_tokens": 1, "left_tokens": 0}


async def test_a_budget_of_a_project_can_be_set_raised_and_removed(api: Api) -> None:
    project = await _new_project(api)
    path, session_id = f"/projects/{project['id']}", await _in_project(api, project)
    used = (await api.run_turn(session_id))["usage"]["total_tokens"]

    changed = await _patch(api, path, budget={"total_tokens": used})
    refusal(await api.post(session_id), 409, "budget_exceeded")
    await _patch(api, path, budget={"total_tokens": used + 1})
    await api.run_turn(session_id)
    refusal(await api.post(session_id), 409, "budget_exceeded")
    removed = await _patch(api, path, budget=None)

    assert (project["budget"], changed["budget"], removed["budget"]) == (None, {"total_tokens": used}, None)
    assert (await api.run_turn(session_id))["status"] == "completed"
    assert removed["revision"] == project["revision"] + 3, "turns do not change the project"


async def test_of_two_turns_at_once_one_spends_the_last_tokens_of_their_project(api: Api) -> None:
    project = await _new_project(api, budget={"total_tokens": 50})
    sessions = [await _in_project(api, project) for _ in range(2)]
    first = await api.start_turn(sessions[0], model="fake-100-20")
    await api.wait_for_event(sessions[0], "message.delta")

    during = refusal(await api.post(sessions[1]), 409, "budget_exceeded")
    queued = await api.start_turn(sessions[0])
    await api.wait_until_idle(sessions[0])

    after = refusal(await api.post(sessions[1]), 409, "budget_exceeded")
    assert ("reserved" in during["detail"], "has used" in after["detail"]) == (True, True)
    assert (await api.message(first["message_id"]))["status"] == "completed"
    assert (await api.message(queued["message_id"]))["error"]["code"] == "budget_exceeded"


async def test_calls_at_once_that_fit_into_the_budget_all_run(api: Api) -> None:
    project = await _new_project(api, budget={"total_tokens": 1_000_000})
    sessions = [await _in_project(api, project) for _ in range(6)]

    messages = await asyncio.gather(*(api.run_turn(session_id, TOOL) for session_id in sessions))

    assert {message["status"] for message in messages} == {"completed"}
    used = sum(message["usage"]["total_tokens"] for message in messages)
    usage = ok(await api.http.get(f"/projects/{project['id']}/usage"))
    assert usage["budget"] == {"total_tokens": 1_000_000, "left_tokens": 1_000_000 - used}


WRONG: list[Any] = [5, "5", {}, {"total_tokens": 0}, {"total_tokens": True}, {"total_tokens": 5, "x": 1}]


@pytest.mark.parametrize("budget", WRONG)
async def test_a_wrong_budget_is_refused(api: Api, budget: Any) -> None:
    session_id, project = await api.new_session(), await _new_project(api)
    requests: list[tuple[str, str, JSON]] = [("POST", "/sessions", {}), ("PATCH", f"/sessions/{session_id}", {})]
    requests += [("POST", "/projects", {"name": "A"}), ("PATCH", f"/projects/{project['id']}", {})]

    for method, path, fields in requests:
        response = await api.http.request(method, path, json={**fields, "budget": budget})
        assert refusal(response, 422, "invalid_request")["errors"][0]["pointer"].startswith("/budget")
