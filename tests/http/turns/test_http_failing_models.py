"""Models that refuse, break off or send invalid data: the turn fails with a code, and the session stays usable."""

import asyncio

import pytest

from tests.http.api_client import Api, is_gapless, ok, types
from tests.http.sse_client import text_of

pytestmark = pytest.mark.anyio

MAX_CALLS = 4


@pytest.mark.parametrize(
    ("model", "code", "requests"),
    [
        ("fail-403", "model_unauthorized", 1),
        ("fail-404", "model_not_found", 1),
        ("fail-422", "model_refused", 1),
        ("no-such-model", "model_not_found", 0),  # the scripted server counts requests only for models that it has
    ],
)
async def test_a_refusal_fails_the_turn_at_once(api: Api, model: str, code: str, requests: int) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, model=model)

    assert (message["status"], message["answer"], message["finish_reason"]) == ("failed", None, None)
    assert (message["error"]["code"], message["error"]["retryable"]) == (code, False)
    events = await api.events(session_id)
    assert types(events)[-2:] == ["error", "run.complete"]
    assert (events[-1]["data"]["status"], events[-1]["data"]["error"]) == ("failed", message["error"])
    assert events[-2]["data"].items() >= message["error"].items()
    session = await api.session(session_id)
    assert (session["status"], session["error_detail"]) == ("finished", message["error"]["message"])
    assert (await api.model_stats(model))["requests"] == requests
    assert types(events).count("message.start") == 1


async def test_an_unavailable_server_is_called_four_times(api: Api) -> None:
    # Both models at once, since each one has pauses between its attempts.
    models = {"fail-503": "model_unavailable", "fail-429": "model_rate_limited"}

    async def failing(model: str) -> None:
        session_id = await api.new_session()
        message = await api.run_turn(session_id, model=model)
        assert (message["status"], message["error"]["code"]) == ("failed", models[model])
        assert message["error"]["retryable"]
        assert (await api.model_stats(model))["requests"] == MAX_CALLS
        events = await api.events(session_id)
        assert types(events).count("message.start") == 1
        assert (await api.run_turn(session_id))["status"] == "completed"

    await asyncio.gather(*(failing(model) for model in models))


async def test_a_server_that_recovers_completes_the_turn(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, model="flaky-1-recovers")

    assert (message["status"], message["error"]) == ("completed", None)
    assert (await api.model_stats("flaky-1-recovers"))["requests"] == 2


async def test_a_broken_answer_is_retried_and_then_fails_the_turn(api: Api) -> None:
    # All models at once, since each one has pauses between its attempts.
    models = {
        "cut-5": "model_broke_off",
        "end-6": "model_broke_off",
        "garbage-7": "model_broke_off",
        "error-8": "model_error",
    }
    await asyncio.gather(*(_break_off(api, model, code) for model, code in models.items()))


async def _break_off(api: Api, model: str, code: str) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, model=model)

    assert (message["status"], message["error"]["code"], message["error"]["retryable"]) == ("failed", code, True)
    assert (await api.model_stats(model))["requests"] == MAX_CALLS
    events = await api.events(session_id)
    assert is_gapless(events)
    starts = [event["data"]["attempt"] for event in events if event["type"] == "message.start"]
    assert starts == list(range(1, MAX_CALLS + 1))
    assert types(events).count("run.complete") == 1
    # The text of the last attempt stays. A reader that clears the text at each `message.start` shows exactly this.
    assert len(message["answer"].split()) == int(model.partition("-")[2])
    assert text_of(await api.read(session_id)) == message["answer"]


async def test_a_session_continues_after_a_failed_turn(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, "one", model="fail-401")
    await api.start_turn(session_id, "two", model="hang-9")
    await api.wait_for_event(session_id, "message.delta")
    await api.cancel(session_id)

    message = await api.run_turn(session_id, "three", model="fake-40-0")

    assert message["status"] == "completed"
    # "one" has no answer, which the request says. "two", which was cancelled, has a partial one.
    assert "given 5 messages" in message["answer"]
    session = await api.session(session_id)
    assert session["error_detail"] is None
    assert ok(await api.http.get(f"/sessions/{session_id}/result"))["result"] == message["answer"]


async def test_the_stream_of_a_failed_turn_has_its_end(api: Api) -> None:
    session_id = await api.new_session()

    async with api.post_stream(session_id, model="fail-401") as stream:
        frames = await stream.read_to_end()

    assert [frame.event for frame in frames[-3:]] == ["error", "run.complete", "done"]
    assert frames[-1].data["reason"] == "finished"
