"""Orchestrators and activities behave on the local engine as they do on the Durable extension."""

import asyncio
from collections import Counter
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import azure.durable_functions as df
import pytest

from tests.local.local_host import App, running_host

pytestmark = pytest.mark.anyio

Flow: TypeAlias = Generator[Any, Any, Any]
Body: TypeAlias = Callable[[Any], Any]


def app_with(main: Body, *activities: Body) -> App:
    """Return an app with the orchestrator `main` and with activities; each is called by the name of its function."""
    app: Any = App()
    app.function_name("main")(app.orchestration_trigger(context_name="context", orchestration="main")(main))
    for body in activities:
        app.activity_trigger(input_name="given")(body)
    return app


async def run(data_dir: Path, main: Body, *activities: Body, payload: Any = None, **options: Any) -> Any:
    """Run `main` to its end and return its status."""
    async with running_host(app_with(main, *activities), data_dir, **options) as host:
        return await host.run("main", payload)


def later(context: Any, seconds: float) -> Any:
    """Create a timer."""
    return context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))


async def quick(given: Any) -> Any:
    return given


async def fail(given: Any) -> None:
    raise ValueError("no luck")


class Gate:
    """An activity `slow` that waits until the test sets `leave`."""

    def __init__(self) -> None:
        self.leave = asyncio.Event()

    @property
    def activity(self) -> Body:
        async def slow(given: Any) -> Any:
            await self.leave.wait()
            return given

        return slow


@pytest.mark.parametrize("value", [None, "text", "1", 7, [1, "é\ud800"], {"a": {"b": None}}])
async def test_values_pass_through_unchanged(tmp_path: Path, value: Any) -> None:
    def main(context: Any) -> Flow:
        return (yield context.call_activity("quick", context.get_input()))

    status = await run(tmp_path, main, quick, payload=value)

    assert (status.runtime_status.name, status.output) == ("Completed", value)


async def test_an_orchestrator_that_yields_nothing_completes(tmp_path: Path) -> None:
    def main(context: Any) -> Any:
        return context.instance_id

    status = await run(tmp_path, main)

    assert status.output == status.instance_id


async def test_activities_started_together_run_at_the_same_time(tmp_path: Path) -> None:
    meeting = asyncio.Barrier(3)

    async def meet(given: Any) -> Any:
        await meeting.wait()
        return given

    def main(context: Any) -> Flow:
        return (yield context.task_all([context.call_activity("meet", number) for number in range(3)]))

    status = await run(tmp_path, main, meet)

    assert status.output == [0, 1, 2]


async def test_no_more_activities_run_at_once_than_host_json_allows(tmp_path: Path) -> None:
    running, maximum = 0, 0

    async def count(given: Any) -> None:
        nonlocal running, maximum
        running += 1
        maximum = max(maximum, running)
        await asyncio.sleep(0)
        running -= 1

    def main(context: Any) -> Flow:
        yield context.task_all([context.call_activity("count", number) for number in range(10)])

    await run(tmp_path, main, count, slots=2)

    assert maximum == 2


async def test_a_failed_activity_raises_in_the_orchestrator(tmp_path: Path) -> None:
    def main(context: Any) -> Flow:
        try:
            yield context.call_activity("fail")
        except Exception as error:  # noqa: BLE001 - the SDK raises no other class
            return str(error)

    status = await run(tmp_path, main, fail)

    assert status.output.startswith("Activity function 'fail' failed: ValueError: no luck")


async def test_a_result_that_is_not_json_fails_the_activity(tmp_path: Path) -> None:
    async def odd(given: Any) -> Any:
        return object()

    def main(context: Any) -> Flow:
        yield context.call_activity("odd")

    status = await run(tmp_path, main, odd)

    assert status.runtime_status.name == "Failed"
    assert "must be json serializable" in status.output


@pytest.mark.parametrize("seed", range(6))
async def test_every_call_gets_its_own_result_however_ends_and_retries_interleave(tmp_path: Path, seed: int) -> None:
    """Retries as an orchestrator writes them itself: a timer, then the call again."""
    failures = Counter[int]()

    async def unsteady(given: int) -> int:
        for _ in range((given * 5 + seed) % 4):
            await asyncio.sleep(0)
        failures[given] += 1
        if failures[given] <= (given * 7 + seed) % 3:
            raise ValueError(given)
        return given

    def main(context: Any) -> Flow:
        results: list[int] = []
        calls = {number: context.call_activity("unsteady", number) for number in range(8)}
        pauses: dict[int, Any] = {}
        while calls or pauses:
            yield context.task_any([*calls.values(), *pauses.values()])
            for number in [number for number, timer in pauses.items() if timer.is_completed]:
                del pauses[number]
                calls[number] = context.call_activity("unsteady", number)
            for number in [number for number, call in calls.items() if call.is_completed]:
                result = calls.pop(number).result
                if isinstance(result, Exception):
                    pauses[number] = later(context, 0.001)
                else:
                    results.append(result)
                    results.append((yield context.call_activity("quick", -number)))
        return results

    status = await run(tmp_path, main, unsteady, quick)

    assert sorted(status.output) == sorted([*range(8), *(-number for number in range(8))])


async def test_a_timer_fires_no_earlier_than_its_time(tmp_path: Path) -> None:
    def main(context: Any) -> Flow:
        due = context.current_utc_datetime + timedelta(milliseconds=20)
        yield context.create_timer(due)
        return context.current_utc_datetime >= due

    status = await run(tmp_path, main)

    assert status.output is True


