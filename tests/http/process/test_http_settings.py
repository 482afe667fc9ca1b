"""What settings change: these tests run on a host with short and narrow ones."""

from collections.abc import AsyncGenerator, Generator

import pytest

from tests.http.api_client import TIMEOUT_SECONDS, Api, Host, api_client, ok, refusal, running_host, types, wait_until
from tests.http.sse_client import ids, names

pytestmark = pytest.mark.anyio

SETTINGS = {
    "ALLOWED_MODELS": "fake-20-0, hang-1,hang-2",
    "MESSAGE_WAIT_SECONDS": "0",
    "QUEUE_LIMIT": "0",
    "MAX_STEPS": "2",
    "STREAM_MAX_SECONDS": "1",
    "TURN_TIMEOUT_SECONDS": "5",
}


@pytest.fixture(scope="module")
def narrow_host(tmp_path_factory: pytest.TempPathFactory, store_environment: dict[str, str]) -> Generator[Host]:
    with running_host(tmp_path_factory.mktemp("narrow"), {**SETTINGS, **store_environment}) as host:
        yield host


@pytest.fixture
async def api(narrow_host: Host) -> AsyncGenerator[Api]:
    async with api_client(narrow_host) as api:
        yield api


async def test_a_model_that_is_not_allowed_is_refused(api: Api) -> None:
    session_id = await api.new_session()

    refusal(await api.post(session_id, model="fake-30-0"), 422, "model_not_allowed")

    assert (await api.session(session_id))["head"] == 1


async def test_the_default_wait_is_a_setting(api: Api) -> None:
    session_id = await api.new_session()

    first = await api.post(session_id)
    await api.wait_until_idle(session_id)
    second = await api.post(session_id, prefer="wait=30")

    assert first.status_code == 202
    assert ok(second)["status"] == "completed"


async def test_with_a_queue_limit_of_zero_a_second_message_is_refused(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-1")

    refusal(await api.post(session_id), 429, "queue_full")

    await api.cancel(session_id)


async def test_the_step_limit_is_a_setting(api: Api) -> None:
    session_id = await api.new_session()

    message = await api.run_turn(session_id, "call current_time then call current_time", prefer="wait=30")

    assert (message["status"], len(message["tool_calls"])) == ("completed", 1)


async def test_a_planned_end_of_a_stream_is_resumed(api: Api) -> None:
    session_id = await api.new_session()
    await api.start_turn(session_id, model="hang-2")

    frames = await api.read(session_id)
    assert "done" not in names(frames)
    await api.cancel(session_id)
    while "done" not in names(frames):
        frames += await api.read(session_id, last_event_id=str(frames[-1].id))

    assert ids(frames) == list(range(1, len(frames)))


async def test_a_planned_end_says_when_to_reconnect(api: Api) -> None:
    session_id = await api.new_session()

    text = (await api.http.get(f"/sessions/{session_id}/stream")).text

    assert text.endswith("retry: 500\n\n")
    assert "event: done" not in text


@pytest.mark.slow
async def test_a_turn_that_takes_too_long_fails_and_the_session_continues(api: Api) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, model="hang-1")

    ended = await wait_until(lambda: api.message(message["message_id"]), lambda seen: seen["status"] != "running")

    assert (ended["status"], ended["error"]["code"]) == ("failed", "turn_timeout")
    assert ended["answer"]
    assert types(await api.events(session_id))[-1] == "run.complete"
    assert (await api.run_turn(session_id, prefer=f"wait={TIMEOUT_SECONDS:.0f}"))["status"] == "completed"
