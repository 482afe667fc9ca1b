"""Lines of JSON: an export as a response that is written while the log is read."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from azurefunctions.extensions.http.fastapi import StreamingResponse

from shared.api.edge.framing import one_line
from shared.domain.export import ExportedEvent, ExportHeader

NDJSON = "application/x-ndjson"
EXPORT_EXAMPLE = """\
{"format":"turnlog-export","version":1,"session_id":"demo","epoch":1,"head":1,"exported_at":"2026-11-01T12:00:00Z"}
{"sequence":1,"timestamp":"2026-11-01T12:00:00Z","data":{"type":"session.created","thread_id":"thread_demo","owner":\
"local","metadata":{}},"type":"session.created","writer":"8f14e45fceea167a"}
"""


def export_response(header: ExportHeader, events: AsyncGenerator[ExportedEvent]) -> StreamingResponse:
    """The lines as they are read. A store that fails meanwhile breaks the connection: the client sees it cut off."""
    headers = {"content-disposition": f'attachment; filename="{header.session_id}.ndjson"', "cache-control": "no-store"}
    return StreamingResponse(_lines(header, events), headers=headers, media_type=NDJSON)


async def _lines(header: ExportHeader, events: AsyncGenerator[ExportedEvent]) -> AsyncGenerator[bytes]:
    yield header.model_dump_json().encode() + b"\n"
    async with aclosing(events):
        async for event in events:
            yield one_line(event.model_dump_json(exclude_none=True).encode()) + b"\n"
