"""Scripted model server: an OpenAI-compatible stand-in for a laptop, tests and benchmarks; costs nothing.

`python -m local.model` speaks `POST /v1/chat/completions`, `GET /v1/models`, `GET /stats`, `POST /stats/reset`.
The model's name says how it behaves (tokens up to 999999):

    fake-<tokens>-<ms>    that many tokens, that many milliseconds between two of them
    fail-<status>         that HTTP status, 400 to 599, with an error body; 429 and 503 carry `retry-after`
    flaky-<n>-<anything>  the first n requests with this very name answer 503, later ones as fake-20-0
    mute-<seconds>        no response headers for that long, then as fake-20-0
    cut-<tokens>          the connection breaks after that many tokens
    hang-<tokens>         after that many tokens silence, with the connection open
    end-<tokens>          the stream ends in order, but without a finish reason and without usage
    error-<tokens>        after that many tokens an error object, and the stream ends
    garbage-<tokens>      after that many tokens a line that is no JSON, then the rest
    length-<tokens>       finish reason "length"
    filter-<tokens>       finish reason "content_filter"
    nousage-<tokens>      usage is never sent

Offered tools are called when the last user message says so: `call add {"a": 1, "b": 2} and use clock` makes both
calls at once, `call add {…} then call clock` one after the other's result. Every fragment of a call is a token.
Where propose_patch is offered, a prompt that asks for no call by name is coded: see local/model/coder.py.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from local.errors import HostError
from local.model.script import ChatRequest, Script, parse_model_name, plan_calls, split_calls
from local.model.stats import Counts, Stats
from local.model.words import plan_words
from local.sockets import bind, url_of

_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 503: "service_unavailable"}


class ApiError(Exception):
    """A request answered with OpenAI's error body."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        # In milliseconds too, as OpenAI does: its SDK prefers them, which keeps retrying clients quick.
        headers = {"retry-after": "1", "retry-after-ms": "50"} if status in (429, 503) else {}
        self.response = JSONResponse(self.body, status, headers)


class Answer:
    """One chat completion being written to a client."""

    def __init__(self, request: ChatRequest, script: Script, counts: Counts) -> None:
        self.script, self.counts, self.stream = script, counts, request.stream
        self.calls = plan_calls(request)
        self.words = [] if self.calls else plan_words(request, script.tokens)
        self.deltas = split_calls(self.calls) or [{"content": word} for word in self.words]
        whole = script.finish_reason == "stop" and script.ending == "done"
        self.deltas = self.deltas if whole else self.deltas[: script.tokens]
        self.finish_reason = "tool_calls" if whole and self.calls else script.finish_reason
        prompt, written = sum(len(message.text.split()) for message in request.messages), len(self.deltas)
        usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
        self.usage = {"usage": usage} if script.usage else {}
        self.usage_streamed = self.usage and (request.stream_options or {}).get("include_usage")
        head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": request.model}
        self.head = head | {"object": "chat.completion.chunk", "system_fingerprint": "fp_scripted"}

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self.script.silence)
        self.counts.started += 1
        if not self.stream:
            await JSONResponse(await self._whole())(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        async for data in self._events():
            await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})
        if self.script.ending != "cut":  # a response left incomplete makes uvicorn break the connection
            await send({"type": "http.response.body", "body": b""})

    async def _events(self) -> AsyncIterator[str]:
        yield self._chunk({"role": "assistant", "content": None if self.calls else ""})
        async for delta in self._paced():
            yield self._chunk(delta)
        if self.script.ending == "cut":
            return
        if self.script.ending == "error":
            yield json.dumps(ApiError(500, "The scripted model fails here.").body)
            return
        if self.script.ending == "garbage":
            yield '{"id": "chatcmpl-'
        if self.finish_reason:
            yield self._chunk({}, self.finish_reason)
        if self.usage_streamed:
            yield json.dumps({**self.head, "choices": [], **self.usage})
        yield "[DONE]"

    async def _whole(self) -> dict[str, Any]:
        """The answer in one piece; half of it could not be told from a short one, so a scripted break is an error."""
        async for _ in self._paced():
            pass
        if self.script.ending != "done":
            raise ApiError(500, "This model only fails as scripted when it streams.")
        message: dict[str, Any] = {"role": "assistant", "content": None if self.calls else "".join(self.words)}
        if self.calls:
            message["tool_calls"] = [call.model_dump(exclude={"function": {"parameters"}}) for call in self.calls]
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason, "logprobs": None}
        return {**self.head, "object": "chat.completion", "choices": [choice], **self.usage}

    async def _paced(self) -> AsyncIterator[dict[str, Any]]:
        """The deltas, each in its time, counted as sent; counts the answer as finished once none is left."""
        due = time.monotonic() - self.script.delay
        for delta in self.deltas:
            due += self.script.delay
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.counts.tokens_sent += 1
            yield delta
        if self.script.ending == "hang":
            await asyncio.Event().wait()
        # Before the last bytes leave: who has read them finds the answer finished in `/stats`.
        self.counts.finished += 1

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return json.dumps({**self.head, "choices": [choice]} | ({"usage": None} if self.usage_streamed else {}))