@pytest.mark.parametrize(
    ("error", "output"),
    [(None, "given up"), (ValueError("gave up"), "Orchestrator function 'main' failed: gave up")],
    ids=["completed", "failed"],
)
async def test_an_instance_runs_until_its_abandoned_activity_has_ended(
    tmp_path: Path, error: Exception | None, output: str
) -> None:
    gate, ended = Gate(), asyncio.Event()

    def main(context: Any) -> Flow:
        yield context.task_any([context.call_activity("slow"), later(context, 0.001)])
        ended.set()
        if error:
            raise error
        return "given up"

    async with running_host(app_with(main, gate.activity), tmp_path) as host:
        await host.durable.start_new("main", "one")
        await ended.wait()
        before = await host.durable.get_status("one")
        gate.leave.set()
        after = await host.wait_for_end("one")

    assert (before.runtime_status.name, before.output) == ("Running", None)
    assert (after.runtime_status.name, after.output) == ("Failed" if error else "Completed", output)


async def test_a_cancelled_timer_lets_its_instance_complete(tmp_path: Path) -> None:
    def main(context: Any) -> Flow:
        call, timer = context.call_activity("quick"), later(context, 3600)
        yield context.task_any([call, timer])
        timer.cancel()

    status = await run(tmp_path, main, quick)

    assert status.runtime_status.name == "Completed"


async def test_an_open_timer_keeps_its_instance_running(tmp_path: Path) -> None:
    ended = asyncio.Event()

    def main(context: Any) -> Flow:
        yield context.task_any([context.call_activity("quick"), later(context, 3600)])
        ended.set()

    async with running_host(app_with(main, quick), tmp_path) as host:
        await host.durable.start_new("main", "one")
        await ended.wait()
        status = await host.durable.get_status("one")

    assert status.runtime_status.name == "Running"


async def test_code_that_asks_whether_it_replays_runs_once(tmp_path: Path) -> None:
    seen = list[str]()

    def main(context: Any) -> Flow:
        ids = [context.new_uuid()]
        for step in ("one", "two", "three"):
            if not context.is_replaying:
                seen.append(step)
            yield context.call_activity("quick", step)
            ids.append(context.new_uuid())
        return ids

    status = await run(tmp_path, main, quick)

    assert seen == ["one", "two", "three"]
    assert len(set(status.output)) == 4


async def test_an_exception_fails_the_instance_with_its_text(tmp_path: Path) -> None:
    def main(context: Any) -> Flow:
        yield later(context, 0.001)
        raise ValueError("out of luck")

    status = await run(tmp_path, main)

    assert status.runtime_status.name == "Failed"
    assert status.output == "Orchestrator function 'main' failed: out of luck"


CHANGES: list[tuple[Body | None, str]] = [
    (lambda context: context.call_activity("fail"), "instead asks for fail there"),
    (lambda context: later(context, 9), "instead asks for a timer there"),
    (None, "hasn't (yet?) scheduled this task"),
]


@pytest.mark.parametrize(("changed_to", "text"), CHANGES)
async def test_an_orchestrator_that_asks_for_something_else_in_a_replay_fails(
    tmp_path: Path, changed_to: Body | None, text: str
) -> None:
    replays = 0

    def main(context: Any) -> Flow:
        nonlocal replays
        replays += 1
        if replays == 1:
            yield context.call_activity("quick")
        elif changed_to:
            yield changed_to(context)

    status = await run(tmp_path, main, quick, fail)

    assert status.runtime_status.name == "Failed"
    assert status.output.startswith("Non-Deterministic workflow detected")
    assert text in status.output


async def test_an_unknown_activity_fails_the_instance(tmp_path: Path) -> None:
    def main(context: Any) -> Flow:
        yield context.call_activity("unknown")

    status = await run(tmp_path, main, quick)

    assert status.runtime_status.name == "Failed"
    assert status.output.startswith("The function 'unknown' doesn't exist")
    assert "'quick'" in status.output


async def test_an_activity_may_start_orchestrations(tmp_path: Path) -> None:
    def main(context: Any) -> Flow:
        if context.instance_id == "first":
            yield context.call_activity("start", "second")
        return context.instance_id

    app = app_with(main)

    @app.activity_trigger(input_name="given")
    @app.durable_client_input(client_name="client")
    async def start(given: str, client: df.DurableOrchestrationClient) -> str:
        return await client.start_new("main", given)

    async with running_host(app, tmp_path) as host:
        await host.durable.start_new("main", "first")
        first, second = await host.wait_for_end("first"), await host.wait_for_end("second")

    assert (first.output, second.output) == ("first", "second")


async def test_many_instances_run_at_once(tmp_path: Path) -> None:
    def main(context: Any) -> Flow:
        results: list[Any] = []
        for step in range(2):
            call, timer = context.call_activity("quick", [context.get_input(), step]), later(context, 60)
            yield context.task_any([call, timer])
            timer.cancel()
            results.append((yield call))
        return results

    async with running_host(app_with(main, quick), tmp_path) as host:
        ended = await asyncio.gather(*(host.run("main", number) for number in range(60)))

    assert [status.output for status in ended] == [[[number, 0], [number, 1]] for number in range(60)]
