"""The model client uses its connections again, stops a server's work that nobody waits for, and remembers refusals."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.model_servers.answers import Body, answered, stream
from tests.model_servers.habits import HABITS
from tests.model_servers.objects import PIECES, TEXT, error, text
from tests.model_servers.server import ModelServer, Request, model_server
from turnlog.domain.conversation import Conversation, ConversationTurn
from turnlog.domain.errors import ModelError
from turnlog.models.openai import Endpoint, OpenAIModelClient, OpenAIStream
from turnlog.ports import ModelRequest

pytestmark = pytest.mark.anyio

_SLOW = stream(*(each for _ in range(1000) for each in (0.02, *text("word "))))
_ANSWERS = {
    "plain": answered(),
    "gone": answered(end="hang_up"),
    "slow": _SLOW,
    "busy": Body(503, error("busy")),
    "repeats-key": Body(401, error("Unknown: a-key is not a key of ours.")),
    "unknown-argument": HABITS["unknown-argument"].answer,
    "reasoning-everywhere": HABITS["reasoning-everywhere"].answer,
}


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    with model_server(_ANSWERS, {}) as server:
        yield server


@pytest.fixture
async def client(server: ModelServer) -> AsyncGenerator[OpenAIModelClient]:
    client = OpenAIModelClient(Endpoint(server.url, "a-key"))
    yield client
    await client.close()


def request(model: str, **fields: Any) -> ModelRequest:
    conversation = Conversation("Be brief.", (ConversationTurn("Hi", model, "running"),))
    return ModelRequest(model, conversation, (), timedelta(seconds=5), **fields)


async def call(client: OpenAIModelClient, wanted: ModelRequest) -> OpenAIStream:
    async with client.stream(wanted) as stream:
        async for _ in stream:
            pass
        return stream


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the server is on another thread
            await asyncio.sleep(0.01)


async def test_an_answer_comes_in_its_pieces(client: OpenAIModelClient) -> None:
    async with client.stream(request("plain")) as stream:
        pieces = [piece.text async for piece in stream]

    assert (tuple(pieces), stream.text, stream.finish_reason) == (PIECES, TEXT, "stop")


async def test_one_connection_serves_one_call_after_another(server: ModelServer, client: OpenAIModelClient) -> None:
    before = server.connections["plain"]

    for _ in range(3):
        await call(client, request("plain"))

    assert server.connections["plain"] == before + 1


async def test_a_connection_that_the_server_closed_is_not_used_again(client: OpenAIModelClient) -> None:
    for _ in range(3):
        assert (await call(client, request("gone"))).text == TEXT


async def test_a_call_that_fails_is_not_repeated_by_the_client(server: ModelServer, client: OpenAIModelClient) -> None:
    with pytest.raises(ModelError, match="busy"):
        await call(client, request("busy"))

    assert len(server.requests("busy")) == 1


async def test_leaving_an_answer_stops_the_server(server: ModelServer, client: OpenAIModelClient) -> None:
    before = server.aborted["slow"]

    async with client.stream(request("slow")) as stream:
        async for _ in stream:
            break

    await _until(lambda: server.aborted["slow"] == before + 1)


async def test_a_cancelled_call_stops_the_server(server: ModelServer, client: OpenAIModelClient) -> None:
    before, sent = server.aborted["slow"], len(server.requests("slow"))
    running = asyncio.create_task(call(client, request("slow")))
    await _until(lambda: len(server.requests("slow")) == sent + 1)
    running.cancel()

    await _until(lambda: server.aborted["slow"] == before + 1)


@pytest.mark.parametrize("model", ["unknown-argument", "reasoning-everywhere"])
async def test_what_a_server_refused_once_is_not_sent_again(
    server: ModelServer, client: OpenAIModelClient, model: str
) -> None:
    earlier = ConversationTurn("Hi", "another model", "failed")
    wanted = request(model)
    wanted = replace(wanted, conversation=replace(wanted.conversation, turns=(earlier, *wanted.conversation.turns)))

    for expected in (2, 1, 1):
        before = len(server.requests(model))
        await call(client, wanted)
        assert len(server.requests(model)) == before + expected


async def test_what_one_model_refuses_is_sent_to_others(server: ModelServer, client: OpenAIModelClient) -> None:
    await call(client, request("unknown-argument"))
    await call(client, request("plain"))

    assert "stream_options" in server.requests("plain")[-1].body


async def _request_of(server: ModelServer, endpoint: Endpoint, **fields: Any) -> Request:
    client = OpenAIModelClient(endpoint)
    await call(client, request("plain", **fields))
    await client.close()
    return server.requests("plain")[-1]


async def test_the_address_may_have_a_query_and_headers(server: ModelServer) -> None:
    endpoint = Endpoint(f"{server.url}?api-version=1", "a-key", headers={"x-team": "a"})

    sent = await _request_of(server, endpoint, headers={"x-turn": "b"}, options={"seed": 1})

    assert sent.target == "/v1/chat/completions?api-version=1"
    assert (sent.headers["x-team"], sent.headers["x-turn"], sent.body["seed"]) == ("a", "b", 1)


@pytest.mark.parametrize(("is_azure", "sent_key"), [(False, None), (True, "a-key")])
async def test_azure_gets_its_key_in_both_ways(server: ModelServer, is_azure: bool, sent_key: str | None) -> None:
    sent = await _request_of(server, Endpoint(server.url, "a-key", is_azure=is_azure))

    assert sent.headers["authorization"] == "Bearer a-key"
    assert sent.headers.get("api-key") == sent_key


async def test_an_address_that_is_none_is_a_failure_like_others() -> None:
    client = OpenAIModelClient(Endpoint("nowhere", "a-key"))

    with pytest.raises(ModelError):
        await call(client, request("plain"))
    await client.close()


async def test_an_error_does_not_show_the_key_whatever_it_looks_like(client: OpenAIModelClient) -> None:
    with pytest.raises(ModelError) as refusal:
        await call(client, request("repeats-key"))

    assert str(refusal.value) == "The model's server answered 401: Unknown: [redacted] is not a key of ours."
