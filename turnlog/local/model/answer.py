"""One chat completion of the scripted model, written to a client as its script says."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from turnlog.local.model.calls import plan_calls, split_calls
from turnlog.local.model.request import ChatRequest
from turnlog.local.model.script import Script
from turnlog.local.model.words import plan_words

_THOUGHT = ("Let ", "me ", "think. ")


@dataclass
class Counts:
    """The requests to one model, by their ends; a request that failed or left before its answer began never started."""

    requests: int = 0
    started: int = 0
    finished: int = 0
    aborted: int = 0
    tokens_sent: int = 0
    active: int = 0


class ApiError(Exception):
    """A request that is answered with OpenAI's error body."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        # OpenAI sends milliseconds also, and its SDK prefers them, which keeps retries short.
        headers = {"retry-after": "1", "retry-after-ms": "50"} if status in (429, 503) else {}
        self.response = JSONResponse(self.body, status, headers)


class Answer:
    """The answer to `request`; `counts` are those of its model."""

    def __init__(self, request: ChatRequest, script: Script, counts: Counts) -> None:
        self._script, self._counts, self._stream = script, counts, request.stream
        self._calls = plan_calls(request)
        self._words = [] if self._calls else plan_words(request, script.tokens)
        deltas = split_calls(self._calls) or [{"content": word} for word in self._words]
        is_whole = script.finish_reason == "stop" and script.ending == "done"
        thoughts = [{"reasoning_content": word} for word in islice(cycle(_THOUGHT), script.thoughts)]
        self._deltas = [*thoughts, *(deltas if is_whole else deltas[: script.tokens])]
        self._finish_reason = "tool_calls" if is_whole and self._calls else script.finish_reason
        prompt, written = sum(len(message.text.split()) for message in request.messages), len(self._deltas)
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        }
        if thoughts:
            usage["completion_tokens_details"] = {"reasoning_tokens": len(thoughts)}
        self._usage = {"usage": usage} if script.usage else {}
        self._has_usage_chunk = self._usage and (request.stream_options or {}).get("include_usage")
        head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": request.model}
        self._head = head | {"object": "chat.completion.chunk", "system_fingerprint": "fp_scripted"}

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self._script.silence)
        self._counts.started += 1
        if not self._stream:
            await JSONResponse(await self._completion())(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        async for data in self._events():
            await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})
        if self._script.ending != "cut":  # after an incomplete response uvicorn breaks the connection
            await send({"type": "http.response.body", "body": b""})

    async def _events(self) -> AsyncIterator[str]:
        yield self._chunk({"role": "assistant", "content": None if self._calls else ""})
        async for delta in self._paced_deltas():
            yield self._chunk(delta)
        if self._script.ending == "cut":
            return
        if self._script.ending == "error":
            yield json.dumps(ApiError(500, "The scripted model fails here.").body)
            return
        if self._script.ending == "garbage":
            yield '{"id": "chatcmpl-'
        if self._finish_reason:
            yield self._chunk({}, self._finish_reason)
        if self._has_usage_chunk:
            yield json.dumps({**self._head, "choices": [], **self._usage})
        if self._finish_reason:  # a proxy that lost its server ends the stream without either
            yield "[DONE]"

    async def _completion(self) -> dict[str, Any]:
        """Return the answer in one piece.

        Raises:
            ApiError: the script ends the answer early: half an answer in one piece would look like a short one.
        """
        async for _ in self._paced_deltas():
            pass
        if self._script.ending != "done":
            raise ApiError(500, "This model only fails as scripted when it streams.")
        message: dict[str, Any] = {"role": "assistant", "content": None if self._calls else "".join(self._words)}
        if self._calls:
            message["tool_calls"] = [call.model_dump(exclude={"function": {"parameters"}}) for call in self._calls]
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason, "logprobs": None}
        return {**self._head, "object": "chat.completion", "choices": [choice], **self._usage}

    async def _paced_deltas(self) -> AsyncIterator[dict[str, Any]]:
        """Yield each delta at its time and count it; count the answer as finished after the last one."""
        due = time.monotonic() - self._script.delay
        for delta in self._deltas:
            due += self._script.delay
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._counts.tokens_sent += 1
            yield delta
        if self._script.ending == "hang":
            await asyncio.Event().wait()
        # Before the last bytes are sent: a client that has read them finds the answer finished in `/stats`.
        self._counts.finished += 1

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return json.dumps({**self._head, "choices": [choice]} | ({"usage": None} if self._has_usage_chunk else {}))
