"""Values to responses: JSON, lines of JSON, files, and the headers that several handlers send."""

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self

from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse

from turnlog.api.edge.principal import trace_id_of
from turnlog.api.edge.sse import one_line
from turnlog.api.shapes.common import as_json
from turnlog.domain.export import ExportedEvent, ExportHeader
from turnlog.domain.ids import PublicId, public_id
from turnlog.domain.session import SessionState

NDJSON = "application/x-ndjson"
REVALIDATE = "no-cache"
"""Clients ask again each time, with the ETag."""
IMMUTABLE = "public, max-age=31536000, immutable"
"""For a file whose URL changes with its content."""


@dataclass(frozen=True)
class PublicFile:
    """A file that anyone may read."""

    body: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, media_type: str) -> Self:
        return cls(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


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


def file_response(
    file: PublicFile | None, req: Request, caching: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Send the file, 304 to a client that has it, or an empty 404 if there is none.

    Its handler has no `@endpoint`, because a page loads its files without an account.
    """
    trace = {"x-trace-id": trace_id_of(req)}
    if file is None:
        return Response(None, 404, trace)
    about = {"x-content-type-options": "nosniff", "etag": file.etag, "cache-control": caching, **(headers or {})}
    if file.etag in req.headers.get("if-none-match", ""):
        return Response(None, 304, trace | about)
    return Response(file.body, 200, trace | about, file.media_type)


async def _lines(header: ExportHeader, events: AsyncGenerator[ExportedEvent]) -> AsyncGenerator[bytes]:
    yield header.model_dump_json().encode() + b"\n"
    async with aclosing(events):
        async for event in events:
            yield one_line(event.model_dump_json(exclude_none=True).encode()) + b"\n"
