"""The connections to a model's server: what a break leaves, what a server says too early, proxies."""

import asyncio
import socket
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.model_servers.answers import answered, stream
from tests.model_servers.objects import TEXT, ending, text
from tests.model_servers.server import Exchange, Head, ModelServer, model_server
from tests.model_servers.test_client import call, request
from turnlog.domain.errors import ModelError
from turnlog.models.openai import Endpoint, OpenAIModelClient

pytestmark = pytest.mark.anyio

_WAIT_SECONDS = 60.0
_LARGE_HEADER = "a" * 32_000


class _BreakingAnswer:
    """Sends one piece, then, when it is `wanted`, all except the end of the body, and hangs up: `sent`."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self.sent = threading.Event()

    async def __call__(self, exchange: Exchange) -> None:
        first, *others = stream(*text(), *ending()).packets()
        await exchange.start(Head())
        await exchange.write(_bytes(first))
        await asyncio.to_thread(self.wanted.wait, _WAIT_SECONDS)
        for packet in others:
            await exchange.write(_bytes(packet))
        await exchange.close()
        self.sent.set()


class _ClosingAnswer:
    """Answers, and then closes the connection without a word. `closed` counts the connections."""

    def __init__(self) -> None:
        self.closed = 0

    async def __call__(self, exchange: Exchange) -> None:
        await answered()(exchange)
        await exchange.close()
        self.closed += 1


def _bytes(packet: bytes | float) -> bytes:
    assert isinstance(packet, bytes)
    return packet


@pytest.fixture
def breaking() -> _BreakingAnswer:
    return _BreakingAnswer()


@pytest.fixture
def closing() -> _ClosingAnswer:
    return _ClosingAnswer()


@pytest.fixture
def server(breaking: _BreakingAnswer, closing: _ClosingAnswer) -> Generator[ModelServer]:
    answers = {
        "plain": answered(),
        "breaking": breaking,
        "closing": closing,
        "large-head": answered(headers={"x-policy": _LARGE_HEADER}),
    }
    with model_server(answers, {}) as server:
        yield server


async def test_a_break_loses_nothing_that_arrived_while_the_process_was_busy(
    server: ModelServer, breaking: _BreakingAnswer
) -> None:
    client = OpenAIModelClient(Endpoint(server.url, "a-key"))

    async with client.stream(request("breaking")) as answer:
        pieces = aiter(answer)
        await anext(pieces)
        breaking.wanted.set()
        await asyncio.to_thread(breaking.sent.wait, _WAIT_SECONDS)
        for _ in range(10):  # the event loop learns of the bytes, and of the break, before they are read
            await asyncio.sleep(0)
        async for _ in pieces:
            pass

    assert (answer.text, answer.finish_reason) == (TEXT, "stop")
    await client.close()


async def test_a_head_may_be_large(server: ModelServer) -> None:
    client = OpenAIModelClient(Endpoint(server.url, "a-key"))

    assert (await call(client, request("large-head"))).text == TEXT
    await client.close()


async def test_calls_go_through_the_proxy_of_the_environment(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.origin)
    monkeypatch.delenv("no_proxy", raising=False)
    client = OpenAIModelClient(Endpoint("http://models.invalid/v1", "a-key"))

    await call(client, request("plain"))

    assert server.requests("plain")[-1].target == "http://models.invalid/v1/chat/completions"
    await client.close()


async def test_a_host_may_be_excepted_from_the_proxy(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    client = OpenAIModelClient(Endpoint(server.url, "a-key"))

    assert (await call(client, request("plain"))).text == TEXT
    await client.close()


@pytest.mark.parametrize(("name", "scheme"), [("all_proxy", "http://"), ("http_proxy", "")])
async def test_a_proxy_may_be_for_all_schemes_and_have_none(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    monkeypatch.setenv(name, f"{scheme}127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    client = OpenAIModelClient(Endpoint("http://models.invalid/v1", "a-key"))

    assert (await call(client, request("plain"))).text == TEXT
    await client.close()


async def test_a_connection_that_was_closed_while_the_process_was_busy_is_not_used_again(
    server: ModelServer, closing: _ClosingAnswer
) -> None:
    client = OpenAIModelClient(Endpoint(server.url, "a-key"))

    for number in range(1, 21):
        assert (await call(client, request("closing"))).text == TEXT
        while closing.closed < number:  # while this waits, the event loop cannot notice
            time.sleep(0.001)  # noqa: ASYNC251
    await client.close()


async def test_a_server_that_accepts_no_more_of_a_request_is_silent() -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    listener.bind(("127.0.0.1", 0))
    listener.listen(5)
    client = OpenAIModelClient(Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "a-key"))
    silent = replace(request("plain", options={"user": "a" * 8_000_000}), max_silence=timedelta(seconds=0.5))

    with pytest.raises(ModelError) as failure:
        await asyncio.wait_for(call(client, silent), _WAIT_SECONDS)

    assert failure.value.failure_code == "model_timeout"
    await client.close()
    listener.close()


async def test_a_user_and_a_password_may_be_in_the_address(server: ModelServer) -> None:
    client = OpenAIModelClient(Endpoint(server.url.replace("://", "://me:secret@"), "a-key"))

    assert (await call(client, request("plain"))).text == TEXT
    await client.close()


async def test_a_key_that_cannot_be_a_header_is_a_failure_like_others(server: ModelServer) -> None:
    client = OpenAIModelClient(Endpoint(server.url, "a-key\n"))

    with pytest.raises(ModelError) as failure:
        await call(client, request("plain"))

    assert failure.value.failure_code == "model_unreachable"
    await client.close()


async def test_a_proxy_that_is_away_is_a_server_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    client = OpenAIModelClient(Endpoint("http://models.invalid/v1", "a-key"))

    with pytest.raises(ModelError) as failure:
        await call(client, request("plain"))

    assert (failure.value.failure_code, failure.value.transient) == ("model_unreachable", True)
    await client.close()


async def test_a_refusal_of_a_large_request_is_read_before_all_of_it_is_sent() -> None:
    refusal = b'{"error": {"message": "too large for us"}}'

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 413 Reason\r\ncontent-type: application/json\r\ncontent-length: {len(refusal)}\r\n\r\n"
        writer.write(head.encode() + refusal)
        writer.write_eof()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        client = OpenAIModelClient(Endpoint(f"http://127.0.0.1:{port}/v1", "a-key"))
        with pytest.raises(ModelError, match="too large for us"):
            await call(client, request("plain", options={"user": "a" * 5_000_000}))
        await client.close()
