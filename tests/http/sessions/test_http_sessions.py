"""Sessions: create, read, list, change, delete; status and result."""

import asyncio

import pytest

from tests.http.api_client import JSON, Api, is_gapless, new_id, ok, refusal, types

pytestmark = pytest.mark.anyio

FIELDS = {
    "session_id", "session_name", "project_id", "project_dir", "agent_name", "node_id", "openai_session_key",
    "thread_id", "status", "state", "required_action", "created_at", "updated_at", "last_resumed_at", "archived",
    "metadata", "head", "active_turn", "queued", "diagnosis", "run_meta", "error_detail", "usage", "forked_from",
    "steps", "event_log", "trace_id",
}  # fmt: skip


async def test_a_new_session_is_idle_and_counts_as_running(api: Api) -> None:
    response = await api.http.post("/sessions")

    session = ok(response, 201)
    assert response.headers["location"] == f"/sessions/{session['session_id']}"
    assert session.keys() >= FIELDS
    assert (session["status"], session["state"]) == ("running", "idle")
    assert session["openai_session_key"] == session["session_id"]
    assert (session["head"], session["queued"], session["active_turn"], session["required_action"]) == (1, 0, None, [])
    assert session["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert session["created_at"].endswith("Z")


async def test_a_session_keeps_the_fields_it_was_created_with(api: Api) -> None:
    fields = {
        "session_name": "Überraschung",
        "project_id": "p1",
        "project_dir": "/srv/p1",
        "agent_name": "no such agent yet",
        "node_id": "agent1",
        "metadata": {"a": {"b": [1, None, "x"]}, "ticket": "T-1", "none": None},
    }

    session = await api.session(await api.new_session(**fields))

    assert {name: session[name] for name in fields} == fields


async def test_a_client_may_choose_the_id(api: Api) -> None:
    chosen = new_id("own.id:with_-")

    session = ok(await api.http.post("/sessions", json={"session_id": chosen}), 201)

    assert session["session_id"] == chosen
    assert (await api.session(chosen))["session_id"] == chosen


async def test_an_id_may_have_128_characters(api: Api) -> None:
    longest = new_id().ljust(128, "x")
    await api.new_session(session_id=longest)

    message = await api.run_turn(longest)

    assert (await api.message(message["message_id"]))["status"] == "completed"
    refusal(await api.http.post("/sessions", json={"session_id": longest + "x"}), 422, "invalid_request")


@pytest.mark.parametrize(
    "chosen", ["", ".", "..", "a b", "a/b", "é", "a\n", "a\u0000", "a%20b", "x" * 129, 7, ["a"], True]
)
async def test_an_id_of_other_characters_is_refused(api: Api, chosen: object) -> None:
    body = refusal(await api.http.post("/sessions", json={"session_id": chosen}), 422, "invalid_request")

    assert body["errors"][0]["pointer"] == "/session_id"


async def test_an_id_with_dots_is_not_resolved_as_a_path(api: Api) -> None:
    chosen = f"...{new_id()}"

    await api.new_session(session_id=chosen)

    assert (await api.session(chosen))["session_id"] == chosen


async def test_a_taken_id_is_refused(api: Api) -> None:
    session_id = await api.new_session(session_name="first")

    response = await api.http.post("/sessions", json={"session_id": session_id, "session_name": "second"})

    refusal(response, 409, "session_exists")
    assert (await api.session(session_id))["session_name"] == "first"


async def test_the_id_of_a_deleted_session_can_not_be_used_again(api: Api) -> None:
    session_id = await api.new_session()
    await api.http.delete(f"/sessions/{session_id}")

    refusal(await api.http.post("/sessions", json={"session_id": session_id}), 409, "session_deleted")


async def test_a_missing_session_is_not_found(api: Api) -> None:
    path = f"/sessions/{new_id()}"

    for suffix in ("", "/result", "/messages", "/events", "/stream", "/tool_calls/call_1"):
        refusal(await api.http.get(path + suffix), 404, "session_not_found")
    for suffix, body in (("/messages", {"content": "Hello"}), ("/events", {"event_type": "x"}), ("/cancel", {})):
        refusal(await api.http.post(path + suffix, json=body), 404, "session_not_found")
    refusal(await api.http.patch(path, json={"session_name": "x"}), 404, "session_not_found")
    refusal(await api.http.delete(path), 404, "session_not_found")
    refusal(await api.http.get(f"/api{path}/stream"), 404, "session_not_found")
    assert ok(await api.http.get(path + "/status"))["status"] == "not_existent"


async def test_a_finished_turn_shows_in_the_session(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.run_turn(session_id)

    session = await api.session(session_id)

    assert (session["status"], session["state"], session["error_detail"]) == ("finished", "idle", None)
    assert session["diagnosis"] == message["answer"]
    assert session["usage"] == message["usage"]
    assert session["run_meta"]["status"] == "completed"
    assert session["run_meta"]["steps"] == 1
    assert session["last_resumed_at"] >= session["created_at"]
    assert session["steps"] == []
    assert session["event_log"] is None


async def test_a_running_turn_shows_in_the_session(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, model="hang-100")
    await api.wait_for_event(session_id, "message.start")

    session = await api.session(session_id)

    assert (session["status"], session["state"]) == ("running", "running")
    assert session["active_turn"]["turn_id"] == message["turn_id"]
    assert session["active_turn"]["message_id"] == message["message_id"]
    await api.cancel(session_id)


async def test_a_session_includes_its_event_log_on_request(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)

    session = ok(await api.http.get(f"/sessions/{session_id}?include=event_log"))

    assert session["event_log"] == await api.events(session_id)
    assert is_gapless(session["event_log"])


async def test_an_included_event_log_has_the_last_1000_events(api: Api) -> None:
    session_id = await api.new_session()
    for _ in range(11):
        await api.append(session_id, *[{"event_type": "tick"}] * 100)

    session = ok(await api.http.get(f"/sessions/{session_id}?include=event_log"))

    assert [event["sequence"] for event in session["event_log"]] == list(range(102, 1102))


async def test_a_change_leaves_absent_fields_clears_null_ones_and_merges_objects(api: Api) -> None:
    session_id = await api.new_session(
        session_name="old", agent_name="a", metadata={"keep": 1, "drop": 2, "in": {"x": 1}}
    )

    patch = {"session_name": None, "metadata": {"drop": None, "in": {"y": 2}, "new": [1]}}
    session = ok(await api.http.patch(f"/sessions/{session_id}", json=patch))

    assert (session["session_name"], session["agent_name"]) == (None, "a")
    assert session["metadata"] == {"keep": 1, "in": {"x": 1, "y": 2}, "new": [1]}
    assert (await api.session(session_id))["metadata"] == session["metadata"]


async def test_a_change_that_changes_nothing_appends_nothing(api: Api) -> None:
    session_id = await api.new_session(session_name="same")

    unchanged: list[JSON] = [{}, {"session_name": "same"}, {"metadata": {}}]
    for body in unchanged:
        assert ok(await api.http.patch(f"/sessions/{session_id}", json=body))["head"] == 1


async def test_a_change_is_an_event_with_the_changed_fields(api: Api) -> None:
    session_id = await api.new_session(session_name="old", agent_name="same")

    await api.http.patch(f"/sessions/{session_id}", json={"session_name": "new", "agent_name": "same"})

    (_, updated) = await api.events(session_id)
    assert updated["type"] == "session.updated"
    assert updated["data"] == {"session_id": session_id, "session_name": "new"}


@pytest.mark.parametrize(
    "body", [{"session_id": "other"}, {"status": "finished"}, {"project_id": "p"}, {"archived": "perhaps"}]
)
async def test_other_fields_can_not_be_changed(api: Api, body: dict[str, object]) -> None:
    session_id = await api.new_session()

    refused = refusal(await api.http.patch(f"/sessions/{session_id}", json=body), 422, "invalid_request")

    assert refused["errors"][0]["pointer"] == f"/{next(iter(body))}"
    assert (await api.session(session_id))["head"] == 1


async def test_an_archived_session_refuses_messages_until_it_is_unarchived(api: Api) -> None:
    session_id = await api.new_session()
    assert ok(await api.http.patch(f"/sessions/{session_id}", json={"archived": True}))["archived"]

    refusal(await api.post(session_id), 409, "session_archived")
    assert (await api.session(session_id))["head"] == 2

    await api.http.patch(f"/sessions/{session_id}", json={"archived": False})
    assert (await api.run_turn(session_id))["status"] == "completed"


async def test_a_deleted_session_is_not_found_anywhere(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.run_turn(session_id)

    response = await api.http.delete(f"/sessions/{session_id}")

    assert (response.status_code, response.content) == (204, b"")
    assert ok(await api.http.get(f"/sessions/{session_id}/status"))["status"] == "not_existent"
    for suffix in ("", "/result", "/messages", "/events", "/stream"):
        refusal(await api.http.get(f"/sessions/{session_id}{suffix}"), 404, "session_not_found")
    refusal(await api.http.get(f"/messages/{message['message_id']}"), 404, "message_not_found")
    refusal(await api.http.get(f"/messages/{message['message_id']}/full"), 404, "message_not_found")
    refusal(await api.post(session_id), 404, "session_not_found")
    refusal(await api.http.delete(f"/sessions/{session_id}"), 404, "session_not_found")


async def test_deleting_ends_a_running_turn_and_its_model_call(api: Api) -> None:
    session_id = await api.new_session()
    async with api.post_stream(session_id, model="hang-101") as stream:
        await stream.until("message.delta")

        await api.http.delete(f"/sessions/{session_id}")
        frames = await stream.read_to_end()

    assert [frame.event for frame in frames[-3:]] == ["status", "session.deleted", "done"]
    assert frames[-1].data["reason"] == "deleted"
    await api.wait_until_aborted("hang-101")


async def test_open_streams_end_when_the_session_is_deleted(api: Api) -> None:
    session_id = await api.new_session()
    async with api.stream(session_id) as stream, api.post_stream(session_id, model="hang-102") as waiting:
        await stream.until("message.delta")
        await api.http.delete(f"/sessions/{session_id}")

        assert (await waiting.read_to_end())[-1].data["reason"] == "deleted"
        assert (await stream.read_to_end())[-1].data["reason"] == "deleted"


async def test_a_wait_for_an_answer_ends_when_the_session_is_deleted(api: Api) -> None:
    session_id = await api.new_session()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(api.post(session_id, model="hang-103"))
        await api.wait_for_event(session_id, "message.delta")
        await api.http.delete(f"/sessions/{session_id}")

    refusal(waiting.result(), 404, "session_not_found")


async def test_lists_show_the_newest_first_and_nothing_twice(api: Api) -> None:
    project = new_id("project")
    created = [await api.new_session(project_id=project) for _ in range(5)]

    listed: list[str] = []
    query, pages = f"project_id={project}&limit=2", 0
    while True:
        page = ok(await api.http.get(f"/sessions?{query}"))
        listed += [session["session_id"] for session in page["sessions"]]
        pages += 1
        if page["next_cursor"] is None:
            break
        query = f"project_id={project}&limit=2&cursor={page['next_cursor']}"

    assert listed == created[::-1]
    assert pages == 3


async def test_lists_filter_by_each_field(api: Api) -> None:
    project = new_id("project")
    plain = await api.new_session(project_id=project)
    done = await api.new_session(project_id=project)
    await api.run_turn(done)
    agent = await api.new_session(project_id=project, agent_name="other")
    marked = await api.new_session(project_id=project, metadata={"team's": "blue", "n": "1"})
    archived = await api.new_session(project_id=project)
    await api.http.patch(f"/sessions/{archived}", json={"archived": True})
    deleted = await api.new_session(project_id=project)
    await api.http.delete(f"/sessions/{deleted}")

    async def listed(query: str) -> set[str]:
        page = ok(await api.http.get(f"/sessions?project_id={project}&{query}"))
        return {session["session_id"] for session in page["sessions"]}

    assert await listed("") == {plain, done, agent, marked, archived}
    assert await listed("status=finished") == {done}
    assert await listed("status=running") == {plain, agent, marked, archived}
    assert await listed("agent_name=other") == {agent}
    assert await listed("metadata.team's=blue&metadata.n=1") == {marked}
    assert await listed("metadata.team's=blue&metadata.n=2") == set()
    assert await listed("archived=true") == {archived}
    assert await listed("archived=false") == {plain, done, agent, marked}
    assert ok(await api.http.get(f"/sessions?project_id={new_id()}"))["sessions"] == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "status=idle", "archived=yes", "cursor=%C3%A9", "cursor=a", "cursor="]
)
async def test_an_invalid_session_list_query_is_refused(api: Api, query: str) -> None:
    refusal(await api.http.get(f"/sessions?{query}"), 422, "invalid_request")


async def test_the_result_is_the_last_answer(api: Api) -> None:
    session_id = await api.new_session()
    refusal(await api.http.get(f"/sessions/{session_id}/result"), 404, "not_finished")

    message = await api.run_turn(session_id)

    body = ok(await api.http.get(f"/sessions/{session_id}/result"))
    assert (body["session_id"], body["result"]) == (session_id, message["answer"])


async def test_a_session_that_was_stopped_without_an_answer_has_no_result(api: Api) -> None:
    session_id = await api.new_session()
    await api.append(session_id, {"event_type": "session_stop"})

    assert ok(await api.http.get(f"/sessions/{session_id}/status"))["status"] == "finished"
    refusal(await api.http.get(f"/sessions/{session_id}/result"), 404, "no_result")


async def test_a_turn_that_failed_before_its_first_word_leaves_no_result(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, model="fail-401")

    refusal(await api.http.get(f"/sessions/{session_id}/result"), 404, "no_result")


async def test_a_turn_that_failed_before_its_first_word_leaves_the_earlier_result(api: Api) -> None:
    session_id = await api.new_session()
    answered = await api.run_turn(session_id)
    await api.run_turn(session_id, model="fail-401")

    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == answered["answer"]


async def test_an_outside_assistant_message_counts_as_the_result_until_the_next_answer(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id)
    await api.append(session_id, {"event_type": "message", "role": "user", "content": "not this"})
    await api.append(session_id, {"event_type": "message", "role": "assistant", "content": "from outside"})

    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == "from outside"

    message = await api.run_turn(session_id)
    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == message["answer"]


async def test_the_last_of_several_outside_answers_is_the_result(api: Api) -> None:
    session_id = await api.new_session()
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    await api.append(session_id, {"event_type": "message", "role": "assistant", "content": "first"})
    await api.append(session_id, {"event_type": "message.complete", "text": "second"}, {"event_type": "session_stop"})

    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == "second"

    await api.append(session_id, {"event_type": "message", "role": "assistant", "content": parts})
    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == "one two"


async def test_the_limit_of_metadata_also_holds_after_a_merge(api: Api) -> None:
    session_id = await api.new_session(metadata={"a": "x" * 16_000})

    response = await api.http.patch(f"/sessions/{session_id}", json={"metadata": {"b": "x" * 1000}})

    refusal(response, 422, "invalid_request")
    body = refusal(await api.http.post("/sessions", json={"metadata": {"a": "x" * 16_400}}), 422, "invalid_request")
    assert body["errors"][0]["pointer"] == "/metadata"
    assert types(await api.events(session_id)) == ["session.created"]


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), (True, 1), ({"deep": [1]}, {"deep": [True]})])
async def test_metadata_values_that_are_equal_only_in_python_are_changed(api: Api, before: JSON, after: JSON) -> None:
    session_id = await api.new_session(metadata={"flag": before})

    changed = ok(await api.http.patch(f"/sessions/{session_id}", json={"metadata": {"flag": after}}))

    assert (repr(changed["metadata"]), changed["head"]) == (repr({"flag": after}), 2)
    again = ok(await api.http.patch(f"/sessions/{session_id}", json={"metadata": {"flag": after}}))
    assert again["head"] == 2
