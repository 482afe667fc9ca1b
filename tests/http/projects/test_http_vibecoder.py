"""The VibeCoder: a proposed patch is applied once or refused, stored with the message, and announced by an event."""

import asyncio
import json
import random
import string
from typing import Any

import pytest

from tests.http.api_client import JSON, Api, ok, types
from tests.http.sessions.test_http_export import assert_rebuilt

pytestmark = pytest.mark.anyio

NODES = {"first": {"name": "First", "instructions": "Wait."}, "second": {"name": "Second", "instructions": "Wait."}}
BROKEN = {"op": "remove", "path": "/nodes/none"}


def added(name: str = "new") -> JSON:
    return {"op": "add", "path": f"/nodes/{name}", "value": {"name": name, "instructions": "Help."}}


def propose(*patches: list[Any]) -> str:
    """A message for which the scripted model proposes these patches, one after the other."""
    return " then ".join(f"call propose_patch {json.dumps({'patch': patch})}" for patch in patches)


def words(number: int) -> str:
    """Random words."""
    letters = string.ascii_letters + "äß日.,;'{}\"\\ \n"
    return " ".join("".join(random.choices(letters, k=random.randint(2, 9))) for _ in range(number))


async def new_project(api: Api, nodes: JSON | None = None) -> str:
    body = {"name": "A project", "document": {"nodes": NODES if nodes is None else nodes}}
    return ok(await api.http.post("/projects", json=body), 201)["id"]


async def project_of(api: Api, project_id: str) -> JSON:
    return ok(await api.http.get(f"/projects/{project_id}"))


async def coding_session(api: Api, project_id: str, node_id: str | None = None) -> str:
    """Create a session in which the VibeCoder answers."""
    return await api.new_session(project_id=project_id, node_id=node_id, agent_name="vibecoder")


async def responses_of(api: Api, session_id: str) -> list[JSON]:
    return [event["data"] for event in await api.events(session_id) if event["type"] == "vibecode_response"]


async def test_a_patch_is_applied_stored_with_its_message_and_announced(api: Api) -> None:
    project_id = await new_project(api)
    session_id = await coding_session(api, project_id)

    message = await api.run_turn(session_id, propose([added()]), model="fake-60-0")

    assert (message["status"], message["patch"]) == ("completed", [added()])
    project = await project_of(api, project_id)
    assert (project["document"]["nodes"], project["revision"]) == ({**NODES, "new": added()["value"]}, 2)
    events = await api.events(session_id)
    assert types(events)[-2:] == ["vibecode_response", "run.complete"]
    data = events[-2]["data"]
    assert (data["patch"], data["project_revision"]) == ([added()], 2)
    assert data["token_usage"] == message["usage"] == events[-1]["data"]["usage"]
    assert (await api.message(message["message_id"]))["patch"] == [added()]


async def test_the_model_may_correct_an_invalid_patch_twice(api: Api) -> None:
    project_id = await new_project(api)
    session_id = await coding_session(api, project_id)

    message = await api.run_turn(session_id, propose([BROKEN], [added("no/node")], [added()]))

    assert (message["status"], message["patch"]) == ("completed", [added()])
    states = [
        event["data"]["status"] for event in await api.events(session_id) if event["type"] == "tool_call.complete"
    ]
    assert states == ["failed", "failed", "completed"]
    assert (await project_of(api, project_id))["revision"] == 2


async def test_the_third_invalid_patch_fails_the_turn_and_the_document_is_unchanged(api: Api) -> None:
    project_id = await new_project(api)
    session_id = await coding_session(api, project_id)

    message = await api.run_turn(session_id, propose([BROKEN], [{"op": "add"}], [BROKEN], [added()]))

    assert (message["status"], message["patch"]) == ("failed", None)
    assert message["error"]["code"] == "invalid_patch"
    assert "/nodes/none" in message["error"]["message"]
    project = await project_of(api, project_id)
    assert (project["document"], project["revision"]) == ({"nodes": NODES}, 1)
    events = await api.events(session_id)
    assert types(events)[-2:] == ["error", "run.complete"]
    assert await responses_of(api, session_id) == []


async def test_a_node_session_changes_only_its_node(api: Api) -> None:
    project_id = await new_project(api)
    session_id = await coding_session(api, project_id, "first")
    other = {"op": "replace", "path": "/nodes/second/instructions", "value": "Go."}
    own = {"op": "replace", "path": "/nodes/first/instructions", "value": "Go."}

    message = await api.run_turn(session_id, propose([own, other], [own]))

    assert message["patch"] == [own]
    nodes = (await project_of(api, project_id))["document"]["nodes"]
    assert nodes == {**NODES, "first": {"name": "First", "instructions": "Go."}}


