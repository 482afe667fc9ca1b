"""Readers that reconnect and readers that never read: no event is lost or repeated, and others are not delayed."""

import asyncio
import socket
import subprocess
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.faults.api_client import TOOLS, WAIT_MODES, Client
from tests.faults.invariants import check
from tests.faults.readers import Reader, Seen, reading

pytestmark = pytest.mark.anyio

STUCK = 100
MEGABYTES = 8
"""How much the log grows while they do not read."""
MAX_GROWTH_KB = STUCK * 2 * 1024
"""Two megabytes for each. A reader whose events were all buffered would take eight."""


async def test_a_reader_that_drops_anywhere_loses_and_repeats_nothing(client: Client) -> None:
    assert await _trials(client, sessions=4, turns=2, readers=4) >= 60


@pytest.mark.slow
async def test_thousands_of_drops_lose_and_repeat_nothing(client: Client) -> None:
    drops = 0
    while drops < 3000:
        drops += await _trials(client, sessions=8, turns=4, readers=6)


async def _trials(client: Client, sessions: int, turns: int, readers: int) -> int:
    """Use some sessions at the same time while their readers drop and reconnect; the number of drops."""
    draw = client.random
    names = [f"{len(client.ledger.posted)}-{number}" for number in range(sessions)]
    return sum(await asyncio.gather(*(_trial(client, name, turns, draw.randint(2, readers)) for name in names)))


async def _trial(client: Client, session: str, turns: int, readers: int) -> int:
    await client.new_session(session)
    everyone = [_reader(client, session, number) for number in range(readers)]
    async with reading(everyone):
        for _ in range(turns):
            await _use(client, session)
        record = await check(client, session)
        for reader in everyone:
            await reader.wait_for_head(_wanted(record.seen, reader)[-1].sequence)
    latecomers = [_reader(client, session, number, once=True) for number in range(2)]
    for reader in latecomers:
        await reader.run()
    for reader in [*everyone, *latecomers]:
        assert reader.seen == _wanted(record.seen, reader)
    return sum(reader.drops for reader in [*everyone, *latecomers])


def _reader(client: Client, session: str, number: int, *, once: bool = False) -> Reader:
    """A reader that drops after some hundred or thousand bytes, sometimes before the first frame is whole."""
    draw = client.random
    return Reader(
        client,
        session,
        envelope=bool(number % 2),
        follow=not once and draw.random() < 0.5,
        once=once,
        types=draw.choice(["", "", "message.*,run.complete"]),
        budget=lambda: draw.randint(*draw.choice([(0, 100), (200, 2000), (1000, 8000)])),
    )


async def _use(client: Client, session: str) -> None:
    """A turn or two at once, of a fast model or a slow one."""
    draw = client.random
    for _ in range(draw.randint(1, 2)):
        tokens, delay = draw.choice([((50, 300), (0, 0)), ((100, 200), (1, 2)), ((20, 40), (8, 15))])
        content = draw.choice(["", "", TOOLS])
        message = client.new_message(session, content, model=client.new_model(tokens, delay))
        if draw.random() < 0.7:
            await client.post(message, draw.choice(WAIT_MODES))
        else:  # readers also get the text of a cancelled turn
            await client.post(message)
            await asyncio.sleep(draw.random() * 0.1)
            await client.cancel_running(session, wait=True)


def _wanted(seen: list[Seen], reader: Reader) -> list[Seen]:
    return [event for event in seen if not reader.types or event.type.startswith(("message.", "run.complete"))]


async def test_readers_that_never_read_delay_no_others_and_cost_little(client: Client) -> None:
    watched, others = await client.new_session("watched"), [await client.new_session(f"s{i}") for i in range(8)]
    for _ in range(6):
        await client.post(client.new_message(watched, model=client.new_model((4000, 5000), (0, 0))), "wait")
    before = _memory_kb(client)
    with ExitStack() as stuck:
        for _ in range(STUCK):
            stuck.enter_context(_stuck(client.host.url, watched))
        reader = Reader(client, watched, follow=True)
        async with reading([reader]):
            await asyncio.gather(*(client.post(client.new_message(name), "wait") for name in [watched, *others]))
            for _ in range(MEGABYTES * 20):
                await client.append(watched, "x" * 50_000)
            assert _memory_kb(client) - before < MAX_GROWTH_KB
            for session in [watched, *others]:
                await check(client, session, [reader] if session == watched else [])
    await client.post(client.new_message(watched), "wait")
    await check(client, watched)


def _stuck(url: str, session: str) -> socket.socket:
    """A connection that requested the session's stream and does not read it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((urlsplit(url).hostname, urlsplit(url).port))
    connection.sendall(f"GET /sessions/{session}/stream?follow=true HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return connection


def _memory_kb(client: Client) -> int:
    """The host's resident memory."""
    assert client.host.process is not None
    command = ["ps", "-o", "rss=", "-p", str(client.host.process.pid)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
