"""A turn, step by step: the worker runs the functions, and the test acts as the host and its Durable extension."""

import json
from typing import Any

import pytest

from tests.http.api_client import Api
from tests.worker.host.driver import Message, Worker
from tests.worker.host.extension import Endpoint, Orchestration, Task

pytestmark = pytest.mark.anyio


async def _run(worker: Worker, activity: Task) -> tuple[Task, Any]:
    """Run a scheduled activity; return it with its answer."""
    assert activity.name is not None
    return activity, await worker.invoke(activity.name, Message(string=activity.payload))


async def _start(worker: Worker, durable: Endpoint, message: dict[str, Any]) -> tuple[Orchestration, list[Task]]:
    """Run the first episode of the message's turn; return its orchestration and the scheduled tasks."""
    start = durable.of_turn(message["turn_id"])
    assert start is not None
    turn = Orchestration(worker, start)
    return turn, await turn.start()


def _names(tasks: list[Task]) -> list[str | None]:
    return [each.name for each in tasks]


async def test_a_message_starts_its_turn_through_the_durable_client(api: Api, durable: Endpoint) -> None:
    session_id = await api.new_session()

    message = await api.start_turn(session_id, "hello")

    (start,) = durable.started.values()
    assert start.orchestrator == "run_turn"
    assert start.payload["instance_id"] == start.instance_id
    assert start.payload["session_id"].endswith(f"~{session_id}")
    assert start.payload["turn_id"] == message["turn_id"]


async def test_a_turn_runs_from_its_message_to_the_end_of_the_stream(
    worker: Worker, api: Api, durable: Endpoint
) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, "hello")

    turn, tasks = await _start(worker, durable, message)
    assert _names(tasks) == ["call_model"]
    assert await turn.complete(await _run(worker, tasks[0])) == []

    assert (turn.is_done, turn.output["outcome"]) == (True, "ended")
    *_, run_complete, done = stream = await api.read(session_id)
    assert (run_complete.event, run_complete.data["status"]) == ("run.complete", "completed")
    assert (done.event, done.data["reason"]) == ("done", "finished")
    answer = "".join(frame.data["text"] for frame in stream if frame.event == "message.delta")
    found = await api.message(message["message_id"])
    assert (found["status"], found["answer"]) == ("completed", answer)
    assert found["usage"]["completion_tokens"] == 20


async def test_a_turn_runs_its_tools(worker: Worker, api: Api, durable: Endpoint) -> None:
    session_id = await api.new_session()
    message = await api.start_turn(session_id, 'call calculate {"expression": "6 * 7"} and use current_time')

    turn, (call,) = await _start(worker, durable, message)
    tools = await turn.complete(await _run(worker, call))
    assert _names(tools) == ["run_tool", "run_tool"]
    (call,) = await turn.complete(*[await _run(worker, tool) for tool in tools])
    assert call.name == "call_model"
    following = await api.start_turn(session_id, "and then?")
    (finish,) = await turn.complete(await _run(worker, call))
    assert finish.name == "finish_turn"
    await turn.complete(await _run(worker, finish))

    assert turn.is_done
    assert durable.of_turn(following["turn_id"]) is not None
    completed = [event["data"] for event in await api.events(session_id) if event["type"] == "tool_call.complete"]
    results = {data["name"]: data for data in completed}
    assert results["calculate"]["response"] == 42
    assert results["current_time"]["status"] == "completed"


async def test_an_error_of_an_activity_is_a_reply(worker: Worker) -> None:
    reply = await worker.invoke("call_model", Message(string=json.dumps({"session_id": "ses_unknown"})))

    assert "broken" in str(reply)
