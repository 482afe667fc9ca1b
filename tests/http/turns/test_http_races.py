"""Races: simultaneous requests always have a documented outcome."""

import asyncio
from collections import Counter

import pytest

from tests.http.api_client import Api, is_gapless, new_id, ok, refusal, types, wait_until

pytestmark = pytest.mark.anyio


async def test_twenty_messages_at_once_are_each_answered_once(api: Api) -> None:
    session_id = await api.new_session()

    responses = await asyncio.gather(*(api.post(session_id, f"number {number}") for number in range(20)))

    messages = [ok(response) for response in responses]
    assert {message["status"] for message in messages} == {"completed"}
    assert len({message["turn_id"] for message in messages}) == 20
    events = await api.events(session_id)
    assert is_gapless(events)
    ended = Counter(event["turn_id"] for event in events if event["type"] == "run.complete")
    assert ended == {message["turn_id"]: 1 for message in messages}
    spans = [(event["type"], event["turn_id"]) for event in events if event["type"] in {"run.start", "run.complete"}]
    for (begin, begun), (end, ending) in zip(spans[::2], spans[1::2], strict=True):
        assert (begin, end, begun) == ("run.start", "run.complete", ending)
    listed = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    assert {message["message_id"] for message in listed} == {message["message_id"] for message in messages}


async def test_one_of_many_messages_that_do_not_queue_gets_the_session(api: Api) -> None:
    session_id = await api.new_session()
    request = {"model": "hang-800", "on_busy": "reject", "prefer": "respond-async"}

    responses = await asyncio.gather(*(api.post(session_id, **request) for _ in range(10)))

    assert sorted(response.status_code for response in responses) == [202] + [409] * 9
    await api.cancel(session_id)
    assert types(await api.events(session_id)).count("user_message") == 1


async def test_a_cancel_that_races_with_the_turn_ends_it_once(api: Api) -> None:
    async def race(number: int) -> None:
        session_id = await api.new_session()
        posting = asyncio.create_task(api.run_turn(session_id, model=f"fake-{20 + number}-0"))
        cancelling = asyncio.create_task(api.cancel(session_id))
        message, receipt = await posting, ok(await cancelling)
        assert message["status"] in {"completed", "cancelled"}
        assert receipt["status"] in {"idle", "completed", "cancelled"}
        after = await api.run_turn(session_id, "next")
        assert after["status"] == "completed"
        events = await api.events(session_id)
        assert is_gapless(events)
        ended = [event for event in events if event["type"] == "run.complete"]
        assert [event["turn_id"] for event in ended] == [message["turn_id"], after["turn_id"]]
        assert ended[0]["data"]["status"] == message["status"]

    await asyncio.gather(*(race(number) for number in range(10)))


async def test_a_delete_that_races_with_a_message_leaves_nothing(api: Api) -> None:
    async def race() -> None:
        session_id = await api.new_session()
        posting = asyncio.create_task(api.post(session_id, model="fake-50-1"))
        deleted = await api.http.delete(f"/sessions/{session_id}")
        assert deleted.status_code == 204
        assert (await posting).status_code in {200, 404}
        assert ok(await api.http.get(f"/sessions/{session_id}/status"))["status"] == "not_existent"

    await asyncio.gather(*(race() for _ in range(10)))


async def test_only_one_of_many_creates_with_one_id_succeeds(api: Api) -> None:
    body = {"session_id": new_id()}

    responses = await asyncio.gather(*(api.http.post("/sessions", json=body) for _ in range(10)))

    assert sorted(response.status_code for response in responses) == [201] + [409] * 9
    for response in responses:
        if response.status_code == 409:
            refusal(response, 409, "session_exists")
    assert types(await api.events(body["session_id"])) == ["session.created"]


async def test_only_one_of_many_deletes_finds_the_session(api: Api) -> None:
    session_id = await api.new_session()

    responses = await asyncio.gather(*(api.http.delete(f"/sessions/{session_id}") for _ in range(5)))

    assert sorted(response.status_code for response in responses) == [204] + [404] * 4


async def test_simultaneous_changes_are_all_kept(api: Api) -> None:
    session_id = await api.new_session()

    await asyncio.gather(
        *(api.http.patch(f"/sessions/{session_id}", json={"metadata": {f"k{n}": n}}) for n in range(20))
    )

    session = await api.session(session_id)
    assert session["metadata"] == {f"k{n}": n for n in range(20)}
    assert session["head"] == 21


async def test_simultaneous_producers_get_separate_sequences_during_a_turn(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, model="fake-200-1")

    batches = await asyncio.gather(
        *(api.append(session_id, *[{"event_type": f"p{n}", "n": i} for i in range(5)]) for n in range(20))
    )

    ended = await wait_until(lambda: api.message(message["message_id"]), lambda seen: seen["status"] == "completed")
    assert len(ended["answer"].split()) == 200
    events = await api.events(session_id)
    assert is_gapless(events)
    for number, sequences in enumerate(batches):
        assert [(events[each - 1]["type"], events[each - 1]["data"]["n"]) for each in sequences] == [
            (f"p{number}", i) for i in range(5)
        ]


async def test_simultaneous_sessions_do_not_mix(api: Api) -> None:
    async def talk(name: str) -> None:
        session_id = await api.new_session()
        for count in ("1 message", "3 messages"):
            message = await api.run_turn(session_id, name, model="fake-30-0")
            assert f"“{name}”" in message["answer"]
            assert f"given {count}" in message["answer"]
        assert {event["session_id"] for event in await api.events(session_id)} == {session_id}

    await asyncio.gather(*(talk(new_id()) for _ in range(25)))
