"""The model client translates the answers of a model's server, and leaves no request running."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from shared.agents.assistant import ASSISTANT
from shared.domain.errors import ModelError
from shared.domain.values import ModelRequest
from shared.models.openai import OpenAIModelClient

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "Hello"}
CALL = {"role": "user", "content": 'call calculate {"expression": "1 + 1"} and use current_time'}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def client(model_url: str) -> AsyncGenerator[OpenAIModelClient]:
    client = OpenAIModelClient(model_url, "key")
    yield client
    await client.close()


def request(model: str, *messages: dict[str, Any], timeout: float = 10, tools: bool = False) -> ModelRequest:
    schemas = [tool.schema for tool in ASSISTANT.tools] if tools else []
    return ModelRequest(model, messages or (USER,), schemas, timedelta(seconds=timeout))


async def read_answer(client: OpenAIModelClient, call: ModelRequest, pieces: list[str] | None = None) -> Any:
    """Read a whole answer, with its pieces added to `pieces`. Returns the stream."""
    pieces = [] if pieces is None else pieces
    async with client.stream(call) as stream:
        async for piece in stream:
            pieces.append(piece)
        return stream


async def read_failure(client: OpenAIModelClient, call: ModelRequest) -> tuple[ModelError, list[str]]:
    """The error of a failing call, and the pieces before it."""
    pieces: list[str] = []
    with pytest.raises(ModelError) as raised:
        await read_answer(client, call, pieces)
    return raised.value, pieces


async def test_an_answer_comes_in_pieces_with_its_usage(client: OpenAIModelClient) -> None:
    pieces: list[str] = []
    stream = await read_answer(client, request("fake-5-0"), pieces)

    assert len(pieces) == 5
    assert stream.text == "".join(pieces)
    assert (stream.finish_reason, stream.usage.completion_tokens, stream.tool_calls) == ("stop", 5, [])
    assert stream.usage.total_tokens == stream.usage.prompt_tokens + 5
    assert stream.response["model"] == "fake-5-0"


async def test_tool_calls_come_with_their_arguments_as_the_model_wrote_them(client: OpenAIModelClient) -> None:
    stream = await read_answer(client, request("fake-5-0", CALL, tools=True))

    assert [(call.name, call.arguments) for call in stream.tool_calls] == [
        ("calculate", '{"expression": "1 + 1"}'),
        ("current_time", "{}"),
    ]
    assert stream.finish_reason == "tool_calls"


async def test_a_model_that_may_not_call_tools_answers_in_words(client: OpenAIModelClient) -> None:
    stream = await read_answer(client, replace(request("fake-5-0", CALL, tools=True), may_call_tools=False))

    assert (len(stream.tool_calls), stream.finish_reason) == (0, "stop")


async def test_missing_usage_is_not_invented(client: OpenAIModelClient) -> None:
    stream = await read_answer(client, request("nousage-3"))

    assert (stream.usage, stream.finish_reason) == (None, "stop")


@pytest.mark.parametrize(("model", "reason"), [("length-3", "length"), ("filter-3", "content_filter")])
async def test_an_answer_says_why_it_stopped(client: OpenAIModelClient, model: str, reason: str) -> None:
    assert (await read_answer(client, request(model))).finish_reason == reason


@pytest.mark.parametrize(
    ("model", "code", "transient"),
    [
        ("fail-400", "model_refused", False),
        ("fail-401", "model_unauthorized", False),
        ("fail-403", "model_unauthorized", False),
        ("fail-404", "model_not_found", False),
        ("no-such-model", "model_not_found", False),
        ("fail-408", "model_timeout", True),
        ("fail-409", "model_unavailable", True),
        ("fail-413", "model_refused", False),
        ("fail-422", "model_refused", False),
        ("fail-429", "model_rate_limited", True),
        ("fail-418", "model_unavailable", False),
        ("fail-500", "model_unavailable", True),
        ("fail-502", "model_unavailable", True),
        ("fail-503", "model_unavailable", True),
        ("fail-504", "model_unavailable", True),
    ],
)
async def test_a_refusal_has_a_code_that_clients_can_act_on(
    client: OpenAIModelClient, model: str, code: str, transient: bool
) -> None:
    error, pieces = await read_failure(client, request(model))

    assert (error.failure_code, error.transient, pieces) == (code, transient, [])


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("cut-3", "model_broke_off"),
        ("end-3", "model_broke_off"),
        ("garbage-3", "model_broke_off"),
        ("error-3", "model_error"),
    ],
)
async def test_an_answer_that_breaks_off_keeps_its_pieces(client: OpenAIModelClient, model: str, code: str) -> None:
    error, pieces = await read_failure(client, request(model))

    assert (error.failure_code, error.transient, len(pieces)) == (code, True, 3)


@pytest.mark.parametrize(("model", "pieces_before"), [("hang-3", 3), ("mute-60", 0)])
async def test_every_wait_for_a_server_has_a_timeout(client: OpenAIModelClient, model: str, pieces_before: int) -> None:
    error, pieces = await read_failure(client, request(model, timeout=0.1))

    assert (error.failure_code, error.transient, len(pieces)) == ("model_timeout", True, pieces_before)


async def test_a_missing_server_is_unreachable() -> None:
    client = OpenAIModelClient("http://127.0.0.1:9/v1", "key")
    error, _ = await read_failure(client, request("fake-1-0"))
    with pytest.raises(ModelError, match="reached"):
        await client.check()
    await client.close()

    assert (error.failure_code, error.transient) == ("model_unreachable", True)


async def test_the_client_does_not_repeat_a_failed_call(client: OpenAIModelClient, model_url: str) -> None:
    before = await _stats(model_url, "fail-503")
    await read_failure(client, request("fail-503"))

    assert (await _stats(model_url, "fail-503"))["requests"] == before["requests"] + 1


async def test_leaving_the_context_aborts_the_request(client: OpenAIModelClient, model_url: str) -> None:
    async with client.stream(request("fake-1000-50")) as stream:
        async for _ in stream:
            break

    await _until(model_url, "fake-1000-50", lambda stats: stats["aborted"] == 1 and stats["active"] == 0)


async def test_a_cancelled_call_aborts_the_request(client: OpenAIModelClient, model_url: str) -> None:
    running = asyncio.create_task(read_answer(client, request("hang-2")))
    before = (await _stats(model_url, "hang-2"))["aborted"]
    await _until(model_url, "hang-2", lambda stats: stats["active"] > 0)
    running.cancel()

    await _until(model_url, "hang-2", lambda stats: stats["active"] == 0 and stats["aborted"] == before + 1)


async def test_a_server_that_answers_passes_the_check(client: OpenAIModelClient) -> None:
    await client.check()


async def test_a_text_may_contain_unicode_line_separators() -> None:
    text = "a\u2028b\u2029c\x85d"
    chunk = json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}, ensure_ascii=False)
    body = f"data: {chunk}\r\n\r\ndata: [DONE]\r\n\r\n".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        client = OpenAIModelClient(f"http://{host}:{port}/v1", "key")
        stream = await read_answer(client, request("any"))
        await client.close()

    assert stream.text == text


async def _stats(url: str, model: str) -> dict[str, int]:
    nothing = {"requests": 0, "aborted": 0, "active": 0}
    async with httpx2.AsyncClient() as http:
        return (await http.get(url.removesuffix("/v1") + "/stats")).json()["models"].get(model, nothing)


async def _until(url: str, model: str, is_reached: Callable[[dict[str, int]], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_reached(await _stats(url, model)):  # noqa: ASYNC110 - the server sends no notification
            await asyncio.sleep(0.01)
