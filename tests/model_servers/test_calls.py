"""How often, how long and with what the model is called."""

from collections.abc import Generator
from dataclasses import replace

import pytest

from tests.behaviour.factories import create_session
from tests.model_servers.answers import Body, answered, calling, in_order, stream
from tests.model_servers.habit import MAX_CALLS
from tests.model_servers.objects import BEGINNING, TEXT, call, calls, error, text
from tests.model_servers.server import ModelServer, model_server
from tests.model_servers.turns import AGENT, Turn
from turnlog.agents.registry import AGENTS
from turnlog.domain.stored_documents import Message
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

_BUSY = Body(503, error("busy"))
_BREAKS_OFF = stream(*text(BEGINNING), end="hang_up")
_ANSWERS = {
    "recovers": in_order(_BUSY, _BREAKS_OFF, _BUSY, answered()),
    "breaks off": in_order(_BUSY, _BREAKS_OFF, _BREAKS_OFF, _BREAKS_OFF, answered()),
    "tomorrow": Body(429, error("busy"), {"retry-after": "3600"}),
    "endless": stream(*(each for _ in range(1000) for each in (0.02, *text("word ")))),
    "plain": answered(),
    "long": answered("x" * 600_000),
    "namespace": calling(calls(call(name="functions.calculate", index=0))),
}


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    with model_server(_ANSWERS, {}) as server:
        yield server


async def run_turn(app: Services, model: str) -> Message:
    return await Turn(app, await create_session(app)).run("hi", model)


async def test_all_attempts_at_a_step_have_four_calls_together(app: Services, server: ModelServer) -> None:
    message = await run_turn(app, "recovers")

    assert (message.status, message.answer) == ("completed", TEXT)
    assert len(server.requests("recovers")) == MAX_CALLS


async def test_after_four_calls_the_turn_fails_with_the_last_failure(app: Services, server: ModelServer) -> None:
    message = await run_turn(app, "breaks off")

    assert message.error is not None
    assert (message.status, message.error.code, message.answer) == ("failed", "model_broke_off", BEGINNING)
    assert len(server.requests("breaks off")) == MAX_CALLS


async def test_a_server_that_asks_to_wait_longer_than_the_turn_lasts_fails_it_at_once(
    app: Services, server: ModelServer
) -> None:
    message = await run_turn(app, "tomorrow")

    assert message.error is not None
    assert (message.error.code, message.error.retryable, message.error.retry_after) == (
        "model_rate_limited",
        True,
        3600,
    )
    assert len(server.requests("tomorrow")) == 1


@pytest.mark.parametrize("variables", [{"MODEL_MAX_CALL_SECONDS": "1"}])
async def test_a_call_that_takes_too_long_fails_the_turn(app: Services, server: ModelServer) -> None:
    message = await run_turn(app, "endless")

    assert message.error is not None
    assert (message.status, message.error.code, message.error.retryable) == ("failed", "model_timeout", True)
    assert (message.answer or "").startswith("word word")
    assert len(server.requests("endless")) == 1


@pytest.mark.parametrize(
    "variables",
    [
        {
            "MODEL_OPTIONS": '{"temperature": 0, "top_p": 1, "user": "me"}',
            "MODEL_HEADERS": '{"X-Title": "a", "X-B": "b"}',
        }
    ],
)
async def test_an_agents_options_and_headers_replace_those_of_the_deployment(
    app: Services, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"temperature": 1, "user": None, "extra": {"deep": [1]}}
    agent = replace(AGENT, model_options=options, model_headers={"X-Title": "own"})
    monkeypatch.setitem(AGENTS, AGENT.name, agent)

    await run_turn(app, "plain")

    (sent,) = server.requests("plain")
    assert {name: sent.body.get(name) for name in ("temperature", "top_p", "extra")} == {
        "temperature": 1,
        "top_p": 1,
        "extra": {"deep": [1]},
    }
    assert "user" not in sent.body
    assert (sent.headers["x-title"], sent.headers["x-b"]) == ("own", "b")


async def test_an_answer_that_is_cut_is_marked(app: Services) -> None:
    (step,) = (await run_turn(app, "long")).steps

    assert (len(step.text), step.truncated) == (512 * 1024, True)


async def test_a_call_is_recorded_under_the_name_that_the_tool_has(app: Services) -> None:
    message = await run_turn(app, "namespace")

    assert [call.name for step in message.steps for call in step.tool_calls] == ["calculate"]
    assert message.answer == "The tools said: 42"
