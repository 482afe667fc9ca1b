"""A client of the API: the few requests that several tests make, and a reader of server-sent events."""

import json
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import httpx2

from tests.worker.driver import Worker


class Frame(NamedTuple):
    """One server-sent event."""

    id: int
    event: str
    data: dict[str, Any]


async def new_session(worker: Worker) -> str:
    response = await worker.request("POST", "/sessions", json={})
    return response.json()["session_id"]


async def post_message(worker: Worker, session_id: str, content: str) -> dict[str, Any]:
    """Post a message without waiting for its answer; the message."""
    headers = {"prefer": "respond-async"}
    response = await worker.request(
        "POST", f"/sessions/{session_id}/messages", headers=headers, json={"content": content}
    )
    assert response.status_code == 202, response.text
    return response.json()


async def frames(response: httpx2.Response) -> AsyncGenerator[Frame]:
    """The frames of a stream as they come, without its comments."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            yield Frame(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        fields = {}
