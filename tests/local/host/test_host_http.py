"""What functions return, raise and stream reaches the client; browsers of other origins get CORS headers."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

from tests.local.local_host import App, running_host, wait_until
from turnlog.domain.origins import AllowedOrigins

pytestmark = pytest.mark.anyio


async def test_a_request_arrives_untouched(tmp_path: Path) -> None:
    app = App()

    @app.route("echo", methods=["POST"])
    async def echo(req: Request) -> Response:
        body = await req.body()
        return Response(body, 207, {"x-query": req.url.query, "x-given": req.headers["x-ms-client-principal"]})

    async with running_host(app, tmp_path) as host:
        answer = await host.http.post(
            "/echo?a=1&a=%20", content=b"\0" * 300_000, headers={"X-MS-Client-Principal": "me"}
        )

    assert (answer.status_code, answer.content) == (207, b"\0" * 300_000)
    assert (answer.headers["x-query"], answer.headers["x-given"]) == ("a=1&a=%20", "me")


@pytest.mark.parametrize("returned", [None, {"a": 1}, "text"])
async def test_a_returned_value_that_is_not_a_response_is_an_error(tmp_path: Path, returned: Any) -> None:
    app = App()

    @app.route("odd")
    async def odd(req: Request) -> Response:
        return returned

    async with running_host(app, tmp_path) as host:
        answer = await host.http.get("/odd")

    assert answer.status_code == 500


async def test_an_exception_is_a_plain_500_and_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.route("bad")
    async def bad(req: Request) -> Response:
        raise ValueError("not for clients")

    async with running_host(app, tmp_path) as host:
        answer = await host.http.get("/bad")

    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "not for clients" in caplog.text


async def test_a_stream_reaches_its_client_piece_by_piece(tmp_path: Path) -> None:
    app, go_on = App(), asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes]:
        yield b"one"
        await go_on.wait()
        yield b"two"

    @app.route("stream")
    async def stream(req: Request) -> Response:
        return StreamingResponse(pieces())

    async with running_host(app, tmp_path) as host, host.http.stream("GET", "/stream") as answer:
        arriving = answer.aiter_raw()
        first = await anext(arriving)
        go_on.set()
        second = await anext(arriving)

    assert (first, second) == (b"one", b"two")


async def test_the_generator_of_a_stream_is_cancelled_when_its_client_leaves(tmp_path: Path) -> None:
    app, events = App(), list[str]()

    async def endless() -> AsyncGenerator[bytes]:
        try:
            yield b"begun"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        finally:
            events.append("closed")

    @app.route("stream")
    async def stream(req: Request) -> Response:
        return StreamingResponse(endless())

    async with running_host(app, tmp_path) as host:
        async with host.http.stream("GET", "/stream") as answer:
            await anext(answer.aiter_raw())

        async def read() -> list[str]:
            return events

        await wait_until(read, lambda events: len(events) == 2)

    assert events == ["cancelled", "closed"]


async def test_a_handler_continues_when_its_client_leaves(tmp_path: Path) -> None:
    app, entered, leave, left = App(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.route("slow")
    async def slow(req: Request) -> Response:
        entered.set()
        await leave.wait()
        left.set()
        return Response()

    async with running_host(app, tmp_path) as host:
        url = host.http.base_url
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await entered.wait()
        writer.close()
        await writer.wait_closed()
        await host.http.post("/client")  # after this the server has seen the other connection end
        leave.set()
        await asyncio.wait_for(left.wait(), 60)


async def test_a_stream_that_fails_breaks_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    async def failing() -> AsyncGenerator[bytes]:
        yield b"begun"
        raise ValueError("in the middle")

    @app.route("stream")
    async def stream(req: Request) -> Response:
        return StreamingResponse(failing())

    async with running_host(app, tmp_path) as host:
        url = host.http.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = await reader.read()
        writer.close()

    assert b"begun" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert "in the middle" in caplog.text


async def test_a_stream_is_cut_when_the_host_stops(tmp_path: Path) -> None:
    app, closed = App(), asyncio.Event()

    async def endless() -> AsyncGenerator[bytes]:
        try:
            yield b"begun"
            await asyncio.Event().wait()
        finally:
            closed.set()

    @app.route("stream")
    async def stream(req: Request) -> Response:
        return StreamingResponse(endless())

    async with running_host(app, tmp_path) as host:
        url = host.http.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"begun")

    assert closed.is_set()
    assert not (await reader.read()).endswith(b"0\r\n\r\n")
    writer.close()


def cors_app() -> App:
    app = App()

    @app.route("things", methods=["GET", "PUT"])
    async def things(req: Request) -> Response:
        return JSONResponse({}, headers={"x-trace-id": "t", "location": "/things/1"})

    return app


APP_EXAMPLE = AllowedOrigins(frozenset({"https://app.example"}))


async def test_an_allowed_origin_may_read_the_answer_and_no_more_headers_than_in_azure(tmp_path: Path) -> None:
    async with running_host(cors_app(), tmp_path, cors=APP_EXAMPLE) as host:
        answer = await host.http.get("/things", headers={"origin": "https://app.example"})

    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-expose-headers" not in answer.headers
    assert answer.headers["vary"] == "Origin"


async def test_an_answer_to_another_origin_allows_nothing(tmp_path: Path) -> None:
    async with running_host(cors_app(), tmp_path, cors=APP_EXAMPLE) as host:
        answer = await host.http.get("/things", headers={"origin": "https://evil.example"})

    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_is_answered_for_the_function(tmp_path: Path) -> None:
    asked = {"access-control-request-method": "PUT", "access-control-request-headers": "x-one, content-type"}
    async with running_host(cors_app(), tmp_path, cors=AllowedOrigins(frozenset({"*"}))) as host:
        answer = await host.http.options("/things", headers={"origin": "https://any.example", **asked})

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "PUT"
    assert answer.headers["access-control-allow-headers"] == "x-one, content-type"


async def test_without_allowed_origins_no_page_is_let_in(tmp_path: Path) -> None:
    origin = {"origin": "https://app.example"}
    async with running_host(cors_app(), tmp_path) as host:
        preflight = await host.http.options("/things", headers={**origin, "access-control-request-method": "GET"})
        answer = await host.http.get("/things", headers=origin)

    for each in (preflight, answer):
        assert not [name for name in each.headers if name.startswith("access-control-")]


async def test_a_refused_origin_is_logged_once_with_what_to_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_host(cors_app(), tmp_path, cors=APP_EXAMPLE) as host:
        own = str(host.http.base_url).rstrip("/")
        for origin in ("https://evil.example", own, "https://app.example", "null", "https://evil.example"):
            await host.http.get("/things", headers={"origin": origin})
        for number in range(200):
            await host.http.get("/things", headers={"origin": f"https://{number}.example"})

    lines = [record.getMessage() for record in caplog.records if "can't read answers" in record.getMessage()]
    assert lines[0].count("https://evil.example") == 1
    assert "CORS_ORIGINS" in lines[0]
    assert "serve the page over HTTP" in lines[1]
    assert len(lines) == len(set(lines)) == 100
