"""A client that sends slowly or goes away costs nothing for long, and is not logged as an error."""

import asyncio
import logging
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azurefunctions.extensions.http.fastapi import Request, Response
from starlette.requests import ClientDisconnect

from tests.local.local_host import App, running_host
from turnlog.api.edge.problems import IncompleteBodyError
from turnlog.api.edge.requests import read_bytes
from turnlog.local.durable.rpc import secret_prefix
from turnlog.local.host.options import exposure_of

pytestmark = pytest.mark.anyio

HEAD = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"


async def connect(url: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(str(url))
    return await asyncio.open_connection(parts.hostname, parts.port)


@pytest.mark.parametrize("start", [b"", b"GET /echo HTTP/1.1\r\nhost: loc"])
async def test_headers_that_do_not_arrive_end_the_connection(tmp_path: Path, start: bytes) -> None:
    async with running_host(App(), tmp_path, input_seconds=0.1) as host:
        reader, writer = await connect(host.http.base_url)
        writer.write(start)

        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(10):
                await reader.readexactly(1)
        writer.close()


async def test_a_connection_that_is_used_again_has_the_same_limit(tmp_path: Path) -> None:
    async with running_host(App(), tmp_path, input_seconds=0.2) as host:
        reader, writer = await connect(host.http.base_url)
        writer.write(b"GET /none HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404")
        writer.write(b"GET /none HTTP/1.1\r\nho")

        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(10):
                await reader.readexactly(1)
        writer.close()


async def test_a_body_that_does_not_arrive_is_refused(tmp_path: Path) -> None:
    app, seen = App(), list[type[Exception]]()

    @app.route("echo", methods=["POST"])
    async def echo(req: Request) -> Response:
        try:
            await read_bytes(req)
        except IncompleteBodyError as error:
            seen.append(type(error))
            return Response(None, 408)
        return Response()

    async with running_host(app, tmp_path, input_seconds=0.1) as host:
        reader, writer = await connect(host.http.base_url)
        writer.write(HEAD + b"{")
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 408")
    assert seen == [IncompleteBodyError]


async def test_a_client_that_is_gone_is_no_error_of_the_app(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app, ended = App(), asyncio.Event()

    @app.route("echo", methods=["POST"])
    async def echo(req: Request) -> Response:
        try:
            await req.body()
        except ClientDisconnect:
            ended.set()
            raise
        return Response()

    async with running_host(app, tmp_path) as host:
        _, writer = await connect(host.http.base_url)
        writer.write(HEAD + b"{")
        await writer.drain()
        writer.transport.abort()
        async with asyncio.timeout(10):
            await ended.wait()

    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_only_who_knows_the_secret_reaches_the_durable_endpoints(tmp_path: Path) -> None:
    async with running_host(App(), tmp_path) as host:
        base = urlsplit(str(host.durable._orchestration_bindings._rpc_base_url))
        prefixes = ("/durabletask/", secret_prefix(), "/", base.path)
        answers = [await host.http.get(f"{base.scheme}://{base.netloc}{prefix}instances") for prefix in prefixes]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 501]
    assert len(base.path) > len("/durabletask/") + 20


@pytest.mark.parametrize(
    ("host", "auth_mode", "warns"),
    [
        ("127.0.0.1", None, False),
        ("localhost", "none", False),
        ("::1", None, False),
        ("0.0.0.0", None, True),
        ("::", "none", True),
        ("192.168.0.7", "", True),
        ("0.0.0.0", "jwt", False),
    ],
)
def test_an_app_that_others_can_reach_and_that_identifies_nobody_is_warned_of(
    host: str, auth_mode: str | None, warns: bool
) -> None:
    assert (exposure_of(host, auth_mode) is not None) == warns
