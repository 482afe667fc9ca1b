"""Readers of a server that is killed: they resume from their cursor, and show what they read by the README's rule."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2

from tests.faults.api_client import Client
from tests.faults.host import TIMEOUT
from tests.http.sse_client import JSON, Frame, frames_of


@dataclass
class Seen:
    """An event as a reader got it."""

    sequence: int
    type: str
    data: JSON


def shown(seen: Iterable[Seen]) -> dict[tuple[str, int], str]:
    """What a reader shows that follows the README's one rule: the text of each message's steps."""
    steps: dict[tuple[str, int], str] = {}
    for event in seen:
        key = (event.data.get("message_id", ""), event.data.get("step", 0))
        if event.type == "message.start":
            steps[key] = ""
        if event.type == "message.delta":
            steps[key] += event.data["text"]
    return steps


@dataclass
class Reader:
    """Follows a session across broken connections, by its cursor alone.

    `once`: the reader stops after `done`. Otherwise it continues with later turns, by `follow=true` or by connecting
    again. `budget` returns, for each connection, after how many bytes the reader itself disconnects.
    """

    client: Client
    session_id: str
    envelope: bool = False
    follow: bool = False
    once: bool = False
    types: str = ""
    budget: Callable[[], int] | None = None
    seen: list[Seen] = field(default_factory=list[Seen])
    drops: int = 0

    @property
    def cursor(self) -> int:
        return self.seen[-1].sequence if self.seen else 0

    async def run(self) -> None:
        """Read until `done` with `once`, else until cancelled."""
        over = False
        while not over:
            over = await self._connection() and self.once
            await asyncio.sleep(0.01)

    async def wait_for_head(self, head: int) -> None:
        """Wait until every event up to `head` is read."""
        await self.wait_until(lambda: self.cursor >= head)

    async def wait_until(self, is_good: Callable[[], bool]) -> None:
        """Wait until `is_good` returns True."""
        async with asyncio.timeout(TIMEOUT):
            while not is_good():  # noqa: ASYNC110  # nothing sets an event
                await asyncio.sleep(0.01)

    async def _connection(self) -> bool:
        """One connection; whether it ended with `done`."""
        query = f"format={'envelope' if self.envelope else 'named'}&follow={str(self.follow).lower()}"
        url = f"{await self.client.host.wait_for_url()}/sessions/{self.session_id}/stream?{query}&types={self.types}"
        try:
            async with self.client.http.stream("GET", url, headers={"last-event-id": str(self.cursor)}) as response:
                if response.status_code in {204, 404}:  # there is nothing more, or the session was deleted
                    return True
                assert response.status_code == 200, await response.aread()
                async for frame in frames_of(self._lines(response)):
                    if self._is_done(frame):
                        return True
        except httpx2.TransportError:
            pass
        self.drops += 1
        return False

    def _is_done(self, frame: Frame) -> bool:
        if frame.event == "done":
            assert frame.data["head"] == frame.id
            assert self.types or frame.id == self.cursor
            return True
        assert frame.id is not None
        data = frame.data
        if self.envelope:
            assert frame.event is None
            assert data["sequence"] == frame.id
            self.seen.append(Seen(frame.id, data["type"], data["data"]))
        else:
            self.seen.append(Seen(frame.id, frame.event or "", data))
        return False

    async def _lines(self, response: httpx2.Response) -> AsyncGenerator[str]:
        """The response's whole lines, cut off where the budget ends: in a frame, a line, or a character."""
        left = self.budget() if self.budget else None
        rest = b""
        async for part in response.aiter_bytes():
            rest += part if left is None else part[:left]
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield line.decode()
            if left is not None:
                left -= len(part)
                if left <= 0:
                    return


@asynccontextmanager
async def reading(readers: Iterable[Reader]) -> AsyncGenerator[None]:
    """Let the readers read while the body runs."""
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
