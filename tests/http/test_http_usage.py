"""Usage: what the model's server counted, by agent and by model, however a turn ended."""

import pytest

from tests.http.api_client import JSON, Api, ok, refusal

pytestmark = pytest.mark.anyio

NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


async def _project(api: Api) -> str:
    """A new project's path."""
    return f"/projects/{ok(await api.http.post('/projects', json={'name': 'Costs'}), 201)['id']}"


async def _session(api: Api, path: str, node_id: str) -> str:
    body = {"node_id": node_id, "agent_name": "assistant"}
    return ok(await api.http.post(f"{path}/sessions", json=body), 201)["session_id"]


async def _recorded(api: Api, session_id: str) -> list[JSON]:
    """The data of every `token_usage` in the log."""
    return [event["data"] for event in await api.events(session_id) if event["type"] == "token_usage"]


def _summed(counts: list[JSON]) -> JSON:
    return {name: sum(count[name] for count in counts) for name in NOTHING}


async def test_a_project_without_sessions_has_used_nothing(api: Api) -> None:
    path = await _project(api)

    usage = ok(await api.http.get(f"{path}/usage"))

    assert usage.pop("trace_id")
    assert usage == {
        "project_id": path[10:], "usage": NOTHING, "sessions": 0, "rows": [], "models": {}, "agents": {},
    }  # fmt: skip


async def test_a_projects_usage_is_the_sum_of_what_its_logs_say(api: Api) -> None:
    path = await _project(api)
    one, two = await _session(api, path, "one"), await _session(api, path, "two")
    await api.say(one, 'call calculate {"expression": "6*7"}', model="fake-5-0")
    await api.say(two, model="fake-5-0")
    await api.say(two, model="fake-7-0")
    elsewhere = await _session(api, await _project(api), "one")
    await api.say(elsewhere)

    usage = ok(await api.http.get(f"{path}/usage"))

    counts = [*await _recorded(api, one), *await _recorded(api, two)]
    assert len(counts) == 4
    assert usage["sessions"] == 2
    assert usage["usage"] == _summed(counts)
    by_model = {model: [count for count in counts if count["model"] == model] for model in ("fake-5-0", "fake-7-0")}
    assert usage["models"] == {model: {**_summed(own), "calls": len(own)} for model, own in by_model.items()}
    assert usage["agents"] == {"assistant": {**_summed(counts), "calls": 4}}
    assert usage["rows"] == [
        {"agent": "assistant", "model": model, **usage["models"][model]} for model in ("fake-5-0", "fake-7-0")
    ]


async def test_what_failed_or_was_tried_again_counts_as_it_is_recorded(api: Api) -> None:
    path = await _project(api)
    session_id = await _session(api, path, "one")
    assert (await api.say(session_id, model="fail-403"))["status"] == "failed"
    assert (await api.say(session_id, model="cut-5"))["status"] == "failed"
    await api.say(session_id, model="flaky-1-recovers")
    begun = await api.begin(session_id, model="fake-500-20")
    await api.wait_for(session_id, "message.delta", 3)
    await api.cancel(session_id, turn_id=begun["turn_id"])
    await api.quiet(session_id)

    usage = ok(await api.http.get(f"{path}/usage"))

    counts = await _recorded(api, session_id)
    assert usage["usage"] == _summed(counts) == (await api.session(session_id))["usage"]
    assert sum(row["calls"] for row in usage["rows"]) == len(counts)
    assert usage["models"]["flaky-1-recovers"]["calls"] == 1
    assert "fail-403" not in usage["models"]


async def test_deleting_a_session_keeps_what_it_used_in_the_projects_sum(api: Api) -> None:
    path = await _project(api)
    for node_id in ("gone", "kept", "archived"):
        await api.say(await _session(api, path, node_id))
    before = ok(await api.http.get(f"{path}/usage"))
    sessions = ok(await api.http.get(f"{path}/sessions"))["sessions"]
    gone, archived = [
        session["session_id"] for name in ("gone", "archived") for session in sessions if session["node_id"] == name
    ]

    assert (await api.http.delete(f"/sessions/{gone}")).status_code == 204
    await api.http.patch(f"/sessions/{archived}", json={"archived": True})

    assert before["usage"]["total_tokens"] > 0
    assert ok(await api.http.get(f"{path}/usage")) | {"trace_id": ""} == before | {"trace_id": ""}


async def test_a_sum_goes_over_more_sessions_than_a_page_holds(api: Api) -> None:
    path = await _project(api)
    for _ in range(205):
        await api.new_session(project_id=path[10:])

    assert ok(await api.http.get(f"{path}/usage"))["sessions"] == 205


async def test_a_sessions_usage_has_the_same_shape(api: Api) -> None:
    path = await _project(api)
    session_id = await _session(api, path, "one")
    await api.say(session_id, 'call calculate {"expression": "6*7"}', model="fake-5-0")

    own = ok(await api.http.get(f"/sessions/{session_id}/usage"))

    whole = ok(await api.http.get(f"{path}/usage"))
    assert own.pop("session_id") == session_id
    assert whole.pop("project_id") == path[10:]
    assert own | {"trace_id": ""} == whole | {"trace_id": ""}
    assert own["rows"][0]["calls"] == 2


async def test_a_session_that_there_is_not_has_no_usage(api: Api) -> None:
    session_id = await api.new_session()
    await api.http.delete(f"/sessions/{session_id}")

    refusal(await api.http.get(f"/sessions/{session_id}/usage"), 404, "session_not_found")
    refusal(await api.http.get("/sessions/none/usage"), 404, "session_not_found")
