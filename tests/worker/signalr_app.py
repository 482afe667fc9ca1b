"""The app with Cosmos DB and SignalR on the worker. It needs its own process: an app can be indexed only once.

It prints the bindings of `send_to_signalr`, and what the function passes to the host for a new session.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.worker.host.driver import Message, running_worker
from turnlog.domain.ids import bound_id
from turnlog.stores.cosmos.items import chunk_item
from turnlog.wiring import services


async def main() -> None:
    async with running_worker(Path(__file__).parents[2]) as worker:
        # This project id can't be the id of a Cosmos DB document.
        session = {"session_id": "demo", "project_id": "my\\label/?#"}
        created = await worker.http.post("/sessions", json=session)
        assert created.status_code == 201, created.text
        chunks = await services().log.read(bound_id("local", "demo"), 0, 10)
        feed = Message(string=json.dumps([chunk_item(chunk) for chunk in chunks]))
        outputs = await worker.outputs("send_to_signalr", feed)
        without_chunks = await worker.outputs(
            "send_to_signalr", Message(string=json.dumps([{"id": "state", "kind": "state"}]))
        )
        result: dict[str, Any] = {
            "bindings": worker.functions["send_to_signalr"].bindings,
            "outputs": {name: vars(data) for name, data in outputs.items()},
            "outputs_without_chunks": {name: vars(data) for name, data in without_chunks.items()},
        }
        await services().log.close()
    print(json.dumps(result))  # noqa: T201


asyncio.run(main())
