"""Clients of a server that is killed: they retry with one key, resume from a cursor, and record acknowledgements."""

import asyncio
import random
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2

from tests.faults.host import TIMEOUT, KillableHost
from tests.http.api_client import ok
from tests.http.sse_client import JSON, Frame, Stream

WaitMode = Literal["async", "wait", "stream"]
WAIT_MODES: tuple[WaitMode, ...] = ("async", "wait", "stream")
TOOLS = 'call calculate {"expression": "1+1"} then call current_time'
_used_models: set[str] = set()
"""The model names that any client used: the one model server counts the calls of each name."""
_HEADERS: dict[WaitMode, dict[str, str]] = {
    "async": {"prefer": "respond-async"},
    "wait": {"prefer": "wait=60"},
    "stream": {"accept": "text/event-stream"},
}


@dataclass
class PostedMessage:
    """A message that a client posts. `message_id` is known once the server has acknowledged it."""

    session_id: str
    body: JSON
    key: str | None
    message_id: str | None = None


@dataclass
class Ledger:
    """What clients requested, and what the server acknowledged."""

    posted: list[PostedMessage] = field(default_factory=list[PostedMessage])
    cancelled: list[str] = field(default_factory=list[str])
    """Turns whose cancel was acknowledged as `cancelling`."""
    appended: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])
    """Session, sequence and text of the acknowledged outside events."""


