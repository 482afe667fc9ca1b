"""HTTP functions of sessions: open, look up, list, change, delete."""

from typing import Any

import azure.durable_functions as df
from azurefunctions.extensions.http.fastapi import Request, Response

from shared.api.description.describes import Answer, describes
from shared.api.edge.endpoint import endpoint
from shared.api.edge.parameters import IDEMPOTENCY_KEY, LOCATION, REPLAYED, Choice, CommaList, Flag, Integer, Text
from shared.api.edge.principal import caller
from shared.api.edge.requests import idempotency_key, parsed, read_body, read_bytes
from shared.api.edge.responses import no_content, ok
from shared.api.shapes.bodies import CreateSession, ForkSession, UpdateSession
from shared.api.shapes.receipts import SessionPage, SessionResult, SessionStatus
from shared.api.shapes.views import SessionView, envelope, event_data
from shared.domain.errors import (
    IdempotencyKeyReusedError,
    NoResultError,
    NotFinishedError,
    SessionDeletedError,
    SessionExistsError,
    SessionNotFoundError,
)
from shared.domain.ids import SessionId
from shared.domain.listing import SessionFilter
from shared.domain.session import SessionState
from shared.services.fork import ForkRequest
from shared.wiring import services

bp = df.Blueprint()

_MOST_EVENTS = 1000

_PROJECT = Text("project_id", "only sessions of this project")
_STATUS = Choice("status", "only sessions of this status", allowed=("running", "finished"))
_AGENT = Text("agent_name", "only sessions with this agent")
_ARCHIVED = Flag("archived", "only archived ones, or only others")
_METADATA = Text("metadata.<key>", "only sessions whose metadata holds this text under the key")
_LIMIT = Integer("limit", "how many at most", default=50, least=1, most=200)
_CURSOR = Text("cursor", "the `next_cursor` of the page before")
LISTING = (_STATUS, _AGENT, _ARCHIVED, _METADATA, _LIMIT, _CURSOR)
_INCLUDE = CommaList("include", f"`event_log`: also the newest {_MOST_EVENTS} events")


def session_id_of(req: Request) -> SessionId:
    return SessionId(req.path_params["session_id"])


@bp.route("sessions", methods=["POST"])
@endpoint
@describes(
    Answer(201, "The session", SessionView, headers=(LOCATION, REPLAYED)),
    takes=CreateSession,
    reads=(IDEMPOTENCY_KEY,),
    refuses=(SessionExistsError, SessionDeletedError, IdempotencyKeyReusedError),
)
async def create_session(req: Request) -> Response:
    """Open a session; a retry with the same Idempotency-Key finds the one it opened."""
    body = await read_bytes(req)
    wanted, who, key = parsed(CreateSession, body), caller(req), idempotency_key(req, body)
    req.state.session_id = wanted.session_id  # a refusal names it, too

    fields = await services().project_sessions.with_agent(who.owner, wanted.model_dump(exclude={"session_id"}))
    session_id = None if wanted.session_id is None else SessionId(wanted.session_id)
    state, replayed = await services().sessions.create(who.owner, fields, session_id, who.trace_id, key)

    return ok(await session_view(state, trace_id=who.trace_id), 201, made(state, replayed=replayed))


@bp.route("sessions", methods=["GET"])
@endpoint
@describes(
    Answer(200, "A page of sessions", SessionPage),
    reads=(_PROJECT, *LISTING),
)
async def list_sessions(req: Request) -> Response:
    """List the caller's sessions, newest first."""
    page = await page_of(req, _PROJECT.of(req.query_params))

    return ok(page)


async def page_of(req: Request, project_id: str | None) -> SessionPage:
    """The page that the query asks for of the caller's sessions, all or those of a project."""
    query, who = req.query_params, caller(req)
    wanted = SessionFilter(
        owner=who.owner,
        project_id=project_id,
        status=_STATUS.of(query),
        agent_name=_AGENT.of(query),
        archived=_ARCHIVED.of(query),
        metadata={name[9:]: value for name, value in query.items() if name.startswith("metadata.")},
    )
    limit = _LIMIT.of(query)

    page = await services().sessions.list(wanted, _CURSOR.of(query), limit)

    views = [await session_view(state) for state in page.sessions]
    return {"sessions": views, "next_cursor": page.next_cursor, "trace_id": who.trace_id}


