"""`kill -9` at every line where it matters (see "What survives what" in the architecture), then a restart.

All tests share one host. After a kill, the restarted host repairs what the kill left, and the next test kills it again.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.api_client import Client, PostedMessage, WaitMode, client_of
from tests.faults.host import KillableHost, running_host
from tests.faults.invariants import Record, check
from tests.faults.readers import Reader, reading
from tests.http.api_client import new_id, ok
from tests.http.sse_client import JSON

pytestmark = pytest.mark.anyio

slow = pytest.mark.slow


@dataclass
class Scene:
    """A session on a host that is killed at chosen points."""

    client: Client
    session: str
    kill_points: Path
    notes: Path

    def kill_at(self, *points: str) -> None:
        """Kill the host at these points, one after the other; a number means the nth time at that point."""
        lines = [point if point[-1].isdigit() else f"{point} 1" for point in points]
        self.kill_points.write_text("".join(f"{line}\n" for line in lines))

    async def restart(self, times: int = 1) -> None:
        """Wait until the host is killed and start it again, this many times."""
        for _ in range(times):
            await self.client.host.wait_for_kill()
            await self.client.host.start()

    async def post_and_check(self, *points: str, content: str = "", mode: WaitMode = "async", **fields: Any) -> Record:
        """Post a message, and kill the host at these points. Return what `check` read of the session."""
        self.kill_at(*points)
        model = self.client.new_model((30, 40), (5, 8))  # enough deltas, however busy the machine is
        message = self.client.new_message(self.session, content, model=model, **fields)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.client.post(message, mode))
            group.create_task(self.restart(len(points)))
        return await self.check()

    async def begin(self) -> PostedMessage:
        """Post a message whose turn takes a while, and wait for its first delta."""
        message = self.client.new_message(self.session, model=self.client.new_model((150, 200), (5, 5)))
        await self.client.post(message)
        reader = Reader(self.client, self.session, follow=True)
        async with reading([reader]):
            await reader.wait_until(lambda: any(event.type == "message.delta" for event in reader.seen))
        return message

    async def check(self) -> Record:
        assert not self.kill_points.read_text(), "the host was not killed at every point"
        return await check(self.client, self.session)

    def tool_runs(self) -> list[str]:
        """The text of each run of a tool in this session, in order."""
        lines = self.notes.read_text().splitlines()
        return [line.partition(" ")[0] for line in lines if line.endswith(self.session)]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory, model_url: str) -> AsyncGenerator[Client]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "deaths").touch()
    env = {"DEATHS": str(folder / "deaths"), "NOTES": str(folder / "notes")}
    host = KillableHost(folder, model_url, "tests.faults.fault_injection", env)
    async with running_host(host), client_of(host, seed=1) as client:
        yield client


@pytest.fixture
async def scene(client: Client) -> AsyncGenerator[Scene]:
    folder = client.host.data_dir
    (folder / "deaths").write_text("")
    if client.host.process is None or client.host.process.returncode is not None:
        await client.host.start()  # a test before this one failed
    scene = Scene(client, await client.new_session(new_id()), folder / "deaths", folder / "notes")
    reader = Reader(client, scene.session, follow=True)
    async with reading([reader]):
        yield scene
        if (await client.get(f"/sessions/{scene.session}/status"))["status"] != "not_existent":
            await check(client, scene.session, [reader])


@pytest.mark.parametrize(
    ("point", "calls"),
    [
        ("before append run.start", 1),
        pytest.param("torn append run.start", 1, marks=slow),
        ("after append run.start", 1),
        pytest.param("before episode", 1, marks=slow),
        pytest.param("after episode", 1, marks=slow),
        ("after start", 1),
        pytest.param("before append message.start", 1, marks=slow),
        ("after append message.start", 1),
        pytest.param("in model 10", 2, marks=slow),
        pytest.param("before append message.delta", 2, marks=slow),
        ("after append message.delta 2", 2),
        pytest.param("before append message.complete", 2, marks=slow),
        ("torn append message.complete", 2),
        ("after append message.complete", 1),
        pytest.param("before episode 2", 1, marks=slow),
        pytest.param("after episode 2", 1, marks=slow),
        pytest.param("after append run.complete", 1, marks=slow),  # the same append as that of message.complete
    ],
)
async def test_a_turn_continues_after_a_kill_and_only_an_interrupted_model_call_is_repeated(
    scene: Scene, point: str, calls: int
) -> None:
    record = await scene.post_and_check(point)

    assert [message["status"] for message in record.messages] == ["completed"]
    assert await _requests(scene.client, record.messages[0]["model"]) == calls


@pytest.mark.parametrize("mode", [pytest.param("wait", marks=slow), "stream"])
async def test_a_client_that_waits_gets_its_answer_from_the_next_server(scene: Scene, mode: WaitMode) -> None:
    record = await scene.post_and_check("after append message.delta 2", mode=mode)

    assert [message["status"] for message in record.messages] == ["completed"]


@pytest.mark.parametrize(
    ("point", "runs"),
    [
        pytest.param("before append tool_call.start", 1, marks=slow),
        pytest.param("after append tool_call.start", 1, marks=slow),
        ("in tool", 2),
        pytest.param("before append tool_call.complete", 2, marks=slow),
        pytest.param("torn append tool_call.complete", 2, marks=slow),
        pytest.param("after append tool_call.complete", 1, marks=slow),
    ],
)
async def test_an_idempotent_tool_runs_again_with_the_same_call_id(scene: Scene, point: str, runs: int) -> None:
    record = await scene.post_and_check(point, content=_call(scene, "note"), agent="clerk")

    (complete,) = record.turns[0].of("tool_call.complete")
    assert (complete["data"]["status"], complete["data"]["response"][:8]) == ("completed", "wrote it")
    assert {event["data"]["id"] for event in record.turns[0].of("tool_call.start")} == {complete["data"]["id"]}
    assert scene.tool_runs() == ["it"] * runs
    assert record.messages[0]["status"] == "completed"


@pytest.mark.parametrize(
    ("point", "runs", "known"),
    [
        pytest.param("before append tool_call.start", 1, True, marks=slow),
        pytest.param("after append tool_call.start", 0, False, marks=slow),
        pytest.param("in tool", 1, False, marks=slow),
        ("before append tool_call.complete", 1, False),
        pytest.param("after append tool_call.complete", 1, True, marks=slow),
    ],
)
async def test_a_tool_that_must_not_repeat_does_not_and_the_model_reads_why(
    scene: Scene, point: str, runs: int, *, known: bool
) -> None:
    record = await scene.post_and_check(point, content=_call(scene, "stamp"), agent="clerk")

    (complete,) = record.turns[0].of("tool_call.complete")
    assert complete["data"]["status"] == ("completed" if known else "failed")
    assert known or complete["data"]["response"]["error"].startswith("tool_outcome_unknown")
    assert scene.tool_runs() == ["it"] * runs
    assert record.messages[0]["status"] == "completed"


@pytest.mark.parametrize("point", ["in tool 1", "in tool 2"])
@slow
async def test_of_two_tools_at_once_only_the_idempotent_one_may_run_twice(scene: Scene, point: str) -> None:
    record = await scene.post_and_check(
        point, content=f"{_call(scene, 'note', 'a')} and {_call(scene, 'stamp', 'b')}", agent="clerk"
    )

    assert 1 <= scene.tool_runs().count("a") <= 2
    assert scene.tool_runs().count("b") <= 1
    assert len(record.turns[0].of("tool_call.complete")) == 2
    assert record.messages[0]["status"] == "completed"


@pytest.mark.parametrize(
    "point", [pytest.param("before append message.queued", marks=slow), "after append message.queued"]
)
async def test_a_message_waits_across_a_kill(scene: Scene, point: str) -> None:
    await scene.begin()

    record = await scene.post_and_check(point)

    assert [message["status"] for message in record.messages] == ["completed", "completed"]


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("before append run.complete", marks=slow),
        pytest.param("torn append run.complete", marks=slow),
        pytest.param("after append run.complete", marks=slow),
        "before start",
        pytest.param("after start", marks=slow),
        pytest.param("before episode", marks=slow),
        pytest.param("after episode 2", marks=slow),
    ],
)
async def test_the_next_turn_starts_although_the_server_was_killed_between_two(scene: Scene, point: str) -> None:
    await scene.begin()
    await scene.client.post(scene.client.new_message(scene.session))

    scene.kill_at(point)
    await scene.restart()

    record = await scene.check()
    assert [message["status"] for message in record.messages] == ["completed", "completed"]


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("before append status", marks=slow),
        pytest.param("torn append status", marks=slow),
        "after append status",
        "before append message.complete",
        pytest.param("after append message.complete", marks=slow),
        pytest.param("before append run.complete", marks=slow),
        pytest.param("after append run.complete", marks=slow),
    ],
)
async def test_a_cancel_stops_its_turn_whenever_the_server_is_killed(scene: Scene, point: str) -> None:
    await scene.begin()

    scene.kill_at(point)
    async with asyncio.TaskGroup() as group:
        cancelling = group.create_task(scene.client.cancel_running(scene.session, wait=True))
        group.create_task(scene.restart())

    record = await scene.check()
    receipt: JSON | None = cancelling.result()
    assert receipt is not None
    # After the turn's end, the repeated cancel finds no running turn. If the first cancel was stored before the kill,
    # the next attempt or the repair may end the turn before the client repeats its cancel.
    is_stored = point not in {"before append status", "torn append status"}
    ends = {"idle"} if point == "after append run.complete" else {"cancelled", *(["idle"] if is_stored else [])}
    assert receipt["status"] in ends
    assert [message["status"] for message in record.messages] == ["cancelled"]
    # If the kill came before the cancel was stored, the next attempt may have begun, without text yet.
    assert record.messages[0]["answer"] or point in {"before append status", "torn append status"}


@pytest.mark.parametrize("point", ["before append note", "torn append note", "after append note"])
@slow
async def test_an_outside_event_is_appended_once(scene: Scene, point: str) -> None:
    scene.kill_at(point)
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.client.append(scene.session))
        group.create_task(scene.restart())

    await scene.check()


@pytest.mark.parametrize("point", ["before", "torn", "after"])
@slow
async def test_a_session_is_opened_once(scene: Scene, point: str) -> None:
    scene.kill_at(f"{point} append session.created")
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.client.new_session(f"{scene.session}-{point}"))
        group.create_task(scene.restart())

    record = await check(scene.client, f"{scene.session}-{point}")
    assert len(record.log) == 1


@pytest.mark.parametrize("point", ["before", "torn", "after"])
@slow
async def test_a_deleted_session_stays_deleted_and_its_turn_ends(scene: Scene, point: str) -> None:
    message = await scene.begin()

    scene.kill_at(f"{point} append session.deleted")
    async with asyncio.TaskGroup() as group:
        deleting = group.create_task(scene.client.request("DELETE", f"/sessions/{scene.session}"))
        group.create_task(scene.restart())

    assert deleting.result().status_code == (404 if point == "after" else 204)
    assert (await scene.client.request("GET", f"/messages/{message.message_id}")).status_code == 404
    status = await scene.client.get(f"/sessions/{scene.session}/status")
    assert status["status"] == "not_existent"


@pytest.mark.parametrize("point", ["before start", "after start"])
@slow
async def test_the_sweep_starts_a_claimed_turn_although_the_server_is_killed_at_its_start(
    scene: Scene, point: str
) -> None:
    record = await scene.post_and_check("after append run.start", point)

    assert [message["status"] for message in record.messages] == ["completed"]


@pytest.mark.parametrize("point", ["before append message.start", "in model 8", "before append message.complete"])
@slow
async def test_a_step_in_which_the_server_is_killed_ten_times_completes(scene: Scene, point: str) -> None:
    record = await scene.post_and_check(*[point] * 10)

    assert [message["status"] for message in record.messages] == ["completed"]


@slow
async def test_a_step_that_kills_the_server_before_any_text_six_times_fails_the_turn(scene: Scene) -> None:
    record = await scene.post_and_check(*["after append message.start"] * 6)

    (message,) = record.messages
    assert (message["status"], message["error"]["code"]) == ("failed", "attempt_poisoned")
    after = await scene.post_and_check()
    assert [message["status"] for message in after.messages] == ["failed", "completed"]


@pytest.mark.parametrize("point", ["", "before append run.handover", "after append run.handover", "after start"])
@slow
async def test_a_turn_whose_instance_failed_is_handed_over(scene: Scene, point: str) -> None:
    await scene.begin()
    waiting = scene.client.new_message(scene.session)
    await scene.client.post(waiting)  # with a queued message the last step cannot end the turn

    scene.kill_at("before append run.complete", *filter(None, [point]))
    await scene.client.host.wait_for_kill()
    scene.client.host.break_instances()
    await scene.client.host.start()
    if point:
        await scene.restart()

    record = await scene.check()
    assert [message["status"] for message in record.messages] == ["completed", "completed"]
    assert len(record.turns[0].of("run.handover")) == 1
    assert await _requests(scene.client, record.messages[0]["model"]) == 1


def _call(scene: Scene, tool: str, text: str = "it") -> str:
    return f'call {tool} {{"text": "{text} {scene.session}"}}'


async def _requests(client: Client, model: str) -> int:
    """How often the model was called by this name."""
    stats = ok(await client.http.get(client.host.model_url.removesuffix("/v1") + "/stats"))
    return stats["models"][model]["requests"]
