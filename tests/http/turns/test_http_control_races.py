"""Races of turn control: whichever request is first, the outcome is a documented one."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from tests.http.api_client import JSON, Api, is_gapless, ok, wait_until

pytestmark = pytest.mark.anyio

ENDED = {"completed", "failed", "cancelled", "withdrawn"}


async def wait_for_all(api: Api, session_id: str) -> list[JSON]:
    """Wait for the end of all turns; return the messages. Each turn started and ended once, with its messages."""
    await api.wait_until_idle(session_id)
    events = await api.events(session_id)
    assert is_gapless(events)
    spans = [(event["type"], event["turn_id"]) for event in events if event["type"] in {"run.start", "run.complete"}]
    for (begin, begun), (end, ending) in zip(spans[::2], spans[1::2], strict=True):
        assert (begin, end, begun) == ("run.start", "run.complete", ending)
    assert max(Counter(turn_id for _, turn_id in spans).values()) == 2
    messages: list[JSON] = ok(await api.http.get(f"/sessions/{session_id}/messages"))
    ran = {turn_id for _, turn_id in spans}
    for message in messages:
        assert message["status"] in ENDED
        assert (message["turn_id"] in ran) == (message["status"] != "withdrawn")
    return messages


async def repeat(api: Api, race: Callable[[Api, int], Awaitable[None]], times: int = 12) -> None:
    await asyncio.gather(*(race(api, number) for number in range(times)))


async def _steer_at_the_end(api: Api, number: int) -> None:
    session_id = await api.new_session()
    posting = asyncio.create_task(api.run_turn(session_id, "first", model=f"fake-{30 + 4 * number}-1"))
    await api.wait_for_event(session_id, "message.delta")
    await asyncio.sleep(number * 0.005)
    second = ok(await api.post(session_id, "second", on_busy="steer", model="fake-30-0"))
    first = await posting
    await wait_for_all(api, session_id)

    assert (first["status"], second["status"]) == ("completed", "completed")
    # In the running turn or after its end: in both cases a model call reads it.
    assert "“second”" in second["answer"]
    assert (first["turn_id"] == second["turn_id"]) == (first["answer"] == second["answer"])


async def test_a_steering_message_that_races_with_the_end_is_answered(api: Api) -> None:
    await repeat(api, _steer_at_the_end)


async def _interrupt_at_the_end(api: Api, number: int) -> None:
    session_id = await api.new_session()
    first = await api.start_turn(session_id, "first", model=f"fake-{30 + 4 * number}-1")
    await api.wait_for_event(session_id, "message.delta")
    await asyncio.sleep(number * 0.005)
    urgent = ok(await api.post(session_id, "urgent", on_busy="interrupt"))
    await wait_for_all(api, session_id)

    assert urgent["status"] == "completed"
    assert (await api.message(first["message_id"]))["status"] in {"completed", "cancelled"}


async def test_an_interrupt_that_races_with_the_end_runs(api: Api) -> None:
    await repeat(api, _interrupt_at_the_end)


async def _two_interrupts(api: Api, number: int) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, "first", model=f"hang-{950 + number}")
    waiting = await api.start_turn(session_id, "waiting")
    await api.wait_for_event(session_id, "message.delta")

    responses = await asyncio.gather(
        *(api.post(session_id, text, on_busy="interrupt", model="fake-200-5") for text in "ab")
    )
    await wait_for_all(api, session_id)

    # The later one runs first. If the other one already runs, it stops.
    urgent = sorted((ok(response) for response in responses), key=lambda each: each["created_at"])
    assert {message["status"] for message in urgent} <= {"completed", "cancelled"}
    assert "completed" in {message["status"] for message in urgent}
    events = await api.events(session_id)
    runs = [event["message_id"] for event in events if event["type"] == "run.start"]
    assert runs[-1] == waiting["message_id"]
    stops = [event["turn_id"] for event in events if event["type"] == "status"]
    assert len(stops) == len(set(stops))


async def test_two_interrupts_both_run_ahead_of_the_queue(api: Api) -> None:
    await repeat(api, _two_interrupts, 6)


async def _withdraw_at_the_start(api: Api, number: int) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, "first", model=f"hang-{970 + number}")
    waiting = await api.start_turn(session_id, "waiting")

    deleting = api.http.delete(f"/sessions/{session_id}/queue/{waiting['message_id']}")
    response, _ = await asyncio.gather(deleting, api.cancel(session_id))
    messages = await wait_for_all(api, session_id)

    status = messages[-1]["status"]
    assert (response.status_code, status) in {(204, "withdrawn"), (409, "completed")}


async def test_a_withdrawal_that_races_with_the_turns_start_has_one_outcome(api: Api) -> None:
    await repeat(api, _withdraw_at_the_start)


async def _clear_and_post(api: Api, number: int) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, "first", model=f"hang-{990 + number}")
    kinds = ("enqueue", "steer", "enqueue", "interrupt")
    posts = [api.post(session_id, f"number {number}", on_busy=kind) for number, kind in enumerate(kinds)]

    cancelled, *responses = await asyncio.gather(api.cancel(session_id, queue="clear"), *posts)
    messages = await wait_for_all(api, session_id)

    assert ok(cancelled)["status"] in {"cancelled", "idle"}
    answered = {message["message_id"]: message["status"] for message in messages}
    events = await api.events(session_id)
    cleared = {event["message_id"] for event in events if event["type"] == "message.withdrawn"}
    assert cleared == {message_id for message_id, status in answered.items() if status == "withdrawn"}
    for response in responses:
        assert answered[ok(response)["message_id"]] == ok(response)["status"]


async def test_a_clearing_cancel_withdraws_exactly_the_messages_before_it(api: Api) -> None:
    await repeat(api, _clear_and_post)


async def _post_in_every_way(api: Api, number: int) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, "first", model="fake-100-2")
    kinds = ["steer", "interrupt", "enqueue", "steer", "steer", "interrupt", "enqueue", "steer"]
    kinds = kinds[number % 8 :] + kinds[: number % 8]

    posts = [api.post(session_id, f"n{index}", on_busy=kind, model="fake-20-1") for index, kind in enumerate(kinds)]
    responses = await asyncio.gather(*posts)
    await wait_for_all(api, session_id)

    for response in responses:
        message = ok(response)
        now = await wait_until(lambda message=message: api.message(message["message_id"]))
        assert (now["status"], now["turn_id"], now["answer"]) == (
            message["status"],
            message["turn_id"],
            message["answer"],
        )


async def test_in_any_race_each_message_has_one_turn_and_one_end(api: Api) -> None:
    await repeat(api, _post_in_every_way, 8)
