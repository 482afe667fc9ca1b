"""The endpoints that the SDK's durable client calls, with the status codes and JSON of the Durable extension.

They listen on a port of their own, on the loopback interface only: whoever reaches them may do anything.
"""

import json
import logging
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote
from uuid import uuid4

from starlette.types import Receive, Scope, Send

from local.durable.engine import AlreadyExistsError, Engine, UnknownOrchestratorError
from local.durable.history import moment_of, text_of
from local.durable.status import history_of, status_of
from local.durable.taskhub import Filter, TaskHub

logger = logging.getLogger(__name__)

PREFIX = "/durabletask/"
_NOT_IN_IDS = set("/\\#?")


class _Answer(NamedTuple):
    status: int
    body: Any = None


class DurableRpc:
    """An ASGI app over `engine` and `hub`, both borrowed."""

    def __init__(self, engine: Engine, hub: TaskHub, orchestrators: list[str], version: str) -> None:
        self._engine = engine
        self._hub = hub
        self._orchestrators = orchestrators
        self._version = version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["raw_path"].decode("latin-1").removeprefix(PREFIX)
        parts = [unquote(part) for part in path.rstrip("/").split("/")]
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        try:
            status, body = await self._route(scope["method"], parts, query, receive)
        except Exception as error:
            logger.exception("durable request %s failed", path)
            status, body = _refusal(500, error, type(error).__name__)
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _route(self, method: str, parts: list[str], query: dict[str, str], receive: Receive) -> _Answer:
        match method, parts:
            case "POST", ["orchestrators", name, *rest] if len(rest) <= 1:
                return await self._start(name, rest[0] if rest else uuid4().hex, query, await _body(receive))
            case "GET", ["instances", instance]:
                return await self._status(instance, query)
            case "GET", ["instances"]:
                return await self._statuses(query)
            case "DELETE", ["instances", instance]:
                return _deleted(await self._engine.purge(instance))
            case "DELETE", ["instances"]:
                return _deleted(await self._engine.purge_by(_filter(query)))
            case "POST", ["instances", instance, "terminate"]:
                outcome = await self._engine.terminate(instance, query.get("reason", ""))
                return _Answer({"terminated": 202, "ended before": 410, "unknown": 404}[outcome])
            case _:
                return _unserved(parts)

    async def _start(self, name: str, instance: str, query: dict[str, str], body: bytes) -> _Answer:
        if len(instance) > 100 or instance.startswith("@") or _NOT_IN_IDS & set(instance) or not instance.isprintable():
            return _refusal(
                400,
                f"Instance id {instance!r} is not allowed: 1 to 100 characters, none of / \\ # ?, no @ at "
                "its beginning.",
                "System.ArgumentException",
            )
        try:
            given = json.loads(body) if body else None
            await self._engine.start(name, instance, given, query.get("version", self._version))
        except json.JSONDecodeError:
            return _refusal(400, "Invalid JSON content", "Newtonsoft.Json.JsonReaderException")
        except UnknownOrchestratorError:
            known = ", ".join(f"'{each}'" for each in self._orchestrators)
            text = (
                f"The function '{name}' doesn't exist, is disabled, or is not an orchestrator function. "
                f"Additional info: The following are the known orchestrator functions: {known}."
            )
            return _refusal(400, text, "System.ArgumentException")
        except AlreadyExistsError:
            text = "An Orchestration instance with the status Running already exists."
            return _refusal(500, text, "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException")
        return _Answer(202, {"id": instance})

    async def _status(self, instance: str, query: dict[str, str]) -> _Answer:
        row, episodes = await self._hub.read(instance)
        if row is None:
            return _Answer(404)
        status = status_of(row, with_input=_flag(query, "showInput", default=True))
        if _flag(query, "showHistory"):
            status["historyEvents"] = history_of(
                episodes,
                with_input=_flag(query, "showInput", default=True),
                with_output=_flag(query, "showHistoryOutput"),
            )
        return _Answer(202 if row.status == "Running" else 200, status)

    async def _statuses(self, query: dict[str, str]) -> _Answer:
        rows = await self._hub.find(_filter(query))
        return _Answer(200, [status_of(row, with_input=_flag(query, "showInput", default=True)) for row in rows])


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _filter(query: dict[str, str]) -> Filter:
    default = Filter()
    since, until = query.get("createdTimeFrom"), query.get("createdTimeTo")
    return Filter(
        created_from=text_of(moment_of(since)) if since else default.created_from,
        created_to=text_of(moment_of(until)) if until else default.created_to,
        statuses=tuple(each for each in query.get("runtimeStatus", "").split(",") if each),
        prefix=query.get("instanceIdPrefix", ""),
    )


def _flag(query: dict[str, str], name: str, *, default: bool = False) -> bool:
    return query.get(name, str(default)).lower() == "true"


def _deleted(count: int) -> _Answer:
    return _Answer(200, {"instancesDeleted": count}) if count else _Answer(404)


def _unserved(parts: list[str]) -> _Answer:
    """Refuse by name what the extension has and this host has not; of it the SDK shows its caller only the 501."""
    operation = parts[2] if len(parts) > 2 and parts[0] == "instances" else parts[0]
    text = f"the local host does not serve the durable operation {operation}"
    logger.error(text)
    return _refusal(501, text, "System.NotSupportedException")


def _refusal(status: int, reason: object, kind: str) -> _Answer:
    text = str(reason)
    return _Answer(status, {"Message": text, "ExceptionMessage": text, "ExceptionType": kind})
