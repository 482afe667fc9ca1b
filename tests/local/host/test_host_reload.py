"""A saved agent is used by the next turns, without a restart; a mistake leaves the agents of before."""

import asyncio
import shutil
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.local.host_process import ROOT, HostProcess, environment, running_process
from tests.local.local_host import wait_until
from turnlog.agents import registry
from turnlog.local.host.reload import AgentReload

pytestmark = pytest.mark.anyio

CLERK = '''
from pathlib import Path
import asyncio

from turnlog import Agent


async def ring(name: str) -> str:
    """Ring, and wait until the door opens."""
    Path("rung").touch()
    while not Path("open").exists():
        await asyncio.sleep(0.01)
    return "first code"


CLERK = Agent("clerk", "First.", "Ring.", tools=[ring])
'''
SECOND = CLERK.replace("First.", "Second.").replace("first code", "second code")


@pytest.fixture
def app(tmp_path: Path) -> Generator[HostProcess]:
    """The app, with one agent of its own."""
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/clerk.py").write_text(CLERK)
    env = environment()
    del env["OPENAI_BASE_URL"]  # the scripted model
    with running_process(tmp_path, env) as host:
        yield host


def wait_for(read: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (value := read()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value


def test_a_saved_agent_is_used_while_a_running_turn_keeps_its_code(app: HostProcess, tmp_path: Path) -> None:
    with httpx2.Client(base_url=app.url, timeout=60, verify=False) as http:

        def description() -> str | None:
            agents = http.get("/agents").json()["agents"]
            return next((each["description"] for each in agents if each["name"] == "clerk"), None)

        session = http.post("/sessions", json={"agent_name": "clerk"}).json()["session_id"]
        content = {"content": 'call ring {"name": "Ada"}'}
        first = http.post(f"/sessions/{session}/messages", json=content, headers={"Prefer": "respond-async"}).json()
        wait_for((tmp_path / "rung").exists)

        (tmp_path / "agents/clerk.py").write_text(SECOND)
        wait_for(lambda: description() == "Second.")
        (tmp_path / "open").touch()
        ended = wait_for(
            lambda: (found := http.get(f"/messages/{first['message_id']}").json())["status"] == "completed" and found
        )
        second = http.post(f"/sessions/{session}/messages", json=content).json()
        events = http.get(f"/sessions/{session}/events").json()["events"]

    assert "first code" in ended["answer"]
    assert "second code" in second["answer"]
    assert {each["data"]["attempt"] for each in events if each["type"] == "tool_call.start"} == {1}


async def test_a_mistake_leaves_the_agents_of_before_until_it_is_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "clerk.py"
    file.write_text(CLERK)
    monkeypatch.setenv("AGENTS_DIR", str(tmp_path))
    monkeypatch.setattr(registry, "AGENTS", dict(registry.BUILT_IN))
    registry.load_agents(tmp_path)
    lines: list[str] = []

    async def printed() -> list[str]:
        return lines

    running = asyncio.create_task(AgentReload(lines.append).run())
    try:
        file.write_text("1 / 0\n")
        await wait_until(printed)
        assert lines == [f"agents not loaded: {file}:1: ZeroDivisionError: division by zero"]
        assert registry.AGENTS["clerk"].description == "First."

        file.write_text(SECOND)
        await wait_until(printed, lambda lines: len(lines) > 1)
        assert lines[1:] == ["agents loaded: clerk"]
        assert registry.AGENTS["clerk"].description == "Second."

        file.unlink()
        await wait_until(printed, lambda lines: len(lines) > 2)
        assert set(registry.AGENTS) == set(registry.BUILT_IN)
    finally:
        running.cancel()
