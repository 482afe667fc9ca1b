"""The SDK's durable client meets the answers of the real extension at the local host."""

import asyncio
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import azure.durable_functions as df
import pytest
from hosted import App, hosted, until

pytestmark = pytest.mark.anyio

Flow: TypeAlias = Generator[Any, Any, Any]

Status = df.OrchestrationRuntimeStatus


class WaitingApp(App):
    """An app whose orchestrator `main` ends with its input, and whose `wait` ends when it is let go."""

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


async def test_an_unknown_orchestrator_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        with pytest.raises(Exception, match=r"function 'missing' doesn't exist.*known orchestrator.*'main', 'wait'"):
            await host.durable.start_new("missing")


@pytest.mark.parametrize("instance", ["@entity", "x" * 101, "a%23b", "a%0Ab"])
async def test_an_id_that_azure_storage_cannot_keep_is_refused(tmp_path: Path, instance: str) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        with pytest.raises(Exception, match=r"Instance id .* is not allowed"):
            await host.durable.start_new("main", instance)


async def test_an_instance_without_an_id_is_given_one(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        ids = {await host.durable.start_new("main") for _ in range(2)}

    assert len(ids) == 2


async def test_a_running_instance_cannot_be_started_again(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("wait", "one")

        with pytest.raises(Exception, match="OrchestrationAlreadyExistsException"):
            await host.durable.start_new("main", "one")


async def test_of_two_starts_at_once_one_wins(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        starts = [host.durable.start_new("wait", "one", number) for number in range(5)]
        outcomes = await asyncio.gather(*starts, return_exceptions=True)

    assert outcomes.count("one") == 1


async def test_an_ended_instance_runs_again_with_a_new_history(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("main", "one", "first")
        await host.ended("one")
        await host.durable.start_new("main", "one", "second")
        status = await host.ended("one")

    assert status.output == "second"
    assert [event["EventType"] for event in status.historyEvents] == ["ExecutionStarted", "ExecutionCompleted"]


async def test_an_unknown_instance_has_no_status(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        status = await host.durable.get_status("nobody")

    assert not status
    assert status.runtime_status is None


async def test_a_status_tells_of_a_running_instance(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    async with hosted(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("wait", "one", {"a": 1})
        status = await host.durable.get_status("one", show_input=True)

    assert (status.name, status.instance_id, status.runtime_status) == ("wait", "one", Status.Running)
    assert (status.input_, status.output, status.custom_status) == ('{"a": 1}', None, None)
    assert began <= status.created_time <= status.last_updated_time
    assert not hasattr(status, "historyEvents")


async def test_a_history_shows_what_is_open_and_what_ended(tmp_path: Path) -> None:
    app = WaitingApp()
    async with hosted(app, tmp_path) as host:
        await host.durable.start_new("wait", "one", 1)
        before = await host.durable.get_status("one", show_history=True)
        app.leave.set()
        await host.ended("one")
        after = await host.durable.get_status("one", show_history=True, show_history_output=True)

    assert [(event["EventType"], event["FunctionName"]) for event in before.historyEvents] == [
        ("ExecutionStarted", "wait"),
        ("TaskScheduled", "gate"),
    ]
    ended, completed = after.historyEvents[1:]
    assert (ended["EventType"], ended["FunctionName"], ended["Result"]) == ("TaskCompleted", "gate", 1)
    assert ended["ScheduledTime"] <= ended["Timestamp"]
    assert (completed["EventType"], completed["OrchestrationStatus"], completed["Result"]) == (
        "ExecutionCompleted",
        "Completed",
        1,
    )


async def test_statuses_are_listed_by_what_is_asked(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("main", "a1")
        await host.durable.start_new("main", "b1")
        await host.ended("b1")
        middle = datetime.now(UTC)
        await host.durable.start_new("wait", "a2")
        everything = await host.durable.get_status_all()
        running = await host.durable.get_status_by(runtime_status=[Status.Running])
        prefixed = await host.durable.get_status_by(instance_id_prefix="a")
        earlier = await host.durable.get_status_by(created_time_to=middle)
        later = await host.durable.get_status_by(created_time_from=middle)

    listed = [[status.instance_id for status in found] for found in (everything, running, prefixed, earlier, later)]
    assert listed == [["a1", "b1", "a2"], ["a2"], ["a1", "a2"], ["a1", "b1"], ["a2"]]


async def test_a_purged_instance_is_gone(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("main", "one")
        await host.ended("one")
        first = await host.durable.purge_instance_history("one")
        second = await host.durable.purge_instance_history("one")
        status = await host.durable.get_status("one")

    assert (first.instances_deleted, second.instances_deleted) == (1, 0)
    assert not status


async def test_a_purged_running_instance_does_not_come_back(tmp_path: Path) -> None:
    app = WaitingApp()
    async with hosted(app, tmp_path) as host:
        await host.durable.start_new("wait", "one")
        await app.entered.wait()
        purged = await host.durable.purge_instance_history("one")
        app.leave.set()
        await host.run("main")
        status = await host.durable.get_status("one")

    assert purged.instances_deleted == 1
    assert not status


async def test_a_purge_by_time_and_status_spares_what_runs(tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(days=1)
    async with hosted(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("wait", "running")
        for instance in ("a", "b"):
            await host.durable.start_new("main", instance)
            await host.ended(instance)
        nothing = await host.durable.purge_instance_history_by(before, None, [Status.Failed])
        purged = await host.durable.purge_instance_history_by(before, datetime.now(UTC), [Status.Completed])
        everything = await host.durable.purge_instance_history_by(before)
        left = await host.durable.get_status_all()

    assert [each.instances_deleted for each in (nothing, purged, everything)] == [0, 2, 0]
    assert [status.instance_id for status in left] == ["running"]


async def test_a_terminated_instance_ends_at_once_but_its_activity_goes_on(tmp_path: Path) -> None:
    app: Any = WaitingApp()
    ended = asyncio.Event()

    @app.orchestration_trigger(context_name="context")
    def last(context: Any) -> Flow:
        yield context.call_activity("ending")

    @app.activity_trigger(input_name="given")
    async def ending(given: Any) -> None:
        app.entered.set()
        await app.leave.wait()
        ended.set()

    async with hosted(app, tmp_path) as host:
        await host.durable.start_new("last", "one")
        await app.entered.wait()
        await host.durable.terminate("one", "no more")
        status = await host.durable.get_status("one")
        await host.durable.start_new("main", "one", "anew")
        app.leave.set()
        await ended.wait()
        anew = await host.ended("one")

    assert (status.runtime_status, status.output) == (Status.Terminated, "no more")
    assert anew.output == "anew"


async def test_an_ended_instance_stays_as_it_ended_when_it_is_terminated(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("main", "one")
        await host.ended("one")
        await host.durable.terminate("one", "too late")
        status = await host.durable.get_status("one")

    assert status.runtime_status is Status.Completed


async def test_an_unknown_instance_cannot_be_terminated(tmp_path: Path) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        with pytest.raises(Exception, match="No instance with ID 'nobody' found"):
            await host.durable.terminate("nobody", "")


async def test_what_the_host_does_not_serve_is_refused_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with hosted(WaitingApp(), tmp_path) as host:
        await host.durable.start_new("wait", "one")
        refused = [
            host.durable.raise_event("one", "go"),
            host.durable.suspend("one", "why"),
            host.durable.resume("one", "why"),
            host.durable.rewind("one", "why"),
            host.durable.signal_entity(df.EntityId("a", "b"), "add"),
            host.durable.read_entity_state(df.EntityId("a", "b")),
        ]
        outcomes = await asyncio.gather(*refused, return_exceptions=True)

    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    for name in ("raiseEvent", "suspend", "resume", "rewind", "entities"):
        assert f"does not serve the durable operation {name}" in caplog.text


async def test_the_version_of_an_instance_reaches_its_orchestrator(tmp_path: Path) -> None:
    app: Any = App()

    @app.orchestration_trigger(context_name="context")
    def versioned(context: Any) -> Any:
        return context.version

    async with hosted(app, tmp_path, default_version="1.0") as host:
        for instance, version in (("default", None), ("named", "2.0")):
            await host.durable.start_new("versioned", instance, None, version)
        statuses = [await host.ended(instance) for instance in ("default", "named")]

    assert [status.output for status in statuses] == ["1.0", "2.0"]


async def test_an_interrupted_activity_is_reported_failed_by_the_next_host(tmp_path: Path) -> None:
    app = WaitingApp()
    async with hosted(app, tmp_path) as host:
        await host.durable.start_new("wait", "one")
        await app.entered.wait()

    async with hosted(WaitingApp(), tmp_path) as host:
        status = await until(lambda: host.durable.get_status("one"), lambda seen: seen.runtime_status != Status.Running)

    assert status.runtime_status is Status.Failed
    assert "Activity function 'gate' failed: WorkerProcessExitException" in status.output
