"""The app with Cosmos DB and SignalR on the worker, in a process of its own: an app can be indexed once only.

Prints what the worker tells the host of `broadcast`, and what that gives the host for a new session.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from shared.domain.ids import SessionId
from shared.stores.cosmos.items import chunk_item
from shared.wiring import services
from tests.worker.driver import Message, running_worker


async def main() -> None:
    async with running_worker(Path(__file__).parents[2]) as worker:
        # A project's name may be one that Cosmos DB can't look up.
        session = {"session_id": "demo", "project_id": "my\\label/?#"}
        created = await worker.http.post("/sessions", json=session)
        assert created.status_code == 201, created.text
        chunks = await services().log.read(SessionId("demo"), 0, 10)
        fed = Message(string=json.dumps([chunk_item(chunk) for chunk in chunks]))
        told = await worker.outputs("broadcast", fed)
        nothing = await worker.outputs("broadcast", Message(string=json.dumps([{"id": "state", "kind": "state"}])))
        said: dict[str, Any] = {
            "bindings": worker.functions["broadcast"].bindings,
            "told": {name: vars(data) for name, data in told.items()},
            "nothing": {name: vars(data) for name, data in nothing.items()},
        }
        await services().log.close()
    print(json.dumps(said))  # noqa: T201


asyncio.run(main())
