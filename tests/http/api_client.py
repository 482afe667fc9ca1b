"""A client of the API, and a host process to call: the local host with its scripted model.

It imports neither pytest nor the service's code, so other suites use it as well.
"""

import asyncio
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2

from tests.http.sse_client import JSON, Frame, Stream, require_public

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 60.0
"""A wait for a state fails after this time. It is not a measure of anything."""

T = TypeVar("T")


@dataclass
class Host:
    """A running host. `url` serves the app, `model_url` the scripted model."""

    url: str
    model_url: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """Kill the process, like a crash."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running_host(data_dir: Path, env: Mapping[str, str] | None = None, port: int = 0) -> Generator[Host]:
    """Run a host on `data_dir` while the context is open, with the settings `env` and none of this process."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "turnlog.local.host", "--port", str(port), "--data-dir", str(data_dir)]
    command += ["--grace", "1"]  # otherwise a handler that waits for a client that is gone delays the end
    with (data_dir / "host.log").open("a") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**inherited, "MODEL": "fake-20-0", "LOG_LEVEL": "WARNING", **(env or {})},
        )
        try:
            lines = _read_output_until(process, "listening on ")
            url = lines[-1].removeprefix("listening on ").strip()
            model = next((line for line in lines if line.strip().startswith("model ")), "")
            yield Host(url, model.partition(" at ")[2].partition("/v1")[0], process)
        finally:
            process.terminate()
            process.communicate()


