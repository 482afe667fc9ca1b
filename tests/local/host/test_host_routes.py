"""Requests find functions as on the real host; what no function serves gets the platform's own empty answer."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response

from tests.local.local_host import App, Host, running_host
from turnlog.local.host.routes import Route, Router, segments_of

pytestmark = pytest.mark.anyio

TEMPLATES = {
    "sessions": "GET POST",
    "sessions/{id}": "GET DELETE",
    "sessions/{id}/stream": "GET",
    "sessions/active": "GET",
    "Messages/{id}": "GET",
    "/": "GET",
}


def app_with_routes() -> App:
    app = App()
    for number, (template, methods) in enumerate(TEMPLATES.items()):

        def handler_of(template: str = template) -> Any:
            async def handler(req: Request) -> Response:
                return JSONResponse([template, req.path_params])

            return handler

        app.function_name(f"f{number}")(app.route(template, methods=methods.split())(handler_of()))
    return app


@pytest.fixture
async def host(tmp_path: Path) -> AsyncGenerator[Host]:
    async with running_host(app_with_routes(), tmp_path) as host:
        yield host


async def send(host: Host, request_line: str) -> bytes:
    """Send a request line unchanged, which no HTTP client would do, and return the whole answer."""
    url = host.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"{request_line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode("latin-1"))
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("path", "template", "params"),
    [
        ("/", "/", {}),
        ("/sessions", "sessions", {}),
        ("/SESSIONS/", "sessions", {}),
        ("/Sessions/Ab", "sessions/{id}", {"id": "Ab"}),
        ("/sessions/ab/STREAM/?after=3", "sessions/{id}/stream", {"id": "ab"}),
        ("/sessions/active", "sessions/active", {}),
        ("/sessions/Active/stream", "sessions/{id}/stream", {"id": "Active"}),
        ("/messages/m12", "Messages/{id}", {"id": "m12"}),
        ("/sessions/a%2Fb", "sessions/{id}", {"id": "a%2Fb"}),
        ("/sessions/a%2fb%20c%C3%A9", "sessions/{id}", {"id": "a%2fb cé"}),
        ("/sessions/%FF", "sessions/{id}", {"id": "�"}),
        ("/sessions/%252F", "sessions/{id}", {"id": "%2F"}),
        ("/files/../sessions/./ab", "sessions/{id}", {"id": "ab"}),
    ],
)
async def test_a_path_finds_its_function(host: Host, path: str, template: str, params: dict[str, str]) -> None:
    answer = await send(host, f"GET {path}")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == JSONResponse([template, params]).body


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /index.html",
        "GET /nowhere",
        "GET /sessions/a/b/c",
        "GET /sessions//stream",
        "PUT /sessions",
        "PATCH /sessions/a",
        "HEAD /sessions",
        "OPTIONS /sessions",
        "TRACE /sessions",
    ],
)
async def test_what_no_function_serves_is_an_empty_404(host: Host, request_line: str) -> None:
    answer = await send(host, request_line)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"content-length: 0" in head
    assert body == b""


async def test_a_nul_in_a_path_is_a_bad_request(host: Host) -> None:
    answer = await send(host, "GET /sessions/a%00b")

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_routes_are_under_the_prefix_of_host_json(tmp_path: Path) -> None:
    async with running_host(app_with_routes(), tmp_path, route_prefix="api") as host:
        with_prefix = await host.http.get("/api/sessions/active")
        without = await host.http.get("/sessions/active")

    assert with_prefix.json() == ["sessions/active", {}]
    assert without.status_code == 404


def test_a_route_without_methods_takes_them_all() -> None:
    router = Router([Route("any", frozenset(), "target")])

    assert router.find("PATCH", ["any"]) == ("target", {})


def test_a_route_that_does_not_take_the_method_gives_way_to_the_next() -> None:
    literal, parameter = Route("a/b", frozenset({"GET"}), "literal"), Route("a/{x}", frozenset({"PUT"}), "parameter")
    router = Router([literal, parameter])

    assert router.find("PUT", ["a", "b"]) == ("parameter", {"x": "b"})


def test_the_bytes_of_a_path_need_not_be_escaped() -> None:
    assert segments_of("/a/é".encode()) == ["a", "é"]
