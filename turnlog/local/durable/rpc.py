"""The endpoints that the SDK's durable client calls, with the status codes and JSON of the Durable extension.

They listen on their own port and on the loopback interface only. A caller must know the secret in the URL: pages in a
browser and other users of the machine do not.
"""

import json
import logging
import secrets
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from starlette.types import Receive, Scope, Send

from turnlog.local.durable.engine import AlreadyExistsError, Engine, UnknownOrchestratorError
from turnlog.local.durable.history import format_timestamp, parse_timestamp
from turnlog.local.durable.taskhub import RUNNING, Row, TaskHub

_log = logging.getLogger(__name__)

_PREFIX = "/durabletask/"
_NOT_IN_IDS = set("/\\#?")
_PURGE_FILTERS = {"createdTimeFrom", "createdTimeTo", "runtimeStatus"}


class _Answer(NamedTuple):
    status: int
    body: Any = None


class DurableRpc:
    """An ASGI app over `engine` and `hub`, both borrowed."""

    def __init__(self, engine: Engine, hub: TaskHub, orchestrators: list[str], prefix: str) -> None:
        self._prefix = prefix
        self._engine = engine
        self._hub = hub
        self._orchestrators = orchestrators

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["raw_path"].decode("latin-1")
        if not path.startswith(self._prefix):
            await _send(send, _Answer(404))
            return
        path = path.removeprefix(self._prefix)
        parts = [unquote(part) for part in path.rstrip("/").split("/")]
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        try:
            answer = await self._route(scope["method"], parts, query, receive)
        except Exception as error:  # noqa: BLE001 - the client gets it, as from the extension
            _log.exception("durable request %s failed", path)
            answer = _problem(500, error, type(error).__name__)
        await _send(send, answer)

    async def _route(self, method: str, parts: list[str], query: dict[str, str], receive: Receive) -> _Answer:
        match method, parts:
            case "POST", ["orchestrators", name, instance_id] if not query:
                return await self._start(name, instance_id, await _read_body(receive))
            case "GET", ["instances", instance_id] if not query:
                row = await self._hub.read(instance_id)
                return _Answer(404) if row is None else _Answer(202 if row.status == RUNNING else 200, _status_of(row))
            case "DELETE", ["instances"] if query.keys() == _PURGE_FILTERS:
                since, until = (
                    format_timestamp(parse_timestamp(query[name])) for name in ("createdTimeFrom", "createdTimeTo")
                )
                deleted = await self._hub.purge(since, until, query["runtimeStatus"].split(","))
                return _Answer(200, {"instancesDeleted": deleted}) if deleted else _Answer(404)
            case _:
                return _refuse(method, parts, query)

    async def _start(self, name: str, instance_id: str, body: bytes) -> _Answer:
        if not _is_valid(instance_id):
            text = f"Instance id {instance_id!r} is not allowed: 1 to 100 characters, none of / \\ # ?, not @ first."
            return _problem(400, text, "System.ArgumentException")
        try:
            await self._engine.start(name, instance_id, json.loads(body) if body else None)
        except json.JSONDecodeError:
            return _problem(400, "Invalid JSON content", "Newtonsoft.Json.JsonReaderException")
        except UnknownOrchestratorError:
            known = ", ".join(f"'{each}'" for each in self._orchestrators)
            text = (
                f"The function '{name}' doesn't exist, is disabled, or is not an orchestrator function. "
                f"Additional info: The following are the known orchestrator functions: {known}."
            )
            return _problem(400, text, "System.ArgumentException")
        except AlreadyExistsError:
            text = "An Orchestration instance with the status Running already exists."
            return _problem(500, text, "DurableTask.Core.Exceptions.OrchestrationAlreadyExistsException")
        return _Answer(202, {"id": instance_id})


def secret_prefix() -> str:
    """Return a path that nobody can guess, as `prefix` of a `DurableRpc` and for the client's base URL."""
    return f"/{secrets.token_urlsafe(24)}{_PREFIX}"


async def _send(send: Send, answer: _Answer) -> None:
    content = b"" if answer.body is None else json.dumps(answer.body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _is_valid(instance_id: str) -> bool:
    """Return whether Azure Storage can keep an instance with this id."""
    has_reserved = instance_id.startswith("@") or _NOT_IN_IDS & set(instance_id)
    return len(instance_id) <= 100 and instance_id.isprintable() and not has_reserved


async def _read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _status_of(row: Row) -> dict[str, Any]:
    """Return the JSON from which the SDK makes a `DurableOrchestrationStatus`."""
    return {
        "name": row.name,
        "instanceId": row.id,
        "runtimeStatus": row.status,
        "input": None,
        "customStatus": None,
        "output": json.loads(row.output),
        "createdTime": row.created,
        "lastUpdatedTime": row.updated,
    }


def _refuse(method: str, parts: list[str], query: dict[str, str]) -> _Answer:
    """Refuse by name what the extension serves and the app does not use; the SDK shows its caller only the status."""
    match method, parts:
        case "POST", ["instances", _, operation, *_]:
            name = operation
        case "POST", ["orchestrators", *_]:
            name = "start_new with a version or without an instance id"
        case "GET", ["instances", _]:
            name = f"get_status with {', '.join(query)}"
        case "GET", ["instances"]:
            name = "get_status_by"
        case "DELETE", ["instances", _]:
            name = "purge_instance_history"
        case "DELETE", ["instances"]:
            name = f"purge_instance_history_by without all of {', '.join(sorted(_PURGE_FILTERS))}"
        case _:
            name = parts[0]
    text = (
        f"the local host does not serve the durable operation {name}: "
        "it serves start_new, get_status and purge_instance_history_by as the app calls them"
    )
    _log.error(text)
    return _problem(501, text, "System.NotSupportedException")


def _problem(status: int, reason: object, kind: str) -> _Answer:
    text = str(reason)
    return _Answer(status, {"Message": text, "ExceptionMessage": text, "ExceptionType": kind})
