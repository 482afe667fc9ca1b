"""The Durable extension's part: the endpoint its clients call, and an orchestration taken from episode to episode."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from local.durable.history import Kind
from tests.worker.driver import Message, Worker

_CALL_ACTIVITY, _CREATE_TIMER = 0, 5
_COMPOUND = {11, 12}


@dataclass(frozen=True)
class Start:
    """An orchestration that a client asked for."""

    orchestrator: str
    instance_id: str
    given: dict[str, Any]


class Endpoint:
    """Notes what is to be started or purged, and does nothing; while it `refuses`, it answers 500."""

    def __init__(self) -> None:
        self.started: dict[str, Start] = {}
        self.purges: list[dict[str, str]] = []
        self.refuses = False

    async def start(self, request: web.Request) -> web.Response:
        if self.refuses:
            return web.json_response({"Message": "no storage"}, status=500)
        given = json.loads(await request.json())  # the client sends JSON text in a JSON string
        start = Start(request.match_info["orchestrator"], request.match_info["instance"], given)
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
        """The orchestration that was started for a turn."""
        return next((start for start in self.started.values() if start.given["turn_id"] == turn_id), None)


@asynccontextmanager
async def durable_endpoint() -> AsyncGenerator[tuple[Endpoint, str]]:
    """Serve an endpoint; with it comes what the host hands to a durable client binding."""
    endpoint, app = Endpoint(), web.Application()
    app.router.add_post("/durabletask/orchestrators/{orchestrator}/{instance}", endpoint.start)
    app.router.add_get("/durabletask/instances/{instance}", endpoint.status)
    app.router.add_delete("/durabletask/instances/", endpoint.purge)
    async with TestServer(app) as server:
        yield endpoint, client_binding(str(server.make_url("/durabletask/")))


def client_binding(url: str) -> str:
    """What the host hands to a durable client binding, where the extension's endpoint is at `url`."""
    urls = {"taskHubName": "worker", "creationUrls": {}, "managementUrls": {"id": "INSTANCEID"}}
    return json.dumps({**urls, "rpcBaseUrl": url})


@dataclass(frozen=True)
class Asked:
    """What an orchestrator asks for: an activity by name with its input, or a timer, which has no name."""

    id: int
    name: str | None
    given: str | None


class Orchestration:
    """One instance. Its history is sent whole and in the extension's own order, the events that only it needs too."""

    def __init__(self, worker: Worker, start: Start) -> None:
        self._worker = worker
        self._start = start
        self._input = json.dumps(start.given)
        self._history: list[dict[str, Any]] = []
        self._asked = 0
        self.is_done = False
        self.output: Any = None

    async def begin(self) -> list[Asked]:
        """Run the first episode; what the orchestrator asks for."""
        return await self._episode(
            _event(Kind.EXECUTION_STARTED, Name=self._start.orchestrator, Input=self._input, Version="")
        )

    async def completed(self, *ended: tuple[Asked, Any]) -> list[Asked]:
        """Run an episode in which activities ended with these answers; what is asked for beyond what was."""
        events = [
            _event(Kind.TASK_COMPLETED, TaskScheduledId=task.id, Result=json.dumps(answer)) for task, answer in ended
        ]
        return await self._episode(*events)

    async def fired(self, timer: Asked) -> list[Asked]:
        """Run an episode in which a timer fired; what is asked for beyond what was."""
        return await self._episode(_event(Kind.TIMER_FIRED, TimerId=timer.id, FireAt=_text(datetime.now(UTC))))

    async def _episode(self, *arrivals: dict[str, Any]) -> list[Asked]:
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
        actions = list(_flat(answer["actions"]))[self._asked :]
        asked = [_asked(number, action) for number, action in enumerate(actions, start=self._asked)]
        self._asked += len(asked)
        self._history += [_scheduled(each) for each in asked]
        self._history.append(_event(Kind.ORCHESTRATOR_COMPLETED))
        self._history = [{**each, "IsPlayed": True} for each in self._history]
        self.is_done, self.output = answer["isDone"], answer.get("output")
        return asked


def _flat(actions: list[Any]) -> Iterator[dict[str, Any]]:
    for action in actions:
        if isinstance(action, list):
            yield from _flat(action)  # pyright: ignore[reportUnknownArgumentType]  # JSON
        elif action["actionType"] in _COMPOUND:
            yield from _flat(action["compoundActions"])
        else:
            yield action


def _asked(number: int, action: dict[str, Any]) -> Asked:
    assert action["actionType"] in {_CALL_ACTIVITY, _CREATE_TIMER}, action
    return Asked(number, action.get("functionName"), action.get("input"))


def _scheduled(asked: Asked) -> dict[str, Any]:
    if asked.name is None:
        return _event(Kind.TIMER_CREATED, asked.id, FireAt=_text(datetime.now(UTC)))
    return _event(Kind.TASK_SCHEDULED, asked.id, Name=asked.name, Input=asked.given, Version="")


def _event(kind: Kind, number: int = -1, **fields: Any) -> dict[str, Any]:
    return {"EventType": kind, "EventId": number, "IsPlayed": False, "Timestamp": _text(datetime.now(UTC)), **fields}


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"
