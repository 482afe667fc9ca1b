"""A deployment: the host is stopped, its streams continue for the grace period, and another host starts."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.faults.api_client import TOOLS, WAIT_MODES, Client, client_of
from tests.faults.host import TIMEOUT, KillableHost, running_host
from tests.faults.invariants import Record, check
from tests.faults.readers import Reader, reading
from tests.http.api_client import ok

pytestmark = pytest.mark.anyio


@pytest.fixture
async def patient(tmp_path: Path, model_url: str, seed: int) -> AsyncGenerator[Client]:
    """A client of a host that keeps its streams open as long as Azure does."""
    async with running_host(KillableHost(tmp_path, model_url, grace=30)) as host, client_of(host, seed) as client:
        yield client


async def test_a_turn_that_ends_within_the_grace_is_read_to_its_end_and_not_repeated(patient: Client) -> None:
    session = await patient.new_session("short")
    reader = Reader(patient, session, once=True)
    message = await patient.post(patient.new_message(session, model="fake-000150-10"))
    async with asyncio.TaskGroup() as group:
        group.create_task(reader.run())
        await reader.wait_until(lambda: any(seen.type == "message.delta" for seen in reader.seen))
        assert reader.seen[-1].type == "message.delta"

        await patient.host.replace()

    assert message is not None
    assert (reader.drops, reader.seen[-1].type) == (0, "run.complete")
    record = await check(patient, session)
    (turn,) = record.turns
    assert len(turn.of("message.start")) == 1


async def test_a_turn_is_handed_to_the_next_host_between_its_steps(patient: Client) -> None:
    session = await patient.new_session("steps")
    reader = Reader(patient, session, once=True)
    await patient.post(patient.new_message(session, TOOLS, model="fake-000100-10"))
    async with asyncio.TaskGroup() as group:
        group.create_task(reader.run())
        await reader.wait_until(lambda: any(seen.type == "message.start" for seen in reader.seen))

        await patient.host.replace()

    (turn,) = (await check(patient, session)).turns
    assert turn.end["status"] == "completed"
    assert {len(begun) for begun in turn.attempts().values()} == {1}


async def test_turns_and_readers_continue_across_a_deployment(client: Client) -> None:
    await _deployed(client, sessions=4, readers=3, times=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_forty_sessions_with_their_readers_continue_across_ten_deployments(client: Client) -> None:
    for number in range(5):
        await _deployed(client, sessions=40, readers=4, times=2, name=f"{number}-")


async def _deployed(client: Client, sessions: int, readers: int, times: int, name: str = "") -> None:
    """Use sessions while the host is replaced some times; then check every promise."""
    names = [await client.new_session(f"{name}{number}") for number in range(sessions)]
    everyone = {each: [Reader(client, each, follow=bool(number % 2)) for number in range(readers)] for each in names}
    over = asyncio.Event()
    async with reading(reader for group in everyone.values() for reader in group), asyncio.TaskGroup() as group:
        users = [group.create_task(_use(client, each, over)) for each in names]
        for _ in range(times):
            await _until_all_work(client, names)
            await client.host.replace()
        over.set()
        await asyncio.gather(*users)
        records = [await check(client, each, everyone[each]) for each in names]
    assert any(reader.drops for group in everyone.values() for reader in group)
    _check_calls(records, times)
    await _check_requests(client, records, sessions * times)


async def _use(client: Client, session: str, over: asyncio.Event) -> None:
    """Post one message after the other: some end within the grace period, others take longer."""
    draw = client.random
    while not over.is_set():
        tokens, delay = draw.choice([((5, 40), (0, 10)), ((100, 150), (15, 20))])
        message = client.new_message(session, draw.choice(["", TOOLS]), model=client.new_model(tokens, delay))
        await client.post(message, draw.choice(WAIT_MODES))


async def _until_all_work(client: Client, names: list[str]) -> None:
    """Wait until each session runs a turn."""

    async def works(session: str) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not (await client.get(f"/sessions/{session}"))["active_turn"]:  # noqa: ASYNC110  # nothing sets an event
                await asyncio.sleep(0.05)

    await asyncio.gather(*(works(each) for each in names))


def _check_calls(records: list[Record], times: int) -> None:
    """Every turn completed, and only deployments made a step begin again."""
    for turn in [turn for record in records for turn in record.turns]:
        assert turn.end["status"] == "completed"
        assert all(len(begun) <= 1 + times for begun in turn.attempts().values())


async def _check_requests(client: Client, records: list[Record], max_repeated: int) -> None:
    """At most one model call was repeated for each interrupted session: each runs one turn at a time."""
    stats = ok(await client.http.get(client.host.model_url.removesuffix("/v1") + "/stats"))["models"]
    made = sum(
        stats.get(message["model"], {"requests": 0})["requests"] for each in records for message in each.messages
    )
    needed = sum(len(turn.completions) for record in records for turn in record.turns)
    assert needed <= made <= needed + max_repeated