class ScriptedModel:
    """The ASGI application; one per process, because it counts."""

    def __init__(self) -> None:
        self.stats = Stats()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = f"{scope['method']} {scope['path']}"
        if route != "POST /v1/chat/completions":
            await self._tell(route)(scope, receive, send)
            return
        try:
            await self._complete(scope, receive, send)
        except ApiError as error:
            await error.response(scope, receive, send)

    def _tell(self, route: str) -> JSONResponse:
        if route == "POST /stats/reset":
            self.stats = Stats()  # what still runs goes on counting into the old ones
        match route:
            case "GET /v1/models":
                return JSONResponse({"object": "list", "data": [{"id": "fake-60-30", "object": "model", "created": 0}]})
            case "GET /stats" | "POST /stats/reset":
                return JSONResponse(self.stats.dump())
            case _:
                return ApiError(404, f"Invalid URL ({route})").response

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, script = _parse_request(await Request(scope, receive).body())
        stats, counts = self.stats, self.stats.models[request.model]
        counts.requests += 1
        status = 503 if counts.requests <= script.failures else script.status
        if status != 200:
            raise ApiError(status, f"{request.model} fails with {status}, as scripted.", _CODES.get(status))
        counts.active += 1
        running = asyncio.create_task(Answer(request, script, counts).send(scope, receive, send))
        gone = asyncio.ensure_future(receive())  # the body has been read: the next message is the disconnect
        try:
            await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            else:
                counts.aborted += 1
                stats.last_abort_at = time.time()
        finally:
            counts.active -= 1
            running.cancel()
            gone.cancel()


def _parse_request(body: bytes) -> tuple[ChatRequest, Script]:
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise ApiError(
            400, first["msg"].removeprefix("Value error, "), param=".".join(map(str, first["loc"])) or None
        ) from error
    script = parse_model_name(request.model)
    if script is None:
        raise ApiError(404, f"The model `{request.model}` does not exist.", "model_not_found", "model")
    return request, script


def _exit_on_stdin_eof() -> None:
    """End with the parent, however it ended: its end of the pipe closes even under `kill -9`."""
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--exit-on-stdin-eof", action="store_true", help="exit when the parent process is gone")
    options = parser.parse_args()
    if options.exit_on_stdin_eof:
        threading.Thread(target=_exit_on_stdin_eof, daemon=True).start()
    config = uvicorn.Config(ScriptedModel(), lifespan="off", ws="none", log_level="critical", access_log=False)
    config.timeout_keep_alive, config.timeout_graceful_shutdown = 75, 0
    # Listening already: who reads the line may connect at once, and waits in the backlog for the loop to start.
    try:
        bound = bind(options.host, options.port)
    except HostError as error:
        sys.exit(f"cannot start: {error}")
    with bound as server, suppress(KeyboardInterrupt):
        server.listen(2048)
        print(f"listening on {url_of(server)}/v1", flush=True)
        uvicorn.Server(config).run(sockets=[server])
