"""The SDK's durable client gets the answers of the real extension from the local host."""

import asyncio
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import azure.durable_functions as df
import pytest

from tests.local.local_host import App, running_host

pytestmark = pytest.mark.anyio

Flow: TypeAlias = Generator[Any, Any, Any]

Status = df.OrchestrationRuntimeStatus


class WaitingApp(App):
    """An app whose orchestrator `main` returns its input, and whose `wait` ends when the test sets `leave`."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.leave = asyncio.Event(), asyncio.Event()
        app: Any = self

        @app.orchestration_trigger(context_name="context")
        def main(context: Any) -> Any:
            return context.get_input()

        @app.orchestration_trigger(context_name="context")
        def wait(context: Any) -> Flow:
            return (yield context.call_activity("gate", context.get_input()))

        @app.activity_trigger(input_name="given")
        async def gate(given: Any) -> Any:
            self.entered.set()
            await self.leave.wait()
            return given


async def test_an_unknown_orchestrator_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    async with running_host(WaitingApp(), tmp_path) as host:
        with pytest.raises(Exception, match=r"function 'missing' doesn't exist.*known orchestrator.*'main', 'wait'"):
            await host.durable.start_new("missing", "one")


@pytest.mark.parametrize("instance_id", ["@entity", "x" * 101, "a%23b", "a%0Ab"])
async def test_an_id_that_azure_storage_cannot_keep_is_refused(tmp_path: Path, instance_id: str) -> None:
    async with running_host(WaitingApp(), tmp_path) as host:
        with pytest.raises(Exception, match=r"Instance id .* is not allowed"):
            await host.durable.start_new("main", instance_id)


async def test_of_starts_with_one_id_one_wins_until_the_instance_has_ended(tmp_path: Path) -> None:
    async with running_host(WaitingApp(), tmp_path) as host:
        starts = [host.durable.start_new("wait", "one", number) for number in range(5)]
        outcomes = await asyncio.gather(*starts, return_exceptions=True)

    refused = [str(outcome) for outcome in outcomes if isinstance(outcome, Exception)]
    assert (outcomes.count("one"), len(refused)) == (1, 4)
    assert all("OrchestrationAlreadyExistsException" in text for text in refused)


async def test_an_ended_instance_can_be_started_again(tmp_path: Path) -> None:
    async with running_host(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("main", "one", "first")
        await host.wait_for_end("one")
        await host.durable.start_new("main", "one", "second")
        status = await host.wait_for_end("one")

    assert status.output == "second"


async def test_an_unknown_instance_has_no_status(tmp_path: Path) -> None:
    async with running_host(WaitingApp(), tmp_path) as host:
        status = await host.durable.get_status("unknown")

    assert not status
    assert status.runtime_status is None


async def test_a_status_describes_a_running_and_an_ended_instance(tmp_path: Path) -> None:
    app, began = WaitingApp(), datetime.now(UTC)
    async with running_host(app, tmp_path) as host:
        await host.durable.start_new("wait", "one", {"a": 1})
        running = await host.durable.get_status("one")
        app.leave.set()
        ended = await host.wait_for_end("one")

    assert (running.name, running.instance_id) == ("wait", "one")
    assert (running.runtime_status, running.output) == (Status.Running, None)
    assert began <= running.created_time <= running.last_updated_time
    assert (ended.runtime_status, ended.output) == (Status.Completed, {"a": 1})


async def test_a_purge_deletes_ended_instances_of_its_time_and_status(tmp_path: Path) -> None:
    before, now = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC)
    ended = [Status.Completed, Status.Failed, Status.Terminated]
    async with running_host(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("wait", "running")
        for instance_id in ("a", "b"):
            await host.durable.start_new("main", instance_id)
            await host.wait_for_end(instance_id)
        later = datetime.now(UTC)
        earlier = await host.durable.purge_instance_history_by(before, now, ended)
        failed = await host.durable.purge_instance_history_by(before, later, [Status.Failed])
        running = await host.durable.purge_instance_history_by(before, later, [Status.Running])
        purged = await host.durable.purge_instance_history_by(before, later, ended)
        left = [await host.durable.get_status(instance_id) for instance_id in ("a", "b", "running")]

    assert [each.instances_deleted for each in (earlier, failed, running, purged)] == [0, 0, 0, 2]
    assert [bool(status) for status in left] == [False, False, True]


async def test_an_interrupted_activity_is_reported_as_failed_by_the_next_host(tmp_path: Path) -> None:
    app = WaitingApp()
    async with running_host(app, tmp_path) as host:
        await host.durable.start_new("wait", "one")
        await app.entered.wait()

    async with running_host(WaitingApp(), tmp_path) as host:
        status = await host.wait_for_end("one")

    assert status.runtime_status is Status.Failed
    assert "Activity function 'gate' failed: WorkerProcessExitException" in status.output
