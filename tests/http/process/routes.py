"""The HTTP routes of the app, as a host finds them, and what the callers of each may expect."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.http.api_client import ROOT

SECRET = "heron"
"""A word in every text of the owner's, and in the owner's own name: nobody else may read it."""

READ, WRITE, APPEND = "sessions.read", "sessions.write", "events.append"

_APP_ROUTES = """
import json
from pathlib import Path
from turnlog.local.host.index import index_app, load
routes = index_app(load(Path(".")), "").routes
print(json.dumps([f"{method} /{route.template}" for route in routes for method in route.methods]))
"""


def app_routes() -> set[str]:
    """The routes of the app: method and path."""
    ran = subprocess.run([sys.executable, "-c", _APP_ROUTES], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout))


@dataclass(frozen=True)
class Rules:
    """What a route does for its callers.

    `scopes`: each of them is enough; a route without any is public. `hidden`: the code of the 404 that another owner
    gets; without one, everybody gets what is theirs or everybody's. `body` and `headers` are those of a valid request;
    `{session}` and `{project}` in the body stand for ids. `answer` is the status that the owner gets.
    """

    scopes: tuple[str, ...] = (READ,)
    hidden: str | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    answer: int = 200

    @property
    def is_public(self) -> bool:
        return not self.scopes


_PUBLIC = Rules(scopes=())
_OWN = Rules()
_SESSION = Rules(hidden="session_not_found")
_PROJECT = Rules(hidden="project_not_found")
_MESSAGE = Rules(hidden="message_not_found")


def _writes(hidden: str | None, body: Any, answer: int = 200, *scopes: str, **headers: str) -> Rules:
    return Rules(scopes or (WRITE,), hidden, body, headers, answer)


_NO_SESSION, _NO_PROJECT = _SESSION.hidden, _PROJECT.hidden

ROUTES: dict[str, Rules] = {
    "GET /": _PUBLIC,
    "GET /console": _PUBLIC,
    "GET /console/{version}/{folder}/{file}": _PUBLIC,
    "GET /health": _PUBLIC,
    "GET /ready": _PUBLIC,
    "GET /api/openapi.json": _PUBLIC,
    "GET /api/docs": _PUBLIC,
    "GET /api/docs/{asset}": _PUBLIC,
    "GET /api/schemas/project-document": _OWN,
    "GET /agents": _OWN,
    "GET /sessions": _OWN,
    "GET /projects": _OWN,
    "GET /stream": _OWN,
    "GET /sessions/{session_id}/status": _OWN,  # `not_existent` for others
    "GET /sessions/{session_id}": _SESSION,
    "GET /sessions/{session_id}/result": Rules(hidden="session_not_found", answer=404),
    "GET /sessions/{session_id}/usage": _SESSION,
    "GET /sessions/{session_id}/events": _SESSION,
    "GET /sessions/{session_id}/export": _SESSION,
    "GET /sessions/{session_id}/stream": _SESSION,
    "GET /api/sessions/{session_id}/stream": _SESSION,
    "GET /sessions/{session_id}/messages": _SESSION,
    "GET /sessions/{session_id}/queue": _SESSION,
    "GET /events/{session_id}": _SESSION,
    "GET /messages/{message_id}": _MESSAGE,
    "GET /messages/{message_id}/full": _MESSAGE,
    "GET /projects/{project_id}": _PROJECT,
    "GET /projects/{project_id}/sessions": _PROJECT,
    "GET /projects/{project_id}/usage": _PROJECT,
    "GET /projects/{project_id}/stream": _PROJECT,
    "POST /negotiate": _writes(_NO_SESSION, {"session_id": "{session}"}, 501, READ),
    "POST /negotiate for a project": _writes(_NO_PROJECT, {"project_id": "{project}"}, 501, READ),
    "POST /sessions/{session_id}/ticket": _writes(_NO_SESSION, None, 200, READ),
    "POST /projects/{project_id}/ticket": _writes(_NO_PROJECT, None, 200, READ),
    "POST /socketio/negotiate": _writes(None, None, 501, READ),
    "POST /websocket/negotiate": _writes(None, None, 501, READ),
    # Only Web PubSub may call these, and there is none here.
    "POST /socketio/events": Rules(scopes=(), answer=501),
    "OPTIONS /socketio/events": Rules(scopes=(), answer=403),
    "POST /sessions": _writes(None, {}, 201),
    "POST /projects": _writes(None, {"name": "p"}, 201),
    "POST /projects/{project_id}/sessions": _writes(_NO_PROJECT, {"node_id": "n"}, 201),
    "POST /events": _writes(_NO_SESSION, {"session_id": "{session}", "event_type": "note"}, 200, APPEND, WRITE),
    "POST /sessions/{session_id}/events": _writes(_NO_SESSION, {"event_type": "note"}, 201, APPEND, WRITE),
    "POST /sessions/{session_id}/fork": _writes(_NO_SESSION, {}, 201),
    "POST /sessions/{session_id}/messages": _writes(_NO_SESSION, {"content": "x"}, 202, prefer="respond-async"),
    "POST /sessions/{session_id}/messages as a stream": _writes(
        _NO_SESSION, {"content": SECRET}, accept="text/event-stream"
    ),
    "DELETE /sessions/{session_id}/queue/{message_id}": _writes(_NO_SESSION, None, 204),
    "POST /sessions/{session_id}/tool_calls/{call_id}/approval": _writes(_NO_SESSION, {"decision": "deny"}),
    "GET /sessions/{session_id}/tool_calls/{call_id}": _SESSION,
    "POST /sessions/{session_id}/tool_calls/{call_id}/result": _writes(_NO_SESSION, {"result": "x"}),
    "POST /sessions/{session_id}/cancel": _writes(_NO_SESSION, {}, prefer="wait=30"),
    "POST /ag-ui/{agent}": _writes(  # each caller has a session of this name
        None,
        {"threadId": "{session}", "runId": "run", "messages": [{"id": "m1", "role": "user", "content": "x"}]},
    ),
    "PATCH /sessions/{session_id}": _writes(_NO_SESSION, {"archived": True}),
    "DELETE /sessions/{session_id}": _writes(_NO_SESSION, None, 204),
    "PATCH /projects/{project_id}": _writes(_NO_PROJECT, {"name": "another"}),
    "DELETE /projects/{project_id}": _writes(_NO_PROJECT, None, 204),
    "GET /projects/{project_id}/deletion": Rules(hidden="deletion_not_found"),
}
"""The rules of every route. Words after the path name a variant. An owner may send all of them, in this order."""


def route_of(entry: str) -> tuple[str, str]:
    """Method and path of an entry of ROUTES."""
    method, path, *_ = entry.split()
    return method, path
