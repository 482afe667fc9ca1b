"""Writes what is appended to the sessions' logs into their rooms."""

from typing import Any

import azure.functions as func

from turnlog.changes.feed import chunks_in, states_in
from turnlog.stores.cosmos.containers import ROOMS_TTL
from turnlog.telemetry.logs import log_failures
from turnlog.wiring import services


@log_failures
async def write_rooms(documents: func.DocumentList) -> None:
    """Write a batch. If it is delivered again, in another order, or to two instances at once, nothing more is written.

    Raises StoreUnavailableError, so that the host delivers the batch again.
    """
    app = services()
    # A feed that is read from its beginning must not write again what rooms have already dropped.
    oldest = app.clock.now().timestamp() - ROOMS_TTL
    batch: list[Any] = list(documents)
    recent = [document for document in batch if document["_ts"] > oldest]
    if app.room_writer is not None:  # SQLite writes its rooms together with the log
        await app.room_writer.write(chunks_in(recent), states_in(recent))