@bp.route("sessions/{session_id}", methods=["GET"])
@endpoint
@describes(Answer(200, "The session", SessionView), reads=(_INCLUDE,), refuses=(SessionNotFoundError,))
async def get_session(req: Request) -> Response:
    """The session as it is now, with the tool calls of its log and, if asked for, the log's newest events."""
    who = caller(req)
    wants_log = "event_log" in _INCLUDE.of(req.query_params)

    state = await services().sessions.get(who.owner, session_id_of(req))
    calls = await services().sessions.newest_events(state.session_id, "tool_call.complete", _MOST_EVENTS)
    tail = await services().sessions.tail(state, _MOST_EVENTS) if wants_log else None

    steps = [event_data(state.session_id, event) for event in calls]
    event_log = None if tail is None else [envelope(state.session_id, event) for event in tail]
    return ok(await session_view(state, steps=steps, event_log=event_log, trace_id=who.trace_id))


@bp.route("sessions/{session_id}", methods=["PATCH"])
@endpoint
@describes(Answer(200, "The session, changed", SessionView), takes=UpdateSession, refuses=(SessionNotFoundError,))
async def update_session(req: Request) -> Response:
    """Change name, agent, metadata or archived (RFC 7396)."""
    who = caller(req)
    patch = (await read_body(req, UpdateSession)).model_dump(exclude_unset=True)

    state = await services().sessions.update(who.owner, session_id_of(req), patch, who.trace_id)

    return ok(await session_view(state, trace_id=who.trace_id))


@bp.route("sessions/{session_id}", methods=["DELETE"])
@endpoint
@describes(Answer(204, "It is deleted"), refuses=(SessionNotFoundError,))
async def delete_session(req: Request) -> Response:
    """End what runs and clear the conversation; the session is not found from now on."""
    who = caller(req)

    await services().sessions.delete(who.owner, session_id_of(req), who.trace_id)

    return no_content()


@bp.route("sessions/{session_id}/status", methods=["GET"])
@endpoint
@describes(Answer(200, "The status", SessionStatus))
async def get_session_status(req: Request) -> Response:
    """`running`, `finished` or `not_existent`: always 200."""
    who, session_id = caller(req), session_id_of(req)

    status = await services().sessions.status(who.owner, session_id)

    body: SessionStatus = {"session_id": session_id, "status": status, "trace_id": who.trace_id}
    return ok(body)


@bp.route("sessions/{session_id}/result", methods=["GET"])
@endpoint
@describes(Answer(200, "The result", SessionResult), refuses=(SessionNotFoundError, NotFinishedError, NoResultError))
async def get_session_result(req: Request) -> Response:
    """The text of the last assistant message."""
    who, session_id = caller(req), session_id_of(req)

    result = await services().sessions.result(who.owner, session_id)

    body: SessionResult = {"session_id": session_id, "result": result, "trace_id": who.trace_id}
    return ok(body)


@bp.route("sessions/{session_id}/fork", methods=["POST"])
@endpoint
@describes(
    Answer(201, "The new session", SessionView, headers=(LOCATION, REPLAYED)),
    takes=ForkSession,
    reads=(IDEMPOTENCY_KEY,),
    refuses=(SessionNotFoundError, SessionExistsError, SessionDeletedError, IdempotencyKeyReusedError),
)
async def fork_session(req: Request) -> Response:
    """Open a session with the same past: the log up to the end of the last turn, or of the last before `at_sequence`.

    Sequences and times stay; the ids of session, turns and messages are new; what was used is not counted again.
    """
    body = await read_bytes(req)
    wanted, who, key = parsed(ForkSession, body), caller(req), idempotency_key(req, body)

    wish = ForkRequest(who.trace_id, wanted.at_sequence, wanted.session_name)
    state, replayed = await services().forks.fork(who.owner, session_id_of(req), wish, key)

    return ok(await session_view(state, trace_id=who.trace_id), 201, made(state, replayed=replayed))


def made(state: SessionState, *, replayed: bool) -> dict[str, str]:
    """The headers of an answer that gives a session, new or found."""
    headers = {"location": f"/sessions/{state.session_id}", "x-session-id": state.session_id}
    return {**headers, "idempotency-replayed": "true"} if replayed else headers


async def session_view(state: SessionState, **more: Any) -> SessionView:
    return SessionView.of(state, diagnosis=await services().sessions.diagnosis(state), **more)
