"""The real Runner of openai-agents on a session's log, with the scripted model."""

import importlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from turnlog import wiring
from turnlog.local.model.launch import ModelServer
from turnlog.memory import SessionMemory
from turnlog.settings import Settings, settings

pytestmark = pytest.mark.anyio

agents: Any = importlib.import_module("agents")  # not installed where the types are checked


@pytest.fixture
async def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncGenerator[Any]:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    monkeypatch.setenv("MODEL", "fake-20-0")
    agents.set_tracing_disabled(disabled=True)
    settings.cache_clear()
    wiring.services.cache_clear()
    with ModelServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", url := server.wait())
        async with AsyncOpenAI(base_url=url, api_key="unused") as client:
            model = agents.OpenAIChatCompletionsModel(model="fake-20-0", openai_client=client)
            yield agents.Agent(name="tester", instructions="Answer.", model=model)
    await wiring.services().log.close()
    wiring.services.cache_clear()
    settings.cache_clear()


async def test_the_second_run_gets_the_messages_of_the_first(agent: Any) -> None:
    memory = SessionMemory("a-session")
    assert isinstance(memory, agents.Session)

    first = await agents.Runner.run(agent, "My name is Ada.", session=memory)
    second = await agents.Runner.run(agent, "What is my name?", session=SessionMemory("a-session"))
    apart = await agents.Runner.run(agent, "What is my name?", session=SessionMemory("another"))

    read = [run.raw_responses[0].usage.input_tokens for run in (first, second, apart)]
    assert read[1] > read[2] > 0
    items = await memory.get_items()
    assert [item["role"] for item in items] == ["user", "assistant", "user", "assistant"]
    assert [item["content"] for item in items[::2]] == ["My name is Ada.", "What is my name?"]
    assert items[1]["content"][0]["text"] == first.final_output
    assert await memory.get_items(limit=1) == items[-1:]


async def test_the_settings_limit_the_messages_of_a_run(agent: Any) -> None:
    settings = importlib.import_module("agents.memory").SessionSettings(limit=2)
    memory = SessionMemory("a-session", session_settings=settings)
    for number in range(3):
        await agents.Runner.run(agent, f"{number}", session=memory)

    assert [item["role"] for item in await memory.get_items()] == ["user", "assistant"]
    assert len(await memory.get_items(limit=100)) == 6
    assert (await memory.pop_item() or {})["role"] == "assistant"
    await memory.clear_session()
    assert await memory.get_items(limit=100) == []
