"""`kill -9` while a project is deleted: the deletion continues by itself, and counts each session once."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.faults.api_client import Client, client_of
from tests.faults.host import TIMEOUT, KillableHost, running_host
from tests.http.api_client import ok, refusal
from tests.http.sse_client import JSON

pytestmark = pytest.mark.anyio

SESSIONS = 130
"""More than one page."""


@pytest.fixture
async def client(tmp_path: Path, model_url: str, seed: int) -> AsyncGenerator[Client]:
    (tmp_path / "deaths").touch()
    env = {"DEATHS": str(tmp_path / "deaths"), "NOTES": str(tmp_path / "notes")}
    host = KillableHost(tmp_path, model_url, "tests.faults.fault_injection", env)
    async with running_host(host), client_of(host, seed) as client:
        yield client


async def _new_project(client: Client) -> str:
    """A project with sessions, of which one runs a turn."""
    headers = {"idempotency-key": "project"}
    project = ok(await client.request("POST", "/projects", json={"name": "Large"}, headers=headers), 201)
    body = {"project_id": project["id"]}
    answers = await asyncio.gather(*(client.request("POST", "/sessions", json=body) for _ in range(SESSIONS)))
    sessions: list[str] = [ok(answer, 201)["session_id"] for answer in answers]
    message = client.new_message(sessions[-1], model=client.new_model((150, 200), (5, 5)), agent="assistant")
    await client.post(message)
    return project["id"]


async def _wait_for_end(client: Client, project_id: str) -> JSON:
    """Wait until the deletion has ended. The project is not found while it runs."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            refusal(await client.request("GET", f"/projects/{project_id}"), 404, "project_not_found")
            deletion = await client.get(f"/projects/{project_id}/deletion")
            if deletion["ended_at"]:
                return deletion
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "points",
    [
        # In the request, in the instance's page, and in a page that is repeated.
        ("after append session.deleted 40", "before append session.deleted 70", "torn append session.deleted 5"),
        pytest.param(("before start 1", "after episode 1"), marks=pytest.mark.slow),
        pytest.param(("after start 1", "before episode 2"), marks=pytest.mark.slow),
    ],
)
async def test_kills_while_a_project_is_deleted_lose_no_session(client: Client, points: tuple[str, ...]) -> None:
    project_id = await _new_project(client)
    (client.host.data_dir / "deaths").write_text("".join(f"{point}\n" for point in points))

    async with asyncio.TaskGroup() as group:
        request = group.create_task(client.request("DELETE", f"/projects/{project_id}"))
        for _ in points:
            await client.host.wait_for_kill()
            await client.host.start()
        deletion = await _wait_for_end(client, project_id)

    assert not (client.host.data_dir / "deaths").read_text(), "the host was not killed at every point"
    assert request.result().status_code in {202, 204, 404}
    assert (deletion["status"], deletion["deleted"], deletion["listed"]) == ("deleted", SESSIONS, SESSIONS)
    assert (await client.get(f"/sessions?project_id={project_id}"))["sessions"] == []
