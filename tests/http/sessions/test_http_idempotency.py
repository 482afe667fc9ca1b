"""Idempotency-Key: a retry returns the result of the first request; another body with the key is refused."""

import asyncio

import pytest

from tests.http.api_client import Api, new_id, ok, refusal, types
from tests.http.sse_client import ids, names

pytestmark = pytest.mark.anyio


async def test_a_retried_message_is_the_first_one(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    first = await api.post(session_id, headers=headers)

    second = await api.post(session_id, headers=headers)

    assert ok(second) == ok(first)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert types(await api.events(session_id)).count("user_message") == 1


async def test_a_key_with_another_body_is_refused(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    await api.post(session_id, "one", headers=headers)

    refusal(await api.post(session_id, "two", headers=headers), 422, "idempotency_key_reused")

    assert types(await api.events(session_id)).count("user_message") == 1


async def test_a_retry_during_the_turn_may_wait_in_another_way(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    first = await api.start_turn(session_id, model="hang-300", headers=headers)

    again = await api.post(session_id, model="hang-300", headers=headers, prefer="respond-async")
    async with api.post_stream(session_id, model="hang-300", headers=headers) as stream:
        await stream.until("message.delta")
        waiting = asyncio.create_task(api.post(session_id, model="hang-300", headers=headers))
        await api.cancel(session_id)
        frames = await stream.read_to_end()

    assert ok(again, 202)["message_id"] == first["message_id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert stream.response.headers["idempotency-replayed"] == "true"
    assert (frames[0].event, frames[0].id, frames[-1].event) == ("user_message", first["sequence"], "done")
    assert ok(await waiting)["status"] == "cancelled"
    assert (await api.model_stats("hang-300"))["requests"] == 1


async def test_a_retry_after_the_end_streams_the_whole_turn_again(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    async with api.post_stream(session_id, headers=headers) as first:
        frames = await first.read_to_end()
    await api.run_turn(session_id, "something later")

    async with api.post_stream(session_id, headers=headers) as second:
        assert [frame.text for frame in await second.read_to_end()] == [frame.text for frame in frames]


async def test_a_retry_of_a_queued_message_returns_it(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    await api.start_turn(session_id, model="hang-301")
    first = await api.start_turn(session_id, "queued", headers=headers)

    again = ok(await api.post(session_id, "queued", headers=headers, prefer="respond-async"), 202)

    assert (again["message_id"], again["status"]) == (first["message_id"], "queued")
    assert (await api.session(session_id))["queued"] == 1
    await api.cancel(session_id)
    done = ok(await api.post(session_id, "queued", headers=headers))
    assert (done["message_id"], done["status"]) == (first["message_id"], "completed")


async def test_simultaneous_tries_create_one_message(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}

    responses = await asyncio.gather(*(api.post(session_id, headers=headers) for _ in range(10)))

    assert len({ok(response)["message_id"] for response in responses}) == 1
    assert sum("idempotency-replayed" in response.headers for response in responses) == 9
    assert types(await api.events(session_id)).count("run.complete") == 1


async def test_the_same_key_in_another_session_is_another_key(api: Api) -> None:
    headers = {"idempotency-key": new_id()}

    first, second = [await api.run_turn(await api.new_session(), headers=headers) for _ in range(2)]

    assert first["message_id"] != second["message_id"]


async def test_a_refused_message_leaves_its_key_free(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    await api.http.patch(f"/sessions/{session_id}", json={"archived": True})
    refusal(await api.post(session_id, headers=headers), 409, "session_archived")

    await api.http.patch(f"/sessions/{session_id}", json={"archived": False})
    response = await api.post(session_id, headers=headers)

    assert ok(response)["status"] == "completed"
    assert "idempotency-replayed" not in response.headers


@pytest.mark.parametrize("key", ["", "x" * 257])
async def test_a_blank_or_long_key_is_refused(api: Api, key: str) -> None:
    session_id = await api.new_session()

    refusal(await api.post(session_id, headers={"idempotency-key": key}), 422, "invalid_request")

    assert (await api.session(session_id))["head"] == 1


async def test_a_retried_create_returns_the_session(api: Api) -> None:
    headers, body = {"idempotency-key": new_id()}, {"session_name": "one"}
    first = await api.http.post("/sessions", json=body, headers=headers)
    await api.run_turn(ok(first, 201)["session_id"])

    second = await api.http.post("/sessions", json=body, headers=headers)

    assert ok(second, second.status_code)["session_id"] == first.json()["session_id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json()["head"] > first.json()["head"]
    other = await api.http.post("/sessions", json={"session_name": "two"}, headers=headers)
    refusal(other, 422, "idempotency_key_reused")


async def test_a_retry_may_leave_out_an_empty_body(api: Api) -> None:
    headers = {"idempotency-key": new_id()}
    first = ok(await api.http.post("/sessions", json={}, headers=headers), 201)

    second = await api.http.post("/sessions", headers=headers)

    assert ok(second, second.status_code)["session_id"] == first["session_id"]


async def test_a_retried_create_with_a_chosen_id_returns_the_session(api: Api) -> None:
    headers, body = {"idempotency-key": new_id()}, {"session_id": new_id()}
    await api.http.post("/sessions", json=body, headers=headers)

    again = await api.http.post("/sessions", json=body, headers=headers)

    assert ok(again, again.status_code)["session_id"] == body["session_id"]
    refusal(await api.http.post("/sessions", json=body), 409, "session_exists")


async def test_a_create_key_with_another_chosen_id_is_refused(api: Api) -> None:
    headers = {"idempotency-key": new_id()}
    ok(await api.http.post("/sessions", json={"session_id": new_id()}, headers=headers), 201)

    again = await api.http.post("/sessions", json={"session_id": new_id()}, headers=headers)

    refusal(again, 422, "idempotency_key_reused")


async def test_a_create_key_distinguishes_bodies_with_and_without_a_chosen_id(api: Api) -> None:
    for first, second in (({}, {"session_id": new_id()}), ({"session_id": new_id()}, {})):
        headers = {"idempotency-key": new_id()}
        ok(await api.http.post("/sessions", json=first, headers=headers), 201)

        refusal(await api.http.post("/sessions", json=second, headers=headers), 422, "idempotency_key_reused")

        for body in (first, second):
            if "session_id" in body:
                found = await api.http.get(f"/sessions/{body['session_id']}")
                assert found.status_code == (200 if body is first else 404)


async def test_only_one_of_many_creates_with_one_key_and_different_ids_succeeds(api: Api) -> None:
    headers, ids = {"idempotency-key": new_id()}, [new_id() for _ in range(10)]

    answers = await asyncio.gather(
        *(api.http.post("/sessions", json={"session_id": chosen}, headers=headers) for chosen in ids)
    )

    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 9
    assert [(await api.http.get(f"/sessions/{chosen}")).status_code for chosen in ids].count(200) == 1


async def test_a_refused_create_leaves_its_key_free(api: Api) -> None:
    headers, taken = {"idempotency-key": new_id()}, await api.new_session()
    refusal(await api.http.post("/sessions", json={"session_id": taken}, headers=headers), 409, "session_exists")

    response = await api.http.post("/sessions", json={"session_id": new_id()}, headers=headers)

    assert response.status_code == 201
    assert "idempotency-replayed" not in response.headers


async def test_a_retry_after_the_session_was_deleted_is_refused(api: Api) -> None:
    headers = {"idempotency-key": new_id()}
    session_id = ok(await api.http.post("/sessions", json={}, headers=headers), 201)["session_id"]
    await api.http.delete(f"/sessions/{session_id}")

    for _ in range(2):
        refusal(await api.http.post("/sessions", json={}, headers=headers), 409, "session_deleted")


async def test_a_key_of_flat_events_is_bound_to_one_session(api: Api) -> None:
    headers, sessions = {"idempotency-key": new_id()}, [await api.new_session() for _ in range(2)]
    first, second = [{"event_type": "a", "session_id": session} for session in sessions]
    refusal(
        await api.http.post("/events", json={"event_type": "a", "session_id": "nowhere"}, headers=headers),
        404,
        "session_not_found",
    )
    ok(await api.http.post("/events", json=first, headers=headers))

    refusal(await api.http.post("/events", json=second, headers=headers), 422, "idempotency_key_reused")
    started = {"event_type": "session_start", "session_id": new_id()}
    refusal(await api.http.post("/events", json=started, headers=headers), 422, "idempotency_key_reused")

    assert ok(await api.http.post("/events", json=first, headers=headers))["sequences"] == [2]
    assert types(await api.events(sessions[1])) == ["session.created"]
    assert (await api.http.get(f"/sessions/{started['session_id']}")).status_code == 404


async def test_a_retried_start_of_a_project_session_returns_the_first_one(api: Api) -> None:
    headers = {"idempotency-key": new_id()}
    path = f"/projects/{ok(await api.http.post('/projects', json={'name': 'P'}), 201)['id']}/sessions"
    first = await api.http.post(path, json={"node_id": "a"}, headers=headers)

    second = await api.http.post(path, json={"node_id": "a"}, headers=headers)

    assert ok(second)["session_id"] == ok(first, 201)["session_id"]
    assert ["idempotency-replayed" in each.headers for each in (first, second)] == [False, True]
    refusal(await api.http.post(path, json={"node_id": "b"}, headers=headers), 422, "idempotency_key_reused")
    assert len(ok(await api.http.get(path))["sessions"]) == 1


async def test_a_retried_cancel_does_not_stop_a_later_turn(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    path = f"/sessions/{session_id}/cancel"
    first = await api.start_turn(session_id, model="hang-303")
    ok(await api.http.post(path, headers={**headers, "prefer": "wait=30"}))
    second = await api.start_turn(session_id, model="hang-304")

    again = await api.http.post(path, headers={**headers, "prefer": "wait=30"})

    assert again.headers["idempotency-replayed"] == "true"
    assert (ok(again)["turn_id"], again.json()["status"]) == (first["turn_id"], "cancelled")
    assert (await api.message(second["message_id"]))["status"] == "running"
    refusal(await api.http.post(path, json={"queue": "clear"}, headers=headers), 422, "idempotency_key_reused")
    await api.cancel(session_id)


async def test_a_retry_of_a_cancel_that_found_nothing_stops_nothing(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    path = f"/sessions/{session_id}/cancel"
    assert ok(await api.http.post(path, headers=headers))["status"] == "idle"
    message = await api.start_turn(session_id, model="hang-305")

    again = await api.http.post(path, headers=headers)

    assert (ok(again)["status"], again.headers["idempotency-replayed"]) == ("idle", "true")
    assert (await api.message(message["message_id"]))["status"] == "running"
    await api.cancel(session_id)


async def test_simultaneous_creates_with_one_key_create_one_session(api: Api) -> None:
    headers = {"idempotency-key": new_id()}

    responses = await asyncio.gather(*(api.http.post("/sessions", json={}, headers=headers) for _ in range(10)))

    assert len({response.json()["session_id"] for response in responses}) == 1
    assert sum("idempotency-replayed" in response.headers for response in responses) == 9


async def test_retried_events_return_the_sequences_of_the_first_try(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    path, body = f"/sessions/{session_id}/events", [{"event_type": "a"}, {"event_type": "b"}]
    first = await api.http.post(path, json=body, headers=headers)
    await api.append(session_id, {"event_type": "c"})

    second = await api.http.post(path, json=body, headers=headers)

    assert ok(first, 201)["sequences"] == ok(second)["sequences"] == [2, 3]
    assert second.headers["idempotency-replayed"] == "true"
    refusal(await api.http.post(path, json=body[:1], headers=headers), 422, "idempotency_key_reused")
    assert types(await api.events(session_id)) == ["session.created", "a", "b", "c"]


async def test_keys_of_messages_and_events_do_not_mix(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    await api.http.post(f"/sessions/{session_id}/events", json={"event_type": "a"}, headers=headers)

    message = await api.run_turn(session_id, headers=headers)

    assert message["status"] == "completed"


async def test_a_replayed_stream_of_a_queued_message_starts_with_its_turn(api: Api) -> None:
    session_id, headers = await api.new_session(), {"idempotency-key": new_id()}
    await api.start_turn(session_id, model="hang-302")
    await api.start_turn(session_id, "queued", headers=headers)
    await api.cancel(session_id)
    message = ok(await api.post(session_id, "queued", headers=headers))

    async with api.post_stream(session_id, "queued", headers=headers) as stream:
        frames = await stream.read_to_end()

    assert (frames[0].event, names(frames)[-2:]) == ("user_message", ["run.complete", "done"])
    assert ids(frames)[0] == message["sequence"]
    assert {frame.data["turn_id"] for frame in frames[:-1]} == {message["turn_id"]}
