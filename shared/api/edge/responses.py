"""Values to responses: JSON, lines of JSON, and the headers that several handlers send."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from azurefunctions.extensions.http.fastapi import Response, StreamingResponse

from shared.api.edge.sse import one_line
from shared.api.shapes.common import as_json
from shared.domain.export import ExportedEvent, ExportHeader
from shared.domain.ids import PublicId, public_id
from shared.domain.session import SessionState

NDJSON = "application/x-ndjson"


def ok(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(as_json(body), status, dict(headers or {}), "application/json")


def no_content() -> Response:
    return Response(None, 204)


def replay_header(*, replayed: bool) -> dict[str, str]:
    """The header that marks the answer of an earlier request with the same key."""
    return {"idempotency-replayed": "true"} if replayed else {}


def session_headers(state: SessionState, *, replayed: bool) -> dict[str, str]:
    """The headers of an answer that returns a session, a new one or an existing one."""
    session_id = public_id(state.session_id)
    names = {"location": f"/sessions/{session_id}", "x-session-id": session_id}
    return names | replay_header(replayed=replayed)


def stream_location(session_id: PublicId, after: int) -> dict[str, str]:
    """The header that leads to the session's stream, where the rest of the turn is written."""
    return {"location": f"/sessions/{session_id}/stream?after={after}"}


def export_response(header: ExportHeader, events: AsyncGenerator[ExportedEvent]) -> StreamingResponse:
    """Send the lines while the log is read. If the store fails, the connection breaks: the client sees a cut."""
    headers = {"content-disposition": f'attachment; filename="{header.session_id}.ndjson"', "cache-control": "no-store"}
    return StreamingResponse(_lines(header, events), headers=headers, media_type=NDJSON)


async def _lines(header: ExportHeader, events: AsyncGenerator[ExportedEvent]) -> AsyncGenerator[bytes]:
    yield header.model_dump_json().encode() + b"\n"
    async with aclosing(events):
        async for event in events:
            yield one_line(event.model_dump_json(exclude_none=True).encode()) + b"\n"