@asynccontextmanager
async def client_of(host: KillableHost, seed: int) -> AsyncGenerator["Client"]:
    """A client of `host`, with no limit to its connections."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=TIMEOUT, limits=limits, verify=False, trust_env=False) as http:
        yield Client(host, http, seed)


class Client:
    """Calls the server that is running."""

    def __init__(self, host: KillableHost, http: httpx2.AsyncClient, seed: int) -> None:
        self.host = host
        self.http = http
        self.ledger = Ledger()
        self.random = random.Random(seed)

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send until there is an answer: only for requests that may be repeated."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                with suppress(httpx2.TransportError):
                    return await self.http.request(method, await self.host.wait_for_url() + path, **options)
                await asyncio.sleep(0.02)

    async def get(self, path: str) -> Any:
        return ok(await self.request("GET", path))

    async def new_session(self, session_id: str) -> str:
        headers = {"idempotency-key": session_id}
        ok(await self.request("POST", "/sessions", json={"session_id": session_id}, headers=headers), 201)
        return session_id

    def new_message(self, session_id: str, content: str = "", **fields: Any) -> PostedMessage:
        """A message with its own text and its own model name, so that both can be counted."""
        body = {"content": f"{content} {secrets.token_hex(4)}", "model": self.new_model(), **fields}
        posted = PostedMessage(session_id, body, secrets.token_hex(8))
        self.ledger.posted.append(posted)
        return posted

    def new_model(self, tokens: tuple[int, int] = (5, 40), delay: tuple[int, int] = (0, 10)) -> str:
        """A scripted model that was not called yet: zeros before a number change only its name."""
        draw = self.random
        while True:
            name = f"fake-{draw.randint(*tokens):0{draw.randint(1, 6)}d}-{draw.randint(*delay):0{draw.randint(1, 6)}d}"
            if name not in _used_models:
                _used_models.add(name)
                return name

    async def post(self, message: PostedMessage, mode: WaitMode = "async") -> JSON | None:
        """Post a message until it is acknowledged, and wait for its end unless `async`. Return None for `stream`."""
        if mode == "stream":
            await self._post_stream(message)
            return None
        while True:
            response = await self._post_once(message, mode)
            if response.status_code in {200, 202}:
                body = response.json()
                message.message_id = body["message_id"]
                return body
            assert response.status_code == 429, response.text
            await asyncio.sleep(0.2)

    async def post_once(self, message: PostedMessage) -> None:
        """Post a message without a key, once, whatever the answer is."""
        message.key = None
        with suppress(httpx2.TransportError):
            response = await self._send(message, "async")
            if response.status_code == 202:
                message.message_id = response.json()["message_id"]

    async def _post_once(self, message: PostedMessage, mode: WaitMode) -> httpx2.Response:
        async with asyncio.timeout(TIMEOUT):
            while True:
                with suppress(httpx2.TransportError):
                    return await self._send(message, mode)
                await asyncio.sleep(0.02)

    async def _send(self, message: PostedMessage, mode: WaitMode) -> httpx2.Response:
        url = f"{await self.host.wait_for_url()}/sessions/{message.session_id}/messages"
        return await self.http.post(url, json=message.body, headers=self._headers(message, mode))

    def _headers(self, message: PostedMessage, mode: WaitMode) -> dict[str, str]:
        return {**_HEADERS[mode], **({"idempotency-key": message.key} if message.key else {})}

    async def _post_stream(self, message: PostedMessage) -> None:
        """Post and read the turn. If that breaks off, either post again or resume with the session's stream."""
        seen: list[Frame] = []
        async with asyncio.timeout(TIMEOUT):
            while not any(_ends(frame, message) for frame in seen):
                with suppress(httpx2.TransportError):
                    if seen and self.random.random() < 0.5:
                        await self._read_on(message, seen)
                    else:
                        await self._post_again(message, seen)
                await asyncio.sleep(0.02)
        assert _ends(seen[-1], message)

    async def _post_again(self, message: PostedMessage, seen: list[Frame]) -> None:
        url = f"{await self.host.wait_for_url()}/sessions/{message.session_id}/messages"
        headers = self._headers(message, "stream")
        async with self.http.stream("POST", url, json=message.body, headers=headers) as response:
            if response.status_code == 429:
                return
            assert response.status_code == 200, await response.aread()
            async for frame in Stream(response):
                if seen and frame.id == seen[-1].id and frame.event == "done":
                    return
                message.message_id = message.message_id or frame.data["message_id"]
                # A retry shows the turn from its start. If the turn was queued, that is later than the frames before.
                if seen and (frame.id or 0) > (seen[-1].id or 0) + 1:
                    assert frame.data["message_id"] == message.message_id
                    seen.clear()
                _add(seen, frame)

    async def _read_on(self, message: PostedMessage, seen: list[Frame]) -> None:
        headers = {"last-event-id": str(seen[-1].id)}
        url = f"{await self.host.wait_for_url()}/sessions/{message.session_id}/stream"
        async with self.http.stream("GET", url, headers=headers) as response:
            async for frame in Stream(response):
                _add(seen, frame)
                if _ends(frame, message):
                    return

    async def cancel_running(self, session_id: str, *, wait: bool) -> JSON | None:
        """Cancel the turn that runs now, by its id; the receipt, if a turn runs."""
        active = (await self.get(f"/sessions/{session_id}"))["active_turn"]
        if active is None:
            return None
        headers = {"prefer": "wait=60"} if wait else {}
        body = {"turn_id": active["turn_id"]}
        response = await self.request("POST", f"/sessions/{session_id}/cancel", json=body, headers=headers)
        assert response.status_code in {200, 202}, response.text
        receipt = response.json()
        if receipt["status"] == "cancelling":
            self.ledger.cancelled.append(receipt["turn_id"])
        return receipt

    async def append(self, session_id: str, padding: str = "") -> None:
        """Append an outside event, once."""
        text = secrets.token_hex(4)
        headers = {"idempotency-key": text}
        event = {"event_type": "note", "note": text, "padding": padding}
        response = await self.request("POST", f"/sessions/{session_id}/events", json=event, headers=headers)
        assert response.status_code in {200, 201}, response.text
        self.ledger.appended.append((session_id, response.json()["sequences"][0], text))

    async def wait_until_idle(self, session_id: str) -> JSON:
        """Wait until no turn runs or waits; return the session."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                seen = await self.get(f"/sessions/{session_id}")
                if not seen["active_turn"] and not seen["queued"]:
                    return seen
                await asyncio.sleep(0.05)

    async def envelopes(self, session_id: str) -> list[JSON]:
        """The whole log, page by page."""
        events: list[JSON] = []
        cursor: int | None = 0
        while cursor is not None:
            page = await self.get(f"/sessions/{session_id}/events?coalesce=false&limit=1000&after={cursor}")
            events += page["events"]
            cursor = page["next_cursor"]
        return events

    async def messages(self, session_id: str) -> list[JSON]:
        messages: list[JSON] = []
        while True:
            after = f"&after={messages[-1]['message_id']}" if messages else ""
            page = await self.get(f"/sessions/{session_id}/messages?limit=200{after}")
            messages += page
            if len(page) < 200:
                return messages


def _ends(frame: Frame, message: PostedMessage) -> bool:
    return frame.event == "run.complete" and frame.data["message_id"] == message.message_id


def _add(seen: list[Frame], frame: Frame) -> None:
    """Add `frame` if it comes next; a frame that was read before must be equal."""
    assert frame.id is not None
    index = frame.id - (seen[0].id or 0) if seen else 0
    if index < len(seen):
        assert frame == seen[index]
    else:
        assert index == len(seen)
        seen.append(frame)
