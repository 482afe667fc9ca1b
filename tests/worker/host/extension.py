"""The part of the Durable extension: the endpoint that its clients call, and an orchestration, episode by episode."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.worker.host.driver import Message, Worker
from turnlog.local.durable.history import Kind

_CALL_ACTIVITY, _CREATE_TIMER = 0, 5
_COMPOUND = {11, 12}


@dataclass(frozen=True)
class Start:
    """An orchestration that a client started."""

    orchestrator: str
    instance_id: str
    payload: dict[str, Any]


class Endpoint:
    """Records what clients start and purge, and runs nothing. While `refuses` is set, it answers 500."""

    def __init__(self) -> None:
        self.started: dict[str, Start] = {}
        self.purges: list[dict[str, str]] = []
        self.refuses = False

    async def start(self, request: web.Request) -> web.Response:
        if self.refuses:
            return web.json_response({"Message": "no storage"}, status=500)
        payload = json.loads(await request.json())  # the client sends JSON text in a JSON string
        start = Start(request.match_info["orchestrator"], request.match_info["instance"], payload)
        self.started[start.instance_id] = start
        return web.json_response({"id": start.instance_id}, status=202)

    async def status(self, request: web.Request) -> web.Response:
        start = self.started.get(request.match_info["instance"])
        if start is None:
            return web.Response(status=404)
        now = _text(datetime.now(UTC))
        times = {"createdTime": now, "lastUpdatedTime": now}
        body = {"name": start.orchestrator, "instanceId": start.instance_id, "runtimeStatus": "Running", **times}
        return web.json_response(body, status=202)

    async def purge(self, request: web.Request) -> web.Response:
        self.purges.append(dict(request.query))
        return web.json_response({"instancesDeleted": 1})

    def of_turn(self, turn_id: str) -> Start | None:
        """The orchestration that was started for a turn, if any."""
        return next((start for start in self.started.values() if start.payload["turn_id"] == turn_id), None)


@asynccontextmanager
async def durable_endpoint() -> AsyncGenerator[tuple[Endpoint, str]]:
    """Serve an endpoint; yield it with the binding that the host passes to a durable client."""
    endpoint, app = Endpoint(), web.Application()
    app.router.add_post("/durabletask/orchestrators/{orchestrator}/{instance}", endpoint.start)
    app.router.add_get("/durabletask/instances/{instance}", endpoint.status)
    app.router.add_delete("/durabletask/instances/", endpoint.purge)
    async with TestServer(app) as server:
        yield endpoint, client_binding(str(server.make_url("/durabletask/")))


def client_binding(url: str) -> str:
    """The binding that the host passes to a durable client whose extension listens at `url`."""
    urls = {"taskHubName": "worker", "creationUrls": {}, "managementUrls": {"id": "INSTANCEID"}}
    return json.dumps({**urls, "rpcBaseUrl": url})


@dataclass(frozen=True)
class Task:
    """A task that an orchestrator schedules: an activity with its input, or a timer, which has no name."""

    id: int
    name: str | None
    payload: str | None


class Orchestration:
    """One instance. The whole history is sent each time, in the order of the extension, with its own events as well."""

    def __init__(self, worker: Worker, start: Start) -> None:
        self._worker = worker
        self._start = start
        self._input = json.dumps(start.payload)
        self._history: list[dict[str, Any]] = []
        self._task_count = 0
        self.is_done = False
        self.output: Any = None

    async def start(self) -> list[Task]:
        """Run the first episode; return the scheduled tasks."""
        return await self._episode(
            _event(Kind.EXECUTION_STARTED, Name=self._start.orchestrator, Input=self._input, Version="")
        )

    async def complete(self, *ended: tuple[Task, Any]) -> list[Task]:
        """Run an episode after these activities have ended; return the newly scheduled tasks."""
        events = [
            _event(Kind.TASK_COMPLETED, TaskScheduledId=task.id, Result=json.dumps(answer)) for task, answer in ended
        ]
        return await self._episode(*events)

    async def fire(self, timer: Task) -> list[Task]:
        """Run an episode after a timer has fired; return the newly scheduled tasks."""
        return await self._episode(_event(Kind.TIMER_FIRED, TimerId=timer.id, FireAt=_text(datetime.now(UTC))))

    async def _episode(self, *arrivals: dict[str, Any]) -> list[Task]:
        self._history += [_event(Kind.ORCHESTRATOR_STARTED), *arrivals]
        body = {
            "history": self._history,
            "input": self._input,
            "instanceId": self._start.instance_id,
            "isReplaying": False,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
        }
        answer = await self._worker.invoke(self._start.orchestrator, Message(string=json.dumps(body)))
        assert "error" not in answer, answer
        actions = list(_flat(answer["actions"]))[self._task_count :]
        tasks = [_task(number, action) for number, action in enumerate(actions, start=self._task_count)]
        self._task_count += len(tasks)
        self._history += [_scheduled(each) for each in tasks]
        self._history.append(_event(Kind.ORCHESTRATOR_COMPLETED))
        self._history = [{**each, "IsPlayed": True} for each in self._history]
        self.is_done, self.output = answer["isDone"], answer.get("output")
        return tasks


def _flat(actions: list[Any]) -> Iterator[dict[str, Any]]:
    for action in actions:
        if isinstance(action, list):
            yield from _flat(action)  # pyright: ignore[reportUnknownArgumentType]  # JSON
        elif action["actionType"] in _COMPOUND:
            yield from _flat(action["compoundActions"])
        else:
            yield action


def _task(number: int, action: dict[str, Any]) -> Task:
    assert action["actionType"] in {_CALL_ACTIVITY, _CREATE_TIMER}, action
    return Task(number, action.get("functionName"), action.get("input"))


def _scheduled(task: Task) -> dict[str, Any]:
    if task.name is None:
        return _event(Kind.TIMER_CREATED, task.id, FireAt=_text(datetime.now(UTC)))
    return _event(Kind.TASK_SCHEDULED, task.id, Name=task.name, Input=task.payload, Version="")


def _event(kind: Kind, number: int = -1, **fields: Any) -> dict[str, Any]:
    return {"EventType": kind, "EventId": number, "IsPlayed": False, "Timestamp": _text(datetime.now(UTC)), **fields}


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
