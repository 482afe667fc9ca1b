"""Orchestrators and activities behave under the local engine as they do under the Durable extension."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import azure.durable_functions as df
import pytest
from hosted import App, hosted, until

pytestmark = pytest.mark.anyio

Flow: TypeAlias = Generator[Any, Any, Any]

SOON = df.RetryOptions(1, 3)


def later(context: Any, seconds: float) -> Any:
    return context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))


def orchestrator(app: App, body: Callable[[Any], Any]) -> None:
    """Register `body` under the name `main`."""
    app.function_name("main")(app.orchestration_trigger(context_name="context", orchestration="main")(body))


def activity(app: App, name: str, body: Callable[[Any], Any]) -> None:
    """Register `body` as an activity called `name`."""
    app.function_name(name)(app.activity_trigger(input_name="given", activity=name)(body))


class Gate:
    """An activity that waits to be let go, and tells when it was entered."""

    def __init__(self) -> None:
        self.entered, self.leave = asyncio.Event(), asyncio.Event()

    async def __call__(self, given: Any) -> Any:
        self.entered.set()
        await self.leave.wait()
        return given


def gate(app: App, name: str) -> Gate:
    made = Gate()

    async def wait(given: Any) -> Any:
        return await made(given)

    activity(app, name, wait)
    return made


@pytest.mark.parametrize("value", [None, "text", "1", 7, [1, "é\ud800"], {"a": {"b": None}}])
async def test_values_pass_through_unchanged(tmp_path: Path, value: Any) -> None:
    app = App()

    async def same(given: Any) -> Any:
        return given

    def main(context: Any) -> Flow:
        return (yield context.call_activity("same", context.get_input()))

    activity(app, "same", same)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main", value)

    assert (status.runtime_status.name, status.output) == ("Completed", value)


async def test_an_orchestrator_that_yields_nothing_completes(tmp_path: Path) -> None:
    app = App()

    def main(context: Any) -> Any:
        return context.instance_id

    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.output == status.instance_id


async def test_a_sync_activity_runs_on_a_thread(tmp_path: Path) -> None:
    app = App()

    def where(given: Any) -> Any:
        return threading.current_thread().name

    def main(context: Any) -> Flow:
        return (yield context.call_activity("where"))

    activity(app, "where", where)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.output != threading.current_thread().name


async def test_activities_started_together_run_at_the_same_time(tmp_path: Path) -> None:
    app, meeting = App(), asyncio.Barrier(3)

    async def meet(given: Any) -> Any:
        await meeting.wait()
        return given

    def main(context: Any) -> Flow:
        return (yield context.task_all([context.call_activity("meet", number) for number in range(3)]))

    activity(app, "meet", meet)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.output == [0, 1, 2]


async def test_no_more_activities_run_at_once_than_host_json_allows(tmp_path: Path) -> None:
    app, running, most = App(), 0, 0

    async def count(given: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    def main(context: Any) -> Flow:
        yield context.task_all([context.call_activity("count", number) for number in range(10)])

    activity(app, "count", count)
    orchestrator(app, main)
    async with hosted(app, tmp_path, slots=2) as host:
        await host.run("main")

    assert most == 2


async def test_a_failed_activity_raises_in_the_orchestrator(tmp_path: Path) -> None:
    app = App()

    async def fail(given: Any) -> None:
        raise ValueError("no luck")

    def main(context: Any) -> Flow:
        try:
            yield context.call_activity("fail")
        except Exception as error:  # noqa: BLE001 - the SDK raises no other class
            return str(error)

    activity(app, "fail", fail)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.output.startswith("Activity function 'fail' failed: ValueError: no luck")


async def test_a_result_that_is_no_json_fails_the_activity(tmp_path: Path) -> None:
    app = App()

    async def odd(given: Any) -> Any:
        return object()

    def main(context: Any) -> Flow:
        yield context.call_activity("odd")

    activity(app, "odd", odd)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.runtime_status.name == "Failed"
    assert "must be json serializable" in status.output


async def test_a_retried_activity_may_fail_before_it_succeeds(tmp_path: Path) -> None:
    app, calls = App(), list[Any]()

    async def unsteady(given: Any) -> Any:
        calls.append(given)
        if len(calls) < 3:
            raise ValueError("not yet")
        return len(calls)

    def main(context: Any) -> Flow:
        return (yield context.call_activity_with_retry("unsteady", SOON, "x"))

    activity(app, "unsteady", unsteady)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert (status.output, calls) == (3, ["x", "x", "x"])


async def test_retries_come_to_an_end(tmp_path: Path) -> None:
    app, calls = App(), list[Any]()

    async def fail(given: Any) -> None:
        calls.append(given)
        raise ValueError("never")

    def main(context: Any) -> Flow:
        yield context.call_activity_with_retry("fail", SOON)

    activity(app, "fail", fail)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert (status.runtime_status.name, len(calls)) == ("Failed", 3)
    assert status.output.startswith("Orchestrator function 'main' failed: Activity function 'fail' failed: ValueError")


@pytest.mark.parametrize("seed", range(6))
async def test_every_call_gets_its_own_result_however_retries_and_ends_interleave(tmp_path: Path, seed: int) -> None:
    app, failures = App(), Counter[int]()

    async def unsteady(given: int) -> int:
        for _ in range((given * 5 + seed) % 4):
            await asyncio.sleep(0)
        failures[given] += 1
        if failures[given] <= (given * 7 + seed) % 3:
            raise ValueError(given)
        return given

    async def steady(given: int) -> int:
        return -given

    def main(context: Any) -> Flow:
        results: list[int] = []
        waiting = [context.call_activity_with_retry("unsteady", SOON, number) for number in range(4)]
        for number in range(4, 16):
            winner = yield context.task_any(waiting)
            waiting.remove(winner)
            results.append(winner.result)
            waiting.append(context.call_activity_with_retry("unsteady", SOON, number))
            results.append((yield context.call_activity("steady", number)))
        return [*results, *(yield context.task_all(waiting))]

    activity(app, "unsteady", unsteady)
    activity(app, "steady", steady)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert sorted(status.output) == [*range(-15, -3), *range(16)]


async def test_a_timer_fires_no_earlier_than_its_time(tmp_path: Path) -> None:
    app = App()

    def main(context: Any) -> Flow:
        due = context.current_utc_datetime + timedelta(milliseconds=20)
        yield context.create_timer(due)
        return context.current_utc_datetime >= due

    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.output is True


async def test_an_instance_stays_running_until_its_abandoned_activity_has_ended(tmp_path: Path) -> None:
    app, returned = App(), asyncio.Event()
    slow = gate(app, "slow")

    async def last(given: Any) -> None:
        returned.set()

    def main(context: Any) -> Flow:
        winner = yield context.task_any([context.call_activity("slow"), later(context, 0.001)])
        assert winner.result is None
        yield context.call_activity("last")
        return "given up"

    activity(app, "last", last)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        instance = await host.durable.start_new("main")
        await returned.wait()
        await until(lambda: host.events(instance), lambda events: events.count("TaskCompleted") == 1)
        before = await host.durable.get_status(instance)
        slow.leave.set()
        after = await host.ended(instance)

    assert (before.runtime_status.name, before.output) == ("Running", None)
    assert (after.runtime_status.name, after.output) == ("Completed", "given up")


async def test_a_failed_orchestrator_waits_for_its_open_activities_too(tmp_path: Path) -> None:
    app = App()
    slow = gate(app, "slow")

    def main(context: Any) -> Flow:
        yield context.task_any([context.call_activity("slow"), later(context, 0.001)])
        raise ValueError("gave up")

    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        instance = await host.durable.start_new("main")
        await until(lambda: host.events(instance), lambda events: "TimerFired" in events)
        before = await host.durable.get_status(instance)
        slow.leave.set()
        after = await host.ended(instance)

    assert before.runtime_status.name == "Running"
    assert (after.runtime_status.name, after.output) == ("Failed", "Orchestrator function 'main' failed: gave up")


async def test_a_cancelled_timer_lets_its_instance_complete(tmp_path: Path) -> None:
    app = App()

    async def quick(given: Any) -> None: ...

    def main(context: Any) -> Flow:
        call, timer = context.call_activity("quick"), later(context, 3600)
        yield context.task_any([call, timer])
        timer.cancel()

    activity(app, "quick", quick)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.runtime_status.name == "Completed"


async def test_an_open_timer_keeps_its_instance_running(tmp_path: Path) -> None:
    app = App()

    async def quick(given: Any) -> None: ...

    def main(context: Any) -> Flow:
        yield context.task_any([context.call_activity("quick"), later(context, 3600)])

    activity(app, "quick", quick)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        instance = await host.durable.start_new("main")
        await until(lambda: host.events(instance), lambda events: "TaskCompleted" in events)
        status = await host.durable.get_status(instance)

    assert status.runtime_status.name == "Running"


async def test_code_that_asks_whether_it_replays_runs_once(tmp_path: Path) -> None:
    app, seen = App(), list[str]()

    async def quick(given: Any) -> None: ...

    def main(context: Any) -> Flow:
        made = [context.new_uuid()]
        for step in ("one", "two", "three"):
            if not context.is_replaying:
                seen.append(step)
            yield context.call_activity("quick", step)
            made.append(context.new_uuid())
        return made

    activity(app, "quick", quick)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert seen == ["one", "two", "three"]
    assert len(set(status.output)) == 4


async def test_an_exception_fails_the_instance_with_its_text(tmp_path: Path) -> None:
    app = App()

    def main(context: Any) -> Flow:
        yield later(context, 0.001)
        raise ValueError("out of luck")

    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert (status.runtime_status.name, status.output) == (
        "Failed",
        "Orchestrator function 'main' failed: out of luck",
    )


async def test_a_custom_status_is_shown(tmp_path: Path) -> None:
    app = App()

    async def quick(given: Any) -> None: ...

    def main(context: Any) -> Flow:
        context.set_custom_status({"step": 1})
        yield context.call_activity("quick")

    activity(app, "quick", quick)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.custom_status == {"step": 1}


async def test_a_custom_status_has_a_limit(tmp_path: Path) -> None:
    app = App()

    def main(context: Any) -> Any:
        context.set_custom_status("x" * 8192)

    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert (status.runtime_status.name, "16 KB" in status.output) == ("Failed", True)


CHANGES: list[tuple[Callable[[Any], Any] | None, str]] = [
    (lambda context: context.call_activity("other"), "instead asks for other there"),
    (lambda context: later(context, 9), "instead asks for a timer there"),
    (None, "hasn't (yet?) scheduled this task"),
]


@pytest.mark.parametrize(("changed_to", "said"), CHANGES)
async def test_an_orchestrator_that_changes_its_mind_fails(
    tmp_path: Path, changed_to: Callable[[Any], Any] | None, said: str
) -> None:
    app, replays = App(), 0

    async def other(given: Any) -> None: ...

    def main(context: Any) -> Flow:
        nonlocal replays
        replays += 1
        if replays == 1:
            yield context.call_activity("work")
        elif changed_to:
            yield changed_to(context)

    activity(app, "work", other)
    activity(app, "other", other)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.runtime_status.name == "Failed"
    assert status.output.startswith("Non-Deterministic workflow detected")
    assert said in status.output


UNSERVED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda context: context.call_sub_orchestrator("main"), "call_sub_orchestrator"),
    (lambda context: context.wait_for_external_event("go"), "wait_for_external_event"),
    (lambda context: context.call_http("GET", "http://127.0.0.1"), "call_http"),
    (lambda context: context.call_entity(df.EntityId("a", "b"), "get"), "call_entity"),
    (lambda context: context.continue_as_new(None), "continue_as_new"),
]


@pytest.mark.parametrize(("ask", "name"), UNSERVED)
async def test_what_is_not_served_fails_the_instance_by_name(
    tmp_path: Path, ask: Callable[[Any], Any], name: str
) -> None:
    app = App()

    def main(context: Any) -> Flow:
        yield ask(context)

    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert (status.runtime_status.name, status.output) == ("Failed", f"the local host does not serve {name}")


async def test_an_unknown_activity_fails_the_instance(tmp_path: Path) -> None:
    app = App()

    async def known(given: Any) -> None: ...

    def main(context: Any) -> Flow:
        yield context.call_activity("unknown")

    activity(app, "known", known)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        status = await host.run("main")

    assert status.runtime_status.name == "Failed"
    assert status.output.startswith("The function 'unknown' doesn't exist")
    assert "'known'" in status.output


async def test_an_activity_may_start_orchestrations(tmp_path: Path) -> None:
    app = App()

    @app.activity_trigger(input_name="given")
    @app.durable_client_input(client_name="client")
    async def start(given: str, client: df.DurableOrchestrationClient) -> str:
        return await client.start_new("main", given)

    def main(context: Any) -> Flow:
        if context.instance_id == "first":
            yield context.call_activity("start", "second")
        return context.instance_id

    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        await host.durable.start_new("main", "first")
        first, second = await host.ended("first"), await host.ended("second")

    assert (first.output, second.output) == ("first", "second")


async def test_many_instances_run_at_once(tmp_path: Path) -> None:
    app = App()

    async def quick(given: Any) -> Any:
        return given

    def main(context: Any) -> Flow:
        made: list[Any] = []
        for step in range(2):
            call, timer = context.call_activity("quick", [context.get_input(), step]), later(context, 60)
            yield context.task_any([call, timer])
            timer.cancel()
            made.append((yield call))
        return made

    activity(app, "quick", quick)
    orchestrator(app, main)
    async with hosted(app, tmp_path) as host:
        ended = await asyncio.gather(*(host.run("main", number) for number in range(60)))

    assert [status.output for status in ended] == [[[number, 0], [number, 1]] for number in range(60)]
