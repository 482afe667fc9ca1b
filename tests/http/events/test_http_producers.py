"""Producers that number their requests: each request is appended once, in order, and only by the newest instance."""

import asyncio

import httpx2
import pytest

from tests.http.api_client import Api, ok, refusal, types

pytestmark = pytest.mark.anyio


async def send(
    api: Api, session_id: str, seq: int | str, *events: str, epoch: int | str = 0, name: str = "ci"
) -> httpx2.Response:
    headers = {"producer-id": name, "producer-epoch": str(epoch), "producer-seq": str(seq)}
    body = [{"event_type": event} for event in events or (f"e{epoch}.{seq}",)]
    return await api.http.post(f"/sessions/{session_id}/events", json=body, headers=headers)


async def test_a_repeat_returns_the_sequences_of_the_first_time(api: Api) -> None:
    session_id = await api.new_session()

    first = await send(api, session_id, 0, "a", "b")
    await api.append(session_id, {"event_type": "between"})
    second = await send(api, session_id, 1, "c")
    repeats = [await send(api, session_id, 0, "a", "b"), await send(api, session_id, 1, "c")]

    assert ok(first, 201)["sequences"] == [2, 3]
    assert ok(second, 201)["sequences"] == [5]
    assert [ok(repeat)["sequences"] for repeat in repeats] == [[2, 3], [5]]
    assert all(repeat.headers["idempotency-replayed"] == "true" for repeat in repeats)
    assert types(await api.events(session_id)) == ["session.created", "a", "b", "between", "c"]


async def test_a_gap_is_refused_and_the_problem_names_the_next_number(api: Api) -> None:
    session_id = await api.new_session()

    assert " 0 is next" in refusal(await send(api, session_id, 1), 409, "producer_gap")["detail"]
    ok(await send(api, session_id, 0), 201)
    assert " 1 is next" in refusal(await send(api, session_id, 2), 409, "producer_gap")["detail"]
    ok(await send(api, session_id, 1), 201)
    refusal(await send(api, session_id, 1, epoch=1), 409, "producer_gap")

    assert (await api.session(session_id))["head"] == 3


async def test_a_replaced_instance_of_a_producer_is_fenced(api: Api) -> None:
    session_id = await api.new_session()
    ok(await send(api, session_id, 0), 201)
    ok(await send(api, session_id, 0, epoch=7), 201)

    refusal(await send(api, session_id, 1), 403, "producer_fenced")
    refusal(await send(api, session_id, 0), 403, "producer_fenced")

    ok(await send(api, session_id, 1, epoch=7), 201)
    assert types(await api.events(session_id))[1:] == ["e0.0", "e7.0", "e7.1"]


async def test_a_number_can_not_be_reused_for_another_body(api: Api) -> None:
    session_id = await api.new_session()
    ok(await send(api, session_id, 0, "a"), 201)

    refusal(await send(api, session_id, 0, "b"), 422, "producer_seq_reused")


async def test_each_producer_counts_separately_in_each_session(api: Api) -> None:
    here, there = await api.new_session(), await api.new_session()

    for session_id in (here, there):
        for name in ("one", "two/#?", "three" * 40):
            ok(await send(api, session_id, 0, name=name), 201)


async def test_simultaneous_repeats_append_once(api: Api) -> None:
    session_id = await api.new_session()

    answers = await asyncio.gather(*(send(api, session_id, 0, "a", "b") for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert {tuple(answer.json()["sequences"]) for answer in answers} == {(2, 3)}
    assert (await api.session(session_id))["head"] == 3


async def test_racing_requests_of_a_producer_are_appended_once_in_order(api: Api) -> None:
    session_id = await api.new_session()

    async def persist(seq: int, name: str) -> None:
        while (await send(api, session_id, seq, f"{name}.{seq}", name=name)).status_code not in {200, 201}:
            pass

    turn = asyncio.create_task(api.run_turn(session_id, model="fake-60-2"))
    await asyncio.gather(*(persist(seq, name) for name in ("x", "y") for seq in range(8) for _ in range(2)))
    await turn

    seen = types(await api.events(session_id))
    for name in ("x", "y"):
        assert [each for each in seen if each.startswith(f"{name}.")] == [f"{name}.{seq}" for seq in range(8)]


async def test_a_very_old_repeat_is_not_appended_again(api: Api) -> None:
    session_id = await api.new_session()
    for seq in range(52):
        ok(await send(api, session_id, seq), 201)

    assert ok(await send(api, session_id, 0))["sequences"] == []
    assert ok(await send(api, session_id, 2))["sequences"] == [4]
    assert (await api.session(session_id))["head"] == 53


async def test_a_repeat_is_answered_after_the_session_was_archived(api: Api) -> None:
    session_id = await api.new_session()
    ok(await send(api, session_id, 0), 201)
    ok(await api.http.patch(f"/sessions/{session_id}", json={"archived": True}))

    assert ok(await send(api, session_id, 0))["sequences"] == [2]
    refusal(await send(api, session_id, 1), 409, "session_archived")


@pytest.mark.parametrize(
    "headers",
    [
        {"producer-id": "x"},
        {"producer-epoch": "0", "producer-seq": "0"},
        {"producer-id": "x", "producer-epoch": "0"},
        {"producer-id": "", "producer-epoch": "0", "producer-seq": "0"},
        {"producer-id": "x" * 257, "producer-epoch": "0", "producer-seq": "0"},
        {"producer-id": "x", "producer-epoch": "-1", "producer-seq": "0"},
        {"producer-id": "x", "producer-epoch": "0", "producer-seq": "a"},
        {"producer-id": "x", "producer-epoch": "0", "producer-seq": ""},
        {"producer-id": "x", "producer-epoch": "0", "producer-seq": "0", "idempotency-key": "k"},
    ],
)
async def test_invalid_producer_headers_are_refused(api: Api, headers: dict[str, str]) -> None:
    session_id = await api.new_session()

    response = await api.http.post(f"/sessions/{session_id}/events", json={"event_type": "a"}, headers=headers)

    refusal(response, 422, "invalid_request")
    assert (await api.session(session_id))["head"] == 1
