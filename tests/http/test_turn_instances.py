"""What a turn is in the task hub: a plain one is one start, one activity and no timer."""

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.http.api_client import Api, api_client, running_host, wait_until
from turnlog.local.durable.history import Kind
from turnlog.local.durable.taskhub import COMPLETED

pytestmark = pytest.mark.anyio


class Instance(NamedTuple):
    """An instance that has ended: the name of its orchestrator, its starts, its activities and its timers."""

    name: str
    starts: int
    activities: list[str]
    timers: int


@pytest.fixture
async def api(tmp_path: Path) -> AsyncGenerator[Api]:
    # Without a sweep no turn is handed to another instance, however long the machine pauses.
    with running_host(tmp_path, {"SWEEP_SECONDS": "300"}) as host:
        async with api_client(host) as api:
            yield api


async def ended_instances(data_dir: Path) -> list[Instance]:
    """Wait until every instance of the task hub has ended, and return them in the order of their starts."""
    (hub,) = data_dir.glob("*.taskhub.db")
    with closing(sqlite3.connect(hub)) as connection:

        async def read() -> list[tuple[str, str, str]]:
            return connection.execute("SELECT id, name, status FROM instances ORDER BY created").fetchall()

        rows = await wait_until(read, lambda rows: all(status == COMPLETED for *_, status in rows))
        return [_instance(connection, instance_id, name) for instance_id, name, _ in rows]


def _instance(connection: sqlite3.Connection, instance_id: str, name: str) -> Instance:
    episodes = connection.execute("SELECT events FROM history WHERE instance = ? ORDER BY episode", [instance_id])
    events = [event for (episode,) in episodes for event in json.loads(episode)]
    kinds = [event["EventType"] for event in events]
    return Instance(
        name=name,
        starts=kinds.count(Kind.EXECUTION_STARTED),
        activities=[event["Name"] for event in events if event["EventType"] == Kind.TASK_SCHEDULED],
        timers=kinds.count(Kind.TIMER_CREATED),
    )


async def test_a_plain_turn_is_one_start_one_activity_and_no_timer(api: Api, tmp_path: Path) -> None:
    await api.run_turn(await api.new_session())

    assert await ended_instances(tmp_path) == [Instance("run_turn", starts=1, activities=["call_model"], timers=0)]


async def test_a_tool_call_adds_its_activity_and_a_model_call(api: Api, tmp_path: Path) -> None:
    await api.run_turn(await api.new_session(), 'call calculate {"expression": "6*7"}')

    activities = ["call_model", "run_tool", "call_model"]
    assert await ended_instances(tmp_path) == [Instance("run_turn", starts=1, activities=activities, timers=0)]