async def test_a_turn_that_changes_nothing_announces_null(api: Api) -> None:
    session_id = await coding_session(api, await new_project(api))

    message = await api.run_turn(session_id, propose([BROKEN]))

    assert (message["status"], message["patch"]) == ("completed", None)
    (data,) = await responses_of(api, session_id)
    assert (data["patch"], data["project_revision"], data["token_usage"]) == (None, 1, message["usage"])


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "test", "path": "/nodes/first/name", "value": "First"}],
        [{"op": "replace", "path": "/nodes/first/name", "value": "First"}],
        [added("x"), {"op": "remove", "path": "/nodes/x"}],
    ],
)
async def test_a_patch_that_changes_nothing_counts_as_none(api: Api, patch: list[JSON]) -> None:
    project_id = await new_project(api)
    session_id = await coding_session(api, project_id)

    message = await api.run_turn(session_id, propose(patch))

    assert (message["status"], message["patch"]) == ("completed", None)
    (data,) = await responses_of(api, session_id)
    assert (data["patch"], data["project_revision"]) == (None, 1)
    assert (await project_of(api, project_id))["revision"] == 1
    assert (await api.run_turn(session_id, propose(patch, [added()])))["patch"] == [added()]


async def test_a_turn_of_another_agent_announces_no_patch(api: Api) -> None:
    session_id = await coding_session(api, await new_project(api))

    message = await api.run_turn(session_id, propose([added()]), agent="assistant")

    assert (message["status"], message["patch"]) == ("completed", None)
    assert await responses_of(api, session_id) == []


async def test_a_turn_without_a_project_fails(api: Api) -> None:
    for fields in ({}, {"project_id": "prj_none"}):
        session_id = await api.new_session(agent_name="vibecoder", **fields)

        message = await api.run_turn(session_id, "Add something")

        assert (message["status"], message["error"]["code"]) == ("failed", "project_not_found")


async def test_a_turn_that_is_cancelled_before_it_proposes_changes_nothing(api: Api) -> None:
    project_id = await new_project(api)
    session_id = await coding_session(api, project_id)
    async with api.post_stream(session_id, propose([added()]), model="fake-60-100") as stream:
        await stream.until("message.start")
        ok(await api.cancel(session_id))

    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert (message["status"], message["patch"]) == ("cancelled", None)
    assert (await project_of(api, project_id))["revision"] == 1
    assert await responses_of(api, session_id) == []


async def test_a_turn_that_is_cancelled_after_its_patch_keeps_and_announces_it(api: Api) -> None:
    project_id = await new_project(api)
    session_id = await coding_session(api, project_id)
    async with api.post_stream(session_id, propose([added()]), model="fake-500-10") as stream:
        await stream.until("tool_call.complete")
        await api.cancel(session_id)

    (message,) = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert (message["status"], message["patch"]) == ("cancelled", [added()])
    (data,) = await responses_of(api, session_id)
    assert (data["patch"], data["project_revision"]) == ([added()], 2)
    assert (await project_of(api, project_id))["revision"] == 2


async def test_sessions_that_change_a_project_simultaneously_lose_nothing(api: Api) -> None:
    project_id = await new_project(api, {})
    sessions = [await coding_session(api, project_id) for _ in range(4)]
    names = [f"node{number}" for number in range(12)]

    messages = await asyncio.gather(
        *(api.run_turn(sessions[number % 4], propose([added(name)])) for number, name in enumerate(names))
    )

    assert [message["patch"] for message in messages] == [[added(name)] for name in names]
    project = await project_of(api, project_id)
    assert (set(project["document"]["nodes"]), project["revision"]) == (set(names), 13)
    revisions = [data["project_revision"] for session_id in sessions for data in await responses_of(api, session_id)]
    assert sorted(revisions) == list(range(2, 14))


async def test_any_message_changes_the_document(api: Api) -> None:
    project_id = await new_project(api)
    session_id, own = await coding_session(api, project_id), await coding_session(api, project_id, "first")
    for number in range(1, 5):
        content = f"{random.choice(['Create', 'please add', ''])} {words(number)}".strip()
        for each in (session_id, own):
            message = await api.run_turn(each, content, model="fake-60-0")
            assert message["status"] == "completed", message
            assert "I proposed this patch" in message["answer"]
            assert (await responses_of(api, each))[-1]["patch"] == message["patch"]
            assert message["patch"]
            if each == own:
                assert {operation["path"].split("/")[2] for operation in message["patch"]} == {"first"}

    assert (await project_of(api, project_id))["revision"] == 9


@pytest.mark.parametrize("node_id", [None, "first"])
async def test_a_session_is_rebuilt_from_its_export_with_what_its_turns_did(api: Api, node_id: str | None) -> None:
    session_id = await coding_session(api, await new_project(api), node_id)
    change = {"op": "replace", "path": "/nodes/first/instructions", "value": "Go."}
    removal = {"op": "remove", "path": "/nodes/first/instructions"}
    unchanged = {"op": "test", "path": "/nodes/first/name", "value": "First"}
    await api.run_turn(session_id, propose([BROKEN], [change]))
    await api.run_turn(session_id, propose([unchanged]))
    await api.run_turn(session_id, propose([BROKEN], [BROKEN], [BROKEN]))
    async with api.post_stream(session_id, propose([removal]), model="fake-500-10") as stream:
        await stream.until("tool_call.complete")
        await api.cancel(session_id)
    await api.wait_until_idle(session_id)

    found = await assert_rebuilt(api, session_id)

    messages = found["messages"]
    assert [message["patch"] for message in messages] == [[change], None, None, [removal]]
    assert [message["status"] for message in messages] == ["completed", "completed", "failed", "cancelled"]
    assert found["usage"]["total_tokens"] > 0
    assert found["session"]["agent_name"] == "vibecoder"
