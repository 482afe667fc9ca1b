"""Scripted model server: an OpenAI-compatible server for a laptop, tests and benchmarks; costs nothing.

`python -m turnlog.local.model` serves `POST /v1/chat/completions`, `GET /v1/models`, `GET /stats`, `POST /stats/reset`.
The model's name says how it behaves (tokens up to 999999):

    fake-<tokens>-<ms>    that many tokens, that many milliseconds between two of them
    think-<tokens>-<ms>   the same, after as many tokens of reasoning
    fail-<status>         that HTTP status, 400 to 599, with an error body; 429 and 503 carry `retry-after`
    flaky-<n>-<anything>  the first n requests with this very name answer 503, later ones as fake-20-0
    mute-<seconds>        no response headers for that long, then as fake-20-0
    cut-<tokens>          the connection breaks after that many tokens
    hang-<tokens>         after that many tokens silence, with the connection open
    end-<tokens>          the stream ends in order, but without a finish reason and without usage
    error-<tokens>        after that many tokens an error object, and the stream ends
    garbage-<tokens>      after that many tokens a line that is not JSON, then the rest
    length-<tokens>       finish reason "length"
    filter-<tokens>       finish reason "content_filter"
    nousage-<tokens>      usage is never sent

Offered tools are called when the last user message asks for it: `call add {"a": 1, "b": 2} and use clock` makes both
calls in one step, `call add {…} then call clock` the second one after the first one's result. Each fragment of a call
is a token. If propose_patch is offered and the message names no tool, the answer is a patch: see turnlog/local/model/coder.py.
"""

import argparse
import asyncio
import os
import sys
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from turnlog.local.errors import HostError
from turnlog.local.model.answer import Answer, ApiError, Counts
from turnlog.local.model.launch import DEFAULT_MODEL, LISTENING_ON
from turnlog.local.model.request import ChatRequest
from turnlog.local.model.script import Script, parse_model_name
from turnlog.local.sockets import bind, url_of

_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 503: "service_unavailable"}


class Stats:
    """Counts per model name, of the requests that named a scripted model."""

    def __init__(self) -> None:
        self.models: defaultdict[str, Counts] = defaultdict(Counts)
        self.last_abort_at: float | None = None

    def dump(self) -> dict[str, Any]:
        models = {name: asdict(counts) for name, counts in self.models.items()}
        total = {field.name: sum(counts[field.name] for counts in models.values()) for field in fields(Counts)}
        return {**total, "last_abort_at": self.last_abort_at, "models": models}


class ScriptedModel:
    """The ASGI application; one per process, because it counts."""

    def __init__(self) -> None:
        self._stats = Stats()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = f"{scope['method']} {scope['path']}"
        if route != "POST /v1/chat/completions":
            await self._answer_query(route)(scope, receive, send)
            return
        try:
            await self._complete(scope, receive, send)
        except ApiError as error:
            await error.response(scope, receive, send)

    def _answer_query(self, route: str) -> JSONResponse:
        if route == "POST /stats/reset":
            self._stats = Stats()  # requests that still run are counted in the old ones
        match route:
            case "GET /v1/models":
                listed = {"id": DEFAULT_MODEL, "object": "model", "created": 0}
                return JSONResponse({"object": "list", "data": [listed]})
            case "GET /stats" | "POST /stats/reset":
                return JSONResponse(self._stats.dump())
            case _:
                return ApiError(404, f"Invalid URL ({route})").response

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, script = _parse_request(await Request(scope, receive).body())
        stats, counts = self._stats, self._stats.models[request.model]
        counts.requests += 1
        status = 503 if counts.requests <= script.failures else script.status
        if status != 200:
            raise ApiError(status, f"{request.model} fails with {status}, as scripted.", _CODES.get(status))
        counts.active += 1
        sending = asyncio.create_task(Answer(request, script, counts).send(scope, receive, send))
        disconnect = asyncio.ensure_future(receive())  # the body has been read: this is the next message
        try:
            await asyncio.wait((sending, disconnect), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            else:
                counts.aborted += 1
                stats.last_abort_at = time.time()
        finally:
            counts.active -= 1
            sending.cancel()
            disconnect.cancel()


def _parse_request(body: bytes) -> tuple[ChatRequest, Script]:
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        param = ".".join(map(str, first["loc"])) or None
        raise ApiError(400, first["msg"].removeprefix("Value error, "), param=param) from error
    script = parse_model_name(request.model)
    if script is None:
        raise ApiError(404, f"The model `{request.model}` does not exist.", "model_not_found", "model")
    return request, script


def _exit_on_stdin_eof() -> None:
    """Exit when the parent process ends: then its end of the pipe closes, even at `kill -9`."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--exit-on-stdin-eof", action="store_true", help="exit when the parent process ends")
    options = parser.parse_args()
    if options.exit_on_stdin_eof:
        threading.Thread(target=_exit_on_stdin_eof, daemon=True).start()
    config = uvicorn.Config(ScriptedModel(), lifespan="off", ws="none", log_level="critical", access_log=False)
    config.timeout_keep_alive, config.timeout_graceful_shutdown = 75, 0
    try:
        bound = bind(options.host, options.port)
    except HostError as error:
        sys.exit(f"cannot start: {error}")
    with bound as server, suppress(KeyboardInterrupt):
        # Listen before the line is printed: a client may connect at once, and waits in the backlog for the loop.
        server.listen(2048)
        print(f"{LISTENING_ON}{url_of(server)}/v1", flush=True)
        uvicorn.Server(config).run(sockets=[server])