def _read_output_until(process: subprocess.Popen[str], start: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith(start):
        line = process.stdout.readline()
        assert line, f"the host ended with {process.wait()}: {''.join(lines)}"
        lines.append(line)
    return lines


@dataclass
class Api:
    """The API with short names for common requests. `http` sends all others."""

    http: httpx2.AsyncClient
    model: httpx2.AsyncClient

    async def new_session(self, **fields: Any) -> str:
        """Create a session; return its id."""
        return cast("str", ok(await self.http.post("/sessions", json=fields), 201)["session_id"])

    async def session(self, session_id: str) -> JSON:
        return ok(await self.http.get(f"/sessions/{session_id}"))

    async def post(self, session_id: str, content: Any = "Hello", prefer: str = "", **more: Any) -> httpx2.Response:
        """Post a message and wait as `prefer` says; return the response."""
        headers = {**more.pop("headers", {}), **({"prefer": prefer} if prefer else {})}
        body = {"content": content, **more}
        return await self.http.post(f"/sessions/{session_id}/messages", json=body, headers=headers)

    async def run_turn(self, session_id: str, content: Any = "Hello", **more: Any) -> JSON:
        """Post a message and wait for the end of its turn; return the message."""
        return ok(await self.post(session_id, content, **more))

    async def start_turn(self, session_id: str, content: Any = "Hello", **more: Any) -> JSON:
        """Post a message without waiting; return the message at this time."""
        return ok(await self.post(session_id, content, prefer="respond-async", **more), 202)

    async def message(self, message_id: str) -> JSON:
        return ok(await self.http.get(f"/messages/{message_id}"))

    async def cancel(self, session_id: str, **fields: Any) -> httpx2.Response:
        return await self.http.post(f"/sessions/{session_id}/cancel", json=fields, headers={"prefer": "wait=30"})

    async def append(self, session_id: str, *events: JSON) -> list[int]:
        """Append outside events; return their sequences."""
        return ok(await self.http.post(f"/sessions/{session_id}/events", json=list(events)), 201)["sequences"]

    async def events(self, session_id: str) -> list[JSON]:
        """Read the whole log, page by page."""
        events: list[JSON] = []
        cursor = 0
        while cursor is not None:
            page = ok(await self.http.get(f"/sessions/{session_id}/events?coalesce=false&limit=1000&after={cursor}"))
            events += page["events"]
            cursor = page["next_cursor"]
        return events

    @asynccontextmanager
    async def stream(self, session_id: str, query: str = "", **headers: str) -> AsyncGenerator[Stream]:
        """Open the session's stream. `query` is as in the URL; names of headers have `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.stream("GET", f"/sessions/{session_id}/stream?{query}", headers=sent) as response:
            yield Stream(response)

    @asynccontextmanager
    async def post_stream(self, session_id: str, content: Any = "Hello", **more: Any) -> AsyncGenerator[Stream]:
        """Post a message and read its turn as a stream."""
        headers = {"accept": "text/event-stream", **more.pop("headers", {})}
        body = {"content": content, **more}
        async with self.http.stream("POST", f"/sessions/{session_id}/messages", json=body, headers=headers) as response:
            yield Stream(response)

    async def read(self, session_id: str, query: str = "", **headers: str) -> list[Frame]:
        """Read the session's stream to its end."""
        async with self.stream(session_id, query, **headers) as stream:
            assert stream.response.status_code == 200, await stream.response.aread()
            return await stream.read_to_end()

    async def wait_for_event(self, session_id: str, event: str, times: int = 1) -> Frame:
        """Follow the session until the log holds `times` events of this type."""
        async with self.stream(session_id, "follow=true") as stream:
            return await stream.until(event, times)

    async def wait_until_idle(self, session_id: str) -> JSON:
        """Wait until no turn runs and no message waits; return the session."""
        return await wait_until(
            lambda: self.session(session_id), lambda seen: not seen["active_turn"] and not seen["queued"]
        )

    async def wait_until_aborted(self, model: str) -> None:
        """Wait until the model server has seen its only request with this model aborted."""
        await wait_until(lambda: self.model_stats(model), lambda seen: (seen["aborted"], seen["active"]) == (1, 0))

    async def model_stats(self, model: str) -> JSON:
        """The counts of the test's requests with this model."""
        counts = ok(await self.model.get("/stats"))["models"].get(model)
        return counts or {"requests": 0, "started": 0, "finished": 0, "aborted": 0, "tokens_sent": 0, "active": 0}


@asynccontextmanager
async def api_client(host: Host) -> AsyncGenerator[Api]:
    """Open a client of `host` with an unlimited number of connections."""
    limits, hooks = httpx2.Limits(max_connections=None), {"response": [_require_public]}
    async with (
        httpx2.AsyncClient(
            base_url=host.url,
            timeout=TIMEOUT_SECONDS,
            limits=limits,
            event_hooks=hooks,
            verify=False,
            trust_env=False,
        ) as http,
        httpx2.AsyncClient(base_url=host.model_url, timeout=TIMEOUT_SECONDS, verify=False, trust_env=False) as model,
    ):
        yield Api(http, model)


async def _require_public(response: httpx2.Response) -> None:
    """Check the headers of every response, and the body if it is JSON. Streams check their frames."""
    require_public(str(response.headers))
    if response.headers.get("content-type", "").endswith("json"):
        require_public((await response.aread()).decode())


async def wait_until(read: Callable[[], Awaitable[T]], is_wanted: Callable[[T], object] = bool) -> T:
    """Read again until the value is wanted; return it. For states that no stream shows."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not is_wanted(value := await read()):  # noqa: ASYNC110  # nothing sets an event
            await asyncio.sleep(0.01)
        return value


def ok(response: httpx2.Response, status: int = 200) -> Any:
    """Check the status; return the body."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    return response.json()


def next_link(response: httpx2.Response) -> str | None:
    """Return the URL of the next page, if there is one."""
    found = re.fullmatch(r'<(.+)>; rel="next"', response.headers.get("link", ""))
    return found[1] if found else None


def refusal(response: httpx2.Response, status: int, code: str) -> JSON:
    """Check that the response is a complete problem; return its body."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    assert response.headers["content-type"] == "application/problem+json"
    body: JSON = response.json()
    assert ("fault_domain" in body) == (status >= 500)
    assert body.keys() - {"errors", "fault_domain"} == {
        "type",
        "title",
        "status",
        "detail",
        "code",
        "retryable",
        "trace_id",
    }
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["detail"]
    assert body["title"]
    assert body["trace_id"] == response.headers["x-trace-id"]
    return body


def new_id(prefix: str = "test") -> str:
    """A session id that no other test uses."""
    return f"{prefix}-{secrets.token_hex(8)}"


def types(events: Sequence[JSON]) -> list[str]:
    return [event["type"] for event in events]


def is_gapless(events: Sequence[JSON]) -> bool:
    return [event["sequence"] for event in events] == list(range(1, len(events) + 1))
