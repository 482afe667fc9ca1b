"""Change feed: tells rooms what was appended to the sessions' logs."""

from typing import Any

import azure.functions as func

from changes.feed import chunks_in, states_in
from shared.stores.cosmos.containers import ROOMS_TTL
from shared.telemetry.logs import log_failures
from shared.wiring import services


@log_failures
async def write_rooms(documents: func.DocumentList) -> None:
    """Write a batch. Given again, in another order or to two instances at once, it changes nothing that is written.

    Raises StoreUnavailableError, so that the host gives the batch again.
    """
    on = services()
    # A feed that is read from its beginning must not tell again what rooms have forgotten.
    oldest = on.clock.now().timestamp() - ROOMS_TTL
    batch: list[Any] = list(documents)
    kept = [document for document in batch if document["_ts"] > oldest]
    if on.room_writer is not None:  # a log that tells its rooms itself has none
        await on.room_writer.write(chunks_in(kept), states_in(kept))
