"""A deployment: the host is told to stop, its streams go on for the grace and are cut, and another one starts."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.faults.crashing import PATIENCE, MortalHost, mortal_host
from tests.faults.promises import Record, check
from tests.faults.reading import Reader, reading
from tests.faults.talking import TOOLS, WAYS, Client, client_of
from tests.http.api_client import ok

pytestmark = pytest.mark.anyio


@pytest.fixture
async def patient(tmp_path: Path, model_url: str, seed: int) -> AsyncGenerator[Client]:
    """A client of a host that leaves its streams as long as Azure does."""
    async with mortal_host(MortalHost(tmp_path, model_url, grace=30)) as host, client_of(host, seed) as client:
        yield client


async def test_a_turn_that_ends_within_the_grace_is_read_to_its_end_and_not_made_again(patient: Client) -> None:
    session = await patient.new_session("short")
    reader = Reader(patient, session, once=True)
    message = await patient.post(patient.new_message(session, model="fake-000150-10"))
    async with asyncio.TaskGroup() as group:
        group.create_task(reader.run())
        await reader.finds(lambda: any(seen.type == "message.delta" for seen in reader.seen))
        assert reader.seen[-1].type == "message.delta"

        await patient.host.replace()

    assert message is not None
    assert (reader.drops, reader.seen[-1].type) == (0, "run.complete")
    record = await check(patient, session)
    (turn,) = record.turns
    assert len(turn.of("message.start")) == 1


async def test_turns_and_readers_go_on_across_a_deployment(client: Client) -> None:
    await _deployed(client, sessions=4, readers=3, times=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_forty_sessions_with_their_readers_go_on_across_ten_deployments(client: Client) -> None:
    for number in range(5):
        await _deployed(client, sessions=40, readers=4, times=2, name=f"{number}-")


async def _deployed(client: Client, sessions: int, readers: int, times: int, name: str = "") -> None:
    """Talk in sessions while the host is replaced some times; then everything that is promised of them holds."""
    names = [await client.new_session(f"{name}{number}") for number in range(sessions)]
    everyone = {each: [Reader(client, each, follow=bool(number % 2)) for number in range(readers)] for each in names}
    over = asyncio.Event()
    async with reading(reader for group in everyone.values() for reader in group), asyncio.TaskGroup() as group:
        talking = [group.create_task(_talk(client, each, over)) for each in names]
        for _ in range(times):
            await _until_all_work(client, names)
            await client.host.replace()
        over.set()
        await asyncio.gather(*talking)
        records = [await check(client, each, everyone[each]) for each in names]
    assert any(reader.drops for group in everyone.values() for reader in group)
    _check_calls(records, times)
    await _check_requests(client, records, sessions * times)


async def _talk(client: Client, session: str, over: asyncio.Event) -> None:
    """One message after the other: of some the host can see the end, others are longer than its grace."""
    draw = client.random
    while not over.is_set():
        tokens, delay = draw.choice([((5, 40), (0, 10)), ((100, 150), (15, 20))])
        message = client.new_message(session, draw.choice(["", TOOLS]), model=client.new_model(tokens, delay))
        await client.post(message, draw.choice(WAYS))


async def _until_all_work(client: Client, names: list[str]) -> None:
    """Wait until each session has a turn under way."""

    async def works(session: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not (await client.get(f"/sessions/{session}"))["active_turn"]:  # noqa: ASYNC110  # nobody sets an event
                await asyncio.sleep(0.05)

    await asyncio.gather(*(works(each) for each in names))


def _check_calls(records: list[Record], times: int) -> None:
    """Every turn completed, and a step was begun again by a deployment at most."""
    for turn in [turn for record in records for turn in record.turns]:
        assert turn.end["status"] == "completed"
        assert all(len(begun) <= 1 + times for begun in turn.attempts().values())


async def _check_requests(client: Client, records: list[Record], most: int) -> None:
    """No more calls of the model were made again than sessions were cut: each has one turn under way at most."""
    stats = ok(await client.http.get(client.host.model_url.removesuffix("/v1") + "/stats"))["models"]
    made = sum(
        stats.get(message["model"], {"requests": 0})["requests"] for each in records for message in each.messages
    )
    needed = sum(len(turn.completions) for record in records for turn in record.turns)
    assert needed <= made <= needed + most
