"""`kill -9` at random points of many turns: nothing acknowledged is lost, and everything continues."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tests.faults.api_client import TOOLS, WAIT_MODES, Client, client_of
from tests.faults.host import KillableHost, running_host
from tests.faults.invariants import check
from tests.faults.readers import Reader, reading
from tests.http.api_client import ok

pytestmark = pytest.mark.anyio

SESSIONS = 4
USERS = 2


@pytest.fixture
async def another_client(tmp_path_factory: pytest.TempPathFactory, model_url: str, seed: int) -> AsyncGenerator[Client]:
    """A client of another host: killing two at the same time takes half the time."""
    host = KillableHost(tmp_path_factory.mktemp("another"), model_url)
    async with running_host(host), client_of(host, seed + 1) as client:
        yield client


async def test_kills_at_random_points_lose_and_repeat_nothing(client: Client) -> None:
    sessions = await _round(client, "quick", kills=5)

    await _check_it_works(client, sessions)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_two_hundred_kills_lose_and_repeat_nothing(client: Client, another_client: Client) -> None:
    await asyncio.gather(_kill_often(client), _kill_often(another_client))

    assert len(client.host.kill_times) + len(another_client.host.kill_times) >= 200


async def _kill_often(client: Client) -> None:
    sessions = [session for number in range(5) for session in await _round(client, f"round-{number}", kills=20)]
    await _check_it_works(client, sessions)


async def _round(client: Client, name: str, kills: int) -> list[str]:
    """Use new sessions while the server is killed; once nothing runs, check them."""
    sessions = [f"{name}-{number}" for number in range(SESSIONS)]
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        killing = group.create_task(_kill(client, kills))
        await asyncio.gather(*(client.new_session(session) for session in sessions))
        # Two readers of each session: one follows later turns, the other connects again for them.
        pairs = {name: [Reader(client, name, follow=True), Reader(client, name, envelope=True)] for name in sessions}
        async with reading(reader for pair in pairs.values() for reader in pair):
            users = [group.create_task(_use(client, session, over)) for session in sessions for _ in range(USERS)]
            await killing
            over.set()
            await asyncio.gather(*users)
            for session in sessions:
                await check(client, session, pairs[session])
    return sessions


async def _kill(client: Client, kills: int) -> None:
    """Kill the server after random times, sometimes before it serves."""
    draw, host = client.random, client.host
    for _ in range(kills):
        await asyncio.sleep(draw.random() * draw.choice([0.1, 0.4, 1, 1.5]))
        await host.kill()
        if draw.random() < 0.1:
            await host.spawn()
            await asyncio.sleep(draw.random() * 0.8)
            await host.kill()
        await host.start()


async def _use(client: Client, session: str, over: asyncio.Event) -> None:
    draw = client.random
    while not over.is_set():
        match draw.choice(["say", "say", "say", "tools", "queue", "cancel", "cancel", "note", "careless"]):
            case "say":
                await client.post(client.new_message(session), draw.choice(WAIT_MODES))
            case "tools":
                await client.post(client.new_message(session, TOOLS), draw.choice(WAIT_MODES))
            case "queue":
                messages = [client.new_message(session) for _ in range(3)]
                await asyncio.gather(*(client.post(message, draw.choice(WAIT_MODES)) for message in messages))
            case "cancel":
                message = client.new_message(session, model=client.new_model(tokens=(60, 90), delay=(8, 10)))
                await client.post(message)
                await asyncio.sleep(draw.random() * 0.3)
                await client.cancel_running(session, wait=draw.random() < 0.5)
            case "note":
                await client.append(session)
            case _:
                await client.post_once(client.new_message(session))
        await asyncio.sleep(draw.random() * 0.1)


async def _check_it_works(client: Client, sessions: list[str]) -> None:
    """Every session works, and so does a new one; retries of earlier posts are recognised."""
    for session in [*sessions, await client.new_session("after")]:
        message = await client.post(client.new_message(session), "wait")
        assert message is not None
        assert message["status"] == "completed"
    known = [posted for posted in client.ledger.posted if posted.key]
    for posted in client.random.sample(known, min(20, len(known))):
        headers = {"idempotency-key": posted.key}
        path = f"/sessions/{posted.session_id}/messages"
        response = await client.request("POST", path, json=posted.body, headers=headers)
        assert ok(response)["message_id"] == posted.message_id
        assert response.headers["idempotency-replayed"] == "true"
    for session in sessions:
        await check(client, session)
