"""Usage: the tokens that the model server counted, by agent and by model, however a turn ended."""

import pytest

from tests.http.api_client import JSON, Api, ok, refusal
from turnlog.domain.values import Usage

pytestmark = pytest.mark.anyio

NOTHING = Usage().model_dump()


async def _new_project(api: Api) -> str:
    """Create a project; return its path."""
    return f"/projects/{ok(await api.http.post('/projects', json={'name': 'Costs'}), 201)['id']}"


async def _start_session(api: Api, path: str, node_id: str) -> str:
    body = {"node_id": node_id, "agent_name": "assistant"}
    return ok(await api.http.post(f"{path}/sessions", json=body), 201)["session_id"]


async def _recorded_usage(api: Api, session_id: str) -> list[JSON]:
    """The data of every `token_usage` in the log."""
    return [event["data"] for event in await api.events(session_id) if event["type"] == "token_usage"]


def _sum_of(counts: list[JSON]) -> JSON:
    return {name: sum(count[name] for count in counts) for name in NOTHING}


async def test_a_project_without_sessions_has_used_nothing(api: Api) -> None:
    path = await _new_project(api)

    usage = ok(await api.http.get(f"{path}/usage"))

    assert usage.pop("trace_id")
    assert usage.pop("budget") is None
    assert usage == {
        "project_id": path[10:], "usage": NOTHING, "sessions": 0, "rows": [], "models": {}, "agents": {},
    }  # fmt: skip


async def test_the_usage_of_a_project_is_the_sum_of_its_logs(api: Api) -> None:
    path = await _new_project(api)
    one, two = await _start_session(api, path, "one"), await _start_session(api, path, "two")
    await api.run_turn(one, 'call calculate {"expression": "6*7"}', model="fake-5-0")
    await api.run_turn(two, model="fake-5-0")
    await api.run_turn(two, model="fake-7-0")
    elsewhere = await _start_session(api, await _new_project(api), "one")
    await api.run_turn(elsewhere)

    usage = ok(await api.http.get(f"{path}/usage"))

    counts = [*await _recorded_usage(api, one), *await _recorded_usage(api, two)]
    assert len(counts) == 4
    assert usage["sessions"] == 2
    assert usage["usage"] == _sum_of(counts)
    by_model = {model: [count for count in counts if count["model"] == model] for model in ("fake-5-0", "fake-7-0")}
    assert usage["models"] == {model: {**_sum_of(own), "calls": len(own)} for model, own in by_model.items()}
    assert usage["agents"] == {"assistant": {**_sum_of(counts), "calls": 4}}
    assert usage["rows"] == [
        {"agent": "assistant", "model": model, **usage["models"][model]} for model in ("fake-5-0", "fake-7-0")
    ]


async def test_failed_and_retried_calls_count_as_they_are_recorded(api: Api) -> None:
    path = await _new_project(api)
    session_id = await _start_session(api, path, "one")
    assert (await api.run_turn(session_id, model="fail-403"))["status"] == "failed"
    assert (await api.run_turn(session_id, model="cut-5"))["status"] == "failed"
    await api.run_turn(session_id, model="flaky-1-recovers")
    message = await api.start_turn(session_id, model="fake-500-20")
    await api.wait_for_event(session_id, "message.delta", 3)
    await api.cancel(session_id, turn_id=message["turn_id"])
    await api.wait_until_idle(session_id)

    usage = ok(await api.http.get(f"{path}/usage"))

    counts = await _recorded_usage(api, session_id)
    assert usage["usage"] == _sum_of(counts) == (await api.session(session_id))["usage"]
    assert sum(row["calls"] for row in usage["rows"]) == len(counts)
    assert usage["models"]["flaky-1-recovers"]["calls"] == 1
    assert "fail-403" not in usage["models"]


async def test_the_usage_of_a_project_includes_deleted_sessions(api: Api) -> None:
    path = await _new_project(api)
    for node_id in ("gone", "kept", "archived"):
        await api.run_turn(await _start_session(api, path, node_id))
    before = ok(await api.http.get(f"{path}/usage"))
    sessions = ok(await api.http.get(f"{path}/sessions"))["sessions"]
    gone, archived = [
        session["session_id"] for name in ("gone", "archived") for session in sessions if session["node_id"] == name
    ]

    assert (await api.http.delete(f"/sessions/{gone}")).status_code == 204
    await api.http.patch(f"/sessions/{archived}", json={"archived": True})

    assert before["usage"]["total_tokens"] > 0
    assert ok(await api.http.get(f"{path}/usage")) | {"trace_id": ""} == before | {"trace_id": ""}


async def test_a_sum_covers_more_sessions_than_one_page(api: Api) -> None:
    path = await _new_project(api)
    for _ in range(205):
        await api.new_session(project_id=path[10:])

    assert ok(await api.http.get(f"{path}/usage"))["sessions"] == 205


async def test_the_usage_of_a_session_has_the_same_shape(api: Api) -> None:
    path = await _new_project(api)
    session_id = await _start_session(api, path, "one")
    await api.run_turn(session_id, 'call calculate {"expression": "6*7"}', model="fake-5-0")

    own = ok(await api.http.get(f"/sessions/{session_id}/usage"))

    whole = ok(await api.http.get(f"{path}/usage"))
    assert own.pop("session_id") == session_id
    assert whole.pop("project_id") == path[10:]
    assert own | {"trace_id": ""} == whole | {"trace_id": ""}
    assert own["rows"][0]["calls"] == 2


async def test_a_missing_session_has_no_usage(api: Api) -> None:
    session_id = await api.new_session()
    await api.http.delete(f"/sessions/{session_id}")

    refusal(await api.http.get(f"/sessions/{session_id}/usage"), 404, "session_not_found")
    refusal(await api.http.get("/sessions/none/usage"), 404, "session_not_found")
